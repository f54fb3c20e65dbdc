"""A user's project, plan, agent and store in one folder, driven through the real command line.

Nothing is faked but the coding agent: a program whose prompt tells it, line by line, what to do.
"""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from autopack import wiring
from autopack.app.ports import Recorded
from autopack.app.start import Wish, new_run
from autopack.app.supervise import create_run
from autopack.cli.launch import machine
from autopack.core.run import Run
from autopack.core.spec import PromoteMode
from autopack.process.limits import Extra, Identity, Limits
from autopack.process.runner import run
from autopack.settings import Loaded, load
from tests.repos import refs, user_repository, write

EPOCH: Final = 1_767_225_600
SECONDS_MAX: Final = 45.0
ROOT: Final = Path(__file__).parents[1]
AGENT: Final = Path(__file__).with_name("agent.py").read_text(encoding="utf-8")
CI: Final = Path(__file__).with_name("ci.py").read_text(encoding="utf-8")
JUNIT: Final = 'commands = [{ run = "python3 ci.py {report}", report = "junit", seconds_max = 30 }]'
FILES: Final = {"src/app.txt": "first\n", "README.md": "a project\n", ".gitignore": "*.log\n"}


@dataclass(frozen=True)
class Done:
    """How a command of ours ended."""

    code: int
    out: str
    err: str

    @property
    def data(self) -> dict[str, Any]:
        """What `--json` printed."""
        found: dict[str, Any] = json.loads(self.out)
        return found


def phase(phase_id: str, *task: str, **attributes: str) -> str:
    """A phase of a Markdown plan; the task's lines drive the agent."""
    given = {"category": "tests", "scope": "src/**, state/**", **attributes}
    listed = "\n".join(f"- {key}: {value}" for key, value in given.items())
    return f"### Phase {phase_id}: does {phase_id}\n{listed}\n\n" + "\n".join(task) + "\n"


