"""The path policy of the gate: what a candidate may change, judged on the resulting tree.

Reads no patch and no repository: an adapter tells the tree's changes, this module says what is
wrong with them and what to do. What honest work also does asks the auditor; the rest is refused.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Final

from pathspec import GitIgnoreSpec

from autopack.core.names import folder_names, look_alike, name_problem, printable
from autopack.core.patch import ABSENT, EXECUTABLE, FILE, GITLINK, SYMLINK
from autopack.core.run import Finding, Severity

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from autopack.core.patch import Change, TreeDiff
    from autopack.core.project import PolicySettings
    from autopack.core.spec import (
        PhaseSpec,
    )

FILES_MAX: Final = 1_000  # files of a change; above every builder mode, for phases without one
CHANGED_LINES_MAX: Final = 100_000  # added plus removed lines; above every builder mode
FILE_BYTES_MAX: Final = 10 << 20  # bytes; a tenth of what GitHub blocks (100 MiB)
PATH_BYTES_MAX: Final = 1_024  # bytes; macOS' PATH_MAX, the smallest of the Unixes

PROTECTED: Final = (
    # what judges: CI and the gate
    "/autopack.toml",
    "/.github/**",  # but for forms that people fill in
    "!/.github/issue_template.md", "!/.github/pull_request_template.md",
    "!/.github/issue_template/*.md", "!/.github/issue_template/*.yml",
    "!/.github/issue_template/*.yaml", "!/.github/pull_request_template/*.md",
    "/.gitlab-ci.yml", "/.gitlab/", "/.circleci/", "/.travis.yml",
    "/Jenkinsfile", "/azure-pipelines.yml", "/.azure-pipelines/", "/.buildkite/", "/.drone.yml",
    "/.woodpecker/", "/.woodpecker.yml", "/.forgejo/", "/.gitea/", "/bitbucket-pipelines.yml",
    "/appveyor.yml", "/.cirrus.yml", "/.ci/", "/zuul.yaml", "/.zuul.yaml", "/.zuul.d/",
    "CODEOWNERS", ".pre-commit-config.yaml", ".husky/", "lefthook.yml", ".lefthook.yml",
    # what instructs or starts agents and editors
    "AGENTS.md", "AGENTS.override.md", "CLAUDE.md", "CLAUDE.local.md", "GEMINI.md", ".codex/",
    ".opencode/", "opencode.json", "opencode.jsonc", ".mcp.json", ".claude/", ".claude.json",
    ".gemini/", ".cursor/", ".cursorrules", ".cursorignore", ".windsurf/", ".windsurfrules",
    ".aider*", ".continue/", ".clinerules", ".roo/", ".goosehints", ".agents/", ".amp/", ".kiro/",
    ".junie/", ".vscode/", ".idea/", ".zed/", ".devcontainer/", ".devcontainer.json", ".envrc",
    # what rules the next run, once a branch is checked out
    "/.autonomous_runs/",
)  # fmt: skip
"""Paths whose change needs an auditor: gitignore patterns, matched without regard to case."""
PROTECTED_FOLDED: Final = tuple(pattern.casefold() for pattern in PROTECTED)
SPLIT: Final = "do less in this phase, or split it into several"
"""What to do about a change over the size limit of its builder mode."""


@dataclass(frozen=True)
class Rules:
    """What judges one phase's change; globs are gitignore patterns, limits of 0 are none."""

    scope: tuple[str, ...]
    deliver: tuple[str, ...] = ()
    protected: tuple[str, ...] = ()
    files_max: int = FILES_MAX
    changed_lines_max: int = CHANGED_LINES_MAX
    file_bytes_max: int = FILE_BYTES_MAX
    path_bytes_max: int = PATH_BYTES_MAX


def rules_for(phase: PhaseSpec, settings: PolicySettings, judging: Iterable[str] = ()) -> Rules:
    """The phase's own limits, tightened by the project's; the built-in ones where none is set.

    `judging`: files that run when a candidate is judged, protected as the rest of CI is.
    """
    return Rules(
        scope=phase.scope,
        deliver=phase.deliver,
        protected=(*settings.protected, *map(_exactly, judging)),
        files_max=_tightest(phase.files_max, settings.files_max, FILES_MAX),
        changed_lines_max=_tightest(
            phase.changed_lines_max, settings.changed_lines_max, CHANGED_LINES_MAX
        ),
        file_bytes_max=settings.file_bytes_max or FILE_BYTES_MAX,
    )


