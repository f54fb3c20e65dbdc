"""The user's repository, seen from outside: facts for the command line, and fetching the base.

Reads only; starts no hook, no file system monitor, no filter of it, and writes nothing into it.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final, Unpack

from autopack.adapters.git.landing import OURS, is_ancestor, resolve
from autopack.adapters.git.locks import past_dead_locks
from autopack.adapters.git.wrapper import (
    LONG_SECONDS_MAX,
    OUTPUT_BYTES_MAX,
    PROTOCOLS,
    Git,
    Store,
    Trust,
    failed,
    object_of,
    oid_of,
    other_side,
    printable_lines,
    protocol_of,
    records,
    sure,
)
from autopack.core.errors import EnvironmentFault, OperatorFault
from autopack.process.limits import Extra, Limits

if TYPE_CHECKING:
    from autopack.adapters.git.wrapper import Options
    from autopack.app.ports import Cancel
    from autopack.process.limits import Finished

COMMIT: Final = re.compile(r"[0-9a-f]{40}")
TRANSFER: Final = Limits(LONG_SECONDS_MAX, output_bytes_max=OUTPUT_BYTES_MAX)


@dataclass(frozen=True)
class SourceFacts:
    """What the user's repository is and how it stands; nothing here is judged.

    `head_branch` is empty when detached; `default_branch` when none can be told. `ours`: refs
    that are named like the ones Autopack delivers.
    """

    root: Path
    git_folder: Path
    head_branch: str
    default_branch: str
    bare: bool
    detached: bool
    unborn: bool
    empty: bool
    shallow: bool
    partial: bool
    dirty: bool
    object_format: str
    ours: tuple[str, ...]

    def in_the_way(self, run_id: str) -> tuple[str, ...]:
        """Refs that a delivery of this run would meet."""
        names = [f"refs/{kind}/{OURS}" for kind in ("heads", "tags")]
        found = []
        for ref in self.ours:
            mine = any(ref == f"{n}/{run_id}" or ref.startswith(f"{n}/{run_id}/") for n in names)
            if ref in names or mine:
                found.append(ref)
        return tuple(found)


def inspect(git: Git, path: Path) -> SourceFacts:
    """The facts of the repository that holds `path`; OperatorFault when there is none."""
    git.version  # noqa: B018 - a git that is missing or too old ends here
    if not path.is_dir():
        raise OperatorFault(f"{path} is no folder", "name the folder of a git repository")
    folder, root, bare, shallow, fmt = _where(git, path)
    head = _ask(git, "symbolic-ref", "-q", "HEAD", git_dir=folder)
    head_ref = head.stdout.decode("utf-8", "replace").strip() if head.ok else ""
    born = _ask(git, "rev-parse", "-q", "--verify", "HEAD^{commit}", git_dir=folder).ok
    listed = _ask(git, "for-each-ref", "--format=%(refname)", git_dir=folder)
    if not listed.ok:
        raise failed(f"reading the refs of {root}", listed)
    refs = listed.stdout.decode("utf-8", "surrogateescape").splitlines()
    config = _config(git, folder)
    return SourceFacts(
        root=root,
        git_folder=folder,
        head_branch=head_ref.removeprefix("refs/heads/"),
        default_branch=_default_branch(git, folder, refs, head_ref),
        bare=bare,
        detached=not head.ok,
        unborn=not born,
        empty=not refs and not born,
        shallow=shallow,
        partial=any(_promises(key, value) for key, value in config),
        dirty=born and not bare and _dirty(git, folder, root, config),
        object_format=fmt,
        ours=tuple(ref for ref in refs if re.match(rf"refs/(heads|tags)/{OURS}(/|$)", ref)),
    )


def resolve_base(git: Git, folder: Path, name: str) -> str:
    """The commit of a branch, tag or id in the user's repository; OperatorFault when unknown."""
    if name and not name.startswith("-"):
        for candidate in (f"refs/heads/{name}", name):
            found = _ask(
                git, "rev-parse", "-q", "--verify", f"{candidate}^{{commit}}", git_dir=folder
            )
            if found.ok:
                return oid_of("git rev-parse", found)
    raise OperatorFault(
        f"{folder} has no branch, tag or commit {name!r}", "name one that `git branch` lists"
    )


