"""Attempts at one commit: back-off, folders, and what is remembered."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from autopack.app.ports import Cancel, Tested, TestTask
from autopack.app.preflight import HeldGreens, Limits, judge
from autopack.app.start import trial
from autopack.core.event import CiVerdict
from autopack.core.preflight import Try
from autopack.core.run import Evidence
from autopack.core.spec import CiProfile, RunSpec


@dataclass
class Waits:
    """A Cancel that nobody sets; keeps how long it was waited on."""

    seconds: list[float | None] = field(default_factory=list)

    def is_set(self) -> bool:
        return False

    def wait(self, timeout: float | None = None) -> bool:
        self.seconds.append(timeout)
        return False


@dataclass
class Memory:
    kept: dict[str, str] = field(default_factory=dict)

    def green(self, key: str) -> str | None:
        return self.kept.get(key)

    def remember_green(self, key: str, result: str) -> None:
        self.kept[key] = result


@dataclass
class Ci:
    """A verifier that says these and remembers green as the local one does."""

    says: list[CiVerdict]
    greens: HeldGreens
    asked: list[TestTask] = field(default_factory=list)

    def prepare(self, run: RunSpec, cancel: Cancel) -> str:
        return ""

    def test(self, task: TestTask, cancel: Cancel) -> Tested:
        self.asked.append(task)
        verdict = self.says[len(self.asked) - 1]
        if verdict is CiVerdict.PASS:
            self.greens.remember_green("key", "{}")
        return Tested(verdict, Evidence("ci", f"{verdict} {'x' * len(self.asked)}"), tests_run=1)


def judged(tmp_path: Path, *says: CiVerdict) -> tuple[tuple[Try, ...], Ci, Memory, Waits]:
    memory, waits = Memory(), Waits()
    greens = HeldGreens(memory)
    ci = Ci([*says], greens)
    spec = trial("p", "/repository", "main", "c" * 40)
    task = TestTask(
        spec, spec.phases[0], "c" * 40, "t", CiProfile.NORMAL, tmp_path, tmp_path / "l", parent="b"
    )
    told: list[Try] = []
    tries = judge(ci, task, Limits(3, 7), greens, waits, told.append)
    assert tuple(told) == tries
    return tries, ci, memory, waits


def test_green_at_once_is_remembered_and_waits_for_nobody(tmp_path: Path) -> None:
    tries, _, memory, waits = judged(tmp_path, CiVerdict.PASS)
    assert (len(tries), memory.kept, waits.seconds) == (1, {"key": "{}"}, [])


def test_flaky_is_never_remembered(tmp_path: Path) -> None:
    tries, ci, memory, waits = judged(tmp_path, CiVerdict.FAIL, CiVerdict.PASS)
    assert [each.verdict for each in tries] == [CiVerdict.FAIL, CiVerdict.PASS]
    assert (memory.kept, waits.seconds) == ({}, [7])
    assert [asked.parent for asked in ci.asked] == ["", "b"], "only red is blamed on the parent"


def test_a_broken_machine_is_tried_as_often_as_allowed_each_in_its_own_folder(
    tmp_path: Path,
) -> None:
    tries, ci, memory, waits = judged(tmp_path, *[CiVerdict.INFRA] * 3)
    assert (len(tries), waits.seconds, memory.kept) == (3, [7, 7], {})
    assert len({task.folder for task in ci.asked} | {task.log_folder for task in ci.asked}) == 6
