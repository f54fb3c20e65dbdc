"""GitHub when things go wrong: the double's faults at each call, refusals, hostile answers."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autopack.adapters.forge import read
from autopack.adapters.forge.api import TRIES_MAX, Api
from autopack.adapters.forge.github import GitHubForge, _repository_of, factory
from autopack.adapters.forge.said import NoAnswer, Said, judge
from autopack.adapters.git.remote import GitRemote
from autopack.adapters.git.wrapper import Store
from autopack.app.forge import (
    CheckState,
    ForgeAway,
    ForgeCheck,
    ForgeContext,
    ForgeOptions,
    ForgeRefused,
    PullRequestDraft,
    PullState,
    StatusState,
)
from autopack.core.errors import OperatorFault
from tests.double import shapes
from tests.double.hub import READER, WRITER, CheckRun, Pull, Repo, StatusWord
from tests.double.server import Double, gh_required, serving
from tests.forges import HEAD, NAME, Ground, Patience, github_forge, ground
from tests.repos import git, user_repository

DRAFT = PullRequestDraft(HEAD, "main", "a run", "<!-- autopack:r1 -->")
FAULTS = ["lost", "dropped", "cut", "garbage", "500", "502", "limit", "secondary", "429"]


@dataclass
class Place:
    """A forge at a double, and who waits for it."""

    double: Double
    ground: Ground
    repo: Repo
    forge: GitHubForge
    patience: Patience

    def as_(self, token: str) -> GitHubForge:
        return github_forge(self.ground, self.double, "http", token)[0]


@pytest.fixture
def it(tmp_path: Path) -> Iterator[Place]:
    with serving(tmp_path / "hub") as double:
        place = ground(tmp_path)
        repo = double.hub.add(NAME, place.user)
        forge, patience = github_forge(place, double, "http")
        yield Place(double, place, repo, forge, patience)


@pytest.mark.parametrize("kind", FAULTS)
def test_whatever_is_lost_there_is_one_pull_request_and_its_last_text(it: Place, kind: str) -> None:
    hub, tip = it.double.hub, it.ground.tip
    hub.fail(kind, "GET", "/pulls")
    assert it.forge.find(HEAD, "autopack:r1") == ()
    hub.fail(kind, "POST", "/pulls")
    made = it.forge.create(DRAFT)
    assert list(it.repo.pulls) == [made.number]
    hub.fail(kind, "PATCH", f"/pulls/{made.number}")
    it.forge.update(made.number, "changed", DRAFT.body)
    (found,) = it.forge.find(HEAD, "autopack:r1")
    assert (found.title, found.state) == ("changed", PullState.OPEN)
    hub.fail(kind, "POST", "/statuses/")
    it.forge.set_status(tip, "autopack/ci", StatusState.SUCCESS, "green")
    it.forge.set_status(tip, "autopack/ci", StatusState.SUCCESS, "green")
    words = [(word.context, word.state) for word in it.repo.words[tip]]
    assert set(words) == {("autopack/ci", "success")}
    assert not any(fault.times for fault in hub.faults)
    assert sum(it.patience.waited) < 4 * 120


@pytest.mark.parametrize("listing", ["lost", "500", "cut"])
@pytest.mark.parametrize("kind", ["lost", "cut"])
def test_made_and_not_told_it_is_found_also_when_looking_fails(
    it: Place, kind: str, listing: str
) -> None:
    it.double.hub.fail(kind, "POST", "/pulls")
    it.double.hub.fail(listing, "GET", "/pulls", times=2)
    it.forge.create(DRAFT)
    assert len(it.repo.pulls) == 1
    assert it.double.hub.made("POST", "/pulls") == 1


def test_one_that_stays_away_is_given_up_in_time(it: Place) -> None:
    it.double.hub.fail("500", "POST", "/pulls", times=99)
    with pytest.raises(ForgeAway, match="HTTP 500"):
        it.forge.create(DRAFT)
    it.double.hub.fail("dropped", "GET", "/pulls", times=99)
    with pytest.raises(ForgeAway):
        it.forge.find(HEAD, "")
    assert it.double.hub.made("GET", "state=all") == TRIES_MAX
    assert sum(it.patience.waited) < 60


def test_a_limit_that_lasts_is_told_with_its_end(it: Place) -> None:
    it.double.hub.fail("limit", "GET", "/pulls", seconds=3000)
    with pytest.raises(ForgeAway) as caught:
        it.forge.find(HEAD, "")
    assert caught.value.retry_after == pytest.approx(3000, abs=30)
    assert it.patience.waited == []
    it.double.hub.fail("secondary", "GET", "/pulls", seconds=200)
    assert it.forge.find(HEAD, "") == ()
    assert it.patience.waited == [200]


def test_told_to_end_it_waits_no_more(it: Place) -> None:
    it.patience.told_to_end = True
    with pytest.raises(ForgeAway):
        it.forge.find(HEAD, "")


@pytest.mark.parametrize(
    ("token", "told"), [("ghp_nobody", "401"), (READER, "403"), ("", "no token")]
)
def test_a_token_that_may_not_is_refused_and_never_shown(it: Place, token: str, told: str) -> None:
    forge = it.as_(token)
    with pytest.raises(ForgeRefused, match=told) as caught:
        forge.create(DRAFT)
    assert not it.repo.pulls
    shown = str(caught.value) + repr(forge)
    assert "ghp_" not in shown


def test_the_check_tells_a_right_that_is_missing(it: Place) -> None:
    assert NAME in it.forge.check()
    with pytest.raises(ForgeRefused, match="not push"):
        it.as_(READER).check()


def test_a_repository_that_is_not_there_or_moved_is_refused(it: Place) -> None:
    other = replace(it.forge, repository="owner/other")
    with pytest.raises(ForgeRefused, match="404"):
        other.check()
    it.double.hub.fail("elsewhere", "GET", "/repos")
    with pytest.raises(ForgeRefused, match=r"elsewhere\.example"):
        it.forge.check()


def test_a_pull_request_from_a_fork_is_nobodys_of_ours(it: Place) -> None:
    tip, base = it.ground.tip, it.ground.base
    it.repo.pulls[1] = Pull(1, "evil", HEAD, "main", "mine", DRAFT.body, tip, base)
    assert it.forge.find(HEAD, "autopack:r1") == ()
    assert it.forge.open_marked("<!-- autopack") == ()
    assert it.forge.create(DRAFT).number == 2


def test_many_pages_are_read(it: Place) -> None:
    tip, base = it.ground.tip, it.ground.base
    for number in range(1, 250):
        head = HEAD if number == 7 else f"other-{number}"
        state = "open" if number % 2 else "closed"
        it.repo.pulls[number] = Pull(
            number, "owner", head, "main", "one", DRAFT.body, tip, base, state=state
        )
    it.ground.user = it.repo.folder
    for number in range(1, 250, 2):
        it.ground.git("update-ref", f"refs/heads/other-{number}", tip)
    assert len(it.forge.find(HEAD, "autopack:r1")) == 249
    assert [pull.number for pull in it.forge.find(HEAD, "")] == [7]
    assert len(it.forge.open_marked("<!-- autopack")) == 125


def test_what_is_said_of_a_commit_is_read_whole_and_without_our_own_words(it: Place) -> None:
    tip = it.ground.tip
    it.repo.runs[tip] = [[CheckRun(f"c{n}") for n in range(101)]]
    it.repo.words[tip] = [
        StatusWord(1, "outside/ci", "success", "was green", ""),
        StatusWord(2, "autopack/gate", "success", "ours", ""),
        StatusWord(3, "outside/ci", "failure", "is \x1b[31mred", "https://ci.example/3"),
    ]
    found = it.forge.checks(tip)
    assert len(found) == 102
    assert found[-1] == ForgeCheck(
        "outside/ci", CheckState.RED, "is [31mred", "https://ci.example/3"
    )


@pytest.mark.parametrize(
    ("status", "conclusion", "state"),
    [
        ("queued", "", CheckState.WAITING),
        ("in_progress", "", CheckState.RUNNING),
        ("completed", "success", CheckState.GREEN),
        ("completed", "failure", CheckState.RED),
        ("completed", "timed_out", CheckState.RED),
        ("completed", "neutral", CheckState.NEUTRAL),
        ("completed", "skipped", CheckState.NEUTRAL),
        ("completed", "cancelled", CheckState.STOPPED),
        ("completed", "action_required", CheckState.STOPPED),
    ],
)
def test_a_check_is_green_by_one_word_only(
    it: Place, status: str, conclusion: str, state: CheckState
) -> None:
    it.repo.runs[it.ground.tip] = [[CheckRun("tests", status, conclusion)]]
    (found,) = it.forge.checks(it.ground.tip)
    assert found.state is state


@pytest.mark.parametrize("place", ["check-runs", "/status"])
def test_what_is_said_of_another_commit_is_not_taken(it: Place, place: str) -> None:
    it.repo.runs[it.ground.tip] = [[CheckRun("tests")]]
    it.double.hub.fail("other-sha", "GET", place)
    assert [check.name for check in it.forge.checks(it.ground.tip)] == ["tests"]
    it.double.hub.fail("other-sha", "GET", place, times=99)
    with pytest.raises(ForgeAway, match="another commit"):
        it.forge.checks(it.ground.tip)


# --- git over HTTP ----------------------------------------------------------------------------------


def test_a_push_whose_answer_is_lost_has_been_done(it: Place) -> None:
    it.double.hub.fail("lost", "POST", "git-receive-pack")
    assert it.forge.push("autonomous/r9", it.ground.tip, "") == ""
    assert it.repo.at("autonomous/r9") == it.ground.tip
    it.double.hub.fail("lost", "POST", "git-receive-pack")
    assert it.forge.delete("autonomous/r9", it.ground.tip) == ""
    assert it.repo.at("autonomous/r9") == ""
    assert it.forge.delete("autonomous/r9", it.ground.tip) == ""


def test_a_branch_that_somebody_moved_is_not_deleted(it: Place) -> None:
    assert it.forge.push("autonomous/r9", it.ground.base, "") == ""
    assert it.ground.base in it.forge.delete("autonomous/r9", it.ground.tip)
    assert it.repo.at("autonomous/r9") == it.ground.base


@pytest.mark.parametrize("service", ["git-upload-pack", "git-receive-pack"])
def test_a_server_that_fails_is_away(it: Place, service: str) -> None:
    it.double.hub.fail("500", "GET", service, times=9)
    with pytest.raises(ForgeAway):
        it.forge.push("autonomous/r9", it.ground.tip, "")
    assert it.repo.at("autonomous/r9") == ""


@pytest.mark.parametrize("token", ["ghp_nobody", READER])
def test_who_may_not_push_is_refused(it: Place, token: str) -> None:
    with pytest.raises(ForgeRefused) as caught:
        it.as_(token).push("autonomous/r9", it.ground.tip, "")
    assert "ghp_" not in str(caught.value)


def test_a_token_never_goes_where_a_server_points_to(it: Place, tmp_path: Path) -> None:
    with serving(tmp_path / "other") as other:
        other.hub.add(NAME, it.ground.user)
        it.double.send_away(other.url)
        with pytest.raises((ForgeAway, ForgeRefused)):
            it.forge.stands(HEAD)
        with pytest.raises(ForgeRefused, match="moved"):
            it.forge.check()
        assert other.hub.requests == []


# --- gh ---------------------------------------------------------------------------------------------


def test_gh_without_a_login_is_told(it: Place) -> None:
    gh_required()
    forge, _ = github_forge(it.ground, it.double, "gh", "")
    with pytest.raises(ForgeRefused, match="gh auth login"):
        forge.check()


@pytest.mark.parametrize("kind", ["lost", "500", "limit"])
def test_the_real_gh_with_faults_makes_one(it: Place, kind: str) -> None:
    gh_required()
    forge, _ = github_forge(it.ground, it.double, "gh")
    it.double.hub.fail(kind, "POST", "/pulls")
    made = forge.create(DRAFT)
    assert list(it.repo.pulls) == [made.number]
    assert forge.push("autonomous/r9", it.ground.tip, "") == ""
    with pytest.raises(ForgeRefused, match="422"):
        forge.create(replace(DRAFT, head="main"))


def test_no_gh_at_all_is_told(it: Place, tmp_path: Path) -> None:
    forge, _ = github_forge(it.ground, it.double, "gh")
    transport = forge.api.transport
    empty = replace(transport, environ={"PATH": str(tmp_path)})  # type: ignore[type-var]  # a dataclass
    with pytest.raises(ForgeRefused, match="gh is not there"):
        replace(forge, api=replace(forge.api, transport=empty)).check()


# --- answers that nobody should send --------------------------------------------------------------------


@dataclass
class Scripted:
    """A transport that says what it is told to."""

    said: list[Said | NoAnswer]
    where: str = "there"
    asked: int = 0

    def ask(self, method: str, path: str, body: bytes) -> Said:
        self.asked += 1
        now = self.said.pop(0) if len(self.said) > 1 else self.said[0]
        if isinstance(now, NoAnswer):
            raise now
        return now

    def token(self) -> str:
        return ""


def forge_that_hears(*values: object) -> GitHubForge:
    said: list[Said | NoAnswer] = [Said(200, {}, json.dumps(each).encode()) for each in values]
    patience = Patience()
    api = Api(Scripted(said), patience.clock, patience, lambda: 0.0, 300.0)
    return GitHubForge(api, NAME, lambda: pytest.fail("nothing is pushed"))


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@given(JSON)
def test_no_json_breaks_the_reading(value: object) -> None:
    readers: list[Callable[[], object]] = [
        lambda: read.pull_request(value, NAME),
        lambda: read.may_push(value),
        lambda: read.last_words(value),
        lambda: read.check_runs(value, "0" * 40),
        lambda: read.statuses(value, "0" * 40),
    ]
    for each in readers:
        try:
            each()
        except NoAnswer:
            continue


PULL = shapes.pull(
    Repo(NAME, Path()), Pull(1, "owner", HEAD, "main", "t", "b", "a" * 40, "b" * 40), full=True
)


@given(st.sampled_from(sorted(PULL)), JSON)
def test_a_pull_request_with_any_part_replaced_is_whole_or_none(key: str, value: object) -> None:
    try:
        found = read.pull_request({**PULL, key: value}, NAME)
    except NoAnswer:
        return
    assert found is None or (found.head_sha and found.state in PullState)


@pytest.mark.parametrize(
    "value",
    [{}, [], None, "text", [{"number": 1}], {**PULL, "number": 0}],
    ids=["object", "list", "null", "text", "in_a_list", "number_0"],
)
def test_an_answer_that_makes_no_sense_is_none(value: object) -> None:
    with pytest.raises(ForgeAway):
        forge_that_hears(value).create(DRAFT)
    if value != []:  # which is an honest answer of this one
        with pytest.raises(ForgeAway):
            forge_that_hears(value).find(HEAD, "")


def test_an_endless_listing_has_an_end() -> None:
    page = [{**PULL, "number": number, "state": "open"} for number in range(1, 101)]
    with pytest.raises(ForgeAway, match="more than"):
        forge_that_hears(page).open_marked("x")


@pytest.mark.parametrize(
    ("status", "headers", "seconds"),
    [
        (429, {"retry-after": "7"}, 7),
        (403, {"retry-after": "7"}, 7),
        (403, {"retry-after": "9" * 12}, 86_400),
        (403, {"x-ratelimit-remaining": "0", "x-ratelimit-reset": "1010"}, 10),
        (403, {"x-ratelimit-remaining": "0", "x-ratelimit-reset": "900"}, 0),
        (429, {}, 60),
        (429, {"retry-after": "soon"}, 60),
        (
            403,
            {
                "x-ratelimit-remaining": "0",
                "x-ratelimit-reset": "1767225630",
                "date": "Thu, 01 Jan 2026 00:00:00 GMT",
            },
            30,
        ),
    ],
)
def test_how_long_to_stay_away(status: int, headers: dict[str, str], seconds: float) -> None:
    with pytest.raises(ForgeAway) as caught:
        judge(Said(status, headers, b"{}"), "it", 1000)
    assert caught.value.retry_after == seconds


def test_what_a_server_says_drives_no_terminal() -> None:
    content = json.dumps({"message": "no\x1b[2J\nway" * 500, "errors": [{"code": "\u202e"}]})
    with pytest.raises(ForgeRefused) as caught:
        judge(Said(418, {}, content.encode()), "it", 0)
    assert "\x1b" not in caught.value.what
    assert "\n" not in caught.value.what
    assert len(caught.value.what) < 400


# --- where it is ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("https://github.com/owner/name.git", "owner/name"),
        ("https://somebody@github.com/owner/name", "owner/name"),
        ("git@github.com:owner/name.git", "owner/name"),
        ("ssh://git@github.com:22/owner/name.js.git", "owner/name.js"),
        ("https://elsewhere.example/owner/name.git", ""),
        ("https://github.com.evil.example/owner/name.git", ""),
        ("https://github.com/owner", ""),
        ("/a/folder/name.git", ""),
        ("", ""),
    ],
)
def test_the_repository_of_an_address(url: str, name: str) -> None:
    assert _repository_of(url, "github.com") == name


def test_a_repository_that_came_from_nowhere_is_told(it: Place) -> None:
    with pytest.raises(OperatorFault, match="did not come from"):
        github_forge(it.ground, it.double, "http", WRITER, name="")


# --- where code and tokens go --------------------------------------------------------------------


def told(
    environ: dict[str, str], origin: str, **options: str
) -> tuple[GitHubForge, str, dict[str, str]]:
    """The forge of a repository from there, the address it pushes to, and git's variables."""
    patience = Patience()
    context = ForgeContext(
        repository=Path("/project"), runs_root=Path("/project"), origin=lambda: origin,
        remote=lambda url, token: GitRemote(_no_store, url, token), clock=patience.clock,
        cancel=patience, chance=lambda: 0.0, environ=environ,
        options=ForgeOptions(**options),  # type: ignore[arg-type]  # a test's own words
    )  # fmt: skip
    forge = factory(context)
    remote = forge.remote()
    assert isinstance(remote, GitRemote)
    return forge, remote.url, remote._credential()[1]


