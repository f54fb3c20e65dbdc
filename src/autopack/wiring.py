"""The one room that builds everything: settings go in, stores, supervisors and agents come out.

Adapters are imported only when they are needed. Never decides and never prints.
"""

from __future__ import annotations

import logging
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from autopack.core.errors import EnvironmentFault, OperatorFault
from autopack.settings import Loaded, load

if TYPE_CHECKING:
    from autopack.adapters.files.artefacts import FileArtefacts
    from autopack.adapters.git.checkout import Checkout
    from autopack.adapters.git.repository import BareRepository
    from autopack.adapters.git.wrapper import Git
    from autopack.adapters.store.lock import SupervisorLock
    from autopack.adapters.store.store import SqlStore
    from autopack.app.perform import Performer
    from autopack.app.ports import Agents, Clock, Store, Tested
    from autopack.app.supervise import Cancellation, Supervisor
    from autopack.core.command import Pending
    from autopack.core.event import Event
    from autopack.core.plan_draft import PlanDraft
    from autopack.core.policy import Rules
    from autopack.core.run import PhaseSpec, Run, RunSpec
    from autopack.process.workbench import Prepared, Workbench

_log = logging.getLogger(__name__)
RUN_LOGS: Final = "runs"
"""What agents and CI printed lies below it in the log folder, by run and phase."""
LOG_BYTES_MAX: Final = 10_000_000
"""A supervisor's log is put aside once when it has grown to this."""
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


@contextmanager
def reading(loaded: Loaded) -> Iterator[Store | None]:
    """The store, to look into; None when nothing was ever recorded. Makes no folder."""
    if not loaded.folders.database.exists():
        yield None
        return
    with _open(loaded) as store:
        yield store


@contextmanager
def writing(loaded: Loaded) -> Iterator[SqlStore]:
    """The store, made when there is none, with the folders around it."""
    loaded.folders.make()
    loaded.folders.check_room()
    with _open(loaded) as store:
        yield store


@contextmanager
def _open(loaded: Loaded) -> Iterator[SqlStore]:
    from autopack.adapters.store.open import open_store

    store = open_store(loaded.folders.database)
    try:
        yield store
    finally:
        store.close()


@dataclass(frozen=True)
class KnownRuns:
    """The ids that a store has taken."""

    store: Store | None

    def __contains__(self, run_id: object) -> bool:
        if self.store is None or not isinstance(run_id, str):
            return False
        try:
            self.store.load(run_id)
        except OperatorFault:
            return False
        return True


def clock(loaded: Loaded) -> Clock:
    """The clock; it stands still under SOURCE_DATE_EPOCH."""
    from autopack.adapters.clock import SystemClock

    return SystemClock(loaded.settings.source_date_epoch)


def git(loaded: Loaded) -> Git:
    """git, in the environment of the one who started us."""
    from autopack.adapters.git.wrapper import Git

    return Git(loaded.environ)


def checkout(loaded: Loaded, folder: Path) -> Checkout:
    """The user's work tree that holds `folder`."""
    from autopack.adapters.git.checkout import open_checkout

    return open_checkout(git(loaded), folder)


def plan(path: Path) -> PlanDraft:
    """The plan in a file, as written."""
    from autopack.adapters.files.plan_file import read_plan

    return read_plan(path)


def check_sandbox(sandbox: str) -> None:
    """See the sandbox work once; SandboxMissing when it does not."""
    from autopack.process.sandbox import probe

    if sandbox == "bubblewrap":
        probe()


def lock(loaded: Loaded) -> SupervisorLock | None:
    """The lock of the store's one supervisor; None when another process has it."""
    from autopack.adapters.store.lock import acquire

    return acquire(loaded.folders.lock)


def lock_holder(loaded: Loaded) -> int | None:
    """The pid of the supervisor that has the store, or had it last."""
    from autopack.adapters.store.lock import holder

    return holder(loaded.folders.lock)


def ensure_supervisor(loaded: Loaded) -> int | None:
    """Start a background supervisor if none has the store; its pid, None when one is there."""
    free = lock(loaded)
    if free is None:
        return None
    free.release()
    loaded.folders.check_room()
    return spawn_supervisor(loaded)


def has_work(loaded: Loaded) -> bool:
    """Whether a run is open or something is asked of the supervisor."""
    with reading(loaded) as store:
        return store is not None and bool(store.runs(ended=False, limit=1) or store.requests())


def spawn_supervisor(loaded: Loaded) -> int:
    """Start a supervisor that outlives us and ends when no run is open; its pid."""
    from autopack.process.runner import spawn_detached

    log = supervisor_log(loaded)
    if log.exists() and log.stat().st_size > LOG_BYTES_MAX:
        log.replace(log.with_suffix(".log.1"))
    argv = [sys.executable, "-m", "autopack.cli.hosting"]
    return spawn_detached(argv, env=_told(loaded), cwd=loaded.folders.state, log=log)


