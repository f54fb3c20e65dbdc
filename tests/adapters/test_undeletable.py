"""Whatever is done to runs, repositories and clones, in any order: no work is lost.

Work that clean-up deleted is in the user's repository at that moment, as a commit, as files or as a
change; everything else is in ours.
"""

from __future__ import annotations

import tempfile
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from autopack.adapters.git.archive import GitArchive
from autopack.adapters.git.export import export
from autopack.adapters.git.repository import BareRepository
from autopack.adapters.git.undo import GitBranches
from autopack.adapters.git.wrapper import Git, Store
from autopack.app.archive import Left
from autopack.app.ports import Refused
from autopack.app.undo import Place
from tests.repos import commit_all, git, refs, user_repository, write

BRANCH = "autonomous/r"
EQUAL = ["x\n"] * 40
"""Lines in which a change's text says nothing of its place."""
STEPS = (
    "attempt", "land", "deliver", "merge", "squash", "pick", "other", "abandon", "clean", "pack",
    "salvage", "undo", "redo", "shift", "top",
)  # fmt: skip


@dataclass
class Story:
    """One project; `made` are the commits of all work so far."""

    folder: Path
    made: list[str] = field(default_factory=list)
    landed: list[Place] = field(default_factory=list)
    open: list[str] = field(default_factory=list)
    delivered: str = ""
    number: int = 0
    gone: dict[str, tuple[str, Change]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.user = self.folder / "user"
        user_repository(self.user)
        write(self.user, {"equal": "".join(EQUAL)})
        self.base = commit_all(self.user)
        self.repository = BareRepository.create(self.folder / "bare", Git())
        self.repository.prepare(str(self.user), "main", self.base, BRANCH)
        self.store = Store(self.repository.git, self.repository.folder)
        self.archive, self.branches = GitArchive(self.store), GitBranches(self.store)

    @property
    def tip(self) -> str:
        return refs(self.repository.folder)[f"refs/heads/{BRANCH}"]

    def attempt(self, which: int) -> None:
        """An attempt on the branch or on the base; an odd one writes what another wrote."""
        self.number += 1
        parent = self.tip if which % 2 else self.base
        clone = self.repository.clone(parent, self.folder / "clone")
        write(clone.folder, {f"src/{which % 3}.txt": f"{self.number % 3}\n", "bin": bytes([which])})
        change_equal(clone.folder, 3 + 4 * (self.number % 8))
        tree = self.repository.capture(clone, ())
        assert isinstance(tree, str)
        ref = f"refs/autopack/r/P/{self.number}"
        made = self.repository.commit(tree, parent, f"{self.number}\n", 1_000, ref)
        self.made.append(made)
        if parent == self.tip:
            self.open.append(made)

    def land(self, _: int) -> None:
        fit = [made for made in self.open if self.repository.facts(made).parent == self.tip]
        if fit:
            tag = f"{BRANCH}/tier-T/phase-{len(self.landed)}"
            self.repository.land(BRANCH, fit[0], self.tip, tag, "green", 1_000)
            self.landed.append(Place(fit[0], tag))

    def deliver(self, _: int) -> None:
        if self.landed and not self.repository.deliver(
            str(self.user), "r", self.tip, self.delivered
        ):
            self.delivered = self.tip

    def take(self, *how: str) -> None:
        """The user takes work over, unless it conflicts with theirs."""
        done = Git().run(*how, git_dir=self.user / ".git", work_tree=self.user,
                         config={"user.name": "u", "user.email": "u@localhost"})  # fmt: skip
        if done.ok:
            commit_all(self.user, "taken over")
        else:
            git(self.user, "reset", "-q", "--hard")

    def merge(self, _: int) -> None:
        if self.delivered:
            self.take("merge", "-q", "--no-ff", "-m", "merged", self.delivered)

    def squash(self, _: int) -> None:
        if self.delivered:
            self.take("merge", "-q", "--squash", self.delivered)

    def pick(self, which: int) -> None:
        """By hand, from our repository."""
        if self.made:
            commit = self.made[which % len(self.made)]
            if Git().run("fetch", "-q", str(self.repository.folder), commit, git_dir=self.user / ".git",
                         protocol="file").ok:  # fmt: skip
                self.take("cherry-pick", "--no-commit", commit)

    def shift(self, which: int) -> None:
        """What an attempt wrote, but with the line among equal ones changed at another place."""
        if self.made:
            made = self.made[which % len(self.made)]
            facts = self.repository.facts(made)
            for path in git(self.repository.folder, "diff-tree", "-r", "--name-only",
                            facts.parent, made).splitlines():  # fmt: skip
                content = self.repository.read(made, path)
                if path != "equal" and content is not None:
                    write(self.user, {path: content})
            change_equal(self.user, 5 + 4 * which)
            commit_all(self.user, "nearly taken over")

    def top(self, _: int) -> None:
        """A line in front moves all that follow."""
        content = (self.user / "equal").read_text()
        write(self.user, {"equal": f"y\n{content}"})
        commit_all(self.user, "moved")

    def other(self, which: int) -> None:
        write(self.user, {f"mine/{which}": "mine\n"})
        commit_all(self.user, "mine")

    def abandon(self, which: int) -> None:
        """A supervisor dies over an agent's clone; the next one keeps what it holds."""
        left = Left(
            self.folder / "quarantine" / "r" / "P" / f"attempt-{which}", "r", "P", self.base
        )
        self.repository.clone(self.tip, left.folder)
        write(left.folder, {f"left/{which}": "left\n", "x.pyc": "ignored or not\n"})
        kept = self.archive.secure(left, 1_000)
        assert not isinstance(kept, Refused)
        self.made += [refs(self.repository.folder)[ref] for ref in kept]
        self.repository.discard(left.folder)

    def clean(self, _: int) -> None:
        works = self.archive.works()
        proofs = self.archive.proofs(works, str(self.user), self.base)
        self.archive.forget([work for work in works if work.ref in proofs])

    def pack(self, _: int) -> None:
        for path in (self.repository.folder / "objects").rglob("*"):
            if path.is_file():
                path.touch()
        git(self.repository.folder, "repack", "-q", "-A", "-d", "--unpack-unreachable=now")
        git(self.repository.folder, "prune", "--expire=now")

    def salvage(self, which: int) -> None:
        works = self.archive.works()
        to = self.folder / f"out-{self.number}-{which}"
        if works and not to.exists():
            assert export(self.store, {"P": works}, self.base, to).keys() == {w.ref for w in works}

    def undo(self, which: int, to: int = 0) -> None:
        places = [Place(self.base), *self.landed]
        now = self.branches.stands(str(self.user), BRANCH)
        here = next((place for place in places if place.commit == now), None)
        if here is not None:
            self.branches.move(
                str(self.user), "r", here, places[(which + to) % len(places)], 1, "u"
            )

    def redo(self, which: int) -> None:
        self.undo(which, 1)

    def check(self) -> None:
        """Every work is reachable in one of both, or its files or its change are in the user's."""
        here = set(git(self.repository.folder, "rev-list", "--all").split())
        there = git(self.user, "rev-list", "--branches", "--tags").split()
        lost = [made for made in self.made if made not in here | set(there)]
        if lost:
            trees = set(git(self.user, "log", "--branches", "--tags", "--format=%T").split())
            changes = [change_of(self.user, commit) for commit in there]
            for made in lost:
                tree, change = self.gone[made]
                assert tree in trees or any(change.taken_by(each) for each in changes), made
        assert git(self.repository.folder, "fsck", "--strict", "--no-dangling") == ""

    def remember(self) -> None:
        """What a work is made of, as long as it is there to be asked."""
        for made in self.made:
            if made not in self.gone:
                facts = change_of(self.repository.folder, made)
                self.gone[made] = self.repository.tree(made), facts


@dataclass(frozen=True)
class Change:
    """What a commit does to each path: its entry afterwards, and the lines before and after."""

    entries: dict[str, str]
    lines: dict[str, tuple[list[str], list[str]]]

    def taken_by(self, other: Change) -> bool:
        """Whether another commit makes it: the same files, or the same lines at their places."""
        return bool(self.entries) and self.entries.keys() == other.entries.keys() and all(
            entry == other.entries[path] or self._moved(other, path)
            for path, entry in self.entries.items()
        )  # fmt: skip

    def _moved(self, other: Change, path: str) -> bool:
        """The same lines change, counted from the end: whatever is put in goes in at the top."""
        if path not in self.lines or path not in other.lines:
            return False
        edits = []
        for before, after in (self.lines[path], other.lines[path]):
            if len(before) != len(after):
                return False
            pairs = enumerate(zip(reversed(before), reversed(after), strict=True))
            edits.append([(at, old, new) for at, (old, new) in pairs if old != new])
        return edits[0] == edits[1]


def change_of(folder: Path, commit: str) -> Change:
    """A commit's change as git lists it; none for a merge and for the first one."""
    entries, lines = {}, {}
    said = git(folder, "diff-tree", "-r", "--no-commit-id", "--no-renames", commit)
    for row in said.splitlines():
        facts, _, path = row.partition("\t")
        _, mode, before, after, _ = facts.split(" ")
        entries[path] = f"{mode} {after}"
        if path == "equal" and "0" * 40 not in (before, after):
            both = [git(folder, "cat-file", "blob", blob).splitlines() for blob in (before, after)]
            lines[path] = both[0], both[1]
    return Change(entries, lines)


def change_equal(folder: Path, at: int) -> None:
    """Change one of the equal lines, or change it back."""
    lines = (folder / "equal").read_text().splitlines(keepends=True)
    lines[at] = "changed\n" if lines[at] == "x\n" else "x\n"
    write(folder, {"equal": "".join(lines)})


def play(steps: list[tuple[str, int]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        story = Story(Path(folder))
        for step, which in steps:
            getattr(story, step)(which)
            story.remember()
            story.check()


some = st.lists(st.tuples(st.sampled_from(STEPS), st.integers(0, 5)), min_size=4, max_size=9)


@given(some)
@settings(max_examples=3, suppress_health_check=[HealthCheck.too_slow])
def test_no_sequence_of_steps_loses_work(steps: list[tuple[str, int]]) -> None:
    play([("attempt", 1), ("land", 0), ("deliver", 0), *steps, ("clean", 0), ("pack", 0)])


def test_nearly_the_same_change_loses_nothing() -> None:
    play([("attempt", 2), ("attempt", 4), ("shift", 0), ("shift", 1), ("clean", 0), ("pack", 0)])


@pytest.mark.slow
@pytest.mark.timeout(900)
@given(some)
@settings(max_examples=150, suppress_health_check=[HealthCheck.too_slow])
def test_no_longer_sequence_of_steps_loses_work(steps: list[tuple[str, int]]) -> None:
    play([("attempt", 1), ("land", 0), ("deliver", 0), *steps, *steps, ("clean", 0), ("pack", 0)])
