"""What a program may use, who it runs as, and how it came to its end. Records only."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from autopack.core.errors import EnvironmentFault

if TYPE_CHECKING:
    from collections.abc import Callable


class ProgramMissing(EnvironmentFault):
    """A program that is needed is not installed, or may not be executed."""

    code = "program_missing"


class LaunchFailed(EnvironmentFault):
    """The identity or the limits asked for could not be taken on; the program never ran."""

    code = "launch_failed"


class Ended(StrEnum):
    """How a process came to its end; all but the first two were our doing."""

    EXITED = "exited"
    SIGNALLED = "signalled"
    TIMED_OUT = "timed_out"
    IDLE = "idle"
    OUTPUT_LIMIT = "output_limit"
    MEMORY_LIMIT = "memory_limit"
    CANCELLED = "cancelled"


@dataclass(frozen=True)
class Limits:
    """What a program may use; None means no limit of ours.

    `output_bytes_max` is per stream. `memory_bytes_max` holds for each process (RLIMIT_DATA:
    address space merely reserved, as node and java do, is free) and for the whole tree, looked at
    once a second. `processes_max` counts tasks (threads too): in a sandbox its own, else those of
    the user, on top of what it already runs; the kernel exempts root. `file_bytes_max` is per file.
    """

    wall_seconds_max: float
    idle_seconds_max: float | None = None
    output_bytes_max: int = 16 << 20
    memory_bytes_max: int | None = None
    processes_max: int | None = None
    file_bytes_max: int | None = None


@dataclass(frozen=True)
class Identity:
    """The unprivileged user that a root supervisor turns a program into."""

    uid: int
    gid: int


@dataclass(frozen=True)
class Finished:
    """What is left of a program: `exit_code` only when it exited, `signal` only when killed.

    `truncated`: a stream passed its limit; what is kept is its head.
    """

    ended: Ended
    exit_code: int | None
    stdout: bytes
    stderr: bytes
    seconds: float
    truncated: bool = False
    signal: int | None = None

    @property
    def ok(self) -> bool:
        """It ended by itself with exit code 0."""
        return self.ended is Ended.EXITED and self.exit_code == 0


@dataclass(frozen=True)
class Extra:
    """What the sandbox needs beyond a plain run.

    `settle` is called once the process has ended, before its last output is read: it ends what
    the process left behind. `reach`: paths that the identity must get at below closed folders.
    """

    pass_fds: tuple[int, ...] = ()
    reach: tuple[str, ...] = ()
    settle: Callable[[], None] | None = None
    no_new_privs: bool = False
    namespace: bool = False  # argv is bubblewrap: `processes_max` counts inside its namespace
    fed: bool = False  # does nothing before it is fed: its limits may come just after its start
    tied: bool = False  # through launch.py even when no limit asks for it: dies with our thread
