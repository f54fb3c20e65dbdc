"""What the double answers to each request: GitHub's documented rules, decided on git's word."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs

from tests.double import shapes
from tests.double.hub import BODY_MAX, DESCRIPTION_MAX, TITLE_MAX, Hub, Pull, Repo, StatusWord
from tests.double.shapes import Json, custom, error

STATES = {"error", "failure", "pending", "success"}
INVALID = "Validation Failed"


@dataclass
class Reply:
    status: int
    value: object
    schema: str
    headers: dict[str, str] = field(default_factory=dict)


@dataclass
class Asked:
    method: str
    path: str
    query: dict[str, str]
    body: Json
    right: str
    """`push`, `pull`, or empty for a token that nobody has."""


def refuse(status: int, message: str, *errors: Json | str) -> Reply:
    simple = any(isinstance(each, str) for each in errors)
    schema = "BasicError"
    if status == 422:
        schema = "ValidationErrorSimple" if simple else "ValidationError"
    return Reply(status, error(message, status, *errors), schema)


def asked(hub: Hub, method: str, target: str, authorization: str, body: Json) -> Asked:
    path, _, query = target.partition("?")
    scheme, _, token = authorization.partition(" ")
    right = hub.rights.get(token, "") if scheme.lower() in ("bearer", "token") else ""
    given = {key: values[-1] for key, values in parse_qs(query).items()}
    return Asked(method, path, given, body, right)


def answer(hub: Hub, one: Asked) -> Reply:
    """The answer; what is asked for is done."""
    if not one.right:
        return refuse(401, "Bad credentials")
    found = re.fullmatch(r"/repos/([^/]+/[^/]+)(/.*)?", one.path)
    repo = hub.repos.get(found[1]) if found else None
    if repo is None or found is None:
        return refuse(404, "Not Found")
    rest = found[2] or ""
    for method, pattern, act in ROUTES:
        match = re.fullmatch(pattern, rest)
        if match and method == one.method:
            if method != "GET" and one.right != "push":
                return refuse(403, "Resource not accessible by personal access token")
            repo.look()
            return act(repo, one, *match.groups())
    return refuse(404, "Not Found")


def _repository(repo: Repo, one: Asked) -> Reply:
    push = one.right == "push"
    return Reply(200, shapes.repository(repo, push=push, full=True), "FullRepository")


def _pulls(repo: Repo, one: Asked) -> Reply:
    state, head, base = (one.query.get(key, "") for key in ("state", "head", "base"))
    found = [
        each
        for _, each in sorted(repo.pulls.items(), reverse=one.query.get("direction") != "asc")
        if (state or "open") in ("all", each.state)
        and head in ("", f"{each.owner}:{each.head}")
        and base in ("", each.base)
    ]
    page, headers = paged(one, found)
    value = [shapes.pull(repo, each, full=False) for each in page]
    return Reply(200, value, "list[PullRequestSimple]", headers)


def paged(one: Asked, found: list[Any]) -> tuple[list[Any], dict[str, str]]:
    """A page and its Link header."""
    size = min(max(int(one.query.get("per_page", "30")), 1), 100)
    number = max(int(one.query.get("page", "1")), 1)
    page = found[(number - 1) * size : number * size]
    if number * size >= len(found):
        return page, {}
    link = f'<https://api.github.com{one.path}?per_page={size}&page={number + 1}>; rel="next"'
    return page, {"Link": link}


def _open(repo: Repo, one: Asked) -> Reply:
    owner = repo.full_name.partition("/")[0]
    head = str(one.body.get("head", "")).removeprefix(f"{owner}:")
    base, title = str(one.body.get("base", "")), str(one.body.get("title", ""))
    body = str(one.body.get("body") or "")
    for key, branch in (("head", head), ("base", base)):
        if not repo.at(branch):
            wrong = {"resource": "PullRequest", "field": key, "code": "invalid"}
            return refuse(422, INVALID, wrong)
    if not title:
        wrong = {"resource": "PullRequest", "field": "title", "code": "missing_field"}
        return refuse(422, INVALID, wrong)
    if reply := _too_long(title, body):
        return reply
    for each in repo.pulls.values():
        if (each.owner, each.head, each.base, each.state) == (owner, head, base, "open"):
            told = f"A pull request already exists for {owner}:{head}."
            return refuse(422, INVALID, custom(told))
    if not repo.ahead(repo.at(base), repo.at(head)):
        return refuse(422, INVALID, custom(f"No commits between {base} and {head}"))
    number = len(repo.pulls) + 1
    made = Pull(number, owner, head, base, title, body, repo.at(head), repo.at(base))
    repo.pulls[number] = made
    return Reply(201, shapes.pull(repo, made, full=True), "PullRequest")


def _too_long(title: str, body: str) -> Reply | None:
    for key, text, most in (("title", title, TITLE_MAX), ("body", body, BODY_MAX)):
        if len(text) > most:
            return refuse(422, INVALID, custom(f"{key} is too long (maximum is {most} characters)"))
    return None


def _pull(repo: Repo, _one: Asked, number: str) -> Reply:
    found = repo.pulls.get(int(number))
    if found is None:
        return refuse(404, "Not Found")
    return Reply(200, shapes.pull(repo, found, full=True), "PullRequest")


def _change(repo: Repo, one: Asked, number: str) -> Reply:
    found = repo.pulls.get(int(number))
    if found is None:
        return refuse(404, "Not Found")
    title, body = str(one.body.get("title", found.title)), str(one.body.get("body", found.body))
    if reply := _too_long(title, body):
        return reply
    found.title, found.body = title, body
    return Reply(200, shapes.pull(repo, found, full=True), "PullRequest")


def _merge(repo: Repo, one: Asked, number: str) -> Reply:
    found = repo.pulls.get(int(number))
    if found is None:
        return refuse(404, "Not Found")
    if found.state != "open":
        return refuse(405, "Pull Request is not mergeable")
    if one.body.get("sha", found.head_sha) != found.head_sha:
        return refuse(409, "Head branch was modified. Review and try the merge again.")
    value = {"sha": repo.merge(int(number)), "merged": True, "message": "merged"}
    return Reply(200, value, "PullRequestMergeResult")


def _set_status(repo: Repo, one: Asked, sha: str) -> Reply:
    if not repo.has(sha):
        return refuse(422, f"No commit found for SHA: {sha}")
    state, said = str(one.body.get("state")), str(one.body.get("description") or "")
    if state not in STATES:
        return refuse(422, INVALID, custom("State is not included in the list"))
    if len(said) > DESCRIPTION_MAX:
        return refuse(422, INVALID, custom("description is too long (maximum is 140 characters)"))
    words = repo.words.setdefault(sha, [])
    context, url = str(one.body.get("context", "default")), str(one.body.get("target_url") or "")
    word = StatusWord(len(words) + 1, context, state, said, url)
    words.append(word)
    return Reply(201, shapes.status(repo, sha, word), "Status")


def _statuses(repo: Repo, one: Asked, sha: str) -> Reply:
    if not repo.has(sha):
        return refuse(422, f"No commit found for SHA: {sha}")
    page, headers = paged(one, repo.words.get(sha, [])[::-1])
    value = [shapes.status(repo, sha, word) for word in page]
    return Reply(200, value, "list[Status]", headers)


def _combined(repo: Repo, one: Asked, sha: str) -> Reply:
    if not repo.has(sha):
        return refuse(422, f"No commit found for SHA: {sha}")
    last = {word.context: word for word in repo.words.get(sha, [])}
    states = {word.state for word in last.values()}
    state = "failure" if states & {"error", "failure"} else "pending"
    if states == {"success"}:
        state = "success"
    page, headers = paged(one, list(last.values()))
    words = [shapes.status(repo, sha, word, simple=True) for word in page]
    value = shapes.combined(repo, sha, state, words, len(last))
    return Reply(200, value, "CombinedCommitStatus", headers)


def _check_runs(repo: Repo, one: Asked, sha: str) -> Reply:
    if not repo.has(sha):
        return refuse(422, f"No commit found for SHA: {sha}")
    stages = repo.runs.get(sha, [[]])
    runs = stages.pop(0) if len(stages) > 1 else stages[0]
    page, headers = paged(one, list(enumerate(runs, 1)))
    value = {
        "total_count": len(runs),
        "check_runs": [shapes.check_run(repo, sha, run, number) for number, run in page],
    }
    return Reply(200, value, "ReposOwnerRepoCommitsRefCheckRunsGetResponse200", headers)


def _commit(repo: Repo, _one: Asked, sha: str) -> Reply:
    if not repo.branches():
        return refuse(409, "Git Repository is empty.")
    if not repo.has(sha):
        return refuse(404, "Not Found")
    return Reply(200, shapes.commit(repo, sha), "GitCommit")


SHA = r"([0-9a-f]{40})"
ROUTES: list[tuple[str, str, Callable[..., Reply]]] = [
    ("GET", r"", _repository),
    ("GET", r"/pulls", _pulls),
    ("POST", r"/pulls", _open),
    ("GET", r"/pulls/(\d+)", _pull),
    ("PATCH", r"/pulls/(\d+)", _change),
    ("PUT", r"/pulls/(\d+)/merge", _merge),
    ("POST", rf"/statuses/{SHA}", _set_status),
    ("GET", rf"/git/commits/{SHA}", _commit),
    ("GET", rf"/commits/{SHA}/statuses", _statuses),
    ("GET", rf"/commits/{SHA}/status", _combined),
    ("GET", rf"/commits/{SHA}/check-runs", _check_runs),
]
