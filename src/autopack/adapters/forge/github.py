"""GitHub: pull requests, statuses and checks of one repository over its REST API.

Only branches of the repository itself count: anybody may open a pull request from a fork, with any
text. Never merges, closes or comments.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Final
from urllib.parse import quote, urlsplit

from autopack.adapters.forge import read
from autopack.adapters.forge.api import Api
from autopack.adapters.forge.gh import GhTransport
from autopack.adapters.forge.http import HttpTransport, Token
from autopack.adapters.forge.said import Invalid, Missing, NoAnswer, Transport
from autopack.app.forge import (
    DESCRIPTION_CHARACTERS_MAX,
    ForgeAway,
    ForgeCheck,
    ForgeContext,
    ForgeRefused,
    PullRequest,
    PullRequestDraft,
    Remote,
    StatusState,
    text_problem,
)
from autopack.app.ports import Cancel
from autopack.core.errors import OperatorFault
from autopack.core.words import visible

HEAD_PAGES_MAX: Final = 5
MARKED_PAGES_MAX: Final = 3
"""A marker is looked for in the newest 300 pull requests."""
OPEN_PAGES_MAX: Final = 20
CHECK_PAGES_MAX: Final = 10
CREATIONS_MAX: Final = 4
"""Times that one is created of which nothing is found afterwards."""
EXISTS: Final = "already exists"
"""In GitHub's words for a second pull request of the same branches."""
PUBLIC: Final = "api.github.com"
ENTERPRISE: Final = ("GH_ENTERPRISE_TOKEN", "GITHUB_ENTERPRISE_TOKEN")
"""Where gh, too, looks for another server's token; that in GITHUB_TOKEN is for GitHub alone."""
HERE: Final = ("127.0.0.1", "::1", "localhost")
_ORIGIN: Final = re.compile(
    r"(?:https?://(?:[^/@]*@)?|ssh://(?:[^/@]*@)?|(?:[^/@:]*@)?)(?P<host>[A-Za-z0-9.-]+)(?::\d+)?"
    r"[:/]/?(?P<name>[^/:]+/[^/:]+?)(?:\.git)?/?"
)


@dataclass(frozen=True)
class GitHubForge:
    """Implements Forge and Tester for `repository` (`owner/name`); `remote` opens its branches."""

    api: Api
    repository: str
    remote: Callable[[], Remote]

    @property
    def name(self) -> str:
        """The repository and where it is asked for."""
        return f"{self.repository} on {self.api.transport.where}"

    def check(self) -> str:
        """See that the repository is there and ours to push to."""

        def rights(value: object) -> tuple[str, bool | None]:
            return read.full_name(value), read.may_push(value)

        found, push = self.api.get(self._path(), rights)
        if push is False:
            what = f"{self.name}: the token may read it, but not push to it"
            raise ForgeRefused(what, "give one with the right to write contents and pull requests")
        if found.lower() != self.repository.lower():
            raise ForgeRefused(f"{self.name}: it is {visible(found)} now", "name it so")
        return f"pull requests go to {self.name}"

    def find(self, head: str, marker: str) -> tuple[PullRequest, ...]:
        """Pull requests from a branch, or among the newest with the marker, oldest first."""
        owner = self.repository.partition("/")[0]
        query = f"state=all&head={quote(f'{owner}:{head}', safe='')}"
        found = [
            pull for pull in self._pulls(query, HEAD_PAGES_MAX, whole=True) if pull.head == head
        ]
        if marker:
            newest = self._pulls("state=all&sort=created&direction=desc", MARKED_PAGES_MAX)
            found += [pull for pull in newest if marker in pull.body]
        return _once(found)

    def open_marked(self, marker_prefix: str) -> tuple[PullRequest, ...]:
        """Open pull requests with a marker that begins so, oldest first."""
        found = self._pulls("state=open", OPEN_PAGES_MAX, whole=True)
        return _once(pull for pull in found if marker_prefix in pull.body)

    def create(self, draft: PullRequestDraft) -> PullRequest:
        """Open a pull request; the open one of these branches when there is one.

        After an answer that did not come it is looked for before it is asked for again.
        """
        _check(draft.title, draft.body)
        value = {
            "title": draft.title, "body": draft.body, "head": draft.head, "base": draft.base,
        }  # fmt: skip

        def made(said: object) -> PullRequest:
            pull = read.pull_request(said, self.repository)
            if pull is None or (pull.head, pull.base) != (draft.head, draft.base):
                raise NoAnswer("a pull request of other branches")
            return pull

        last: Invalid | NoAnswer = NoAnswer("it was not asked for")
        for number in range(CREATIONS_MAX):
            try:
                return self.api.once(self._path("/pulls"), value, made)
            except Invalid as fault:
                last = fault
            except NoAnswer as fault:
                last = fault
            if (there := self._open(draft)) is not None:
                return there
            if isinstance(last, Invalid) and EXISTS not in last.what:
                raise last
            self.api.pause(number, self.name)  # it is made, and not yet listed; or the forge fails
        raise ForgeAway(f"{self.name}: no pull request was made: {last}")

    def update(self, number: int, title: str, body: str) -> PullRequest:
        """Give a pull request title and text."""
        _check(title, body)

        def changed(said: object) -> PullRequest:
            pull = read.pull_request(said, self.repository)
            if pull is None or pull.number != number:
                raise NoAnswer("another pull request than the one that was changed")
            return pull

        value = {"title": title, "body": body}
        return self.api.change("PATCH", self._path(f"/pulls/{number}"), value, changed)

    def set_status(
        self, commit: str, context: str, state: StatusState, description: str, url: str = ""
    ) -> None:
        """Say something of a commit, unless it is the last word already."""
        said = visible(description)[:DESCRIPTION_CHARACTERS_MAX]
        place = self._path(f"/commits/{_commit(commit)}/statuses")
        words = self.api.pages(place, CHECK_PAGES_MAX, read.last_words, whole=False)
        last = next((word for word in words if word[0] == context), None)
        if last == (context, state.value, said):
            return
        value = {"state": state.value, "context": context, "description": said}
        if url:
            value["target_url"] = url
        path = self._path(f"/statuses/{commit}")
        self.api.change("POST", path, value, lambda given: read.last_words([given]))

    def checks(self, commit: str) -> tuple[ForgeCheck, ...]:
        """Check runs and statuses of exactly this commit."""
        at = self._path(f"/commits/{_commit(commit)}")
        runs = self.api.pages(
            f"{at}/check-runs?filter=latest", CHECK_PAGES_MAX,
            lambda value: read.check_runs(value, commit), whole=True,
        )  # fmt: skip
        words = self.api.pages(
            f"{at}/status", CHECK_PAGES_MAX, lambda value: read.statuses(value, commit), whole=True
        )
        return (*runs, *(word for word in words if word.name))

    def stands(self, branch: str) -> str:
        """The commit of a branch there; empty when there is none."""
        return self.remote().stands(branch)

    def push(self, branch: str, commit: str, expected: str, cancel: Cancel | None = None) -> str:
        """Move a branch there; why not, empty when it is there.

        A new one only where its history is known: nobody's code goes to a repository of others.
        """
        remote = self.remote()
        if not expected and not self._knows(remote.root(commit)):
            return "it has not even the first commit of this history: it is another repository"
        return remote.push(branch, commit, expected, cancel)

    def delete(self, branch: str, expected: str, cancel: Cancel | None = None) -> str:
        """Delete a branch there; why not, empty when it is gone."""
        return self.remote().delete(branch, expected, cancel)

    def _knows(self, commit: str) -> bool:
        try:
            found = self.api.get(self._path(f"/git/commits/{_commit(commit)}"), read.commit_id)
        except (Missing, Invalid):  # Invalid: it is empty
            return False
        return found == commit

    def _open(self, draft: PullRequestDraft) -> PullRequest | None:
        """The open pull request of these branches."""
        owner = self.repository.partition("/")[0]
        head, base = quote(f"{owner}:{draft.head}", safe=""), quote(draft.base, safe="")
        for pull in self._pulls(f"state=open&head={head}&base={base}", HEAD_PAGES_MAX, whole=True):
            if (pull.head, pull.base) == (draft.head, draft.base):
                return pull
        return None

    def _pulls(self, query: str, pages_max: int, *, whole: bool = False) -> Iterator[PullRequest]:
        def page(value: object) -> list[PullRequest | None]:
            return [read.pull_request(item, self.repository) for item in read.items(value)]

        found = self.api.pages(self._path(f"/pulls?{query}"), pages_max, page, whole=whole)
        return (pull for pull in found if pull is not None)

    def _path(self, rest: str = "") -> str:
        return f"/repos/{self.repository}{rest}"


