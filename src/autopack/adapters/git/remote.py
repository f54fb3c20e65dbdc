"""Branches of another repository, moved and deleted under a lease, with a token where one is given.

A token goes to git by its environment, for that one address only, and no redirect is followed with
it. Never a ref outside `refs/heads/`, never without the old value.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

from autopack.adapters.git.delivery import SAID_CHARACTERS_MAX, refused
from autopack.adapters.git.source import inspect, local_path
from autopack.adapters.git.wrapper import (
    LONG_SECONDS_MAX,
    OID,
    SHORT_SECONDS_MAX,
    Git,
    Store,
    Trust,
    other_side,
    printable_lines,
    protocol_of,
)
from autopack.app.forge import ForgeAway, ForgeRefused
from autopack.core.errors import OperatorFault
from autopack.process.limits import Ended, Extra, Limits

if TYPE_CHECKING:
    from autopack.app.ports import Cancel
    from autopack.process.limits import Finished

LOOK: Final = Limits(SHORT_SECONDS_MAX, output_bytes_max=1 << 20)
PUSH: Final = Limits(LONG_SECONDS_MAX, output_bytes_max=1 << 20)
USER: Final = "x-access-token"
"""The name beside which GitHub takes a token of any kind."""
_NOT_ALLOWED: Final = re.compile(
    r"Authentication failed|could not read (?:Username|Password)|terminal prompts|"
    r"(?:Repository|[Rr]epository '[^'\n]*') not found|does not appear to be a git repository|"
    r"returned error: 40[134]|Permission denied|Permission to \S+ denied|access denied"
)


@dataclass(frozen=True)
class GitRemote:
    """Implements `app.forge.Remote` from the supervisor's repository in `store`."""

    open_store: Callable[[], Store]
    url: str
    token: str = field(default="", repr=False)

    def stands(self, branch: str) -> str:
        """The commit that a branch stands at; empty when there is none."""
        ref = f"refs/heads/{branch}"
        said = self._run(LOOK, None, "ls-remote", "--refs", *self._side("upload-pack"), "--",
                         self._address, ref)  # fmt: skip
        if not said.ok:
            raise self._fault(said)
        for line in said.stdout.splitlines():
            oid, _, name = line.partition(b"\t")
            if name == ref.encode() and OID.fullmatch(oid):
                return oid.decode()
        return ""

    def push(self, branch: str, commit: str, expected: str, cancel: Cancel | None = None) -> str:
        """Move a branch from where it was seen; why not, empty when it is there."""
        now = self.stands(branch)
        if now == commit:
            return ""
        if now != expected:
            there = f"stands at {now}" if now else "is not there"
            return f"branch {branch} {there}, and not at {expected or 'nothing'}"
        return self._move(branch, commit, expected, cancel)

    def delete(self, branch: str, expected: str, cancel: Cancel | None = None) -> str:
        """Delete a branch that stands where it was left; why not, empty when it is gone."""
        now = self.stands(branch)
        if not now:
            return ""
        if now != expected:
            return f"branch {branch} stands at {now}, and not at {expected}"
        return self._move(branch, "", expected, cancel)

    def root(self, commit: str) -> str:
        """The first commit of the history of one of ours."""
        return self.open_store().output("rev-list", "--max-parents=0", commit).decode().split()[-1]

    def merged(self, branch: str, commit: str) -> bool:
        """Whether a branch of a repository on this machine has the commit; elsewhere, its tip."""
        if self._protocol != "file":
            return self.stands(branch) == commit
        git = self.open_store().git
        folder = inspect(git, Path(local_path(self.url))).git_folder
        ref = f"refs/heads/{branch}"
        return git.run("merge-base", "--is-ancestor", commit, ref, git_dir=folder).ok

    def _move(self, branch: str, commit: str, expected: str, cancel: Cancel | None) -> str:
        """Push (an empty commit: delete); an answer that was lost is looked for."""
        ref = f"refs/heads/{branch}"
        said = self._run(
            PUSH, cancel, "push", "--porcelain", "--no-verify", "--no-follow-tags", "--no-signed",
            "--recurse-submodules=no", "--no-progress", f"--force-with-lease={ref}:{expected}",
            *self._side("receive-pack"), "--", self._address, f"{commit}:{ref}",
        )  # fmt: skip
        if said.ok and said.stdout.endswith(b"\nDone\n"):
            return ""
        if said.ended is Ended.CANCELLED:
            return "told to end"
        if self.stands(branch) == commit:
            return ""
        if not any(line.startswith(b"!") for line in said.stdout.splitlines()):
            raise self._fault(said)
        return refused(said, self.url)

    @property
    def _protocol(self) -> str:
        protocol = protocol_of(self.url)
        if not protocol:
            what = f"{self.url!r} is no repository address that Autopack uses"
            raise OperatorFault(what, "name a folder, or an https or ssh address")
        return protocol

    @property
    def _address(self) -> str:
        return str(local_path(self.url)) if self._protocol == "file" else self.url

    def _side(self, program: str) -> list[str]:
        return other_side(self._protocol, program)

    def _run(self, limits: Limits, cancel: Cancel | None, *args: str) -> Finished:
        """One call. Into a folder it outlives us, as a delivery does; elsewhere it ends with us."""
        local = self._protocol == "file"
        config, variables = self._credential()
        return self.open_store().run(
            *args, protocol=self._protocol, trust=Trust.NOBODY if local else Trust.USER,
            config=config, variables=variables, limits=limits, extra=Extra(tied=not local),
            cancel=cancel,
        )  # fmt: skip

    def _credential(self) -> tuple[dict[str, str], dict[str, str]]:
        """Configuration and environment that give the token to this address and nobody else."""
        if not self.token or self._protocol not in ("https", "http"):
            return {}, {}
        word = base64.b64encode(f"{USER}:{self.token}".encode()).decode()
        config = {"http.followRedirects": "false", "credential.helper": ""}
        return config, {
            "GIT_CONFIG_COUNT": "1",
            "GIT_CONFIG_KEY_0": f"http.{self.url}.extraHeader",
            "GIT_CONFIG_VALUE_0": f"Authorization: Basic {word}",
        }

    def _fault(self, said: Finished) -> ForgeAway | ForgeRefused:
        """Whose fault a failed call is."""
        text = printable_lines(said.stderr).replace("\n", "; ")[-SAID_CHARACTERS_MAX:]
        what = f"{self.url}: {text or f'git ended ({said.ended})'}"
        if _NOT_ALLOWED.search(text):
            hint = "check the address and the right of your token or key to push there"
            return ForgeRefused(what, hint)
        return ForgeAway(what, "check the network, then try again")


def origin(git: Git, repository: Path) -> str:
    """The address that the user's repository came from; empty when its configuration names none."""
    folder = inspect(git, repository).git_folder
    said = git.run("config", "--get", "remote.origin.url", git_dir=folder)
    return printable_lines(said.stdout) if said.ok else ""
