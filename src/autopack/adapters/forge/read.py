"""GitHub's JSON into records, each part checked first. NoAnswer for what is not as it must be."""

from __future__ import annotations

import re
from typing import Final

from autopack.adapters.forge.said import NoAnswer
from autopack.app.forge import STATUS_PREFIX, CheckState, ForgeCheck, PullRequest, PullState
from autopack.core.words import plain

COMMIT: Final = re.compile(r"[0-9a-f]{40}(?:[0-9a-f]{24})?")
NAME_CHARACTERS_MAX: Final = 200
SAID_CHARACTERS_MAX: Final = 2_000
_URL: Final = re.compile(r"https?://[\x21-\x7e]{1,2000}")
CONCLUSIONS: Final = {
    "success": CheckState.GREEN,
    "neutral": CheckState.NEUTRAL,
    "skipped": CheckState.NEUTRAL,
    "failure": CheckState.RED,
    "timed_out": CheckState.RED,
    "startup_failure": CheckState.RED,
}
"""What is not among them is STOPPED: cancelled, stale, action_required, and words of tomorrow."""
STATES: Final = {
    "success": CheckState.GREEN,
    "failure": CheckState.RED,
    "pending": CheckState.WAITING,
}


def items(value: object) -> list[object]:
    """The items of a page."""
    if not isinstance(value, list):
        raise NoAnswer("a listing that is none")
    return value


def pull_request(value: object, repository: str) -> PullRequest | None:
    """One from a branch of that repository; None when its branch is another's."""
    table = _table(value, "pull request")
    head, base = _table(table.get("head"), "head"), _table(table.get("base"), "base")
    origin = head.get("repo")
    if not isinstance(origin, dict) or _same(origin.get("full_name"), repository) is False:
        return None
    body, merged = table.get("body"), table.get("merged_at")
    state = _text(table, "state")
    if state not in ("open", "closed") or not (body is None or isinstance(body, str)):
        raise NoAnswer("a pull request in no state, or without a text")
    ended = PullState.MERGED if merged else PullState.CLOSED
    return PullRequest(
        _number(table, "number"), _text(head, "ref"), _text(base, "ref"), _text(table, "title"),
        body or "", PullState.OPEN if state == "open" else ended, _url(table.get("html_url")),
        commit(head.get("sha")),
    )  # fmt: skip


def commit(value: object) -> str:
    """The id of a commit."""
    if not isinstance(value, str) or not COMMIT.fullmatch(value):
        raise NoAnswer("a commit that is none")
    return value


def commit_id(value: object) -> str:
    """Which commit an answer is about."""
    return commit(_table(value, "commit").get("sha"))


def may_push(value: object) -> bool | None:
    """Whether a repository's answer gives us the right to push; None when it does not say."""
    rights = _table(value, "repository").get("permissions")
    return bool(rights.get("push")) if isinstance(rights, dict) else None


def full_name(value: object) -> str:
    """A repository's `owner/name`, as the forge writes it."""
    return _text(_table(value, "repository"), "full_name")


def last_words(value: object) -> list[tuple[str, str, str]]:
    """Context, state and description of a page of statuses, newest first."""
    tables = [_table(item, "status") for item in items(value)]
    return [
        (_text(each, "context"), _text(each, "state"), str(each.get("description") or ""))
        for each in tables
    ]


def check_runs(value: object, sha: str) -> list[ForgeCheck]:
    """The check runs of a page, all of that very commit."""
    listed = items(_table(value, "check runs").get("check_runs"))
    return [_check_run(_table(item, "check run"), sha) for item in listed]


def statuses(value: object, sha: str) -> list[ForgeCheck]:
    """The last word of each context on that very commit; our own ones with an empty name."""
    table = _table(value, "combined status")
    if table.get("sha") != sha:
        raise NoAnswer(f"a status of another commit than {sha}")
    return [_status(_table(item, "status")) for item in items(table.get("statuses"))]


def _check_run(table: dict[str, object], sha: str) -> ForgeCheck:
    if table.get("head_sha") != sha:
        raise NoAnswer(f"a check run of another commit than {sha}")
    status, conclusion = _text(table, "status"), table.get("conclusion")
    if status == "completed":
        state = CONCLUSIONS.get(str(conclusion), CheckState.STOPPED)
    else:
        state = CheckState.RUNNING if status == "in_progress" else CheckState.WAITING
    output = table.get("output")
    said = [str(output.get(key) or "") for key in ("title", "summary")] if isinstance(
        output, dict
    ) else []  # fmt: skip
    if state is CheckState.STOPPED:
        said.insert(0, f"({conclusion})")
    return ForgeCheck(
        plain(_text(table, "name"), NAME_CHARACTERS_MAX), state,
        plain("\n".join(word for word in said if word), SAID_CHARACTERS_MAX),
        _url(table.get("html_url")),
    )  # fmt: skip


def _status(table: dict[str, object]) -> ForgeCheck:
    context = _text(table, "context")
    return ForgeCheck(
        "" if context.startswith(STATUS_PREFIX) else plain(context, NAME_CHARACTERS_MAX),
        STATES.get(_text(table, "state"), CheckState.STOPPED),
        plain(str(table.get("description") or ""), SAID_CHARACTERS_MAX),
        _url(table.get("target_url")),
    )  # fmt: skip


def _table(value: object, what: str) -> dict[str, object]:
    if not isinstance(value, dict):
        raise NoAnswer(f"a {what} that is none")
    return value


def _text(table: dict[str, object], key: str) -> str:
    value = table.get(key)
    if not isinstance(value, str) or not value:
        raise NoAnswer(f"no {key}")
    return value


def _number(table: dict[str, object], key: str) -> int:
    value = table.get(key)
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise NoAnswer(f"no {key}")
    return value


def _url(value: object) -> str:
    return value if isinstance(value, str) and _URL.fullmatch(value) else ""


def _same(value: object, repository: str) -> bool:
    return isinstance(value, str) and value.lower() == repository.lower()
