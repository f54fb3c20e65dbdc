"""Promote a run: its summaries on the branch, the branch pushed, one pull request, its statuses.

Every step may be repeated: what an earlier one has left, also one whose answer was lost, is found
and used, so that there is one commit and one pull request, always. Never writes the base branch,
never touches what somebody else put on the branch, never opens again what a person closed.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Final

from autopack.app.forge import (
    Forge,
    ForgeAway,
    ForgeRefused,
    PullRequest,
    PullRequestDraft,
    PullState,
)
from autopack.app.papers import Papers
from autopack.app.ports import Cancel, Outlook, Refused
from autopack.app.supervise import Cancellation
from autopack.app.turns import leave_if_cut_off
from autopack.app.world import World
from autopack.core import promotion
from autopack.core.command import AwaitRoom, Pending, PrepareBase, Promote
from autopack.core.errors import EnvironmentFault, Fault, OperatorFault
from autopack.core.event import Promoted, PromotionRefused, PromotionsFull, RoomAwaited
from autopack.core.run import Run
from autopack.core.spec import PromoteMode, RunSpec

_log = logging.getLogger(__name__)
TRIES_MAX: Final = 3
"""How often a forge that is away is asked within one promotion."""
AWAY_SECONDS_MAX: Final = 300.0
"""The longest wait between two of them."""
NAP_SECONDS_MAX: Final = 60.0
"""A run that waits for room looks at least this often."""
REFS: Final = "refs/autopack/_promotion"
"""Below it, by run, the commits that promotions put on branches."""


class _Refused(Exception):
    """It cannot be, for this reason."""


def promote(
    world: World, run: Run, asked: Pending, cancel: Cancellation
) -> Promoted | PromotionRefused:
    """Perform `Promote`; a forge that is away is asked again a few times."""
    command = asked.command
    if not isinstance(command, Promote) or world.forge is None or world.papers is None:
        return PromotionRefused("no forge is configured")
    act = _Promotion(world, run, command, command.dated or asked.issued_at, cancel)
    act.look()
    for left in reversed(range(TRIES_MAX)):
        try:
            return act.made(last=not left)
        except _Refused as refused:
            leave_if_cut_off(cancel)
            return PromotionRefused(str(refused), act.stands, act.delivered)
        except ForgeAway as away:
            leave_if_cut_off(cancel)
            if not left:
                return PromotionRefused(str(away), act.stands, act.delivered)
            tried = TRIES_MAX - left
            pause = away.retry_after or world.backoff_seconds * 2 ** (tried - 1)
            cancel.wait(min(pause, AWAY_SECONDS_MAX))
        except (OperatorFault, EnvironmentFault) as fault:
            leave_if_cut_off(cancel)
            return PromotionRefused(str(fault), act.stands, act.delivered)
    raise AssertionError("the last try returns")


@dataclass
class _Promotion:
    """One promotion under way; what it has reached is kept for a refusal."""

    world: World
    run: Run
    command: Promote
    at: int
    cancel: Cancel
    stands: str = ""
    delivered: str = ""

    def look(self) -> None:
        """Whether a try before this one has put the summaries on the branch: a refusal says so."""
        repository, run_id = self.world.repository(self.run.spec), self.run.run_id
        self.stands = repository.resolve(f"refs/tags/{promotion.tag(run_id)}") or ""

    def made(self, *, last: bool) -> Promoted:
        """All steps, from the first: each finds what was done before."""
        run, spec = self.run, self.run.spec
        if why := promotion.reasons(promotion.as_ended(run)):
            raise _Refused(f"not eligible: {'; '.join(why)}")
        forge = _forge(self.world, spec, self.cancel)
        there = self._there(forge)
        if there is not None and there.state is not PullState.OPEN:
            stands = self._branch()
            return Promoted(there.number, there.url, stands, there.state.value)
        if there is None:
            self._check_room(forge)
        notes = self._notes(forge)
        self._seal()
        self._deliver()
        self._push(forge)
        papers = self._papers(notes)
        pull = self._opened(forge, there, papers)
        if promotion.marker(spec) not in pull.body:
            notes = (*notes, "somebody else wrote the pull request's text: it is left alone")
        notes = (*notes, *self._say(forge, papers, last=last))
        return Promoted(pull.number, pull.url, self.stands, pull.state.value, notes)

    def _there(self, forge: Forge) -> PullRequest | None:
        """The pull request of this run's branch: ours before others', open before ended.

        Ours is the one of the number that is known, one with the marker, and one of these branches
        at a commit of this run: people write texts anew, and an answer may have been lost.
        """
        spec = self.run.spec
        mark, made = promotion.marker(spec), {self.stands, *self._commits()} - {""}

        def known(pull: PullRequest) -> bool:
            return pull.number == self.run.promotion.number or mark in pull.body

        def rank(pull: PullRequest) -> tuple[bool, bool, int]:
            return not known(pull), pull.state is not PullState.OPEN, -pull.number

        found = [
            pull
            for pull in forge.find(spec.branch, mark)
            if pull.head == spec.branch and (known(pull) or pull.base == spec.onto)
        ]
        ours = [pull for pull in found if known(pull) or pull.head_sha in made]
        theirs = [pull for pull in found if pull not in ours and pull.state is PullState.OPEN]
        return next(iter([*sorted(ours, key=rank), *theirs]), None)

    def _commits(self) -> set[str]:
        """What the run itself has put on its branch, but for the summaries."""
        return {self.command.tip, *(snapshot.commit for snapshot in self.run.snapshots)}

    def _check_room(self, forge: Forge) -> None:
        most = self.run.spec.promotions_open_max
        if most and (count := len(forge.open_marked(promotion.PREFIX))) >= most:
            raise _Refused(promotion.full(count, most))

    def _branch(self) -> str:
        repository = self.world.repository(self.run.spec)
        return repository.resolve(f"refs/heads/{self.run.spec.branch}") or self.run.tip

    def _seal(self) -> None:
        """The summaries as one commit on what CI proved, which nothing else changes."""
        spec, proven = self.run.spec, self.command.tip
        repository = self.world.repository(spec)
        ref = f"{REFS}/{spec.run_id}/{proven}"
        commit = repository.resolve(ref)
        if commit is None:
            tree = repository.with_files(proven, self._papers(()).files)
            if isinstance(tree, Refused):
                found = tree.findings[0]
                raise _Refused(f"{found.path} {found.message}")
            commit = repository.commit(tree, proven, _message(spec), self.at, ref)
        tag = promotion.tag(spec.run_id)
        said = f"[autopack] {spec.run_id} is promoted"
        stands = repository.land(spec.branch, commit, proven, tag, said, self.at)
        if stands != commit:
            what = f"{spec.branch} stands at {stands[:12]}, not at {proven[:12]}"
            raise EnvironmentFault(what, "someone else moved the supervisor's own branch")
        self.stands = commit

    def _deliver(self) -> None:
        run = self.run
        repository = self.world.repository(run.spec)
        refused = repository.deliver(
            run.spec.repository, run.run_id, self.stands, run.delivered, self.cancel
        )
        if refused:
            raise _Refused(f"not delivered: {refused}")
        self.delivered = self.stands

    def _push(self, forge: Forge) -> None:
        """The forge's branch goes forward from where the run left it, or is left alone."""
        branch, there = self.run.spec.branch, forge.stands(self.run.spec.branch)
        if there == self.stands:
            return
        if there and there not in self._commits():
            what = f"{branch} on {forge.name} is at {there[:12]}, which this run never made"
            raise _Refused(f"{what}: it holds work of others and is left alone")
        if refused := forge.push(branch, self.stands, there, self.cancel):
            raise _Refused(f"{forge.name} did not take {branch}: {refused}")

    def _notes(self, forge: Forge) -> tuple[str, ...]:
        """Whether the base moved, and how the work would merge."""
        spec = self.run.spec
        base = forge.stands(spec.onto)
        if not base:
            raise _Refused(f"{forge.name} has no branch {spec.onto} to promote onto")
        repository = self.world.repository(spec)
        outlook = repository.outlook(
            spec.repository, spec.onto, base, self.command.tip, self.cancel
        )
        said = {
            Outlook.UNMOVED: f"{spec.onto} has not moved: the work is on top of it",
            Outlook.CLEAN: f"{spec.onto} has moved to {base[:12]}; the work merges cleanly into it,"
            " and CI has not seen the two together",
            Outlook.CONFLICTS: f"{spec.onto} has moved to {base[:12]} and conflicts with the work:"
            f" `autopack run retry {spec.run_id} --onto {spec.onto}` makes it again",
            Outlook.UNKNOWN: f"{spec.onto} is at {base[:12]}, which is not known here: whether the"
            " work merges cleanly cannot be said",
        }
        return (said[outlook],)

    def _papers(self, notes: tuple[str, ...]) -> Papers:
        if self.world.papers is None:
            raise AssertionError("asked for before it began")
        return self.world.papers(self.run, notes)

    def _opened(self, forge: Forge, there: PullRequest | None, papers: Papers) -> PullRequest:
        spec = self.run.spec
        if there is None:
            draft = PullRequestDraft(spec.branch, spec.onto, papers.title, papers.body)
            there = forge.create(draft)
        if (there.title, there.body) == (papers.title, papers.body):
            return there
        if promotion.marker(spec) not in there.body:
            return there  # somebody else's words stay theirs
        return forge.update(there.number, papers.title, papers.body)

    def _say(self, forge: Forge, papers: Papers, *, last: bool) -> tuple[str, ...]:
        """The statuses; a forge that takes none does not undo the pull request."""
        try:
            for status in papers.statuses:
                forge.set_status(status.commit, status.context, status.state, status.description)
        except ForgeAway as away:
            if not last:
                raise
            return (f"not every commit status was set: {away.what}",)
        except ForgeRefused as refused:
            return (f"commit statuses were refused: {refused.what}",)
        return ()


