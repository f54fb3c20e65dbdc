"""An agent that does again what somebody did: the commits of a repository, one for each attempt.

What it leaves is a commit's change against its first parent. For calibrating a policy and trying a
plan without spending a token. Runs nothing of the repository.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from autopack.adapters.agents.options import Options
from autopack.adapters.agents.registry import AgentContext
from autopack.app.agents import (
    Attempt,
    Built,
)
from autopack.app.backtest import History
from autopack.app.ports import (
    Cancel,
    Clone,
)
from autopack.core.errors import EnvironmentFault, OperatorFault
from autopack.core.event import Outcome

ATTEMPTS_MAX: Final = 100
"""Commits of one phase."""


@dataclass(frozen=True)
class ReplayAgent:
    """A Builder: `commits` names, by phase id, the commit of each attempt.

    `in_clones`: it leaves the commit's files in its clone, which must stand on the commit's parent;
    else it leaves a patch and touches no clone.
    """

    history: History
    commits: Mapping[str, tuple[str, ...]]
    in_clones: bool = False

    def build(self, attempt: Attempt, clone: Clone, cancel: Cancel) -> Built:
        """The attempt's commit; one that nobody named has failed."""
        if cancel.is_set():
            return Built(Outcome.CANCELLED)
        named = self.commits.get(attempt.phase.phase_id, ())
        if attempt.number > len(named):
            note = f"no commit is named for attempt {attempt.number} of {attempt.phase.phase_id}"
            return Built(Outcome.FAILED, note=note)
        commit = named[attempt.number - 1]
        try:
            if not self.in_clones:
                return Built(Outcome.SUBMITTED, patch=self.history.patch(commit))
            self.history.lay_out(commit, clone)
        except OperatorFault as fault:
            return Built(Outcome.FAILED, note=fault.what)
        except EnvironmentFault as fault:
            return Built(Outcome.FAILED, error=str(fault))
        return Built(Outcome.SUBMITTED)

    def spent(self, log_folder: object, tokens_max: int) -> int:
        """None: history was paid for."""
        del log_folder, tokens_max
        return 0


def factory(name: str, given: Mapping[str, object], context: AgentContext) -> ReplayAgent:
    """`[agents.NAME] type = "replay"`: options `repository`, a folder, and `commits`, a table.

    `commits` says by phase id which commits, apart by blanks, the attempts do again.
    """
    options = Options(name, given)
    repository, told = options.text("repository", "."), options.table("commits")
    options.finish()
    commits = {phase: tuple(text.split()) for phase, text in told.items()}
    if not commits or not all(commits.values()):
        raise options.fault("commits", "must name a commit for each phase", '{ "F1.1" = "v1.2" }')
    longest = max(commits, key=lambda phase: len(commits[phase]))
    if len(commits[longest]) > ATTEMPTS_MAX:
        raise options.fault("commits", f"{longest} has over {ATTEMPTS_MAX} commits")
    if context.history is None:
        raise options.fault("type", "no repository can be read here", "report it")
    return ReplayAgent(context.history(context.base / repository), commits)
