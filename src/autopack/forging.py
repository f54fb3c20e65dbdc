"""Builds the forge of a repository from settings, as `wiring` builds runs. Asks nobody anything."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from autopack.core.errors import OperatorFault, OwnFault
from autopack.settings import Loaded, load
from autopack.settings.folders import at_home

if TYPE_CHECKING:
    from autopack.adapters.git.projects import Projects
    from autopack.adapters.git.wrapper import Store
    from autopack.app.forge import Forge, ForgeContext
    from autopack.app.papers import Papers
    from autopack.app.ports import Cancel
    from autopack.app.ports import Store as Runs
    from autopack.core.run import Run
    from autopack.core.spec import RunSpec


def forge_of(
    loaded: Loaded, projects: Projects, spec: RunSpec, cancel: Cancel | None = None
) -> Forge:
    """The forge of a run's repository; OperatorFault when the settings name none.

    `cancel` cuts its waiting short.
    """
    from autopack.adapters.git.wrapper import Store

    def store() -> Store:
        repository = projects.repository(spec)
        return Store(repository.git, repository.folder)

    return forge_at(loaded, Path(spec.repository), store, cancel)


def check(loaded: Loaded, repository: Path) -> None:
    """See that the settings name a forge that can be made; it is not asked anything."""
    forge_at(loaded, repository, _none)


def _none() -> Store:
    raise OwnFault("a forge that is only looked at pushes nothing")


def check_tester(loaded: Loaded, repository: Path) -> str:
    """See that the forge tests what is pushed to it, and would take it from us; who and where."""
    from autopack.app.forge import Tester

    forge = forge_at(loaded, repository, _none)
    if not isinstance(forge, Tester):
        what = f"[forge] kind = {loaded.settings.forge.kind!r} tests nothing that is pushed to it"
        raise OperatorFault(what, 'set kind = "github" there, or verifier = "local"')
    return forge.check()


def forge_at(
    loaded: Loaded, repository: Path, store: Callable[[], Store], cancel: Cancel | None = None
) -> Forge:
    """The forge of the user's repository in a folder; `store` opens our own of the project."""
    from autopack.adapters.plugins import FORGES
    from autopack.adapters.plugins import load as found

    context = context_of(loaded, repository, store, cancel)
    made: Forge = found(FORGES, loaded.settings.forge.kind, "forge.kind")(context)
    return made


def looked_at(loaded: Loaded, folder: Path) -> Forge:
    """The forge of the work tree in `folder`, to be asked how it stands; nothing is pushed."""
    from autopack.adapters.git.checkout import open_checkout
    from autopack.adapters.git.wrapper import Git, Store

    git = Git(loaded.environ)
    top = open_checkout(git, folder).top
    return forge_at(loaded, top, lambda: Store(git, top / ".git"))


def papers(store: Runs, run: Run, notes: tuple[str, ...]) -> Papers:
    """What the promotion of a run of this store writes."""
    from autopack.adapters.files.papers import papers as rendered
    from autopack.app.report import log_of

    return rendered(run, log_of(store, run.run_id), notes)


def context_of(
    loaded: Loaded, repository: Path, store: Callable[[], Store], cancel: Cancel | None = None
) -> ForgeContext:
    """What the factory of a forge gets; `store` opens our own repository of the project."""
    from autopack.adapters.chance import chance
    from autopack.adapters.clock import SystemClock
    from autopack.adapters.git.remote import GitRemote, origin
    from autopack.adapters.git.wrapper import Git
    from autopack.app.forge import ForgeContext, ForgeOptions

    here = load(repository, loaded.environ).settings
    said = loaded.settings.forge
    options = ForgeOptions(
        said.repository, said.api_url, said.remote, said.client, _token_file(loaded),
        said.seconds_max, said.wait_seconds_max,
    )  # fmt: skip
    return ForgeContext(
        repository=repository,
        runs_root=Path(os.path.normpath(repository / (here.runs_dir or ".autonomous_runs"))),
        remote=lambda url, token: GitRemote(store, url, token),
        origin=lambda: origin(Git(loaded.environ), repository),
        clock=SystemClock(),
        cancel=cancel or threading.Event(),
        chance=chance,
        environ=loaded.environ,
        options=options,
    )


def _token_file(loaded: Loaded) -> Path | None:
    path = loaded.settings.forge.token_file
    try:
        return at_home(path, loaded.environ) if path else None
    except ValueError as fault:
        raise OperatorFault(f"forge.token_file: {fault}", "write the whole path") from fault
