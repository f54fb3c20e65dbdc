"""Keep our folder out of `git status`: one line in the repository's `info/exclude`.

Finds the file by reading `.git` itself, so that no git, no hook and no configuration of the
repository runs. Never touches a `.gitignore`.
"""

from __future__ import annotations

from pathlib import Path

from autopack.adapters.files.folder import below

_POINTER_BYTES_MAX = 4096


def exclude(folder: Path) -> bool:
    """Exclude a folder of a work tree; False when nothing was to do.

    Linked work trees share their main repository's file. An `info` or `exclude` that is a symlink
    is somebody's own arrangement and left alone.
    """
    found = _work_tree(folder)
    if found is None:
        return False
    top, git = found
    line = (
        b"/" + _escaped(folder.relative_to(top).as_posix()).encode(errors="surrogateescape") + b"/"
    )
    info = git / "info"
    if info.is_symlink() or (info / "exclude").is_symlink():
        return False
    with below(git, ("info",)) as opened:
        before = opened.read("exclude") or b""
        if line in (each.rstrip(b"\r") for each in before.split(b"\n")):
            return False
        apart = b"\n" if before and not before.endswith(b"\n") else b""
        return opened.write("exclude", before + apart + line + b"\n")


def _work_tree(folder: Path) -> tuple[Path, Path] | None:
    """The top of the work tree around a folder, and its common git directory."""
    for top in folder.parents:
        git = top / ".git"
        if git.is_dir():
            return (top, git) if (git / "HEAD").is_file() else None
        if git.is_file():
            common = _common(git)
            return (top, common) if common else None
    return None


def _common(pointer: Path) -> Path | None:
    """The common git directory that a `.git` file leads to; None when it leads nowhere."""
    said = _pointer(pointer)
    if not said.startswith("gitdir:"):
        return None
    git = pointer.parent / said.removeprefix("gitdir:").strip()
    common = _pointer(git / "commondir")
    git = (git / common) if common else git
    return git if (git / "HEAD").is_file() else None


def _pointer(path: Path) -> str:
    """The one line of a git pointer file; empty when there is none."""
    if not path.is_file():
        return ""
    with path.open("rb") as file:
        return file.read(_POINTER_BYTES_MAX).decode(errors="surrogateescape").strip()


def _escaped(path: str) -> str:
    """A path as a gitignore pattern that matches only itself."""
    escaped = "".join(f"\\{c}" if c in "\\*?[" else c for c in path)
    kept = escaped.rstrip(" ")
    return kept + "\\ " * (len(escaped) - len(kept))
