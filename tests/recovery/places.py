"""Places where a supervisor is killed: at its saves and in its git calls, each in a lab of its own."""

from __future__ import annotations

import signal
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pytest

from tests.lab import Lab, processes, until
from tests.recovery.ground import CountedGit, counted_git, host

PARTS: Final = 16
"""Tests over which all places are spread."""
SPARSE: Final = 8
"""On a server: every save, but of git's commands, which know no database, each so many one."""
WHEN = pytest.mark.parametrize("when", ["before", "after"])


def die_at_save(lab: Lab, when: str, number: int) -> None:
    done = host(lab, when, number)
    assert done.returncode == -signal.SIGKILL, (when, number, done)


def die_in_git(lab: Lab, git: CountedGit, when: str, call: int) -> bool:
    """Whether the call came: deliveries join others, so that a run may need a few calls less."""
    git.arm(when, call)
    supervisor = lab.start("supervise", "--until-idle", **git.path)
    died = git.kill(supervisor)
    assert died or supervisor.returncode == 0, (when, call)
    return died


@dataclass(frozen=True)
class EveryPlace:
    """All the places of a run, a part of them a test.

    `begun` records the run in a lab; `check` brings it to its end and compares.
    """

    saves: int
    calls: int
    begun: Callable[[Lab], Lab]
    check: Callable[[Lab], None]

    def die(self, folder: Path, when: str, part: int, databases: Callable[[], str] | None) -> None:
        """Be killed at each place of a part; on a server, at fewer, when there are `databases`."""
        for number in range(1 + part, self.saves + 1, PARTS):
            lab = self._lab(folder / f"save-{number}", databases)
            die_at_save(lab, when, number)
            self._end(lab, f"{when} save {number}")
        step = SPARSE if databases else 1
        for call in range(1 + part * step, self.calls + 1, PARTS * step):
            lab = self._lab(folder / f"git-{call}", databases)
            with counted_git() as git:
                die_in_git(lab, git, when, call)
            self._end(lab, f"{when} git call {call}")

    def _lab(self, folder: Path, databases: Callable[[], str] | None) -> Lab:
        folder.mkdir()
        given: dict[str, Any] = {"DATABASE_URL": databases()} if databases else {}
        return self.begun(Lab(folder, **given))

    def _end(self, lab: Lab, place: str) -> None:
        try:
            self.check(lab)
        except AssertionError:
            print(f"killed {place}")
            raise
        finally:
            lab.close()
        until(lambda: not processes(lab.root), "the lab is empty")
