"""Disposable checkouts for agents and CI: objects are borrowed read-only, everything else is new.

A clone has no remote, no hook and no credential; nothing in it is hard-linked to anything.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import stat
from pathlib import Path
from typing import TYPE_CHECKING, Final

from autopack.adapters.git.wrapper import LONG_SECONDS_MAX, Store, failed
from autopack.app.ports import Clone
from autopack.core.errors import EnvironmentFault
from autopack.process.folders import clear, give
from autopack.process.limits import Extra, Limits

if TYPE_CHECKING:
    from autopack.process.limits import Identity

BRANCH: Final = "refs/heads/work"  # what HEAD is on, so that an agent may commit
ATTRIBUTES: Final = "* -text -eol -filter -ident -working-tree-encoding\n"
"""No conversion between tree and files: what is tested is byte for byte what is committed."""
CONFIG: Final = """\
[core]
\trepositoryformatversion = 0
\tfilemode = true
\tbare = false
\tlogallrefupdates = true
[gc]
\tauto = 0
[maintenance]
\tauto = false
[user]
\tname = Autopack
\temail = autopack@localhost
"""
MOVES_MAX: Final = 5
"""Tries to move a clone whose new folder a clean-up removes before it is in there."""
CHECKOUT: Final = {"core.fsync": "none", "checkout.workers": "1"}  # disposable; see bench


def make_clone(
    store: Store,
    commit: str,
    folder: Path,
    identity: Identity | None = None,
    private_root: Path | None = None,
) -> Clone:
    """A checkout of `commit` in `folder`, replacing what a killed attempt left there.

    With an identity the files belong to it, and the folders from `private_root` down let it pass
    (0710). Beside the folder lies `<name>.index`, the index as saved, with its time stamp.
    """
    discard(folder)
    folder.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    saved = saved_index(folder)
    _skeleton(store, commit, folder)
    if identity is not None:
        open_way((folder.parent, store.folder), private_root, identity.gid)
        give(folder, identity)
    objects = store.folder / "objects"
    said = store.git.run(
        "read-tree", "-m", "-u", commit,
        git_dir=folder / ".git", work_tree=folder, config=CHECKOUT,
        limits=Limits(LONG_SECONDS_MAX), identity=identity,
        extra=Extra(reach=(os.fspath(folder), os.fspath(objects))),
    )  # fmt: skip
    if not said.ok:
        raise failed(f"checking out {commit} in {folder}", said)
    shutil.copy2(folder / ".git" / "index", saved, follow_symlinks=False)
    saved.chmod(0o600)
    return Clone(folder, commit, saved)


def discard(folder: Path) -> None:
    """Delete a clone with its saved index; EnvironmentFault when something of it stays."""
    try:
        clear(folder)
        saved_index(folder).unlink(missing_ok=True)
    except OSError as fault:
        what = f"{folder} could not be deleted: {fault}"
        raise EnvironmentFault(what, "delete it by hand") from fault


def left(folder: Path) -> bool:
    """Whether a clone is there that was checked out to the end: only then is its index saved."""
    return os.path.lexists(folder) and saved_index(folder).exists()


def set_aside(folder: Path, to: Path, patch: bytes | None) -> Path:
    """Move a clone with its saved index to a place that is free, a patch beside it.

    Where there is no room for a new folder it gets a free name beside its own, which needs none.
    EnvironmentFault when it has its own name still, or when its patch is not there.
    """
    try:
        place = move(folder, to)
    except EnvironmentFault as refused:
        try:
            place = move(folder, folder)
        except EnvironmentFault:
            raise refused from None
    if patch is not None:
        _write_beside(place, patch)
    return place


def move(folder: Path, to: Path) -> Path:
    """Move a clone with its saved index to `to`, or to that with the next free number behind it.

    EnvironmentFault, and nothing moved, when it cannot be.
    """
    place, tries_left = _free(to), MOVES_MAX
    while tries_left:
        tries_left -= 1
        try:
            place.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            folder.rename(place)
            break
        except OSError as fault:  # ENOENT: a clean-up removed the empty folder in between
            if not (tries_left and isinstance(fault, FileNotFoundError)):
                what = f"{folder} could not be moved to {place} and stays: {fault}"
                raise EnvironmentFault(what) from fault
    _move_index(saved_index(folder), saved_index(place))
    return place


def _free(to: Path) -> Path:
    place, number = to, 1
    while os.path.lexists(place):
        number += 1
        place = to.with_name(f"{to.name}-{number}")
    return place


def _move_index(saved: Path, to: Path) -> None:
    """The clone is safe without it: what it holds is then told against its run's base."""
    try:
        saved.rename(to)
    except OSError:
        with contextlib.suppress(OSError):
            saved.unlink()


def _write_beside(place: Path, patch: bytes) -> None:
    path = place.with_name(f"{place.name}.patch")
    try:
        path.write_bytes(patch)
    except OSError as fault:
        with contextlib.suppress(OSError):
            path.unlink()  # half a patch must not pass for one
        what = f"its clone is kept in {place}; its patch could not be written beside it: {fault}"
        raise EnvironmentFault(what) from fault


def saved_index(folder: Path) -> Path:
    """Where a clone's index is kept as it was at checkout."""
    return folder.with_name(f"{folder.name}.index")


def open_way(folders: tuple[Path, ...], top: Path | None, gid: int) -> None:
    """Let the group pass, not list, `folders` and those above them up to `top`."""
    for folder in folders:
        inside = top is not None and folder.is_relative_to(top)
        for step in (folder, *folder.parents) if inside else (folder,):
            seen = step.stat()
            if seen.st_gid != gid or not seen.st_mode & stat.S_IXGRP:
                os.chown(step, -1, gid)
                step.chmod(stat.S_IMODE(seen.st_mode) & 0o700 | 0o010)
            if step == top:
                break


def _skeleton(store: Store, commit: str, folder: Path) -> None:
    """What `git init` would make, without a process or a template."""
    git = folder / ".git"
    folder.mkdir(mode=0o700)
    for name in ("objects/info", "objects/pack", "refs/heads", "refs/tags", "info", "hooks"):
        (git / name).mkdir(parents=True)
    files = {
        "HEAD": f"ref: {BRANCH}\n",
        BRANCH: f"{commit}\n",
        "config": CONFIG,
        "info/attributes": ATTRIBUTES,
        "info/exclude": "",
        "objects/info/alternates": f"{store.folder / 'objects'}\n",
    }
    for name, content in files.items():
        (git / name).write_text(content)
