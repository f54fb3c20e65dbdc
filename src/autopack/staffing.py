"""Builds who works on runs from settings: agents, the CI, the fence around both.

Adapters are imported only when they are needed. Never starts anybody.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

from autopack import forging
from autopack.core.errors import OperatorFault
from autopack.settings import Loaded

if TYPE_CHECKING:
    from autopack.adapters.ci.registry import VerifierContext
    from autopack.adapters.git.projects import Projects
    from autopack.adapters.store.store import SqlStore
    from autopack.app.agents import Agents
    from autopack.app.backtest import History
    from autopack.app.checks import NamedCheck
    from autopack.app.ports import Store, Verifier
    from autopack.app.preflight import HeldGreens
    from autopack.core.project import Project
    from autopack.core.spec import RunSpec
    from autopack.process.workbench import Prepared, Workbench

PREPARE_VARIABLES: Final = frozenset(
    {
        *("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy"),
        *("PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL", "PIP_FIND_LINKS", "PIP_TRUSTED_HOST"),
        *("UV_INDEX", "UV_INDEX_URL", "UV_DEFAULT_INDEX", "UV_EXTRA_INDEX_URL"),
        *("NPM_CONFIG_REGISTRY", "npm_config_registry", "GOPROXY", "GONOSUMDB", "GOSUMDB"),
        *("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "NODE_EXTRA_CA_CERTS", "CARGO_HTTP_CAINFO"),
    }
)
"""Where packages come from on this machine: all that preparing an environment sees of ours."""


def check_sandbox(sandbox: str) -> None:
    """See the sandbox work once; SandboxMissing when it does not."""
    from autopack.process.sandbox import probe

    if sandbox == "bubblewrap":
        probe()


def check_agents(loaded: Loaded, builder: str, auditor: str, *, prepares: bool) -> list[str]:
    """See that a run's agents can do their part; what is in doubt.

    `prepares`: the run's environment may bring programs.
    """
    doubts = []
    agents = agents_of(loaded, (builder, auditor), _unfenced(), lambda _: None)
    for role, name, able in (
        ("builder", builder, agents.builders),
        ("auditor", auditor, agents.auditors),
    ):
        if name and name not in able:
            what = f"agents.{name}: its type cannot be a run's {role}"
            raise OperatorFault(what, f"choose another {role}")
        if check := getattr(able.get(name), "check", None):
            doubts.append(check(fenced=loaded.settings.sandbox == "bubblewrap", prepares=prepares))
    return [doubt for doubt in doubts if doubt]


def check_verifier(loaded: Loaded, spec: RunSpec) -> None:
    """See that who tests a run's candidates can; asks a forge, changes nothing."""
    from autopack.adapters.plugins import VERIFIERS
    from autopack.adapters.plugins import load as found

    found(VERIFIERS, spec.verifier, "verifier")
    if spec.verifier == "github":
        forging.check_tester(loaded, Path(spec.repository))


def environments_in_use(store: Store) -> set[str]:
    return {store.load(run_id).environment_digest for run_id in store.open_ids()}


def agents_of(
    loaded: Loaded,
    names: tuple[str, ...],
    workbench: Workbench,
    prepared: Callable[[str], Prepared | None],
) -> Agents:
    """The agents of these names, as the settings describe them."""
    from autopack.adapters.agents.registry import AgentContext, load_agents

    def history(folder: Path) -> History:
        from autopack.adapters.git.history import open_history
        from autopack.adapters.git.wrapper import Git

        return open_history(Git(loaded.environ), folder)

    context = AgentContext(
        workbench, loaded.environ, loaded.root, prepared=prepared, history=history
    )
    wanted = dict.fromkeys(name for name in names if name)
    configured = loaded.settings.agents
    options = {
        name: configured[name].model_dump(exclude_unset=True)
        for name in wanted
        if name in configured
    }
    return load_agents(options, context)


def verifier_of(
    loaded: Loaded,
    store: SqlStore,
    projects: Projects,
    project: Project | None = None,
    greens: HeldGreens | None = None,
) -> Verifier:
    """CI outside of a run, on this machine; `project` says how to test, instead of the base.

    `greens`: who remembers what is green, instead of the store.
    """
    from autopack.adapters.ci.registry import load_verifier

    workbench = workbench_of(loaded.settings.sandbox)
    context = verifier_context(loaded, store, projects, workbench)
    return load_verifier("local", replace(context, project=project, greens=greens or store))


def verifier_context(
    loaded: Loaded, store: SqlStore, projects: Projects, workbench: Workbench
) -> VerifierContext:
    """What a verifier works with."""
    from autopack.adapters.ci.forge import ChecksLimits
    from autopack.adapters.ci.registry import VerifierContext
    from autopack.adapters.clock import SystemClock

    said = loaded.settings.forge
    return VerifierContext(
        projects.repository,
        store,
        workbench,
        loaded.folders.environments,
        given(loaded.environ, PREPARE_VARIABLES),
        partial(environments_in_use, store),
        forge_of=partial(forging.forge_of, loaded, projects),
        clock=SystemClock(),
        checks=ChecksLimits(said.checks_seconds_max, said.checks_settle_seconds),
    )


def checks_of(
    context: VerifierContext, scratch: Path, logs: Path
) -> Callable[[RunSpec], Sequence[NamedCheck]]:
    """The gate's checks of a run, as its base names them; read once, at the first candidate."""
    from autopack.adapters.ci.registry import load_verifier
    from autopack.adapters.gate.registry import CheckContext, load_checks
    from autopack.app.apply import project_of_base

    known: dict[str, Sequence[NamedCheck]] = {}

    def verifier(project: Project) -> Verifier:
        return load_verifier("local", replace(context, project=project))

    def checks(spec: RunSpec) -> Sequence[NamedCheck]:
        if spec.base_commit not in known:
            project = project_of_base(context.repository_of(spec), spec)
            known[spec.base_commit] = load_checks(CheckContext(project, verifier, scratch, logs))
        return known[spec.base_commit]

    return checks


def check_gate(project: Project) -> None:
    """See that the checks a project names are there; OperatorFault when one is not."""
    from autopack.adapters.gate.registry import CheckContext, load_checks

    load_checks(CheckContext(project))


def workbench_of(sandbox: str) -> Workbench:
    from autopack.process.sandbox import find
    from autopack.process.workbench import Workbench

    # Not tried: a run is refused where it is started, and a fence that broke since says so itself.
    return Workbench(find()) if sandbox == "bubblewrap" else _unfenced()


def _unfenced() -> Workbench:
    from autopack.process.sandbox import Unfenced, default_identity
    from autopack.process.workbench import Workbench

    return Workbench(Unfenced(default_identity()))


def given(environ: Mapping[str, str], names: frozenset[str]) -> dict[str, str]:
    return {name: value for name, value in environ.items() if name in names}
