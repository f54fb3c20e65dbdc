"""MemoryForge: the Forge port over dictionaries, and the faults that a test gives it.

Same contract as the real ones. `before` and `after` hold what the next calls raise, by method:
after means that the answer was lost and the act was done.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

from autopack.app.forge import (
    DESCRIPTION_CHARACTERS_MAX,
    ForgeCheck,
    ForgeRefused,
    PullRequest,
    PullRequestDraft,
    PullState,
    StatusState,
    text_problem,
)
from autopack.app.ports import Cancel


@dataclass(frozen=True)
class MemoryStatus:
    """The last word of a context on a commit."""

    state: StatusState
    description: str
    url: str


class MemoryForge:
    """One repository: `branches` to commits, `pulls` by number, `statuses` by commit and context.

    `refusal` is what it says to every push; `calls` are the names of the methods called.
    """

    def __init__(self, branches: dict[str, str] | None = None) -> None:
        self.branches = dict(branches or {})
        self.pulls: dict[int, PullRequest] = {}
        self.statuses: dict[tuple[str, str], MemoryStatus] = {}
        self.before: dict[str, list[Exception]] = {}
        self.after: dict[str, list[Exception]] = {}
        self.calls: list[str] = []
        self.refusal = ""
        self._lock = threading.RLock()

    @property
    def name(self) -> str:
        """Which forge this is."""
        return "memory"

    def check(self) -> str:
        """It always would."""
        with self._call("check"):
            return "a forge in memory"

    def find(self, head: str, marker: str) -> tuple[PullRequest, ...]:
        """Pull requests from a branch or with a marker, oldest first."""
        with self._call("find"):
            return tuple(
                self._now(pull)
                for _, pull in sorted(self.pulls.items())
                if pull.head == head or (marker and marker in pull.body)
            )

    def create(self, draft: PullRequestDraft) -> PullRequest:
        """Open one, or find the open one of these branches."""
        with self._call("create"):
            _check(draft.title, draft.body)
            for pull in self.pulls.values():
                same = (pull.head, pull.base) == (draft.head, draft.base)
                if same and pull.state is PullState.OPEN:
                    return self._now(pull)
            for branch in (draft.head, draft.base):
                if branch not in self.branches:
                    raise ForgeRefused(f"there is no branch {branch}", "push it first")
            if self.branches[draft.head] == self.branches[draft.base]:
                raise ForgeRefused(f"no commits between {draft.base} and {draft.head}")
            number = len(self.pulls) + 1
            self.pulls[number] = PullRequest(
                number, draft.head, draft.base, draft.title, draft.body, PullState.OPEN,
                f"memory:{number}", self.branches[draft.head],
            )  # fmt: skip
            return self.pulls[number]

    def update(self, number: int, title: str, body: str) -> PullRequest:
        """Give one title and text."""
        with self._call("update"):
            if number not in self.pulls:
                raise ForgeRefused(f"there is no pull request {number}")
            _check(title, body)
            self.pulls[number] = replace(self._now(self.pulls[number]), title=title, body=body)
            return self.pulls[number]

    def open_marked(self, marker_prefix: str) -> tuple[PullRequest, ...]:
        """Open ones with a marker that begins so."""
        with self._call("open_marked"):
            return tuple(
                self._now(pull)
                for _, pull in sorted(self.pulls.items())
                if pull.state is PullState.OPEN and marker_prefix in pull.body
            )

    def set_status(
        self, commit: str, context: str, state: StatusState, description: str, url: str = ""
    ) -> None:
        """Remember the last word."""
        with self._call("set_status"):
            said = description[:DESCRIPTION_CHARACTERS_MAX]
            self.statuses[commit, context] = MemoryStatus(state, said, url)

    def stands(self, branch: str) -> str:
        """The commit of a branch."""
        with self._call("stands"):
            return self.branches.get(branch, "")

    def push(self, branch: str, commit: str, expected: str, cancel: Cancel | None = None) -> str:
        """Move a branch from where it was seen."""
        with self._call("push"):
            if cancel is not None and cancel.is_set():
                return "told to end"
            now = self.branches.get(branch, "")
            if self.refusal or now == commit:
                return self.refusal if now != commit else ""
            if now != expected:
                return f"{branch} is at {now or 'no commit'} there (stale info)"
            self.branches[branch] = commit
            return ""

    def end(self, number: int, state: PullState) -> None:
        """Somebody closes or merges a pull request."""
        self.pulls[number] = replace(self._now(self.pulls[number]), state=state)

    def _now(self, pull: PullRequest) -> PullRequest:
        at = self.branches.get(pull.head, pull.head_sha)
        return replace(pull, head_sha=at) if pull.state is PullState.OPEN else pull

    @contextmanager
    def _call(self, method: str) -> Iterator[None]:
        with self._lock:
            self.calls.append(method)
            if waiting := self.before.get(method):
                raise waiting.pop(0)
            yield
            if waiting := self.after.get(method):
                raise waiting.pop(0)


class MemoryTester(MemoryForge):
    """One that tests what is pushed: `stages` of a commit, one with each look, the last stays.

    `on_push` is called with the commit that came; `pushed` has every move of a branch.
    """

    def __init__(
        self,
        branches: dict[str, str] | None = None,
        on_push: Callable[[str], list[tuple[ForgeCheck, ...]]] = lambda _commit: [],
    ) -> None:
        super().__init__(branches)
        self.stages: dict[str, list[tuple[ForgeCheck, ...]]] = {}
        self.pushed: list[tuple[str, str]] = []
        self._on_push = on_push

    def checks(self, commit: str) -> tuple[ForgeCheck, ...]:
        """What is said of the commit at this look."""
        with self._call("checks"):
            stages = self.stages.get(commit) or [()]
            return stages.pop(0) if len(stages) > 1 else stages[0]

    def push(self, branch: str, commit: str, expected: str, cancel: Cancel | None = None) -> str:
        """Move a branch; its tests begin."""
        before = self.branches.get(branch, "")
        why = super().push(branch, commit, expected, cancel)
        if not why and before != commit:
            self.pushed.append((branch, commit))
            self.stages.setdefault(commit, self._on_push(commit))
        return why

    def delete(self, branch: str, expected: str, cancel: Cancel | None = None) -> str:
        """Delete a branch that stands where it was left."""
        with self._call("delete"):
            if cancel is not None and cancel.is_set():
                return "told to end"
            now = self.branches.get(branch, "")
            if now not in ("", expected):
                return f"{branch} is at {now} there"
            if self.branches.pop(branch, ""):
                self.pushed.append((branch, ""))
            return ""


def _check(title: str, body: str) -> None:
    if problem := text_problem(title, body):
        raise ForgeRefused(f"the pull request cannot be: {problem}")
