"""CI of a forge: the candidate's branch is pushed, and what is said of that very commit decides.

Green is only what was reported, for this commit, in time: no report, a cancelled one or one that
never ended is not. The branch goes again. A restart looks first, and pushes only when nothing has
been said yet.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from autopack.app.forge import CheckState, ForgeAway, ForgeCheck, ForgeRefused, Tester
from autopack.app.greens import GreenResults
from autopack.app.ports import Cancel, Clock, Repository, Tested, TestTask, Verifier
from autopack.core.errors import EnvironmentFault, Fault, OperatorFault, refusal
from autopack.core.event import CiVerdict
from autopack.core.project import Project
from autopack.core.redact import redact
from autopack.core.run import Evidence, Finding
from autopack.core.spec import RunSpec
from autopack.process.folders import clear

BRANCHES: Final = "autopack-candidate"
LOOK_SECONDS: Final = 1.0
"""Between the first two looks; then half as long again each time."""
LOOK_SECONDS_MAX: Final = 60.0
FINDINGS_MAX: Final = 50
NAMES_TOLD_MAX: Final = 10


@dataclass(frozen=True)
class ChecksLimits:
    """How long checks may take, and how long all must stay green for those that come late."""

    seconds_max: float = 3600.0
    settle_seconds: float = 30.0


@dataclass(frozen=True)
class ForgeVerifier:
    """The Verifier port over a forge that tests; `local` prepares what agents work in.

    `project_of` tells which checks count, by the run's base; none named: all that are reported.
    """

    local: Verifier
    repository_of: Callable[[RunSpec], Repository]
    project_of: Callable[[RunSpec], Project]
    tester_of: Callable[[RunSpec, Cancel], object]
    greens: GreenResults
    clock: Clock
    limits: ChecksLimits = field(default_factory=ChecksLimits)

    def prepare(self, run: RunSpec, cancel: Cancel) -> str:
        """The base's environment, for the agents; EnvironmentFault when it fails."""
        self._tester(run, cancel)
        return self.local.prepare(run, cancel)

    def test(self, task: TestTask, cancel: Cancel) -> Tested:
        """The forge's verdict on a candidate; trouble with the forge is INFRA."""
        try:
            tested = self._test(task, self._tester(task.run, cancel), cancel)
        except (EnvironmentFault, OperatorFault) as fault:
            tested = Tested(CiVerdict.INFRA, error=str(fault))
        except OSError as fault:
            tested = Tested(CiVerdict.INFRA, error=str(refusal(fault, task.log_folder)))
        return Tested(CiVerdict.CANCELLED) if cancel.is_set() else tested

    def _test(self, task: TestTask, tester: Tester, cancel: Cancel) -> Tested:
        required = self.project_of(task.run).checks
        key = _green_key(task, tester.name, required)
        if self.greens.green(key) is not None:
            return Tested(CiVerdict.PASS, weak=True, cached=True)
        branch = f"{BRANCHES}/{task.run.run_id}/{task.phase.phase_id}"
        ours = set(self.repository_of(task.run).refs_of(task.run.run_id).values())
        said = _said(tester, task.commit)
        if not said:
            self._push(tester, branch, task.commit, ours, cancel)
        try:
            tested, said = self._wait(tester, task.commit, required, cancel)
        finally:
            _leave(tester, branch, ours)
        _log(task.log_folder, tester, task.commit, said)
        if tested.verdict is CiVerdict.PASS:
            value = {"commit": task.commit, "checks": [check.name for check in said]}
            self.greens.remember_green(key, json.dumps(value))
        return tested

    def _tester(self, run: RunSpec, cancel: Cancel) -> Tester:
        tester = self.tester_of(run, cancel)
        if not isinstance(tester, Tester):
            what = 'verifier = "github" needs a forge that tests what is pushed to it'
            raise EnvironmentFault(what, 'set `[forge] kind = "github"`, or verifier = "local"')
        return tester

    def _push(
        self, tester: Tester, branch: str, commit: str, ours: set[str], cancel: Cancel
    ) -> None:
        seen = tester.stands(branch)
        if seen and seen != commit and seen not in ours:
            what = f"{tester.name}: branch {branch} stands at {seen}, which is not of this run"
            raise EnvironmentFault(what, "see whose it is, and delete it")
        if why := tester.push(branch, commit, seen, cancel):
            raise EnvironmentFault(f"{tester.name}: {why}", "check the right to push there")

    def _wait(
        self, tester: Tester, commit: str, required: Sequence[str], cancel: Cancel
    ) -> tuple[Tested, tuple[ForgeCheck, ...]]:
        """Look until it is decided, or time is up; the verdict and what was said last."""
        begun, pause = self.clock.monotonic(), LOOK_SECONDS
        said: tuple[ForgeCheck, ...] = ()
        green: tuple[frozenset[str], float] | None = None
        while True:
            wanted = pause
            try:
                said = _said(tester, commit)
            except ForgeAway as fault:  # it may come back before time is up
                wanted = max(pause, fault.retry_after or 0.0)
            now = self.clock.monotonic()
            tested = judge(said, required)
            if tested is not None and tested.verdict is CiVerdict.PASS and not required:
                names = frozenset(check.name for check in said)
                if green is None or green[0] != names:
                    green = names, now
                if (left := green[1] + self.limits.settle_seconds - now) > 0:
                    tested, wanted = None, min(wanted, left)
            elif tested is None:
                green = None
            left = begun + self.limits.seconds_max - now
            if tested is not None or left <= 0:
                return tested or late(said, required, self.limits.seconds_max), said
            if cancel.wait(min(wanted, left)):
                return Tested(CiVerdict.CANCELLED), said
            pause = min(pause * 1.5, LOOK_SECONDS_MAX)