def structure(diff: TreeDiff, rules: Rules) -> Iterator[Finding]:
    """Sizes, modes, links and names of what the change adds."""
    yield from _sizes(diff.changes, rules)
    for change in diff.changes:
        if change.new_mode == ABSENT:
            continue
        yield from _mode(change)
        yield from _git_names(change)
        if change.old_mode == ABSENT and (problem := name_problem(change.path)):
            yield _refuse("file-name", change.path, f"the name {problem}; choose another")
        if len(change.path) > rules.path_bytes_max:
            message = f"the path is {len(change.path)} bytes; at most {rules.path_bytes_max}"
            yield _refuse("path-length", change.path, message)
        if 0 < rules.file_bytes_max < change.size:
            message = (
                f"the file is {change.size} bytes; at most {rules.file_bytes_max} "
                "(`max_file_bytes`): leave it out, or make it smaller"
            )
            yield _refuse("file-size", change.path, message)
    yield from _kinds(diff.changes)
    if not diff.clashes_known:
        message = "the new paths are too many and too deep to be compared: use fewer folders"
        yield _refuse("path-length", b"", message)
    for ours, other in diff.clashes:
        message = (
            f"is the same name as {printable(other)} on systems that fold case or Unicode forms; "
            "rename it"
        )
        yield _refuse("name-clash", ours, message)


def scope(diff: TreeDiff, rules: Rules) -> Iterator[Finding]:
    """Paths that the phase may not touch."""
    if not diff.changes:
        yield _refuse("empty-change", b"", "nothing was changed; do the task, then submit")
    allowed = _patterns(rules.scope)
    for change in diff.changes:
        if not allowed.match_file(_text(change.path)):
            message = (
                f"is outside the phase's scope ({', '.join(rules.scope)}): undo this change; "
                "if the task needs it, widen `scope` in the plan"
            )
            yield _refuse("scope", change.path, message)


def in_scope(globs: tuple[str, ...], path: str) -> bool:
    """Whether a scope's patterns name a path."""
    return bool(_patterns(globs).match_file(path))


def _exactly(path: str) -> str:
    """The gitignore pattern of one path."""
    return "/" + re.sub(r"([\\*?\[\]!# ])", r"\\\1", path)


@lru_cache(maxsize=64)
def _patterns(lines: tuple[str, ...]) -> GitIgnoreSpec:
    """Compiled once: a run judges every candidate by the same few lists (2 ms each time)."""
    return GitIgnoreSpec.from_lines(lines)


def protected(diff: TreeDiff, rules: Rules) -> Iterator[Finding]:
    """Paths that judge or instruct; an auditor must agree, even when the scope names them."""
    more = tuple(pattern.casefold() for pattern in rules.protected)
    spec = _patterns((*PROTECTED_FOLDED, *more))
    for change in diff.changes:
        if spec.match_file(_text(change.path).casefold()):
            message = "is a protected path (CI, gate or agent configuration): an auditor decides"
            yield _ask("protected-path", change.path, message)


def only_protected(scope: Iterable[str]) -> bool:
    """Whether a scope names nothing but files that are always protected; a glob names more."""
    spec = _patterns(PROTECTED_FOLDED)
    paths = [each.strip("/").casefold() for each in scope]
    return all(not set(path) & set("*?[!") and spec.match_file(path) for path in paths)


def deliverables(diff: TreeDiff, rules: Rules) -> Iterator[Finding]:
    """`deliver` paths that the change does not show: created, or changed where they exist."""
    for wanted in rules.deliver:
        path = wanted.strip("/").removeprefix("./").encode()
        touched = [c for c in diff.changes if c.path == path or c.path.startswith(path + b"/")]
        if not touched:
            message = "the phase must deliver this path, and the change does not touch it"
            yield _refuse("deliverable-unchanged", path, message)
        elif all(change.new_mode == ABSENT for change in touched):
            message = "the phase must deliver this path, and the change deletes it"
            yield _refuse("deliverable-missing", path, message)