class Lab:
    """One project with everything around it below `root`."""

    def __init__(
        self,
        root: Path,
        disk: Path | None = None,
        identity: Identity | None = None,
        **variables: str,
    ) -> None:
        """`disk`: where our own folders are, when not below `root`. `identity`: whose commands."""
        self.root = root
        self.disk = disk or root
        self.identity = identity
        self.project = root / "project"
        self.tools = root / "tools"
        self.variables = variables
        self.base = ""

    # --- what the user has ----------------------------------------------------------------------

    def make(
        self,
        *,
        ci: str = JUNIT,
        worker: str = "",
        machine: str = "",
        project: str = "",
        files: Mapping[str, str | bytes] | None = None,
    ) -> Lab:
        """The project with its autopack.toml, committed on main; more TOML by its place in it."""
        write(self.tools, {"agent.py": AGENT})
        (self.root / "home").mkdir()
        toml = (
            f'builder = "worker"\n{machine}\n[project]\nid = "lab"\n[ci.normal]\n{ci}\n{project}\n'
            f"[agents.worker]\n{worker or self.command('{prompt_file}')}\n"
        )
        given = {**FILES, "autopack.toml": toml, "ci.py": CI, **(files or {})}
        self.base = user_repository(self.project, given)
        return self

    def command(self, *arguments: str) -> str:
        """The lines of autopack.toml that start our agent."""
        argv = json.dumps(["python3", str(self.tools / "agent.py"), *arguments])
        return f'command = {argv}\nread_only = ["{self.tools}"]'

    def plan(self, *tiers: str | tuple[str, ...], name: str = "work") -> Path:
        """A plan file: each tier one phase or several."""
        lines = [f"# {name}"]
        for number, tier in enumerate(tiers, 1):
            phases = (tier,) if isinstance(tier, str) else tier
            lines += [f"## Tier T{number}: part {number}", *phases]
        path = self.root / f"{name}.md"
        path.write_text("\n\n".join(lines), encoding="utf-8")
        return path

    @property
    def environment(self) -> dict[str, str]:
        """A plain user's, with folders of our own."""
        return {
            "PATH": os.environ.get("PATH", os.defpath),
            "HOME": str(self.root / "home"),
            "LC_ALL": "C.UTF-8",
            "USER": "tester",
            "AUTOPACK_DATA_DIR": str(self.disk / "data"),
            "AUTOPACK_STATE_DIR": str(self.disk / "state"),
            "AUTOPACK_CACHE_DIR": str(self.disk / "cache"),
            "SOURCE_DATE_EPOCH": str(EPOCH),
            "AUTOPACK_RUN_PROMOTE": "manual",  # tests/acceptance/test_promotion.py says otherwise
            **self.variables,
        }

    # --- what the user does ---------------------------------------------------------------------

    def cli(
        self, *arguments: str | Path, cwd: Path | None = None, seconds_max: float = SECONDS_MAX
    ) -> Done:
        """One command of ours to its end."""
        argv = [sys.executable, "-m", "autopack.cli.main", *map(str, arguments)]
        where = cwd or (self.project if self.project.exists() else self.root)
        reach = {sys.prefix, sys.base_prefix, str(ROOT), str(self.root)} if self.identity else ()
        done = run(argv, env=self.environment, cwd=where, limits=Limits(seconds_max),
                   identity=self.identity, extra=Extra(reach=tuple(reach)))  # fmt: skip
        assert done.exit_code is not None, (arguments, done)
        return Done(done.exit_code, done.stdout.decode(), done.stderr.decode())

    def start(self, *arguments: str | Path, **variables: str) -> subprocess.Popen[bytes]:
        """One command of ours in the background, told nothing and heard by nobody."""
        with (self.root / "started.log").open("ab") as log:
            return subprocess.Popen(
                [sys.executable, "-m", "autopack.cli.main", *map(str, arguments)],
                env={**self.environment, **variables}, cwd=self.project,
                stdin=subprocess.DEVNULL, stdout=log, stderr=log,
            )  # fmt: skip

    def run(self, *tiers: str | tuple[str, ...], options: tuple[str, ...] = ()) -> Done:
        """`autopack run` of a plan with these tiers."""
        return self.cli("run", self.plan(*tiers), "--run-id", "r", *options)

    def record(self, *tiers: str | tuple[str, ...], **changes: Any) -> Lab:
        """A run in the store and no supervisor yet; with `changes` of its spec."""
        loaded = self.loaded
        source = wiring.checkout(loaded, self.project)
        draft = wiring.plan(self.plan(*tiers))
        wish = Wish(name="work", run_id="r", promote=PromoteMode.MANUAL)
        ready = new_run(wish, machine(loaded), source, draft, wiring.KnownRuns(None))
        with wiring.writing(loaded) as store:
            create_run(store, wiring.clock(loaded), replace(ready.spec, **changes))
        return self

    # --- what came of it ------------------------------------------------------------------------

    @property
    def loaded(self) -> Loaded:
        return load(self.project, self.environment)

    def load(self, run_id: str = "r") -> Run:
        """The run as the store has it."""
        with wiring.reading(self.loaded) as store:
            assert store is not None, "there is no store"
            return store.load(run_id)

    def events(self, run_id: str = "r") -> list[Recorded]:
        """What happened to a run."""
        with wiring.reading(self.loaded) as store:
            return store.events(run_id) if store else []

    def kinds(self, run_id: str = "r") -> list[str]:
        return [recorded.happened.event.kind for recorded in self.events(run_id)]

    def of_kind(self, kind: str, run_id: str = "r") -> list[Any]:
        """The run's events of one kind."""
        found = [recorded.happened.event for recorded in self.events(run_id)]
        return [event for event in found if event.kind == kind]

    @property
    def bare(self) -> Path:
        """The supervisor's own repository."""
        (folder,) = (self.disk / "data" / "projects").glob("lab-*")
        return folder / "repo.git"

    def kept(self, run_id: str = "r") -> dict[str, str]:
        """Attempts that the supervisor keeps, by phase and name."""
        prefix = f"refs/autopack/{run_id}/"
        return {
            ref.removeprefix(prefix): oid
            for ref, oid in refs(self.bare).items()
            if ref.startswith(prefix)
        }

    def delivered(self) -> dict[str, str]:
        """Refs of the user's repository that are not the user's."""
        return {ref: oid for ref, oid in refs(self.project).items() if "/autonomous/" in ref}

    def check_untouched(self) -> None:
        """The user's own refs and files are as they were."""
        own = {ref: oid for ref, oid in refs(self.project).items() if "/autonomous/" not in ref}
        assert own == {"refs/heads/main": self.base}

    def check_sound(self) -> None:
        """Chains and projections agree, and no lock is left in the supervisor's repository."""
        verified = self.cli("events", "verify", "--json")
        assert verified.code == 0, verified
        assert not verified.data["problems"]
        assert not stale_locks(self.bare)

    # --- afterwards -----------------------------------------------------------------------------

    def idle(self) -> bool:
        """Whether no process of this lab is left."""
        return not processes(self.root)

    def close(self) -> None:
        """End what a test left, each by its id."""
        for pid in processes(self.root):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


def stale_locks(bare: Path) -> list[Path]:
    return [path for path in bare.rglob("*.lock") if path.is_file()]


def until(condition: Callable[[], object], what: str, seconds: float = 20.0) -> None:
    """Wait for a condition; the test fails when it does not come true."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"{what}: not after {seconds:g} s"
        time.sleep(0.02)


def kill(pid: int) -> None:
    """SIGKILL, and wait until the process is over: what it had open is closed, its locks are free.

    Its children may be told of its death, and its arguments be gone, before that.
    """
    process = os.pidfd_open(pid)
    try:
        signal.pidfd_send_signal(process, signal.SIGKILL)
        over, _, _ = select.select([process], [], [], SECONDS_MAX)
        assert over, f"{pid} lives on"
    finally:
        os.close(process)


def processes(folder: Path) -> list[int]:
    """Living processes that know `folder`: by arguments, environment, place or mounts."""
    word, found = os.fsencode(folder), []
    for entry in Path("/proc").glob("[0-9]*"):
        if int(entry.name) == os.getpid():
            continue
        with suppress(OSError):
            told = b"".join(
                (entry / name).read_bytes() for name in ("cmdline", "environ", "mountinfo")
            )
            place = os.fsencode((entry / "cwd").readlink())
            if word in told or place.startswith(word):
                found.append(int(entry.name))
    return found
