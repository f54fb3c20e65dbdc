"""The check `commands`: the project's own static checks, run on the candidate as CI is.

The same fence and environment, no network, a clone for each command. What is red on the parent as
well is not the candidate's doing. Commands come from the base commit, never from the clone.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final

from autopack.app.ports import Tested, TestTask
from autopack.core import gate
from autopack.core.errors import EnvironmentFault
from autopack.core.event import CiVerdict
from autopack.core.run import Finding, Severity
from autopack.core.spec import CiProfile
from autopack.core.words import plain

if TYPE_CHECKING:
    from autopack.adapters.gate.registry import CheckContext
    from autopack.app.checks import Check, Subject
    from autopack.app.ports import Cancel
    from autopack.core.project import CiCommand

EVIDENCE_CHARACTERS_MAX: Final = 4_000
NAME_CHARACTERS_MAX: Final = 200
PARENTS_MAX: Final = 200
"""Verdicts on parents that are remembered, of one run."""


def factory(context: CheckContext) -> Check:
    """The factory of `commands`."""
    return Commands(context)


@dataclass
class Commands:
    """Runs `[gate] commands`, one after the other; `parents`: how those went, by tree."""

    context: CheckContext
    parents: dict[tuple[str, tuple[str, ...], int], CiVerdict] = field(default_factory=dict)

    def __call__(self, subject: Subject, cancel: Cancel) -> Iterator[Finding]:
        """A finding for each command that is red on the candidate."""
        for number, command in enumerate(self.context.project.gate.commands):
            tested = self._run(subject, command, f"{number}", cancel, parent=False)
            if tested.verdict is CiVerdict.PASS:
                continue
            said = tested.evidence.summary if tested.evidence else f"it was {tested.verdict}"
            yield self._blamed(subject, command, number, said, cancel)

    def _blamed(
        self, subject: Subject, command: CiCommand, number: int, said: str, cancel: Cancel
    ) -> Finding:
        """Whose doing a red command is: told by running it on the parent."""
        name = plain(" ".join(command.argv), NAME_CHARACTERS_MAX)
        told = plain(said, EVIDENCE_CHARACTERS_MAX)
        if self._on_parent(subject, command, number, cancel) is CiVerdict.PASS:
            return Finding("command-red", f"`{name}` is red: mend what it tells of\n{told}")
        message = f"`{name}` is red, and is red on the parent as well\n{told}"
        strict = subject.phase.ci_profile is CiProfile.STRICT
        severity = Severity.ASK if strict else Severity.NOTE
        return Finding(gate.RED_BEFORE, message, severity=severity)

    def _on_parent(
        self, subject: Subject, command: CiCommand, number: int, cancel: Cancel
    ) -> CiVerdict:
        tree = subject.repository.tree(subject.candidate.parent)
        key = (tree, command.argv, command.seconds_max)
        if key not in self.parents:
            tested = self._run(subject, command, f"{number}-parent", cancel, parent=True)
            if len(self.parents) >= PARENTS_MAX:
                self.parents.clear()
            self.parents[key] = tested.verdict
        return self.parents[key]

    def _run(
        self, subject: Subject, command: CiCommand, what: str, cancel: Cancel, *, parent: bool
    ) -> Tested:
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
        return tested
