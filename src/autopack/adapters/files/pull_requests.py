"""The forge without a forge: pull requests as Markdown files beside the runs, for one repository.

A file is the truth of its pull request, as a server's would be: whoever writes `state: closed` into
it or deletes it has decided. Each is replaced whole; a number is taken under a lock. What a file
says is checked before it is used: a repository may bring such a folder. Never merges anything.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from autopack.adapters.files.exclude import exclude
from autopack.adapters.files.folder import Folder, below
from autopack.app.forge import (
    BODY_CHARACTERS_MAX,
    DESCRIPTION_CHARACTERS_MAX,
    ForgeContext,
    ForgeRefused,
    PullRequest,
    PullRequestDraft,
    PullState,
    Remote,
    StatusState,
    text_problem,
)
from autopack.app.ports import Cancel
from autopack.core.errors import refusal
from autopack.core.words import visible

FOLDER: Final = "pull_requests"
STATUSES: Final = "statuses.json"
PULLS_MAX: Final = 10_000
COMMITS_MAX: Final = 2_000
"""Commits whose statuses are kept; the oldest go."""
CONTEXTS_MAX: Final = 100
FILE_BYTES_MAX: Final = 8 * BODY_CHARACTERS_MAX
SLUG_CHARACTERS_MAX: Final = 40
_NAME: Final = re.compile(r"([1-9][0-9]{0,5})-[a-z0-9-]*\.md")
_COMMIT: Final = re.compile(r"[0-9a-f]{40}(?:[0-9a-f]{24})?")
_KEYS: Final = ("number", "state", "head", "base", "head_sha", "title")


@dataclass(frozen=True)
class LocalForge:
    """Pull requests of the repository in `repository`, below `root`; `remote` is its branches."""

    repository: Path
    root: Path
    remote: Remote

    @property
    def name(self) -> str:
        """The folder of the pull requests."""
        return str(self.root / FOLDER)

    def check(self) -> str:
        """Where pull requests are written; EnvironmentFault when the folder cannot be used."""
        with self._open() as folder:
            return f"pull requests are files in {folder.path}"

    def find(self, head: str, marker: str) -> tuple[PullRequest, ...]:
        """Pull requests from a branch or with a marker, oldest first."""
        with self._open() as folder:
            found = self._pulls(folder)
        return tuple(
            self._now(pull)
            for pull in found
            if pull.head == head or (marker and marker in pull.body)
        )

    def open_marked(self, marker_prefix: str) -> tuple[PullRequest, ...]:
        """Open pull requests with a marker that begins so, oldest first."""
        with self._open() as folder:
            found = self._pulls(folder)
        marked = (self._now(pull) for pull in found if marker_prefix in pull.body)
        return tuple(pull for pull in marked if pull.state is PullState.OPEN)

    def create(self, draft: PullRequestDraft) -> PullRequest:
        """Write the file of a pull request; the open one of these branches when there is one."""
        _check(draft.title, draft.body)
        head, base = self.remote.stands(draft.head), self.remote.stands(draft.base)
        for branch, commit in ((draft.head, head), (draft.base, base)):
            if not commit:
                what = f"{self.repository} has no branch {branch}"
                raise ForgeRefused(what, "deliver the run's branch first")
        if self.remote.merged(draft.base, head):
            raise ForgeRefused(f"{draft.base} has all commits of {draft.head} already")
        with self._open() as folder:
            pulls = self._pulls(folder)
            for pull in pulls:
                same = (pull.head, pull.base) == (draft.head, draft.base)
                if same and self._now(pull).state is PullState.OPEN:
                    return self._now(pull)
            number = max(_numbers(folder), default=0) + 1
            if number > PULLS_MAX:
                what = f"{folder.path} has {PULLS_MAX:,} pull requests"
                raise ForgeRefused(what, "move the oldest files away")
            name = f"{number}-{_slug(draft.title)}.md"
            made = PullRequest(
                number, draft.head, draft.base, draft.title, draft.body, PullState.OPEN,
                (folder.path / name).as_uri(), head,
            )  # fmt: skip
            folder.write(name, _text(made))
            return made

    def update(self, number: int, title: str, body: str) -> PullRequest:
        """Replace title and text; the file keeps its name."""
        _check(title, body)
        with self._open() as folder:
            for pull in self._pulls(folder):
                if pull.number == number:
                    now = replace(self._now(pull), title=title, body=body)
                    folder.write(Path(now.url).name, _text(now))
                    return now
        raise ForgeRefused(f"{self.name} has no pull request {number}")

    def set_status(
        self, commit: str, context: str, state: StatusState, description: str, url: str = ""
    ) -> None:
        """Keep the last word of a context on a commit."""
        if not _COMMIT.fullmatch(commit):
            raise ForgeRefused(f"{commit!r} is no commit")
        with self._open() as folder:
            statuses = _statuses(folder)
            said = statuses.pop(commit, {})
            said[context] = {
                "state": state.value,
                "description": visible(description)[:DESCRIPTION_CHARACTERS_MAX],
                "url": url,
            }
            statuses[commit] = dict(list(said.items())[-CONTEXTS_MAX:])
            kept = dict(list(statuses.items())[-COMMITS_MAX:])
            folder.write(STATUSES, f"{json.dumps(kept, indent=1)}\n".encode())

    def stands(self, branch: str) -> str:
        """The commit of a branch of the repository; empty when there is none."""
        return self.remote.stands(branch)

    def push(self, branch: str, commit: str, expected: str, cancel: Cancel | None = None) -> str:
        """Move a branch of the repository; why not, empty when it is there."""
        return self.remote.push(branch, commit, expected, cancel)

    def _now(self, pull: PullRequest) -> PullRequest:
        """As git has it: an open one follows its branch, one whose commits the base has is merged.

        A branch that is gone leaves it open, at the commit that was seen last.
        """
        if pull.state is not PullState.OPEN:
            return pull
        head = self.remote.stands(pull.head) or pull.head_sha
        merged = self.remote.merged(pull.base, head)
        return replace(pull, head_sha=head, state=PullState.MERGED if merged else pull.state)

    @contextmanager
    def _open(self) -> Iterator[Folder]:
        """The folder, made and excluded from git when it is in the repository, under its lock."""
        inside = self.root.is_relative_to(self.repository)
        anchor = self.repository if inside else self.root
        parts = self.root.relative_to(anchor).parts
        try:
            if inside:
                exclude(self.root if parts else self.root / FOLDER)
            else:
                anchor.mkdir(parents=True, exist_ok=True)
            with below(anchor, (*parts, FOLDER)) as folder, folder.locked():
                folder.sweep()
                yield folder
        except OSError as fault:
            raise refusal(fault, self.root / FOLDER) from fault

    def _pulls(self, folder: Folder) -> list[PullRequest]:
        """All that can be read, oldest first; of two with a number only the first counts."""
        pulls: dict[int, PullRequest] = {}
        for name in sorted(folder.names()):
            named = _NAME.fullmatch(name)
            content = folder.read(name) if named else None
            if named and content is not None and int(named[1]) not in pulls:
                url = (folder.path / name).as_uri()
                if (pull := _read(content, int(named[1]), url)) is not None:
                    pulls[pull.number] = pull
        return [pulls[number] for number in sorted(pulls)]


def factory(context: ForgeContext) -> LocalForge:
    """The factory of `local`."""
    remote = context.remote(str(context.repository), "")
    return LocalForge(context.repository, context.runs_root, remote)


def _check(title: str, body: str) -> None:
    if problem := text_problem(title, body):
        raise ForgeRefused(f"the pull request cannot be written: {problem}")


def _numbers(folder: Folder) -> list[int]:
    """Every number that a file has, readable or not: none is given twice."""
    return [int(named[1]) for name in folder.names() if (named := _NAME.fullmatch(name))]


def _slug(title: str) -> str:
    words = re.sub(r"[^a-z0-9]+", "-", title.lower()).strip("-")
    return words[:SLUG_CHARACTERS_MAX].strip("-") or "run"


def _text(pull: PullRequest) -> bytes:
    """The file: a front matter of JSON values, which are YAML too, then the text as it is."""
    values = (pull.number, pull.state.value, pull.head, pull.base, pull.head_sha, pull.title)
    lines = [f"{key}: {json.dumps(value)}" for key, value in zip(_KEYS, values, strict=True)]
    text = "\n".join(["---", *lines, "---", "", pull.body, ""])
    return text.encode(errors="backslashreplace")


def _read(content: bytes, number: int, url: str) -> PullRequest | None:
    """A file's pull request; None when it is none that we wrote or a person mended."""
    if len(content) > FILE_BYTES_MAX:
        return None
    text = content.decode(errors="replace")
    parts = text.split("\n---\n", 1)
    if not text.startswith("---\n") or len(parts) != 2:
        return None
    given: dict[str, object] = {}
    for line in parts[0].removeprefix("---\n").split("\n"):
        key, _, value = line.partition(":")
        given[key.strip()] = _value(value.strip())
    head, base, sha, title = (given.get(key) for key in ("head", "base", "head_sha", "title"))
    state = given.get("state")
    if not (isinstance(head, str) and isinstance(base, str) and isinstance(title, str)):
        return None
    if not isinstance(sha, str) or not _COMMIT.fullmatch(sha) or given.get("number") != number:
        return None
    if not isinstance(state, str) or state not in {each.value for each in PullState}:
        return None
    body = parts[1].removeprefix("\n").removesuffix("\n")
    return PullRequest(number, head, base, title, body, PullState(state), url, sha)


def _value(text: str) -> object:
    """A JSON value, or the word as a person writes it."""
    with suppress(ValueError, RecursionError):
        return json.loads(text)
    return text


def _statuses(folder: Folder) -> dict[str, dict[str, object]]:
    """What the file says, where it is what we write; a broken one begins again."""
    with suppress(ValueError, RecursionError):
        found = json.loads(folder.read(STATUSES) or b"{}")
        if isinstance(found, dict) and all(isinstance(each, dict) for each in found.values()):
            return found
    return {}
