"""The forge of a simulated world, the people who review there, and what must hold of it.

Its branches are those of another repository than the user's, so that every push is a second one.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from autopack.app.forge import PullRequestDraft, PullState, StatusState
from autopack.app.papers import Papers, Status
from autopack.app.promote import REFS
from autopack.core import promotion
from autopack.core.promoting import landed_tip
from autopack.core.spec import PromoteMode
from autopack.testing import MemoryForge, MemoryRepository
from tests.simulation.broken import need

if TYPE_CHECKING:
    from autopack.core.run import Run
    from autopack.core.spec import RunSpec

EARLIER = 0.2
"""How often a pull request is open before the first run."""
REWRITTEN = 0.3
CALLS = ("find", "create", "update", "open_marked", "set_status", "stands", "push", "check")


@dataclass
class Promotions:
    """Pull requests of a world under one seed of their own."""

    rng: random.Random
    repository: MemoryRepository
    forge: MemoryForge
    foreign: dict[str, str] = field(default_factory=dict)
    """Branches there that somebody else moved, and where they left them."""
    ended: dict[int, PullState] = field(default_factory=dict)
    written: dict[int, str] = field(default_factory=dict)
    """Texts that somebody wrote anew."""

    def begin(self, base: str) -> None:
        """In some worlds the work of a run before these waits to be reviewed."""
        if self.rng.random() < EARLIER:
            self.forge.branches["autonomous/earlier"] = f"work on {base}"
            body = f"{promotion.PREFIX} earlier {base} -->"
            self.forge.create(PullRequestDraft("autonomous/earlier", "main", "run earlier", body))

    def drawn(self, spec: RunSpec) -> RunSpec:
        """The run as somebody starts it: most promote by themselves, some wait for room."""
        return replace(
            spec,
            promote=self.rng.choice([PromoteMode.AUTO, PromoteMode.AUTO, PromoteMode.MANUAL]),
            promotions_open_max=self.rng.choice([0, 0, 1]),
        )

    def port(self, wrapped: Callable[[object, tuple[str, ...]], Any]) -> Any:  # noqa: ANN401  it stands in for any port
        """The forge as a life of the supervisor sees it."""
        port = wrapped(self.forge, CALLS)
        port.name = self.forge.name
        return port

    def papers(self, run: Run, notes: tuple[str, ...]) -> Papers:
        """What is written, by the run's version: another try has another text."""
        return Papers(
            {f".autonomous_runs/{run.run_id}/run_summary.md": b"version %d" % run.version},
            f"run {run.run_id}",
            "\n".join([promotion.marker(run.spec), str(run.version), *notes]),
            tuple(
                Status(s.commit, "autopack/ci", StatusState.SUCCESS, "green") for s in run.snapshots
            ),
        )

    # --- people --------------------------------------------------------------------------------

    def review(self, but: str = "") -> None:
        """Somebody merges or closes all that is open, but for that of one branch.

        Some write the text anew first, or do no more than that.
        """
        for number, pull in self.forge.pulls.items():
            if pull.state is PullState.OPEN and self.rng.random() < REWRITTEN:
                self.written[number] = f"somebody's words on {number}"
                self.forge.pulls[number] = replace(pull, body=self.written[number])
            if pull.state is PullState.OPEN and pull.head != but:
                state = self.rng.choice([PullState.CLOSED, PullState.MERGED])
                self.forge.end(number, state)
                self.ended[number] = state

    def interfere(self, branch: str) -> None:
        """Somebody pushes onto a run's branch there."""
        there = self.forge.branches.get(branch)
        if there is not None:
            made = f"somebody's commit on {there}"
            self.forge.branches[branch] = self.foreign[branch] = made

    # --- what holds ----------------------------------------------------------------------------

    def step(self) -> None:
        """At every moment: one pull request a run at most, what people did stays done."""
        heads = [pull.head for pull in self.forge.pulls.values()]
        need(len(heads) == len(set(heads)), f"a run has two pull requests: {heads}")
        for number, state in self.ended.items():
            need(self.forge.pulls[number].state is state, f"{number} was {state} by somebody")
        for number, text in self.written.items():
            need(self.forge.pulls[number].body == text, f"somebody's words on {number} are gone")
        for branch, commit in self.foreign.items():
            need(self.forge.branches[branch] == commit, f"somebody's {branch} was moved there")

    def sealed(self, run: Run) -> set[str]:
        """The commit of the summaries that a promotion made, told of or not."""
        commit = self.repository.resolve(f"{REFS}/{run.run_id}/{landed_tip(run)}")
        return {commit} if commit else set()

    def end(self, run: Run) -> None:
        """When nothing was in the way and somebody asked once more."""
        spec = run.spec
        pulls = [pull for pull in self.forge.pulls.values() if pull.head == spec.branch]
        if not promotion.eligible(run):
            return
        if spec.branch in self.foreign and not pulls:
            need(run.promotion.refusal, f"{run.run_id} is silent of what is foreign")
            return
        need(len(pulls) == 1, f"{run.run_id} is eligible and has {len(pulls)} pull requests")
        if spec.branch in self.foreign:
            return
        need(run.promotion.number == pulls[0].number, f"{run.run_id} does not know its own")
        need(run.promotion.refusal == "", f"{run.run_id}: {run.promotion.refusal}")
        need({run.tip} == self.sealed(run), f"{run.run_id} has other summaries than one commit")
        if pulls[0].state is not PullState.OPEN:  # somebody was done with it before it was whole
            return
        need(self.forge.branches[spec.branch] == run.tip, f"{spec.branch} did not arrive there")
        landed = {snapshot.commit for snapshot in run.snapshots}
        said = {commit for commit, _ in self.forge.statuses}
        need(landed <= said, f"{run.run_id} has commits without a status")
        made = self.repository.objects.commits[run.tip]
        need(made.parent == landed_tip(run), "the summaries stand on another commit")
        changed = self.repository.diff(made.parent, made.tree).changes
        top = f".autonomous_runs/{run.run_id}/".encode()
        need(all(each.path.startswith(top) for each in changed), "the summaries change more")
