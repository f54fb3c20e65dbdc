"""The one way to run git: scrubbed environment, options that no repository's config overrides.

Never a shell, never a credential unless `Trust.USER` is asked for, never a prompt.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field
from enum import Enum
from functools import cached_property
from typing import TYPE_CHECKING, Final, TypedDict, Unpack, cast

from autopack.core.errors import EnvironmentFault
from autopack.core.names import printable
from autopack.core.redact import redact
from autopack.process.limits import Ended, Limits
from autopack.process.runner import run

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from autopack.app.ports import Cancel
    from autopack.process.limits import Extra, Finished, Identity

VERSION_FLOOR: Final = (2, 39, 2)  # merge-tree --write-tree (2.38); apply fixed for CVE-2023-23946
SHORT_SECONDS_MAX: Final = 120.0  # a local call; 50,000 files check out in 10
LONG_SECONDS_MAX: Final = 3600.0  # fetch, push, checkout
OUTPUT_BYTES_MAX: Final = 128 << 20  # a listing of a million paths
STDERR_CHARACTERS_MAX: Final = 2000  # told of a failed call
OID: Final = re.compile(rb"[0-9a-f]{40}(?:[0-9a-f]{24})?")
OWNER_VARIABLE: Final = "AUTOPACK_REPOSITORY"
"""Set to the bare repository's folder in every git we start for it: finds orphans."""

OPTIONS: Final = {
    "core.hooksPath": "/dev/null",
    "core.fsmonitor": "false",
    "core.untrackedCache": "false",
    "core.protectHFS": "true",
    "core.protectNTFS": "true",
    "core.fsync": "all,-index",  # every index of ours is private and thrown away
    "core.attributesFile": "/dev/null",
    "core.excludesFile": "/dev/null",
    "core.autocrlf": "false",
    "core.safecrlf": "false",
    "core.fileMode": "true",
    "core.symlinks": "true",
    "core.ignoreCase": "false",
    "core.precomposeUnicode": "false",
    "core.quotePath": "false",
    "core.pager": "cat",
    "gc.auto": "0",
    "maintenance.auto": "false",
    "merge.directoryRenames": "false",
    "submodule.recurse": "false",
    "safe.directory": "*",  # a root supervisor reads users' repositories; nothing there is run
}
PROTOCOLS: Final = ("file", "https", "http", "ssh")
_USER_VARIABLES: Final = (
    "HOME", "USER", "LOGNAME", "XDG_CONFIG_HOME", "XDG_RUNTIME_DIR", "DBUS_SESSION_BUS_ADDRESS",
    "SSH_AUTH_SOCK", "HTTPS_PROXY", "HTTP_PROXY", "NO_PROXY", "https_proxy", "http_proxy",
    "no_proxy", "SSL_CERT_FILE", "SSL_CERT_DIR", "GIT_SSL_CAINFO",
)  # fmt: skip


class GitFailed(EnvironmentFault):
    """A git call that must work did not."""

    code = "git_failed"


class Trust(Enum):
    """Whose configuration git may read: nobody's, or (remote URLs only) the user's too."""

    NOBODY = "nobody"
    USER = "user"


