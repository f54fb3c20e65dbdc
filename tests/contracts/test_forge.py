"""The Forge port: what holds for the fake, for files and for GitHub's double, however it is asked."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from autopack.adapters.files.pull_requests import LocalForge
from autopack.app.forge import (
    BODY_CHARACTERS_MAX,
    TITLE_CHARACTERS_MAX,
    Forge,
    ForgeRefused,
    PullRequestDraft,
    PullState,
    StatusState,
)
from autopack.testing import MemoryForge
from tests.double.server import Double, gh_required, serving
from tests.forges import HEAD, NAME, Ground, github_forge, ground, statuses_of

BODY = '<!-- autopack:r1 -->\n\n| a | b |\n| - | - |\n---\nlines: \\ "\n'
DRAFT = PullRequestDraft(HEAD, "main", "autopack: r1", BODY)
GONE = "autonomous/gone"


@dataclass
class World:
    """A forge, and what others do to its repository."""

    forge: Forge
    ground: Ground
    commit: Callable[[str], str]
    """Adds a commit to a branch; the commit."""
    close: Callable[[int], None]
    merge: Callable[[int], object]
    status: Callable[[str, str], str]
    """State and description of a context's last word on a commit, apart by a blank."""


def memory_world(tmp_path: Path) -> World:
    place = ground(tmp_path)
    forge = MemoryForge({"main": place.base, HEAD: place.tip})

    def commit(branch: str) -> str:
        forge.branches[branch] = place.commit(branch)
        return forge.branches[branch]

    def status(at: str, context: str) -> str:
        said = forge.statuses[at, context]
        return f"{said.state} {said.description}"

    return World(
        forge, place, commit, lambda number: forge.end(number, PullState.CLOSED),
        lambda number: forge.end(number, PullState.MERGED), status,
    )  # fmt: skip


def local_world(tmp_path: Path) -> World:
    place = ground(tmp_path)
    runs = place.user / ".autonomous_runs"
    forge = LocalForge(place.user, runs, place.remote(str(place.user)))

    def close(number: int) -> None:
        (file,) = (runs / "pull_requests").glob(f"{number}-*.md")
        file.write_text(file.read_text().replace('state: "open"', "state: closed"))

    def merge(number: int) -> None:
        place.git("merge", "-q", "--no-edit", HEAD)

    return World(forge, place, place.commit, close, merge, lambda at, c: statuses_of(runs, at, c))


def github_world(tmp_path: Path, double: Double, client: str) -> World:
    place = ground(tmp_path)
    repo = double.hub.add(NAME, place.user)
    place.user = repo.folder
    forge, _ = github_forge(place, double, client)

    def close(number: int) -> None:
        repo.pulls[number].state = "closed"

    def status(at: str, context: str) -> str:
        said = next(word for word in reversed(repo.words[at]) if word.context == context)
        return f"{said.state} {said.description}"

    return World(forge, place, place.commit, close, repo.merge, status)


@pytest.fixture(params=["memory", "files", "http", "gh"])
def it(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[World]:
    if request.param in ("http", "gh"):
        if request.param == "gh":
            gh_required()
        with serving(tmp_path / "hub") as double:
            yield github_world(tmp_path, double, request.param)
    else:
        yield {"memory": memory_world, "files": local_world}[request.param](tmp_path)


def test_one_is_opened_found_and_brought_up_to_date(it: World) -> None:
    assert it.forge.find(HEAD, "autopack:r1") == ()
    made = it.forge.create(DRAFT)
    assert (made.head, made.base, made.title, made.body) == (HEAD, "main", DRAFT.title, BODY)
    assert (made.state, made.head_sha) == (PullState.OPEN, it.ground.tip)
    assert it.forge.find(HEAD, "") == (made,)
    assert it.forge.find(GONE, "autopack:r1") == (made,)
    assert it.forge.find(GONE, "") == it.forge.find(GONE, "autopack:r2") == ()
    changed = it.forge.update(made.number, "another title", "another text")
    assert changed == replace(made, title="another title", body="another text")
    assert it.forge.find(HEAD, "") == (changed,)
    tip = it.commit(HEAD)
    assert it.forge.find(HEAD, "") == (replace(changed, head_sha=tip),)


def test_a_second_one_of_the_same_branches_is_the_first(it: World) -> None:
    made = it.forge.create(DRAFT)
    assert it.forge.create(replace(DRAFT, title="again", body="again")) == made
    assert it.forge.find(HEAD, "") == (made,)


@pytest.mark.parametrize("end", ["close", "merge"])
def test_one_that_somebody_ended_is_found_in_its_state(it: World, end: str) -> None:
    made = it.forge.create(DRAFT)
    assert it.forge.open_marked("<!-- autopack:") == (made,)
    getattr(it, end)(made.number)
    state = PullState.CLOSED if end == "close" else PullState.MERGED
    assert it.forge.find(HEAD, "") == (replace(made, state=state),)
    assert it.forge.open_marked("<!-- autopack:") == ()


def test_the_open_ones_are_counted_by_their_marker(it: World) -> None:
    it.commit("autonomous/r2")
    first = it.forge.create(DRAFT)
    second = it.forge.create(replace(DRAFT, head="autonomous/r2"))
    assert it.forge.open_marked("<!-- autopack:") == (first, second)
    assert it.forge.open_marked("<!-- autopack:r1") == (first, second)
    assert it.forge.open_marked("<!-- other:") == ()
    assert second.number > first.number


@pytest.mark.parametrize(
    "changes",
    [
        {"head": GONE},
        {"base": GONE},
        {"head": "main"},
        {"title": " "},
        {"title": "x" * (TITLE_CHARACTERS_MAX + 1)},
        {"title": "two\nlines"},
        {"body": "x" * (BODY_CHARACTERS_MAX + 1)},
    ],
)
def test_one_that_cannot_be_is_refused(it: World, changes: dict[str, str]) -> None:
    with pytest.raises(ForgeRefused):
        it.forge.create(replace(DRAFT, **changes))
    assert it.forge.find(HEAD, "autopack:") == ()


def test_there_is_nothing_to_change_where_there_is_none(it: World) -> None:
    with pytest.raises(ForgeRefused):
        it.forge.update(7, "title", "text")


def test_the_last_word_on_a_commit_counts(it: World) -> None:
    tip = it.ground.tip
    it.forge.set_status(tip, "autopack/gate", StatusState.PENDING, "at work")
    it.forge.set_status(tip, "autopack/ci", StatusState.FAILURE, "red", "https://ci.example/1")
    it.forge.set_status(tip, "autopack/gate", StatusState.SUCCESS, "x" * 500)
    it.forge.set_status(tip, "autopack/gate", StatusState.SUCCESS, "x" * 500)
    assert it.status(tip, "autopack/gate") == "success " + "x" * 140
    assert it.status(tip, "autopack/ci") == "failure red"


def test_a_branch_is_pushed_from_where_it_was_seen_and_never_elsewhere(it: World) -> None:
    name, tip, base = "autonomous/r3", it.ground.tip, it.ground.base
    assert it.forge.stands(name) == ""
    assert it.forge.push(name, base, "") == ""
    assert it.forge.stands(name) == base
    assert it.forge.push(name, base, "") == ""  # an answer may have been lost
    assert it.forge.push(name, tip, base) == ""
    foreign = it.commit(name)
    assert it.forge.push(name, base, tip) != ""
    assert it.forge.push(name, tip, "") != ""
    assert it.forge.stands(name) == foreign


def test_it_says_who_and_where(it: World) -> None:
    assert it.forge.check()
    assert it.forge.name