def read_file(git: Git, folder: Path, commit: str, path: str) -> bytes | None:
    """A plain file of a commit; None when it is not there, or is a link or a folder."""
    entry = sure(lambda: _ask(
        git, "ls-tree", "-z", "--full-tree", commit, "--", path,
        git_dir=folder, variables={"GIT_LITERAL_PATHSPECS": "1"},
    ))  # fmt: skip
    found = records(f"reading {path} at {commit}", entry)
    if not found or not found[0].startswith(b"100"):
        return None
    return object_of(git, folder, "blob", found[0].split()[2].decode())


def listed_files(git: Git, folder: Path, commit: str) -> dict[str, int]:
    """The plain files of a commit: path (what is no UTF-8 escaped) and bytes."""
    options = ("-r", "-l", "-z", "--full-tree")
    said = sure(lambda: _ask(git, "ls-tree", *options, commit, git_dir=folder))
    found = {}
    for entry in records(f"listing the files at {commit}", said):
        facts, _, path = entry.partition(b"\t")
        mode, _, _, size = facts.split()
        if mode.startswith(b"100"):
            found[path.decode("utf-8", "backslashreplace")] = int(size)
    return found


def fetch(
    store: Store, source: str, base_ref: str, commit: str, cancel: Cancel | None = None
) -> None:
    """Bring a commit into the store, kept by `refs/source/commits/<commit>`; ends early when told.

    One that a run of ours landed is here, and maybe nowhere else: its delivery may be refused.
    Raises OperatorFault for a source that cannot be one, EnvironmentFault when it does not come.
    """
    if not COMMIT.fullmatch(commit):
        raise OperatorFault(f"{commit!r} is no full commit id", "resolve the base branch first")
    kept = f"refs/source/commits/{commit}"
    if resolve(store, kept) is not None:
        return
    if _is_ours(store, base_ref, commit):
        store.output("update-ref", kept, commit, "0" * len(commit))
        return
    protocol = checked_protocol(source)
    if protocol == "file":
        _check_source(store.git, local_path(source))
    said = _fetch(store, source, protocol, f"{commit}:{kept}", cancel)
    if not said.ok and protocol != "file":  # a server may give branches only
        branch = f"refs/source/heads/{base_ref}"
        said = _fetch(store, source, protocol, f"+refs/heads/{base_ref}:{branch}", cancel)
        if said.ok and is_ancestor(store, commit, branch):
            store.output("update-ref", kept, commit, "0" * len(commit))
    if resolve(store, kept) is None:
        told = printable_lines(said.stderr) or "no message"
        raise EnvironmentFault(
            f"the base {commit} could not be fetched from {source}: {told}",
            "check that the repository is reachable, complete (not shallow) and has the commit",
        )


def _is_ours(store: Store, base_ref: str, commit: str) -> bool:
    """Whether the base is a commit of a run's own branch in our repository."""
    branch = f"refs/heads/{base_ref}"
    if not base_ref.startswith(f"{OURS}/") or resolve(store, branch) is None:
        return False
    return resolve(store, commit) is not None and is_ancestor(store, commit, branch)


def checked_protocol(url: str) -> str:
    """The one protocol a path or URL may use; OperatorFault for others."""
    if protocol := protocol_of(url):
        return protocol
    raise OperatorFault(
        f"{url!r} is no repository address that Autopack uses",
        f"use a path, or one of {', '.join(f'{name}://' for name in PROTOCOLS)}",
    )


def local_path(url: str) -> Path:
    """The folder of a path or file URL."""
    return Path(url.removeprefix("file://"))


def _ask(git: Git, *args: str, **options: Unpack[Options]) -> Finished:
    """A call whose exit code is an answer; a git that was killed gives none."""
    said = git.run(*args, **options)
    if said.exit_code is None:
        raise failed(f"git {args[0]}", said)
    return said


def _fetch(
    store: Store, source: str, protocol: str, refspec: str, cancel: Cancel | None
) -> Finished:
    local = protocol == "file"
    return past_dead_locks(store, lambda: store.run(
        "fetch", "--quiet", "--no-tags", "--no-write-fetch-head", "--no-recurse-submodules",
        "--no-auto-maintenance", "--refmap=", *other_side(protocol, "upload-pack"),
        "--end-of-options", os.fspath(local_path(source)) if local else source, refspec,
        protocol=protocol, trust=Trust.NOBODY if local else Trust.USER, limits=TRANSFER,
        config={"fetch.unpackLimit": "1", "fetch.fsckObjects": "false"}, extra=Extra(tied=True),
        cancel=cancel,
    ))  # fmt: skip