def _sizes(changes: Sequence[Change], rules: Rules) -> Iterator[Finding]:
    if 0 < rules.files_max < len(changes):
        message = f"{len(changes)} files changed; at most {rules.files_max}: {SPLIT}"
        yield _refuse("too-many-files", b"", message)
    lines = sum(max(change.lines, 0) for change in changes)
    if 0 < rules.changed_lines_max < lines:
        message = f"{lines} lines changed; at most {rules.changed_lines_max}: {SPLIT}"
        yield _refuse("too-many-lines", b"", message)


def _mode(change: Change) -> Iterator[Finding]:
    mode, path = change.new_mode, change.path
    if mode == GITLINK and change.old_mode == GITLINK:
        yield _ask("submodule-moved", path, "names another commit: an auditor decides")
    elif mode == GITLINK:
        yield _refuse("submodule", path, "submodules are not taken; remove the nested repository")
    elif mode == SYMLINK:
        yield _symlink(change)
    elif mode == EXECUTABLE:
        if change.old_mode != EXECUTABLE:
            yield _ask("executable-bit", path, "becomes executable: an auditor decides")
    elif mode != FILE:
        yield _refuse("file-mode", path, f"mode {mode} is not a plain file's; use {FILE}")


def _symlink(change: Change) -> Finding:
    depth = change.path.count(b"/")
    parts = change.target.split("/")
    climbs = next((n for n, part in enumerate(parts) if part != ".."), len(parts))
    # a later `..` may follow another link and so leave the tree, whatever the text says
    inside = (
        change.target
        and parts[0]
        and climbs <= depth
        and ".." not in parts[climbs:]
        and "\\" not in change.target
        and not any(look_alike(part) for part in parts)
    )
    told = printable(change.target.encode("utf-8", "surrogateescape"))
    if inside:
        return _ask("symlink", change.path, f"is a symbolic link to {told}: an auditor decides")
    message = f"is a symbolic link to {told or 'nothing'}, outside the tree; use a file"
    return _refuse("symlink-outside", change.path, message)


_GIT_NAMES: Final = {
    ".git": ("dot-git", "stands for git's own folder; no such name is taken"),
    ".gitmodules": ("submodule", "configures submodules, which are not taken; leave it as it is"),
}


def _git_names(change: Change) -> Iterator[Finding]:
    asked = False
    for name in folder_names(change.path):
        alike = look_alike(name)
        if alike in _GIT_NAMES:
            rule, message = _GIT_NAMES[alike]
            yield _refuse(
                rule, change.path, f"{printable(name.encode('utf-8', 'surrogateescape'))} {message}"
            )
            return
        asked = asked or alike == ".gitattributes"
    if asked:
        message = "changes how git treats files: an auditor decides"
        yield _ask("gitattributes", change.path, message)


def _kinds(changes: Sequence[Change]) -> Iterator[Finding]:
    """Files that become folders, folders that become files, links that become files."""
    removed = {change.path for change in changes if change.new_mode == ABSENT}
    kept = {change.path for change in changes if change.new_mode != ABSENT}
    for change in changes:
        was, now = change.old_mode, change.new_mode
        if ABSENT not in (was, now) and (was == SYMLINK) != (now == SYMLINK) and now != SYMLINK:
            yield _ask(
                "kind-change", change.path, "a symbolic link becomes a file: an auditor decides"
            )
    for path in sorted(kept):
        if any(parent in removed for parent in _parents(path)):
            yield _ask("kind-change", path, "a file became a folder: an auditor decides")
    for path in sorted(removed):
        if any(parent in kept for parent in _parents(path)):
            yield _ask("kind-change", path, "a folder became a file: an auditor decides")


def _parents(path: bytes) -> Iterator[bytes]:
    while b"/" in path:
        path = path.rpartition(b"/")[0]
        yield path


def _tightest(phase: int, project: int | None, built_in: int) -> int:
    given = [limit for limit in (phase, project) if limit]
    return min(given) if given else built_in


def _text(path: bytes) -> str:
    return path.decode("utf-8", "surrogateescape")


def _refuse(rule: str, path: bytes, message: str) -> Finding:
    return Finding(rule, message, printable(path))


def _ask(rule: str, path: bytes, message: str) -> Finding:
    return Finding(rule, message, printable(path), severity=Severity.ASK)
