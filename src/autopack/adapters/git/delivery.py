"""The run's branch and tags pushed into the user's repository, each under a lease.

Never another ref, never over what somebody else wrote; a refusal is a sentence, not an error.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from autopack.adapters.git.landing import OURS, is_ancestor, resolve
from autopack.adapters.git.source import TRANSFER, local_path
from autopack.adapters.git.wrapper import (
    Store,
    Trust,
    other_side,
    printable_lines,
    protocol_of,
    records,
    sure,
)
from autopack.core.promotion import tag as promotion_tag
from autopack.process.limits import Extra

if TYPE_CHECKING:
    from autopack.app.ports import Cancel
    from autopack.process.limits import Finished

SAID_CHARACTERS_MAX: Final = 500
_LOCKED: Final = re.compile(rb"Unable to create '([^'\n]*\.lock)': File exists")


def deliver(
    store: Store,
    target: str,
    run_id: str,
    tip: str,
    expected: str,
    cancel: Cancel | None = None,
    *,
    asked: bool = False,
) -> str:
    """Push until the target's refs are the run's own; why not, empty when they are.

    `asked` for, a branch that was delivered and is gone, or stands behind, is brought again.
    Told to end, git ends and takes its locks with it; that is a refusal like others.
    """
    protocol = protocol_of(target)
    if not protocol:
        return f"{target!r} is no repository address that Autopack uses"
    there = Target(store, target, protocol, cancel)
    wanted, snapshots = _wanted(store, run_id, tip)
    branch = f"refs/heads/{OURS}/{run_id}"
    before = there.refs(run_id)
    if isinstance(before, str):
        return before
    now = before.get(branch, "")
    if now and now != tip and now == resolve(store, f"refs/tags/{promotion_tag(run_id)}"):
        return ""  # a promotion whose answer was lost: ahead of the tip by our own summaries
    if now in snapshots:  # a push whose answer was lost brought it there
        expected = now
    elif asked and expected and (not now or _behind(store, now, tip)):
        expected = now  # it was ours, and going forward loses nothing of what stands there
    if reason := _taken(store, branch, wanted, before, expected):
        return reason
    missing = {ref: oid for ref, oid in wanted.items() if before.get(ref) != oid}
    if not missing:
        return ""
    said = there.push(missing, {branch: before.get(branch, "")})
    if said.ok and said.stdout.endswith(b"\nDone\n"):  # the other side took every ref
        return ""
    after = there.refs(run_id)
    if isinstance(after, str):
        return after
    if all(after.get(ref) == oid for ref, oid in wanted.items()):
        return ""
    why = refused(said, target)
    held = "checked out" in why  # as git's receive-pack says it
    return f"{why}: switch to another branch, then `{_again(run_id)}`" if held else why


@dataclass(frozen=True)
class Target:
    """The other repository."""

    store: Store
    url: str
    protocol: str
    cancel: Cancel | None = None

    def refs(self, run_id: str) -> dict[str, str] | str:
        """The run's refs there, or why they cannot be read."""
        patterns = [f"refs/heads/{OURS}/{run_id}", f"refs/tags/{OURS}/{run_id}/*"]
        said = sure(lambda: self._run(
            "ls-remote", "--refs", *other_side(self.protocol, "upload-pack"), "--", self._address,
            *patterns,
        ))  # fmt: skip
        if not said.ok or (said.stdout and not said.stdout.endswith(b"\n")):
            return f"{self.url} cannot be read: {_last(said)}"
        pairs = (line.split("\t") for line in said.stdout.decode("utf-8", "replace").splitlines())
        return {ref: oid for oid, ref in pairs}

    def push(self, refs: dict[str, str], leases: dict[str, str]) -> Finished:
        """Push objects to refs; a ref without a lease must not exist there."""
        said = self._push(["--atomic"], refs, leases)
        if b"does not support --atomic" in said.stderr:
            said = self._push([], refs, leases)
        return said

    def _push(self, options: list[str], refs: dict[str, str], leases: dict[str, str]) -> Finished:
        fences = [f"--force-with-lease={ref}:{leases.get(ref, '')}" for ref in refs]
        return self._run(
            "push", "--porcelain", "--no-verify", "--no-follow-tags", "--no-signed",
            "--recurse-submodules=no", "--no-progress", *options, *fences,
            *other_side(self.protocol, "receive-pack"), "--", self._address,
            *(f"{oid}:{ref}" for ref, oid in refs.items()),
        )  # fmt: skip

    @property
    def _address(self) -> str:
        return os.fspath(local_path(self.url)) if self.protocol == "file" else self.url

    def _run(self, *args: str) -> Finished:
        """One call; into a folder it outlives us: receive-pack, killed, leaves its locks there.

        The next start waits for it (`locks`). A connection to elsewhere ends with us.
        """
        local = self.protocol == "file"
        trust = Trust.NOBODY if local else Trust.USER
        return self.store.run(
            *args, protocol=self.protocol, trust=trust, limits=TRANSFER,
            extra=Extra(tied=not local), cancel=self.cancel,
        )  # fmt: skip