@dataclass(frozen=True)
class Git:
    """Runs git for one owner; `environment` is the supervisor's, read once by who builds it."""

    environment: Mapping[str, str] = field(default_factory=lambda: dict(os.environ))
    program: str = "git"
    owner: str = ""
    """The bare repository's folder this is run for."""

    def run(  # noqa: PLR0913 - git has these ways in, and each call names the few it uses
        self,
        *args: str | Path,
        git_dir: Path | None = None,
        work_tree: Path | None = None,
        cwd: Path | None = None,
        index: Path | None = None,
        stdin: bytes = b"",
        config: Mapping[str, str] | None = None,
        variables: Mapping[str, str] | None = None,
        protocol: str = "",
        trust: Trust = Trust.NOBODY,
        limits: Limits | None = None,
        identity: Identity | None = None,
        extra: Extra | None = None,
        cancel: Cancel | None = None,
    ) -> Finished:
        """One git call; how it ended is a value. Raises ProgramMissing and LaunchFailed."""
        options = {**OPTIONS, **_protocol_options(protocol), **(config or {})}
        argv = [self.program]
        for key, value in options.items():
            argv += ["-c", f"{key}={value}"]
        argv += [os.fspath(arg) for arg in args]
        env = self._environment(trust)
        if git_dir is not None:
            env["GIT_DIR"] = os.fspath(git_dir)
        if work_tree is not None:
            env["GIT_WORK_TREE"] = os.fspath(work_tree)
        if index is not None:
            env["GIT_INDEX_FILE"] = os.fspath(index)
        return run(
            argv,
            env={**env, **(variables or {})},
            cwd=cwd or work_tree or git_dir,
            stdin=stdin,
            limits=limits or Limits(SHORT_SECONDS_MAX, output_bytes_max=OUTPUT_BYTES_MAX),
            identity=identity,
            extra=extra,
            cancel=cast("threading.Event | None", cancel),  # all it does is ask `is_set`
        )

    @cached_property
    def version(self) -> tuple[int, ...]:
        """Its version; EnvironmentFault below VERSION_FLOOR, ProgramMissing when there is none."""
        finished = self.run("version")
        found = re.search(rb"(\d+)\.(\d+)(?:\.(\d+))?", finished.stdout)
        if not finished.ok or found is None:
            raise failed("git version", finished)
        version = tuple(int(part or 0) for part in found.groups())
        if version < VERSION_FLOOR:
            told, floor = (".".join(map(str, numbers)) for numbers in (version, VERSION_FLOOR))
            raise EnvironmentFault(
                f"git is {told}; Autopack needs {floor} or newer",
                "install a newer git and put its folder first on PATH",
            )
        return version

    def _environment(self, trust: Trust) -> dict[str, str]:
        env = {
            "PATH": self.environment.get("PATH", os.defpath),
            "LC_ALL": "C",
            "TZ": "UTC",
            "GIT_TERMINAL_PROMPT": "0",
            "GIT_OPTIONAL_LOCKS": "0",
            "GIT_NO_LAZY_FETCH": "1",
            "GIT_NO_REPLACE_OBJECTS": "1",
            OWNER_VARIABLE: self.owner,
        }
        if trust is Trust.USER:
            given = {name: self.environment.get(name) for name in _USER_VARIABLES}
            env |= {name: value for name, value in given.items() if value is not None}
            env["SSH_ASKPASS_REQUIRE"] = "never"
        else:
            env |= {
                "HOME": "/dev/null",  # below it nothing can exist
                "GIT_CONFIG_NOSYSTEM": "1",
                "GIT_ATTR_NOSYSTEM": "1",
                "GIT_CONFIG_GLOBAL": "/dev/null",
            }
        return env


class Options(TypedDict, total=False):
    """The keywords of Git.run that callers pass through."""

    git_dir: Path
    work_tree: Path
    cwd: Path
    index: Path
    stdin: bytes
    config: Mapping[str, str]
    variables: Mapping[str, str]
    protocol: str
    trust: Trust
    limits: Limits
    extra: Extra
    cancel: Cancel | None


@dataclass(frozen=True)
class Store:
    """git, bound to the supervisor's bare repository in `folder`."""

    git: Git
    folder: Path
    alone: bool = False
    """The store's lock is ours: what a dead git left in the way may be deleted."""

    def run(self, *args: str | Path, **options: Unpack[Options]) -> Finished:
        """A call on the repository that may fail."""
        options["git_dir"] = self.folder
        return self.git.run(*args, **options)

    def output(self, *args: str | Path, **options: Unpack[Options]) -> bytes:
        """The output of a call that must work; GitFailed."""
        finished = self.run(*args, **options)
        if not finished.ok:
            raise failed(f"git {args[0]}", finished)
        return finished.stdout

    def oid(self, *args: str | Path, **options: Unpack[Options]) -> str:
        """The one object id a call prints: git may exit 0 and print nothing when a pipe breaks."""
        return oid_of(f"git {args[0]}", self.run(*args, **options))

    @property
    def scratch(self) -> Path:
        """Where private indexes live: on the same disk, emptied when the supervisor starts."""
        return self.folder / "autopack-scratch"


def oid_of(what: str, finished: Finished) -> str:
    """The object id that is all of a call's output, or GitFailed."""
    word = finished.stdout.strip()
    if not finished.ok or not OID.fullmatch(word):
        raise failed(what, finished)
    return word.decode()


