"""The forge: where a run's branch becomes a pull request, and the records that cross its port.

A forge belongs to one repository. Every act may be repeated: what an earlier one has left, also
one whose answer was lost, is found and used. Never merges, never writes the base branch.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Final, Protocol, runtime_checkable

from autopack.app.ports import Cancel, Clock
from autopack.core.errors import EnvironmentFault, OperatorFault

BODY_CHARACTERS_MAX: Final = 65_536
"""GitHub's limit for the text of a pull request."""
TITLE_CHARACTERS_MAX: Final = 256
DESCRIPTION_CHARACTERS_MAX: Final = 140
"""GitHub's limit for what a commit status says; a longer one is cut."""


class ForgeRefused(OperatorFault):
    """The forge will not: a wrong token, no such repository, no right, a draft that cannot be."""

    code = "forge_refused"


class ForgeAway(EnvironmentFault):
    """The forge does not answer now, or asks to wait; what was sent may have been done.

    `retry_after`: seconds after which it may be asked again; None when it did not say.
    """

    code = "forge_away"

    def __init__(self, what: str, hint: str = "", retry_after: float | None = None) -> None:
        super().__init__(what, hint or "try again later")
        self.retry_after = retry_after


STATUS_PREFIX: Final = "autopack/"
"""How the contexts of our own statuses begin: they are no evidence about a commit."""


class PullState(StrEnum):
    OPEN = "open"
    CLOSED = "closed"
    MERGED = "merged"


class StatusState(StrEnum):
    """What a commit status says, in GitHub's words."""

    PENDING = "pending"
    SUCCESS = "success"
    FAILURE = "failure"
    ERROR = "error"


@dataclass(frozen=True)
class PullRequestDraft:
    """A pull request to be made: branches without `refs/heads/`, Markdown in `body`."""

    head: str
    base: str
    title: str
    body: str


@dataclass(frozen=True)
class PullRequest:
    """One as the forge has it; `head_sha`: the head's commit, as it is or as it was when closed."""

    number: int
    head: str
    base: str
    title: str
    body: str
    state: PullState
    url: str
    head_sha: str


def text_problem(title: str, body: str) -> str:
    """Why GitHub would not take a title and text; empty when it would. Every forge asks."""
    if not title.strip() or "\n" in title:
        return "a pull request needs a title of one line"
    for what, text, most in (
        ("title", title, TITLE_CHARACTERS_MAX),
        ("text", body, BODY_CHARACTERS_MAX),
    ):
        if len(text) > most:
            return f"its {what} has {len(text):,} characters, more than {most:,}"
    return ""


class Forge(Protocol):
    """One repository's pull requests and statuses. ForgeRefused and ForgeAway tell of trouble."""

    @property
    def name(self) -> str:
        """Which forge and repository, for people."""
        ...

    def check(self) -> str:
        """Whether it would serve us: a sentence of who and where. Changes nothing."""
        ...

    def find(self, head: str, marker: str) -> tuple[PullRequest, ...]:
        """Pull requests in every state from that branch, or with the marker in the text.

        Oldest first. An empty marker finds by the branch alone.
        """
        ...

    def create(self, draft: PullRequestDraft) -> PullRequest:
        """Open a pull request; the open one from that head to that base when there is one."""
        ...

    def update(self, number: int, title: str, body: str) -> PullRequest:
        """Give a pull request title and text; ForgeRefused when there is none of that number."""
        ...

    def open_marked(self, marker_prefix: str) -> tuple[PullRequest, ...]:
        """Open pull requests whose text has a marker that begins so, oldest first."""
        ...

    def set_status(
        self, commit: str, context: str, state: StatusState, description: str, url: str = ""
    ) -> None:
        """Say something of a commit under a context, the last word of which counts."""
        ...

    def stands(self, branch: str) -> str:
        """The commit that a branch stands at there; empty when there is none."""
        ...

    def push(self, branch: str, commit: str, expected: str, cancel: Cancel | None = None) -> str:
        """Move a branch there from `expected` (empty: new) to a commit; why not, empty when done.

        A branch that is there already is done. Never over what somebody else wrote.
        """
        ...


class CheckState(StrEnum):
    """Where a check of a commit stands; only GREEN is proof of anything."""

    WAITING = "waiting"
    RUNNING = "running"
    GREEN = "green"
    NEUTRAL = "neutral"
    """It ran and says nothing, or was skipped."""
    RED = "red"
    STOPPED = "stopped"
    """Cancelled, out of date, waiting for a person, or broken by its machine."""


@dataclass(frozen=True)
class ForgeCheck:
    """One check of a commit, as the forge tells it: texts are other people's."""

    name: str
    state: CheckState
    said: str = ""
    url: str = ""


@runtime_checkable
class Tester(Protocol):
    """A forge that tests what is pushed to it."""

    @property
    def name(self) -> str:
        """Which forge and repository, for people."""
        ...

    def checks(self, commit: str) -> tuple[ForgeCheck, ...]:
        """What is said of exactly this commit, each check once, our own statuses left out."""
        ...

    def stands(self, branch: str) -> str:
        """The commit that a branch stands at there; empty when there is none."""
        ...

    def push(self, branch: str, commit: str, expected: str, cancel: Cancel | None = None) -> str:
        """Move a branch there from `expected` (empty: new); why not, empty when done."""
        ...

    def delete(self, branch: str, expected: str, cancel: Cancel | None = None) -> str:
        """Delete a branch that stands at `expected`; why not, empty when it is gone."""
        ...


class Remote(Protocol):
    """Another repository's branches, over git, each moved only from where it was seen."""

    def stands(self, branch: str) -> str:
        """The commit that a branch stands at; empty when there is none. ForgeAway."""
        ...

    def push(self, branch: str, commit: str, expected: str, cancel: Cancel | None = None) -> str:
        """Move a branch from `expected` (empty: new) to a commit; why not, empty when done."""
        ...

    def delete(self, branch: str, expected: str, cancel: Cancel | None = None) -> str:
        """Delete a branch that stands at `expected`; why not, empty when it is gone."""
        ...

    def root(self, commit: str) -> str:
        """The first commit of the history of one of ours."""
        ...

    def merged(self, branch: str, commit: str) -> bool:
        """Whether the branch there has the commit, as far as this side can see."""
        ...


@dataclass(frozen=True)
class ForgeOptions:
    """What the operator says of the forge; empty: found out.

    `repository`: `owner/name`. `remote`: what is pushed to. `client`: `gh` or `http`.
    """

    repository: str = ""
    api_url: str = "https://api.github.com"
    remote: str = ""
    client: str = ""
    token_file: Path | None = None
    seconds_max: float = 60.0
    wait_seconds_max: float = 300.0


@dataclass(frozen=True)
class ForgeContext:
    """What a factory of `autopack.forges` may use.

    `repository`: the user's own; `runs_root`: where its artefacts are. `remote(url, token)`: a
    repository over git; `origin()`: the address that the user's own came from. `chance()`: a
    number in [0, 1) for waiting.
    """

    repository: Path
    runs_root: Path
    remote: Callable[[str, str], Remote]
    origin: Callable[[], str]
    clock: Clock
    cancel: Cancel
    chance: Callable[[], float]
    environ: Mapping[str, str] = field(default_factory=dict, repr=False)
    options: ForgeOptions = ForgeOptions()
