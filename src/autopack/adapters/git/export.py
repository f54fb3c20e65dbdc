"""Kept work written out for the user: a patch for each piece, a bundle for each phase.

All of it or nothing: it is made beside its place, tried, and put there by one rename. Never
overwrites.
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Final

from autopack.adapters.git.index import index_of
from autopack.adapters.git.patch import KEPT_NAME
from autopack.adapters.git.wrapper import GitFailed
from autopack.core.errors import OperatorFault, refusal
from autopack.process.folders import clear

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from autopack.adapters.git.wrapper import Store
    from autopack.app.archive import Work

BUNDLE: Final = "work.bundle"
TEMPORARY: Final = ".autopack-tmp"


def export(
    store: Store, phases: Mapping[str, Sequence[Work]], base: str, to: Path
) -> dict[str, Path]:
    """Write `<to>/<phase>/<name>.patch` and `<to>/<phase>/work.bundle`; each work's patch by ref.

    A bundle asks for the commit `base`. OperatorFault when `to` is there and not empty.
    """
    if os.path.lexists(to) and not (to.is_dir() and not to.is_symlink() and not any(to.iterdir())):
        raise OperatorFault(f"{to} is there already", "name a folder that is not; none is replaced")
    try:
        to.parent.mkdir(parents=True, exist_ok=True)
        made = Path(tempfile.mkdtemp(prefix=f".{to.name}-", suffix=TEMPORARY, dir=to.parent))
    except OSError as fault:
        raise refusal(fault, to) from fault
    try:
        made.chmod(0o755)
        names: dict[str, Path] = {}
        for phase_id, works in phases.items():
            names |= _phase(store, works, base, made / phase_id)
        _sync(made)
        made.rename(to)
        _sync_one(to.parent)
    except OSError as fault:
        raise refusal(fault, to) from fault
    finally:
        clear(made)
    return {ref: to / path.relative_to(made) for ref, path in names.items()}


def _phase(store: Store, works: Iterable[Work], base: str, folder: Path) -> dict[str, Path]:
    folder.mkdir()
    names = {}
    for work in works:
        name = f"quarantine-{work.name}" if work.quarantined else work.name
        path = folder / f"{name.replace('/', '_')}.patch"
        path.write_bytes(patch_of(store, work))
        names[work.ref] = path
        if (refused := _refused_patch(store, work)) is not None:
            path.with_suffix(".rejected").write_bytes(refused)
    store.output("bundle", "create", "-q", folder / BUNDLE, *names, f"^{base}")
    return names


def patch_of(store: Store, work: Work) -> bytes:
    """The work as `git format-patch` writes it, tried on its parent; GitFailed."""
    patch = store.output(
        "format-patch", "-1", "--stdout", "--binary", "--full-index", "--no-renames",
        "--no-signature", "--no-stat", "--no-color", "--no-ext-diff", "--no-textconv",
        "--src-prefix=a/", "--dst-prefix=b/", work.commit,
    )  # fmt: skip
    with index_of(store, work.parent) as index:
        store.output("apply", "--cached", "--whitespace=nowarn", "-", index=index, stdin=patch)
        if store.oid("write-tree", index=index) != work.tree:
            raise GitFailed(f"the patch of {work.ref} does not make its files", "use the bundle")
    return patch


def _refused_patch(store: Store, work: Work) -> bytes | None:
    """What an agent left that did not apply; it is kept as a file in its commit."""
    name = KEPT_NAME.decode()
    said = store.output("diff-tree", "-r", "--name-only", work.parent, work.commit, "--", name)
    return store.output("cat-file", "blob", f"{work.commit}:{name}") if said else None


def _sync(folder: Path) -> None:
    for parent, _, files in os.walk(folder):
        for name in files:
            _sync_one(Path(parent, name))
        _sync_one(Path(parent))


def _sync_one(path: Path) -> None:
    opened = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)
