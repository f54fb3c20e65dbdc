"""Commits, refs and tags of the store: deterministic, compare-and-swap, safe to do again.

Never moves a ref that is not the run's own, and never without its old value.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from autopack.adapters.git.locks import past_dead_locks
from autopack.adapters.git.wrapper import GitFailed, failed, object_of, oid_of, records, sure
from autopack.app.ports import CommitFacts, Refused
from autopack.core.errors import EnvironmentFault, OwnFault
from autopack.core.names import printable
from autopack.core.run import Finding

if TYPE_CHECKING:
    from autopack.adapters.git.wrapper import Store
    from autopack.process.limits import Finished

NAME: Final = "Autopack"
EMAIL: Final = "autopack@localhost"
OURS: Final = "autonomous"  # the first part of every branch and tag that is delivered
FINDINGS_MAX: Final = 20


def resolve(store: Store, ref: str) -> str | None:
    """The commit a ref or id stands for; None when there is none."""
    if ref.startswith("-") or not ref:
        return None
    said = store.run("rev-parse", "-q", "--verify", f"{ref}^{{commit}}")
    if said.exit_code == 1 or b"fatal: Needed a single revision" in said.stderr:
        return None
    return oid_of(f"git rev-parse {ref}", said)


def is_ancestor(store: Store, old: str, new: str) -> bool:
    """Whether `new` is `old` or descends from it."""
    said = store.run("merge-base", "--is-ancestor", old, new)
    if said.exit_code in (0, 1):
        return said.exit_code == 0
    raise failed("git merge-base", said)


def start_branch(store: Store, branch: str, commit: str) -> None:
    """Create the branch at the commit, or find it there; EnvironmentFault when it is elsewhere."""
    ref = f"refs/heads/{branch}"
    said = transaction(store, [f"create {ref} {commit}"])
    there = resolve(store, ref)
    if there is None:
        raise failed(f"creating {ref}", said)
    if there != commit:
        raise EnvironmentFault(
            f"{ref} in {store.folder} stands at {there}, not at the run's base {commit}",
            "give the run another id",
        )


def refs_of(store: Store, run_id: str) -> dict[str, str]:
    """A run's branch, tags and attempts, each with the commit it stands for."""
    names = (f"refs/heads/{OURS}/{run_id}", f"refs/tags/{OURS}/{run_id}", f"refs/autopack/{run_id}")
    form = "--format=%(refname) %(objectname) %(*objectname)"
    said = sure(lambda: store.run("for-each-ref", form, *names))
    lines = records(f"reading the refs of {run_id}", said, b"\n")
    rows = (line.decode("utf-8", "surrogateescape").split(" ") for line in lines)
    return {ref: peeled or found for ref, found, peeled in rows}


def facts(store: Store, commit: str) -> CommitFacts:
    """Tree, first parent and message of a commit."""
    content = object_of(store.git, store.folder, "commit", commit)
    head, _, message = content.partition(b"\n\n")
    tree, second = head.split(b"\n")[:2]
    parent = second.removeprefix(b"parent ") if second.startswith(b"parent ") else b""
    text = message.decode("utf-8", "replace")
    return CommitFacts(tree.removeprefix(b"tree ").decode(), parent.decode(), text)


def commit_tree(store: Store, tree: str, parent: str, message: str, at: int, ref: str) -> str:
    """Commit a tree under a new ref; the commit of a ref that exists already."""
    if not ref.startswith("refs/autopack/"):
        raise OwnFault(f"{ref} is no ref for a candidate", "report this")
    made = store.oid(
        "commit-tree", tree, "-p", parent,
        stdin=message.encode("utf-8", "replace"), variables=_identity(at),
    )  # fmt: skip
    said = transaction(store, [f"create {ref} {made}"])
    if said.ok and said.stdout.endswith(b"commit: ok\n"):
        return made
    kept = resolve(store, ref)  # it was there already, or a killed call made it
    if kept is None:
        raise failed(f"creating {ref}", said)
    return kept


