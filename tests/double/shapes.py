"""The JSON that GitHub's REST API answers with, in full: every key that its schema requires.

tests/double/schema.py holds it against GitHub's own description.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tests.double.hub import CheckRun, Pull, Repo, StatusWord

Json = dict[str, Any]
DOCS = "https://docs.example/rest"


def user(login: str) -> Json:
    at = f"https://api.github.com/users/{login}"
    urls = (
        "followers_url", "following_url", "gists_url", "starred_url", "subscriptions_url",
        "organizations_url", "repos_url", "events_url", "received_events_url",
    )  # fmt: skip
    return {
        "login": login, "id": 1, "node_id": "U1", "avatar_url": f"{at}/avatar", "gravatar_id": "",
        "url": at, "html_url": f"https://github.com/{login}", "type": "User", "site_admin": False,
        **{key: f"{at}/{key.removesuffix('_url')}" for key in urls},
    }  # fmt: skip


def repository(repo: Repo, *, push: bool = True, full: bool = False) -> Json:
    at = f"https://api.github.com/repos/{repo.full_name}"
    urls = (
        "archive_url", "assignees_url", "blobs_url", "branches_url", "collaborators_url",
        "comments_url", "commits_url", "compare_url", "contents_url", "contributors_url",
        "deployments_url", "downloads_url", "events_url", "forks_url", "git_commits_url",
        "git_refs_url", "git_tags_url", "git_url", "issue_comment_url", "issue_events_url",
        "issues_url", "keys_url", "labels_url", "languages_url", "merges_url", "milestones_url",
        "notifications_url", "pulls_url", "releases_url", "ssh_url", "stargazers_url",
        "statuses_url", "subscribers_url", "subscription_url", "tags_url", "teams_url",
        "trees_url", "clone_url", "hooks_url", "svn_url",
    )  # fmt: skip
    counts = (
        "forks_count", "stargazers_count", "watchers_count", "size", "open_issues_count", "forks",
        "open_issues", "watchers",
    )  # fmt: skip
    flags = (
        "private", "fork", "has_issues", "has_projects", "has_wiki", "has_pages",
        "has_discussions", "archived", "disabled",
    )  # fmt: skip
    owner, name = repo.full_name.split("/")
    value: Json = {
        "id": 7, "node_id": "R7", "name": name, "full_name": repo.full_name, "owner": user(owner),
        "html_url": f"https://github.com/{repo.full_name}", "description": None, "url": at,
        "mirror_url": None, "homepage": None, "language": None, "license": None,
        "default_branch": "main", "pushed_at": TIME, "created_at": TIME, "updated_at": TIME,
        **{key: f"{at}/{key.removesuffix('_url')}" for key in urls},
        **dict.fromkeys(counts, 0), **dict.fromkeys(flags, False),
        "permissions": {"admin": False, "maintain": False, "push": push, "triage": push, "pull": True},
    }  # fmt: skip
    if full:
        value |= {"subscribers_count": 0, "network_count": 0}
    return value


TIME = "2026-01-01T00:00:00Z"


def pull(repo: Repo, one: Pull, *, full: bool) -> Json:
    at = f"https://api.github.com/repos/{repo.full_name}/pulls/{one.number}"
    page = f"https://github.com/{repo.full_name}/pull/{one.number}"
    sha = one.head_sha
    links = {
        "self": at, "html": page, "issue": at, "comments": at, "review_comments": at,
        "review_comment": at, "commits": at, "statuses": f"{at}/{sha}",
    }  # fmt: skip
    owner = repo.full_name.partition("/")[0]
    base = {"label": f"{owner}:{one.base}", "ref": one.base, "sha": one.base_sha,
            "user": user(owner), "repo": repository(repo)}  # fmt: skip
    fork = repository(repo) | {"full_name": f"{one.owner}/fork"}
    head = {"label": f"{one.owner}:{one.head}", "ref": one.head, "sha": sha,
            "user": user(one.owner), "repo": repository(repo) if one.owner == owner else fork}  # fmt: skip
    ended = None if one.state == "open" else TIME
    value: Json = {
        "url": at, "id": 100 + one.number, "node_id": f"P{one.number}", "html_url": page,
        "diff_url": f"{page}.diff", "patch_url": f"{page}.patch", "issue_url": at,
        "commits_url": at, "review_comments_url": at, "review_comment_url": at,
        "comments_url": at, "statuses_url": at, "number": one.number, "state": one.state,
        "locked": False, "title": one.title, "user": user(one.owner), "body": one.body or None,
        "labels": [], "milestone": None, "active_lock_reason": None, "created_at": TIME,
        "updated_at": TIME, "closed_at": ended, "merged_at": TIME if one.merged else None,
        "merge_commit_sha": one.merge_sha or None, "assignee": None, "assignees": [],
        "requested_reviewers": [], "requested_teams": [], "head": head, "base": base,
        "_links": {key: {"href": href} for key, href in links.items()},
        "author_association": "OWNER", "auto_merge": None, "draft": False,
    }  # fmt: skip
    if full:
        value |= {
            "merged": one.merged, "mergeable": None, "rebaseable": None,
            "mergeable_state": "unknown", "merged_by": user(owner) if one.merged else None,
            "comments": 0, "review_comments": 0, "maintainer_can_modify": False, "commits": 1,
            "additions": 1, "deletions": 0, "changed_files": 1,
        }  # fmt: skip
    return value


def status(repo: Repo, sha: str, word: StatusWord, *, simple: bool = False) -> Json:
    value: Json = {
        "url": f"https://api.github.com/repos/{repo.full_name}/statuses/{sha}",
        "avatar_url": None, "id": word.number, "node_id": f"S{word.number}", "state": word.state,
        "description": word.description or None, "target_url": word.url or None,
        "context": word.context, "created_at": TIME, "updated_at": TIME,
    }  # fmt: skip
    return value if simple else value | {"creator": user("somebody")}


def commit(repo: Repo, sha: str) -> Json:
    at = f"https://api.github.com/repos/{repo.full_name}/git"
    who = {"date": TIME, "email": "somebody@example.org", "name": "somebody"}
    return {
        "sha": sha, "node_id": f"C{sha}", "url": f"{at}/commits/{sha}", "author": who,
        "committer": who, "message": "a commit", "tree": {"sha": sha, "url": f"{at}/trees/{sha}"},
        "parents": [], "html_url": f"https://github.com/{repo.full_name}/commit/{sha}",
        "verification": {"verified": False, "reason": "unsigned", "signature": None,
                         "payload": None, "verified_at": None},
    }  # fmt: skip


def combined(repo: Repo, sha: str, state: str, words: list[Json], total: int) -> Json:
    at = f"https://api.github.com/repos/{repo.full_name}/commits/{sha}"
    return {
        "state": state, "statuses": words, "sha": sha, "total_count": total,
        "repository": repository(repo), "commit_url": at, "url": f"{at}/status",
    }  # fmt: skip


def check_run(repo: Repo, sha: str, run: CheckRun, number: int) -> Json:
    at = f"https://api.github.com/repos/{repo.full_name}/check-runs/{number}"
    done = run.status == "completed"
    return {
        "id": number, "head_sha": sha, "node_id": f"C{number}", "external_id": "", "url": at,
        "html_url": f"https://github.com/{repo.full_name}/runs/{number}", "details_url": None,
        "status": run.status, "conclusion": run.conclusion or None, "started_at": TIME,
        "completed_at": TIME if done else None, "name": run.name, "check_suite": {"id": 3},
        "app": None, "pull_requests": [],
        "output": {"title": run.title or None, "summary": run.summary or None, "text": None,
                   "annotations_count": 0, "annotations_url": f"{at}/annotations"},
    }  # fmt: skip


def error(message: str, status_code: int, *errors: Json | str) -> Json:
    value: Json = {"message": message, "documentation_url": DOCS, "status": str(status_code)}
    return value | ({"errors": list(errors)} if errors else {})


def custom(message: str) -> Json:
    """How GitHub tells of a rule of its own."""
    return {"resource": "PullRequest", "code": "custom", "message": message}