def _told(loaded: Loaded) -> dict[str, str]:
    """The environment of a supervisor: it stands elsewhere, and must find the same store."""
    folders, settings = loaded.folders, loaded.settings
    return {
        **loaded.environ,
        "AUTOPACK_DATABASE_URL": f"sqlite:///{folders.database}",
        "AUTOPACK_DATA_DIR": str(folders.data),
        "AUTOPACK_STATE_DIR": str(folders.state),
        "AUTOPACK_CACHE_DIR": str(folders.cache),
        "AUTOPACK_WORKERS_MAX": str(settings.workers_max),
        **(
            {"AUTOPACK_SOURCE_DATE_EPOCH": str(settings.source_date_epoch)}
            if settings.source_date_epoch is not None
            else {}
        ),
    }


def artefacts(loaded: Loaded, spec: RunSpec) -> FileArtefacts:
    """The files of a run, where the settings of its own repository put them."""
    from autopack.adapters.files.artefacts import FileArtefacts

    settings, folders = load(Path(spec.repository), loaded.environ).settings, loaded.folders
    root = Path(settings.runs_dir) if settings.runs_dir else None
    kept = folders.repository(spec.project_id, spec.repository)
    return FileArtefacts(Path(spec.repository), root, folders.logs / RUN_LOGS, kept)


def supervisor_log(loaded: Loaded) -> Path:
    """Where background supervisors write."""
    return loaded.folders.logs / "supervisor.log"


def check_agents(loaded: Loaded, builder: str, auditor: str, *, prepares: bool) -> None:
    """See that a run's agents can do their part; `prepares`: its environment may bring programs."""
    agents = _agents(loaded, (builder, auditor), _unfenced(), lambda _: None)
    for role, name, able in (
        ("builder", builder, agents.builders),
        ("auditor", auditor, agents.auditors),
    ):
        if name and name not in able:
            what = f"agents.{name}: its type cannot be a run's {role}"
            raise OperatorFault(what, f"choose another {role}")
        if check := getattr(able.get(name), "check", None):
            check(fenced=loaded.settings.sandbox == "bubblewrap", prepares=prepares)


@contextmanager
def supervisor(loaded: Loaded) -> Iterator[Supervisor]:
    """A supervisor over the store and its engine; only for the holder of the store's lock."""
    from autopack.adapters.engine.local import LocalEngine
    from autopack.adapters.git.discard import sweep
    from autopack.app.supervise import Supervisor

    with writing(loaded) as store:
        sweep(loaded.folders.clones)
        engine = LocalEngine(workers_max=loaded.settings.workers_max)
        host = _Host(loaded, store, alone=True)
        yield Supervisor(store, engine, clock(loaded), host.perform, host.render)