def object_of(git: Git, folder: Path, kind: str, name: str) -> bytes:
    """The content of an object, whole: git tells its size first. GitFailed."""
    said = git.run("cat-file", "--batch", git_dir=folder, stdin=f"{name}\n".encode())
    head, _, content = said.stdout.partition(b"\n")
    if not said.ok or head.split(b" ")[1:] != [kind.encode(), b"%d" % (len(content) - 1)]:
        raise failed(f"git cat-file {kind} {name}", said)
    return content[:-1]


def sure(call: Callable[[], Finished]) -> Finished:
    """A call that may rightly print nothing: that is believed when it does so twice.

    git exits 0 when it could not write to its pipe.
    """
    said = call()
    return call() if said.ok and not said.stdout else said


def records(what: str, said: Finished, end: bytes = b"\0") -> list[bytes]:
    """The records of a listing that must work, each ended by `end`; GitFailed when one is cut."""
    if not said.ok or (said.stdout and not said.stdout.endswith(end)):
        raise failed(what, said)
    return said.stdout.split(end)[:-1]


def failed(what: str, finished: Finished) -> GitFailed:
    """The fault for a call that had to work, with the end of what it said."""
    said = redact(printable_lines(finished.stderr))[-STDERR_CHARACTERS_MAX:]
    if finished.ended is Ended.EXITED:
        how = f"exit code {finished.exit_code}"
    else:
        how = str(finished.ended)
    hint = "see what git says; check the disk and the repository with `autopack doctor`"
    if "No space left on device" in said or "Out of diskspace" in said:
        hint = "free disk space, then run it again: nothing is lost"
    return GitFailed(f"{what} failed ({how}): {said or 'no message'}", hint)


def printable_lines(text: bytes) -> str:
    """What git said, safe to show: it may quote hostile names."""
    return "\n".join(printable(line) for line in text.strip().splitlines())


def protocol_of(url: str) -> str:
    """The protocol of a path or URL, one of PROTOCOLS; empty when Autopack does not speak it."""
    if url.startswith("-") or not url or any(ord(char) < 32 for char in url):
        return ""
    scheme, separator, _ = url.partition("://")
    if separator:
        return scheme if scheme in PROTOCOLS else ""
    if "::" in url:
        return ""
    host, colon, _ = url.partition(":")
    return "ssh" if colon and "/" not in host else "file"


def _protocol_options(protocol: str) -> dict[str, str]:
    options = {"protocol.allow": "never"}
    if protocol:
        options[f"protocol.{protocol}.allow"] = "always"
        options["protocol.version"] = "2"  # any commit may be asked for by id
    return options


def other_side(protocol: str, program: str) -> list[str]:
    """How a local transport starts its other side, whose git our `-c` do not reach."""
    if protocol != "file":
        return []
    told = " ".join(f"-c {key}={value}" for key, value in _OTHER_SIDE.items())
    return [f"--{program}=git {told} {program}"]


_OTHER_SIDE: Final = {
    "safe.directory": "'*'",  # git passes this through a shell
    "core.fsmonitor": "false",
    "core.alternateRefsCommand": "true",
    "core.fsync": "all",
    "gc.auto": "0",
    "maintenance.auto": "false",
    "receive.autogc": "false",
    "receive.denyCurrentBranch": "refuse",  # `updateInstead` would touch a checkout
}

_MACHINE: Final = (
    rb"(?:No space left on device|Input/output error|Read-only file system|Disk quota exceeded|"
    rb"Too many open files)"
)
_ENVIRONMENTAL: Final = re.compile(
    rb": " + _MACHINE + rb"$|^fatal: unable to write new index file$|"
    rb"^fatal: sha1 file '[^'\n]*' write error\. Out of diskspace$|"
    rb"^error: insufficient permission for adding an object to repository database",
    re.MULTILINE,
)
"""Whole line ends and beginnings only: git repeats the agent's names in its messages."""


def environmental(finished: Finished) -> bool:
    """Whether a refusal was the machine's, not the input's."""
    return _ENVIRONMENTAL.search(finished.stderr) is not None


def forged(names: bytes) -> bool:
    """Whether git, which repeats names as they are, could seem to tell of the machine by these."""
    return b"\n" in names or re.search(_MACHINE, names) is not None