def reapply(store: Store, commit: str, onto: str) -> str | Refused:
    """The tree of `onto` with the commit's change; `onto` descends from the commit's parent."""
    said = store.run(
        "merge-tree", "--write-tree", "-z", "--name-only", "--no-messages", onto, commit
    )
    tree, _, rest = said.stdout.partition(b"\0")
    if said.exit_code == 0:
        return _tree_id(store, tree, said)
    if said.exit_code != 1:
        raise failed("git merge-tree", said)
    paths = list(dict.fromkeys(path for path in rest.split(b"\0") if path))
    message = f"conflicts with what landed meanwhile ({onto[:12]}); redo the change on top of it"
    findings = tuple(Finding("conflict", message, printable(path)) for path in paths[:FINDINGS_MAX])
    return Refused(findings or (Finding("conflict", message),))


def land(
    store: Store, branch: str, commit: str, expected: str, tag: str, message: str, at: int
) -> str:
    """Move the branch from `expected` to the commit and make the tag, both or neither.

    A killed call may have done one of the two: the other is then made up for. The branch's commit
    afterwards, or `commit` when it landed before and the branch moved on.
    """
    if not is_ancestor(store, expected, commit):
        raise OwnFault(f"{commit} does not descend from {expected}", "report this")
    branch_ref, tag_ref = f"refs/heads/{branch}", f"refs/tags/{tag}"
    tag_object = _make_tag(store, commit, tag, message, at)
    there, tagged = _read(store, branch_ref, tag_ref)
    lines = []
    if there == expected and there != commit:
        lines.append(f"update {branch_ref} {commit} {expected}")
    if not tagged and there in (expected, commit):
        lines.append(f"create {tag_ref} {tag_object}")
    said = transaction(store, lines) if lines else None
    there, tagged = _read(store, branch_ref, tag_ref)  # only what is read again is told
    if tagged and tagged != tag_object:
        raise EnvironmentFault(
            f"{tag_ref} exists already with another content ({tagged})",
            "somebody wrote into the supervisor's repository; delete that tag there",
        )
    landed = bool(there) and (
        there == commit or (bool(tagged) and is_ancestor(store, commit, there))
    )
    if landed and not tagged:
        raise failed(f"tagging {tag}", said) if said else GitFailed(f"{tag_ref} was not made")
    if there == expected and not landed:
        raise failed(f"landing {commit}", said) if said else GitFailed(f"{branch_ref} did not move")
    return commit if landed else there


def _make_tag(store: Store, commit: str, tag: str, message: str, at: int) -> str:
    content = (
        f"object {commit}\ntype commit\ntag {tag}\ntagger {NAME} <{EMAIL}> {at} +0000\n\n"
        f"{message.rstrip()}\n"
    )
    return store.oid("mktag", stdin=content.encode("utf-8", "replace"))


def _read(store: Store, branch_ref: str, tag_ref: str) -> tuple[str, str]:
    """The objects both refs point to; empty for none."""
    form = "--format=%(refname) %(objectname)"
    said = sure(lambda: store.run("for-each-ref", form, branch_ref, tag_ref))
    lines = records(f"reading {branch_ref}", said, b"\n")
    found = dict(line.decode().split(" ") for line in lines)
    return found.get(branch_ref, ""), found.get(tag_ref, "")


def transaction(store: Store, lines: list[str]) -> Finished:
    stdin = "\n".join(["start", *lines, "prepare", "commit", ""]).encode()
    return past_dead_locks(
        store, lambda: store.run("update-ref", "--no-deref", "--stdin", stdin=stdin)
    )


def _identity(at: int) -> dict[str, str]:
    return {
        f"GIT_{role}_{part}": value
        for role in ("AUTHOR", "COMMITTER")
        for part, value in (("NAME", NAME), ("EMAIL", EMAIL), ("DATE", f"@{at} +0000"))
    }


def _tree_id(store: Store, tree: bytes, said: Finished) -> str:
    if not tree:
        raise failed("git merge-tree", said)
    return store.oid("rev-parse", "-q", "--verify", f"{tree.decode()}^{{tree}}")