def _no_store() -> Store:
    raise AssertionError("nothing is asked of git")


def test_the_token_of_github_goes_to_no_other_server() -> None:
    enterprise = {"api_url": "https://ghe.corp/api/v3", "client": "http"}
    origin = "https://ghe.corp/o/n.git"
    forge, _, given = told({"GITHUB_TOKEN": "ghp_x", "GH_TOKEN": "ghp_x"}, origin, **enterprise)
    assert (forge.api.transport.token(), given) == ("", {})
    with pytest.raises(ForgeRefused, match="GH_ENTERPRISE_TOKEN"):
        forge.check()
    forge, _, given = told({"GH_ENTERPRISE_TOKEN": "ghp_own"}, origin, **enterprise)
    assert forge.api.transport.token() == "ghp_own"
    assert given["GIT_CONFIG_KEY_0"] == "http.https://ghe.corp/o/n.git.extraHeader"


def test_a_push_to_another_host_has_no_token() -> None:
    environ, origin = {"GITHUB_TOKEN": "ghp_x"}, "https://github.com/me/private"
    assert told(environ, origin)[2]["GIT_CONFIG_COUNT"] == "1"
    _, url, given = told(environ, origin, remote="https://elsewhere.example/n.git")
    assert (url, given) == ("https://elsewhere.example/n.git", {})


