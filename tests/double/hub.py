"""A small GitHub: pull requests, statuses and check runs over real bare repositories.

Branches, what they hold and what merges are git's word, asked again with each request. The rules
are the documented ones of the REST API, as far as we use it; what we do not use is not here.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

from tests.repos import git

WRITER, READER = "ghp_" + "w" * 36, "ghp_" + "r" * 36
TITLE_MAX, BODY_MAX, DESCRIPTION_MAX = 256, 65_536, 140


@dataclass
class Pull:
    """A pull request; `owner`: of the repository that the head is in."""

    number: int
    owner: str
    head: str
    base: str
    title: str
    body: str
    head_sha: str
    base_sha: str
    state: str = "open"
    merged: bool = False
    merge_sha: str = ""


@dataclass(frozen=True)
class StatusWord:
    number: int
    context: str
    state: str
    description: str
    url: str


@dataclass(frozen=True)
class CheckRun:
    name: str
    status: str = "completed"
    conclusion: str = "success"
    title: str = ""
    summary: str = ""


Stages = list[list[CheckRun]]
"""What is told of a commit with each look; the last one stays."""


@dataclass
class Repo:
    """One repository; `actions` is its CI: what it reports of a commit pushed to a branch."""

    full_name: str
    folder: Path
    actions: Callable[[str, str], Stages] = lambda _branch, _sha: []
    pulls: dict[int, Pull] = field(default_factory=dict)
    words: dict[str, list[StatusWord]] = field(default_factory=dict)
    runs: dict[str, Stages] = field(default_factory=dict)
    pushed: list[tuple[str, str]] = field(default_factory=list)
    """Branch and commit (empty: deleted), as they were pushed."""

    def at(self, branch: str) -> str:
        """The commit of a branch; empty when there is none."""
        return git(self.folder, "for-each-ref", "--format=%(objectname)", f"refs/heads/{branch}")

    def branches(self) -> dict[str, str]:
        said = git(self.folder, "for-each-ref", "--format=%(refname) %(objectname)", "refs/heads/")
        pairs = (line.split(" ") for line in said.splitlines())
        return {ref.removeprefix("refs/heads/"): oid for ref, oid in pairs}

    def has(self, sha: str) -> bool:
        """Whether a commit is there."""
        known = git(self.folder, "cat-file", "--batch-check", stdin=f"{sha}\n".encode())
        return known.split(" ")[1:2] == ["commit"]

    def ahead(self, base: str, head: str) -> int:
        return int(git(self.folder, "rev-list", "--count", f"{base}..{head}"))

    def look(self) -> None:
        """Bring the open pull requests up to date with git."""
        owner = self.full_name.partition("/")[0]
        for one in self.pulls.values():
            if one.state != "open" or one.owner != owner:
                continue
            head, base = self.at(one.head), self.at(one.base)
            if not head:
                one.state = "closed"  # GitHub closes one whose branch is deleted
            elif base and not self.ahead(base, head):
                one.head_sha, one.state, one.merged, one.merge_sha = head, "closed", True, base
            else:
                one.head_sha = head

    def merge(self, number: int) -> str:
        """Merge as the button does; the merge commit."""
        one = self.pulls[number]
        base, head = self.at(one.base), self.at(one.head)
        tree = git(self.folder, "merge-tree", "--write-tree", base, head)
        made = git(self.folder, "commit-tree", tree, "-p", base, "-p", head, "-m", "merge")
        git(self.folder, "update-ref", f"refs/heads/{one.base}", made, base)
        one.head_sha, one.state, one.merged, one.merge_sha = head, "closed", True, made
        return made

    def received(self, before: dict[str, str]) -> None:
        """A push came: note it and let CI begin."""
        now = self.branches()
        for branch in sorted(before.keys() | now.keys()):
            if before.get(branch) != now.get(branch):
                self.pushed.append((branch, sha := now.get(branch, "")))
                if sha and sha not in self.runs and (stages := self.actions(branch, sha)):
                    self.runs[sha] = stages


@dataclass
class Fault:
    """What goes wrong with the next `times` requests that match.

    `kind`: `lost` (done, no answer), `dropped` (not done, no answer), `cut` (done, half an answer),
    `garbage` (done, no JSON), `500` or `502` (not done), `limit`, `secondary` and `429` (not done),
    `elsewhere` (a redirect), `other-sha` (the answer tells of another commit).
    """

    kind: str
    method: str
    path: str
    """A part of the path."""
    times: int = 1
    seconds: int = 1
    """For limits: until they are over."""


class Hub:
    """All repositories, who may do what with them, and what goes wrong next."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.repos: dict[str, Repo] = {}
        self.rights = {WRITER: "push", READER: "pull"}
        self.faults: list[Fault] = []
        self.struck: Callable[[], object] = lambda: None
        """Told when a request meets a fault, before that takes its course."""
        self.requests: list[tuple[str, str]] = []
        self.answers: list[tuple[str, object]] = []
        """Each answer with the name of GitHub's schema for it."""
        self.elsewhere = ""
        """Where everybody is sent to, with any request."""
        self.credentials: set[str] = set()
        """Everything that came in an Authorization header."""
        self.lock = threading.RLock()

    def add(self, full_name: str, source: Path) -> Repo:
        """A repository with the branches of another."""
        folder = self.root / f"{full_name}.git"
        folder.parent.mkdir(parents=True, exist_ok=True)
        git(self.root, "clone", "-q", "--bare", str(source), str(folder))
        made = self.repos[full_name] = Repo(full_name, folder)
        return made

    def fail(self, kind: str, method: str, path: str, *, times: int = 1, seconds: int = 1) -> None:
        self.faults.append(Fault(kind, method, path, times, seconds))

    def fault(self, method: str, path: str) -> Fault | None:
        """The fault that this request meets; it is used up."""
        with self.lock:
            for each in self.faults:
                if each.times and each.method == method and each.path in path:
                    each.times -= 1
                    return replace(each)
        return None

    def made(self, method: str, path: str) -> int:
        """How many requests of that kind came."""
        return sum(m == method and path in p for m, p in self.requests)