def factory(context: ForgeContext) -> GitHubForge:
    """The factory of `github`; OperatorFault when no repository can be told."""
    options = context.options
    host = _git_host(options.api_url)
    origin = context.origin()
    named = _repository_of(origin, host)
    repository = options.repository or named
    if named and named.lower() != repository.lower():
        what = f"{context.repository} came from {named}, and `[forge] repository` is {repository}"
        raise OperatorFault(what, "take that key away: it is for those that came from elsewhere")
    if not repository:
        what = f"{context.repository} did not come from {host}, so its pull requests have no place"
        raise OperatorFault(what, 'say which with `[forge] repository = "owner/name"`')
    transport = _transport(context, host)
    url = options.remote
    if not url:
        by_ssh = named and not origin.startswith(("http://", "https://"))
        url = origin if by_ssh else f"https://{host}/{repository}.git"
    api = Api(transport, context.clock, context.cancel, context.chance, options.wait_seconds_max)
    trusted = (urlsplit(url).hostname or "") in {host, *HERE}

    def remote() -> Remote:
        return context.remote(url, transport.token() if trusted else "")

    return GitHubForge(api, repository, remote)


def _transport(context: ForgeContext, host: str) -> Transport:
    options = context.options
    public = host == "github.com" or host.endswith(".ghe.com")
    names = ("GITHUB_TOKEN", "GH_TOKEN") if public else ENTERPRISE
    token = Token(context.environ, names, options.token_file)
    if options.client == "gh" or (not options.client and not token.read()):
        return GhTransport(
            host, token, context.environ, context.repository, context.cancel, options.seconds_max
        )
    return HttpTransport(options.api_url, token, context.clock, context.cancel, options.seconds_max)


def _git_host(api_url: str) -> str:
    """The host of the repositories that an API is about."""
    host = urlsplit(api_url).hostname or ""
    if host == PUBLIC or (host.startswith("api.") and host.endswith(".ghe.com")):
        return host.removeprefix("api.")
    return host


def _repository_of(url: str, host: str) -> str:
    """`owner/name` of an address on that host; empty when it is another's."""
    found = _ORIGIN.fullmatch(url)
    return found["name"] if found and found["host"].lower() in (host, f"ssh.{host}") else ""


def _once(pulls: Iterable[PullRequest]) -> tuple[PullRequest, ...]:
    """Each number once, oldest first."""
    found = {pull.number: pull for pull in pulls}
    return tuple(found[number] for number in sorted(found))


def _check(title: str, body: str) -> None:
    if problem := text_problem(title, body):
        raise ForgeRefused(f"the pull request cannot be: {problem}")


def _commit(commit: str) -> str:
    if not read.COMMIT.fullmatch(commit):
        raise ForgeRefused(f"{commit!r} is no commit")
    return commit