class _Host:
    """What the supervisor's runs work with: built for each run when it is first met.

    A run's machine part is that of its own repository, as it is when the supervisor meets it.
    """

    def __init__(self, loaded: Loaded, store: SqlStore, *, alone: bool = False) -> None:
        """`alone`: the store's lock is ours, so locks in its repositories are nobody's."""
        self._loaded = loaded
        self._alone = alone
        self._store = store
        self._lock = threading.Lock()
        self._making = threading.Lock()
        self._repositories: dict[Path, BareRepository] = {}
        self._performers: dict[str, Performer] = {}
        self._artefacts: dict[str, FileArtefacts] = {}

    def perform(self, run: Run, pending: Pending, cancel: Cancellation) -> Event:
        """Perform a command in the run's own world."""
        with self._lock:
            if run.run_id not in self._performers:
                self._performers[run.run_id] = self._performer(run.spec)
            performer = self._performers[run.run_id]
        return performer(run, pending, cancel)

    def render(self, run: Run) -> None:
        """Write the run's artefacts into its repository; one that cannot be reached is told of.

        A deleted repository or a full disk must not end the runs of others: the files are made
        again with the next event.
        """
        from autopack.app.report import log_of

        try:
            if run.run_id not in self._artefacts:
                self._artefacts[run.run_id] = artefacts(self._loaded, run.spec)
            self._artefacts[run.run_id].render(run, log_of(self._store, run.run_id))
        except (EnvironmentFault, OperatorFault, OSError) as fault:
            _log.warning("the files of run %s were not written: %s", run.run_id, fault)

    def _performer(self, spec: RunSpec) -> Performer:
        from autopack.adapters.ci.environment import Environments
        from autopack.adapters.ci.registry import VerifierContext, load_verifier
        from autopack.adapters.files.starts import FileStarts
        from autopack.app.perform import Performer, World

        here = load(Path(spec.repository), self._loaded.environ)
        workbench = _workbench(spec.sandbox)
        cache, folders = self._loaded.folders.environments, self._loaded.folders
        variables = _given(self._loaded.environ, PREPARE_VARIABLES)
        environments = Environments(cache, workbench, variables)
        context = VerifierContext(self.repository, self._store, workbench, cache, variables)

        def prepared(run_id: str) -> Prepared | None:
            digest = self._store.load(run_id).environment_digest
            return environments.find(digest) if digest else None

        world = World(
            repository=self.repository,
            rules=self._rules,
            agents=_agents(here, (spec.builder, spec.auditor), workbench, prepared),
            verifier=load_verifier("local", context),
            clock=clock(self._loaded),
            starts=FileStarts(),
            scratch=folders.clones,
            quarantine=folders.state / "quarantine",
            logs=folders.logs / RUN_LOGS,
        )
        return Performer(world)

    def repository(self, spec: RunSpec) -> BareRepository:
        from autopack.adapters.git.repository import BareRepository
        from autopack.process.sandbox import default_identity

        folder = self._loaded.folders.repository(spec.project_id, spec.repository)
        with self._making:  # before a sibling's git runs in it, and only once
            if folder not in self._repositories:
                made = BareRepository.create(folder, git(self._loaded), default_identity())
                if self._alone:
                    made.clear_stale_locks()
                self._repositories[folder] = made
            return self._repositories[folder]

    def _rules(self, spec: RunSpec, phase: PhaseSpec) -> Rules:
        from autopack.core.policy import rules_for
        from autopack.core.project import FILE_NAME, parse_project

        text = self.repository(spec).read(spec.base_commit, FILE_NAME) or b""
        project = parse_project(text.decode(errors="replace"), spec.project_id)
        if isinstance(project, tuple):
            said = "\n".join(str(problem) for problem in project)
            raise OperatorFault(said, f"correct {FILE_NAME} on the base, and retry")
        return rules_for(phase, project.policy)


def _agents(
    loaded: Loaded,
    names: tuple[str, ...],
    workbench: Workbench,
    prepared: Callable[[str], Prepared | None],
) -> Agents:
    """The agents of these names, as the settings describe them."""
    from autopack.adapters.agents.registry import AgentContext, load_agents

    context = AgentContext(workbench, loaded.environ, loaded.root, prepared=prepared)
    wanted = dict.fromkeys(name for name in names if name)
    configured = loaded.settings.agents
    options = {
        name: configured[name].model_dump(exclude_unset=True)
        for name in wanted
        if name in configured
    }
    return load_agents(options, context)


def try_base(loaded: Loaded, source: Checkout) -> Tested:
    """Run the normal profile of the default branch as a run would, in our own repository."""
    import tempfile

    from autopack.adapters.ci.registry import VerifierContext, load_verifier
    from autopack.app.ports import TestTask
    from autopack.app.start import find_base, read_project, trial
    from autopack.core.run import CiProfile

    base, commit = find_base(source, "")
    project = read_project(source, base, commit)
    spec = trial(project.project_id, str(source.top), base, commit)
    with (
        writing(loaded) as store,
        tempfile.TemporaryDirectory(prefix="doctor-", dir=loaded.folders.clones) as folder,
    ):
        host = _Host(loaded, store)
        repository = host.repository(spec)
        repository.prepare(spec.repository, base, commit, spec.branch)
        workbench = _workbench(loaded.settings.sandbox)
        variables = _given(loaded.environ, PREPARE_VARIABLES)
        context = VerifierContext(
            host.repository, store, workbench, loaded.folders.environments, variables
        )
        verifier, never = load_verifier("local", context), threading.Event()
        verifier.prepare(spec, never)
        tree = repository.tree(commit)
        place = Path(folder)
        task = TestTask(
            spec, spec.phases[0], commit, tree, CiProfile.NORMAL, place / "ci", place / "logs"
        )
        return verifier.test(task, never)


def _workbench(sandbox: str) -> Workbench:
    from autopack.process.sandbox import find
    from autopack.process.workbench import Workbench

    # Not tried: a run is refused where it is started, and a fence that broke since says so itself.
    return Workbench(find()) if sandbox == "bubblewrap" else _unfenced()


def _unfenced() -> Workbench:
    from autopack.process.sandbox import Unfenced, default_identity
    from autopack.process.workbench import Workbench

    return Workbench(Unfenced(default_identity()))


def _given(environ: Mapping[str, str], names: frozenset[str]) -> dict[str, str]:
    return {name: value for name, value in environ.items() if name in names}