@pytest.mark.parametrize(
    "origin",
    [
        "git@github.com:me/private.git",
        "https://github.com/me/private",
        "ssh://git@ssh.github.com:443/me/private.git",
    ],
)
def test_a_repository_of_github_is_never_promoted_into_another(origin: str) -> None:
    with pytest.raises(OperatorFault, match="came from me/private"):
        told({"GITHUB_TOKEN": "ghp_x"}, origin, repository="other/public")
    forge, url, _ = told({"GITHUB_TOKEN": "ghp_x"}, origin, repository="Me/Private")
    assert (forge.repository.lower(), "/private" in url.lower()) == ("me/private", True)


def test_a_repository_from_elsewhere_is_named() -> None:
    forge, url, _ = told({"GITHUB_TOKEN": "ghp_x"}, "/srv/n.git", repository="o/n")
    assert (forge.repository, url) == ("o/n", "https://github.com/o/n.git")


@pytest.mark.parametrize("empty", [False, True])
def test_a_repository_of_another_history_is_given_no_code(
    it: Place, tmp_path: Path, empty: bool
) -> None:
    """`[forge] repository` is one for all of a user's repositories."""
    user_repository(tmp_path / "public", {"theirs": "x\n"})
    other = it.double.hub.add("other/public", tmp_path / "public")
    if empty:
        git(other.folder, "update-ref", "-d", "refs/heads/main")
    remote = it.double.remote("other/public")
    forge, _ = github_forge(it.ground, it.double, "http", name="other/public", remote=remote)
    assert "another repository" in forge.push(HEAD, it.ground.tip, "")
    assert (other.pushed, other.at(HEAD)) == ([], "")
    assert it.forge.push("a-new-one", it.ground.tip, "") == ""


def test_a_token_that_may_not_look_is_no_other_history(it: Place) -> None:
    with pytest.raises(ForgeRefused, match="401"):
        it.as_("ghp_nobody").push("a-new-one", it.ground.tip, "")