def judge(said: Sequence[ForgeCheck], required: Sequence[str]) -> Tested | None:
    """The verdict on what was said of a commit; None while it is not decided.

    With names only these count. Red is red at once; all others are waited for.
    """
    counted = [check for check in said if not required or check.name in required]
    red = [check for check in counted if check.state is CheckState.RED]
    if red:
        return _red(CiVerdict.FAIL, f"{len(red)} of {len(counted)} checks failed", red)
    names = {check.name for check in counted}
    waiting = any(check.state in (CheckState.WAITING, CheckState.RUNNING) for check in counted)
    if not counted or waiting or not names >= set(required):
        return None
    stopped = [check for check in counted if check.state is CheckState.STOPPED]
    if stopped:
        told = ", ".join(f"{check.name} {check.said}".strip() for check in stopped[:NAMES_TOLD_MAX])
        what = f"checks ended without a result: {told}"
        return Tested(CiVerdict.INFRA, error=f"{what}\n  hint: see them at the forge")
    silent = [check for check in counted if check.state is not CheckState.GREEN]
    if required and silent:
        return _red(CiVerdict.INVALID, "checks that are needed said nothing", silent)
    if len(silent) == len(counted):
        return _red(CiVerdict.INVALID, "no check said that it is green", silent)
    return Tested(CiVerdict.PASS, weak=True)


def late(said: Sequence[ForgeCheck], required: Sequence[str], seconds_max: float) -> Tested:
    """The verdict when time is up: never green."""
    counted = [check for check in said if not required or check.name in required]
    missing = [name for name in required if all(check.name != name for check in counted)]
    running = [check for check in counted if check.state is CheckState.RUNNING]
    if running:
        return _red(CiVerdict.FAIL, f"checks not done after {seconds_max:g} s", running)
    if not counted or missing:
        names = f": {', '.join(missing[:NAMES_TOLD_MAX])}" if missing else ""
        return _red(CiVerdict.INVALID, f"no check was reported within {seconds_max:g} s{names}", [])
    return Tested(
        CiVerdict.INFRA,
        error=f"checks did not begin or stay within {seconds_max:g} s\n"
        "  hint: see whether the forge has machines for them",
    )


def _said(tester: Tester, commit: str) -> tuple[ForgeCheck, ...]:
    """What is said of a commit; nothing while the forge does not know it yet."""
    try:
        return tester.checks(commit)
    except ForgeRefused as fault:
        if fault.code == "forge_invalid":
            return ()
        raise


def _red(verdict: CiVerdict, summary: str, checks: Sequence[ForgeCheck]) -> Tested:
    """Not green, with what each of the checks says."""
    findings = tuple(
        Finding("check", "\n".join(part for part in (check.name, check.said, check.url) if part))
        for check in checks[:FINDINGS_MAX]
    )
    return Tested(verdict, Evidence("ci", summary, findings, len(checks) - len(findings)))


def _leave(tester: Tester, branch: str, ours: set[str]) -> None:
    """Delete the branch where it is ours; one that cannot be stays, and is used the next time."""
    with suppress(Fault):
        seen = tester.stands(branch)
        if seen in ours:
            tester.delete(branch, seen)


def _log(folder: Path, tester: Tester, commit: str, said: Sequence[ForgeCheck]) -> None:
    """Keep what was said, without the secrets in it."""
    clear(folder)  # of a try that a crash cut short
    folder.mkdir(parents=True)
    lines = [f"{tester.name}, commit {commit}"]
    for check in said:
        lines += [f"\n{check.name}: {check.state} {check.url}".rstrip(), check.said]
    (folder / "checks.log").write_text(redact("\n".join(lines)) + "\n", encoding="utf-8")


def _green_key(task: TestTask, forge: str, required: Sequence[str]) -> str:
    parts = ("forge", forge, task.tree, task.profile.value, *sorted(required))
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()