def _check_source(git: Git, path: Path) -> None:
    """Refuse what would give us half a history."""
    if not path.is_dir():
        raise OperatorFault(f"{path} is no folder", "name the folder of a git repository")
    folder, root, _, shallow, fmt = _where(git, path)
    if shallow:
        raise OperatorFault(
            f"{root} is a shallow clone, which has only a part of its history",
            "complete it with `git fetch --unshallow`",
        )
    if any(_promises(key, value) for key, value in _config(git, folder)):
        raise OperatorFault(
            f"{root} is a partial clone, which lacks objects",
            "make a full clone and run Autopack there",
        )
    if fmt != "sha1":
        raise OperatorFault(
            f"{root} uses {fmt} object ids; Autopack works with sha1", "use a sha1 repository"
        )


def _where(git: Git, path: Path) -> tuple[Path, Path, bool, bool, str]:
    """Git folder, root, whether bare and shallow, object format."""
    ceiling = {"GIT_DISCOVERY_ACROSS_FILESYSTEM": "1"}
    said = _ask(
        git, "rev-parse", "--absolute-git-dir", "--is-bare-repository",
        "--is-shallow-repository", "--show-object-format", cwd=path, variables=ceiling,
    )  # fmt: skip
    lines = said.stdout.decode("utf-8", "surrogateescape").splitlines()
    if said.ok and len(lines) != 4:
        what = f"{str(path)!r}: the path has a line break, which git's files cannot hold"
        raise OperatorFault(what, "move the repository to a plainer path")
    if not said.ok:
        raise OperatorFault(
            f"{path} is in no git repository: {printable_lines(said.stderr)}",
            "run it in a git repository, or make one with `git init` and a first commit",
        )
    folder, bare, shallow, fmt = lines
    root = Path(folder)
    if bare == "false":
        top = _ask(git, "rev-parse", "--show-toplevel", cwd=path, variables=ceiling)
        root = Path(os.fsdecode(top.stdout.removesuffix(b"\n"))) if top.ok else path
    return Path(folder), root, bare == "true", shallow == "true", fmt


def _config(git: Git, folder: Path) -> list[tuple[str, str]]:
    """The configuration that git obeys there, included and work tree's files too, ours last.

    Keys in git's lower case. Nobody else's is read: no file of the user or the system.
    """
    said = _ask(git, "config", "--list", "--includes", "-z", git_dir=folder)
    found = records(f"reading the configuration of {folder}", said)
    if not found:  # a repository has some
        raise failed(f"reading the configuration of {folder}", said)
    entries = (entry.decode("utf-8", "surrogateescape") for entry in found)
    return [(key, value) for key, _, value in (entry.partition("\n") for entry in entries)]


def _promises(key: str, value: str) -> bool:
    promisor = key.startswith("remote.") and key.endswith(".promisor") and value != "false"
    return promisor or key == "extensions.partialclone"


def _dirty(git: Git, folder: Path, root: Path, config: list[tuple[str, str]]) -> bool:
    """Whether tracked files differ from HEAD; filters are off, so git LFS files may seem to."""
    drivers = {key.rpartition(".")[0] for key, _ in config if key.startswith("filter.")}
    off = {f"{name}.{kind}": "" for name in drivers for kind in ("clean", "smudge", "process")}
    off |= {f"{name}.required": "false" for name in drivers}
    # by the environment: a name with `=` in it would be cut there by `-c`
    told = {"GIT_CONFIG_COUNT": str(len(off))}
    for number, (key, value) in enumerate(off.items()):
        told |= {f"GIT_CONFIG_KEY_{number}": key, f"GIT_CONFIG_VALUE_{number}": value}
    said = _ask(
        git, "status", "--porcelain", "-z", "--untracked-files=no", "--ignore-submodules=all",
        "--no-renames", git_dir=folder, work_tree=root, variables=told,
    )  # fmt: skip
    if not said.ok:
        raise failed(f"reading the state of {root}", said)
    return bool(said.stdout)


def _default_branch(git: Git, folder: Path, refs: list[str], head_ref: str) -> str:
    said = _ask(git, "symbolic-ref", "-q", "--short", "refs/remotes/origin/HEAD", git_dir=folder)
    names = (
        [said.stdout.decode("utf-8", "replace").strip().removeprefix("origin/")] if said.ok else []
    )
    for name in (*names, "main", "master", "trunk", head_ref.removeprefix("refs/heads/")):
        if name and f"refs/heads/{name}" in refs:
            return name
    return ""
