"""FakeBuilder, FakeAuditor, FakeVerifier: ports that answer from a script given as data.

A script maps (phase id, number) to an answer; what is not in it gets `default`. Each fake keeps
what it was asked, in order. Nothing is run.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from autopack.app.agents import (
    Attempt,
    Audited,
    AuditTask,
    Built,
)
from autopack.app.ports import (
    Cancel,
    Clone,
    Tested,
    TestTask,
)
from autopack.core.event import CiVerdict, Outcome, Recommendation
from autopack.core.spec import (
    RunSpec,
)


@dataclass(frozen=True)
class Work:
    """What a fake builder leaves in its clone before it answers; None removes a file."""

    files: Mapping[str, bytes | None]
    built: Built = field(default_factory=lambda: Built(Outcome.SUBMITTED))


class _Asked:
    """Keeps questions in order, from whatever thread they come."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts: dict[str, int] = {}

    def count(self, key: str) -> int:
        """How often `key` was asked for, this time included."""
        with self._lock:
            self._counts[key] = self._counts.get(key, 0) + 1
            return self._counts[key]


class FakeBuilder:
    """A Builder: script by (phase id, attempt)."""

    def __init__(
        self,
        script: Mapping[tuple[str, int], Built | Work] | None = None,
        default: Built | Work | None = None,
    ) -> None:
        self.script = dict(script or {})
        self.default = default or Built(Outcome.EMPTY)
        self.attempts: list[Attempt] = []
        self.reported: dict[Path, int] = {}

    def build(self, attempt: Attempt, clone: Clone, cancel: Cancel) -> Built:
        """The scripted answer; CANCELLED when told to end before it began."""
        self.attempts.append(attempt)
        if cancel.is_set():
            return Built(Outcome.CANCELLED)
        answer = self.script.get((attempt.phase.phase_id, attempt.number), self.default)
        if isinstance(answer, Built):
            return answer
        for name, content in answer.files.items():
            path = clone.folder / name
            if content is None:
                path.unlink()
            else:
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(content)
        return answer.built

    def spent(self, log_folder: Path, tokens_max: int) -> int:
        """The tokens that a test put there for the log folder."""
        del tokens_max
        return self.reported.get(log_folder, 0)


class FakeAuditor:
    """An Auditor: script by (phase id, number of the audit)."""

    def __init__(
        self,
        script: Mapping[tuple[str, int], Audited] | None = None,
        default: Audited | None = None,
    ) -> None:
        self.script = dict(script or {})
        self.default = default or Audited(Recommendation.APPROVE)
        self.tasks: list[AuditTask] = []
        self.reported: dict[Path, int] = {}

    def audit(self, task: AuditTask, clone: Clone, cancel: Cancel) -> Audited:
        """The scripted verdict; INVALID when told to end before it began."""
        del clone
        self.tasks.append(task)
        if cancel.is_set():
            return Audited(Recommendation.INVALID, notes="cancelled")
        return self.script.get((task.phase.phase_id, task.number), self.default)

    def spent(self, log_folder: Path, tokens_max: int) -> int:
        """The tokens that a test put there for the log folder."""
        del tokens_max
        return self.reported.get(log_folder, 0)


class FakeVerifier:
    """A Verifier: script by (phase id, how many tests of that phase were asked for)."""

    def __init__(
        self,
        script: Mapping[tuple[str, int], Tested] | None = None,
        default: Tested | None = None,
        digest: str = "none",
    ) -> None:
        self.script = dict(script or {})
        self.default = default or Tested(CiVerdict.PASS, tests_run=1)
        self.digest = digest
        self.prepared: list[str] = []
        self.tasks: list[TestTask] = []
        self._asked = _Asked()

    def prepare(self, run: RunSpec, cancel: Cancel) -> str:
        """The given digest, whatever the run."""
        del cancel
        self.prepared.append(run.run_id)
        return self.digest

    def test(self, task: TestTask, cancel: Cancel) -> Tested:
        """The scripted result; CANCELLED when told to end before it began."""
        self.tasks.append(task)
        if cancel.is_set():
            return Tested(CiVerdict.CANCELLED)
        number = self._asked.count(task.phase.phase_id)
        return self.script.get((task.phase.phase_id, number), self.default)
