"""Preflight: a CI profile on one commit, up to so many attempts, without a run.

Green is remembered only when no attempt was red: a flaky outcome is never cached. Records nothing
else.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from autopack.app.greens import GreenResults
from autopack.app.ports import Cancel, TestTask, Verifier
from autopack.core import preflight
from autopack.core.preflight import Try


@dataclass
class HeldGreens:
    """Green results that are remembered at the end, or not at all."""

    store: GreenResults
    held: dict[str, str] = field(default_factory=dict)

    def green(self, key: str) -> str | None:
        return self.held.get(key) or self.store.green(key)

    def remember_green(self, key: str, result: str) -> None:
        self.held[key] = result

    def release(self) -> None:
        """Remember what was held."""
        for key, result in self.held.items():
            self.store.remember_green(key, result)


@dataclass(frozen=True)
class Limits:
    """How often, and how many seconds between two attempts."""

    attempts_max: int = preflight.ATTEMPTS_DEFAULT
    backoff_seconds: float = preflight.BACKOFF_SECONDS_DEFAULT


def judge(
    verifier: Verifier,
    task: TestTask,
    limits: Limits,
    greens: HeldGreens,
    cancel: Cancel,
    told: Callable[[Try], None],
) -> tuple[Try, ...]:
    """The attempts, each told when it has ended; at least one.

    Red tests are blamed from the second on: run alone, and on the task's parent.
    """
    tries: list[Try] = []
    while not tries or preflight.again(tries, limits.attempts_max):
        if tries:
            cancel.wait(limits.backoff_seconds)
        blames = bool(tries) or limits.attempts_max == 1  # a parent costs time, so green pays none
        asked = task if blames else replace(task, parent="")
        tries.append(_try(verifier, asked, len(tries) + 1, cancel))
        told(tries[-1])
    if not preflight.flaky(tries) and not tries[-1].exonerated:
        greens.release()
    return tuple(tries)


def _try(verifier: Verifier, task: TestTask, number: int, cancel: Cancel) -> Try:
    logs = task.log_folder / f"attempt-{number}"
    mine = replace(task, folder=task.folder / f"attempt-{number}", log_folder=logs)
    tested = verifier.test(mine, cancel)
    return Try(
        number, tested.verdict, tested.evidence, tested.tests_run, tested.weak, tested.cached,
        tested.error, _kept(logs), tested.exonerated,
    )  # fmt: skip


def _kept(logs: Path) -> str:
    """Where the attempt's logs are; nowhere when nothing ran."""
    return str(logs) if logs.exists() else ""


def log_folders(tries: Sequence[Try]) -> tuple[str, ...]:
    """Where all logs are."""
    return tuple(each.log_folder for each in tries if each.log_folder)
