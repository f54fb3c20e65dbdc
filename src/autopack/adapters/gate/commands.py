"""The check `commands`: the project's own static checks, run on the candidate as CI is.

The same fence and environment, no network, a clone for each command. What is red on the parent as
well, with all that it says here, is not the candidate's doing. Commands come from the base commit,
never from the clone.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final

from autopack.app.ports import TestTask
from autopack.core import gate
from autopack.core.errors import EnvironmentFault
from autopack.core.event import CiVerdict
from autopack.core.fingerprint import normalised
from autopack.core.run import Finding, Severity
from autopack.core.spec import CiProfile
from autopack.core.words import plain
from autopack.process.folders import LEFT_OUT

if TYPE_CHECKING:
    from pathlib import Path

    from autopack.adapters.gate.registry import CheckContext
    from autopack.app.checks import Check, Subject
    from autopack.app.ports import Cancel
    from autopack.core.project import CiCommand

EVIDENCE_CHARACTERS_MAX: Final = 4_000
NAME_CHARACTERS_MAX: Final = 200
PARENTS_MAX: Final = 200
"""Results on parents that are remembered, of one run."""
_OURS: Final = re.compile(r"\$ |# (?:exit code |std(?:out|err), \d+ bytes$)")
"""Lines of a log that are not the command's."""
NEW_MAX: Final = 20
"""Lines that the parent does not say, of one command, that are told."""


def factory(context: CheckContext) -> Check:
    """The factory of `commands`."""
    return Commands(context)


@dataclass(frozen=True)
class Ran:
    """One command on one commit: its verdict, what is told of it, and the lines that it printed."""

    verdict: CiVerdict
    said: str
    lines: Counter[str]
    whole: bool
    """All that it printed is in the lines."""


@dataclass
class Commands:
    """Runs `[gate] commands`, one after the other; `parents`: how those went, by tree."""

    context: CheckContext
    parents: dict[tuple[str, tuple[str, ...], int], Ran] = field(default_factory=dict)

    def __call__(self, subject: Subject, cancel: Cancel) -> Iterator[Finding]:
        """A finding for each command that is red on the candidate."""
        for number, command in enumerate(self.context.project.gate.commands):
            ran = self._run(subject, command, f"{number}", cancel, parent=False)
            if ran.verdict is not CiVerdict.PASS:
                before = self._on_parent(subject, command, number, cancel)
                yield self._blamed(subject, command, ran, before)

    def _blamed(self, subject: Subject, command: CiCommand, ran: Ran, before: Ran) -> Finding:
        """Whose doing a red command is: told by what it said on the parent."""
        name = plain(" ".join(command.argv), NAME_CHARACTERS_MAX)
        told = plain(ran.said, EVIDENCE_CHARACTERS_MAX)
        if before.verdict is CiVerdict.PASS:
            return Finding("command-red", f"`{name}` is red: mend what it tells of\n{told}")
        message, new = f"`{name}` is red, and is red on the parent as well", _new(ran, before)
        if new:
            message = "\n".join((message, "it says more than there:", *new))  # one key, of line 1
        message = plain(f"{message}\n{told}", 2 * EVIDENCE_CHARACTERS_MAX)
        strict = subject.phase.ci_profile is CiProfile.STRICT
        severity = Severity.ASK if strict or new else Severity.NOTE
        return Finding(gate.RED_BEFORE, message, severity=severity)

    def _on_parent(self, subject: Subject, command: CiCommand, number: int, cancel: Cancel) -> Ran:
        tree = subject.repository.tree(subject.candidate.parent)
        key = (tree, command.argv, command.seconds_max)
        if key not in self.parents:
            ran = self._run(subject, command, f"{number}-parent", cancel, parent=True)
            if len(self.parents) >= PARENTS_MAX:
                self.parents.clear()
            self.parents[key] = ran
        return self.parents[key]

    def _run(
        self, subject: Subject, command: CiCommand, what: str, cancel: Cancel, *, parent: bool
    ) -> Ran:
        context, candidate = self.context, subject.candidate
        if context.verifier is None:
            what = "[gate] commands cannot run here"
            raise EnvironmentFault(what, "this is a defect: what runs no commands asks for none")
        project = replace(context.project, normal=(command,), strict=(command,))
        commit = candidate.parent if parent else candidate.commit
        tree = subject.repository.tree(commit) if parent else candidate.tree
        below = f"{subject.run.run_id}/{subject.phase.phase_id}"
        name = f"gate-{candidate.name}-{what}"
        folder = context.scratch / below / name
        task = TestTask(
            subject.run, subject.phase, commit, tree, CiProfile.NORMAL, folder,
            context.logs / below / name,
        )  # fmt: skip
        subject.repository.discard(folder)
        try:
            tested = context.verifier(project).test(task, cancel)
        finally:
            subject.repository.discard(folder)
        if tested.error:
            raise EnvironmentFault(f"[gate] commands: {tested.error}")
        if tested.verdict is CiVerdict.CANCELLED:
            raise EnvironmentFault("the gate's commands were told to end early")
        said = tested.evidence.summary if tested.evidence else f"it was {tested.verdict}"
        lines, whole = _printed(task.log_folder / "0.log")
        return Ran(tested.verdict, said, lines, whole)


def _printed(log: Path) -> tuple[Counter[str], bool]:
    """What a command printed, line by line without what varies; whether that is all."""
    if not log.is_file():
        return Counter(), False
    text = log.read_bytes().decode(errors="replace")
    lines = (line for line in text.splitlines() if line.strip() and not _OURS.match(line))
    return Counter(map(normalised, lines)), LEFT_OUT not in text


def _new(ran: Ran, before: Ran) -> list[str]:
    """What was not said on the parent, or less often; that it cannot be told counts as new."""
    if before.verdict is not CiVerdict.FAIL or ran.verdict is not CiVerdict.FAIL:
        return [f"it could not be judged: {ran.verdict} here, {before.verdict} on the parent"]
    if not (ran.whole and before.whole):
        return ["what it printed is not kept whole, and cannot be compared"]
    more = ran.lines - before.lines
    return list(more)[:NEW_MAX]