def _message(spec: RunSpec) -> str:
    return (
        f"[autopack] summaries of {spec.run_id}\n\nWhat the run did, as files; no other path"
        f" changes.\n\nAutopack-Run: {spec.run_id}\n"
    )


def _forge(world: World, spec: RunSpec, cancel: Cancel) -> Forge:
    if world.forge is None:
        raise OperatorFault("no forge is configured", "`[forge]` of the user's settings")
    return world.forge(spec, cancel)


# --- room for another promotion -----------------------------------------------------------------


def full(world: World, run: Run, asked: PrepareBase, cancel: Cancel) -> PromotionsFull | None:
    """Whether a run that has spent nothing waits; a forge that does not answer delays nobody."""
    spec = run.spec
    begun = asked.waited or run.draft is not None or spec.part > 1
    if begun or not limited(spec) or world.forge is None:
        return None
    count = _open(world, spec, cancel)
    if count is None or count < spec.promotions_open_max:
        return None
    return PromotionsFull(count, spec.promotions_open_max)


def limited(spec: RunSpec) -> bool:
    """Only who promotes by itself waits for room."""
    return spec.promote is PromoteMode.AUTO and spec.promotions_open_max > 0


def await_room(
    world: World, run: Run, asked: AwaitRoom, issued_at: int, cancel: Cancellation
) -> RoomAwaited:
    """Look until there is room, or the run's time for waiting is over."""
    began, nap = world.clock.monotonic(), world.backoff_seconds / 5
    while not cancel.is_set():
        count = _open(world, run.spec, cancel)
        waited = world.clock.monotonic() - began
        if count is None or count < asked.most:
            return RoomAwaited(found=True, waited_seconds=waited)
        since = max(waited, world.clock.now() - issued_at)
        if since >= run.spec.parked_seconds_max:
            break
        cancel.wait(nap)
        nap = min(nap * 2, NAP_SECONDS_MAX)
    leave_if_cut_off(cancel)
    return RoomAwaited(found=False, waited_seconds=world.clock.monotonic() - began)


def _open(world: World, spec: RunSpec, cancel: Cancel) -> int | None:
    """Open promotions of the repository; None when nobody can say."""
    try:
        return len(_forge(world, spec, cancel).open_marked(promotion.PREFIX))
    except Fault as fault:
        _log.warning("run %s: open promotions cannot be counted: %s", spec.run_id, fault)
        return None