def _wanted(store: Store, run_id: str, tip: str) -> tuple[dict[str, str], set[str]]:
    """The refs that the target shall have, and the commits of the run's snapshots up to the tip."""
    said = sure(lambda: store.run(
        "for-each-ref", f"--merged={tip}", "--format=%(refname) %(objectname) %(*objectname)",
        f"refs/tags/{OURS}/{run_id}/",
    ))  # fmt: skip
    found = records("reading the tags to deliver", said, b"\n")
    lines = [line.decode().split(" ") for line in found]
    tags = {ref: oid for ref, oid, _ in lines}
    return {f"refs/heads/{OURS}/{run_id}": tip, **tags}, {commit for _, _, commit in lines}


def _taken(
    store: Store, branch: str, wanted: dict[str, str], there: dict[str, str], expected: str
) -> str:
    """Why what stands there is not ours to replace; empty when it is."""
    name = branch.removeprefix("refs/heads/")
    run_id = name.rpartition("/")[2]
    again = f"and then `{_again(run_id)}`"
    tip, now = wanted[branch], there.get(branch, "")
    if now not in (expected, tip):
        back = f"`git branch -f {name} {expected}` {again}"
        if now and expected:
            mine = f"`git branch NAME {name}` keeps your commits first; be on another branch"
            moved = f"branch {name} there is at {now}, but last delivered was {expected}"
            return f"{moved}: {back} ({mine})"
        if now:
            moved = f"`git branch -m {name} NAME` {again}"
            return f"branch {name} there is at {now}, but this run delivered nothing yet: {moved}"
        return f"branch {name} was deleted there: `{_again(run_id)}` brings it back"
    if expected and not is_ancestor(store, expected, tip):
        return f"branch {name} would lose commits: {tip} does not descend from {expected}"
    for ref, oid in wanted.items():
        if ref != branch and there.get(ref, oid) != oid:
            return f"tag {ref.removeprefix('refs/tags/')} exists there with another content"
    return ""


def _behind(store: Store, now: str, tip: str) -> bool:
    """Whether the tip descends from it; a commit that our repository does not know is not."""
    return store.run("merge-base", "--is-ancestor", now, tip).exit_code == 0


def refused(said: Finished, target: str) -> str:
    """A lock that is in the way, else the first refusal that git tells of, in its words."""
    if lock := _LOCKED.search(said.stderr):
        place = printable_lines(lock[1].replace(b"/./", b"/"))
        left = "a git works there, or was killed and left it: delete it when no git works there"
        return f"{target} did not take the push: {place} exists; {left}"
    for line in said.stdout.splitlines():
        if line.startswith(b"!"):
            _, refs, why = [*line.split(b"\t"), b"", b""][:3]
            ref = refs.rpartition(b":")[2]
            if b"atomic" not in why and b"unpacker" not in why:  # these two tell no reason
                return f"{target} refused {printable_lines(ref)}: {printable_lines(why)}"
    return f"{target} did not take the push: {_last(said)}"


def _again(run_id: str) -> str:
    """The command that tries once more."""
    return f"autopack run deliver {run_id}"


def _last(said: Finished) -> str:
    text = printable_lines(said.stderr).replace("\n", "; ")
    return text[-SAID_CHARACTERS_MAX:] or f"git ended ({said.ended})"
