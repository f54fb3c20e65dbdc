"""Unified diffs onto a commit: bytes are checked first, then git applies them to a private index.

Never a checkout, never fuzz, rejects or three-way markers; what comes out is judged as a tree.
"""

from __future__ import annotations

import itertools
import re
import signal
from typing import TYPE_CHECKING, Final

from autopack.adapters.git.index import index_of
from autopack.adapters.git.wrapper import environmental, failed, forged, printable_lines
from autopack.app.ports import Refused
from autopack.core.run import Finding
from autopack.process.limits import Ended, Extra, Limits

if TYPE_CHECKING:
    from collections.abc import Iterator

    from autopack.adapters.git.wrapper import Store
    from autopack.process.limits import Finished

PATCH_BYTES_MAX: Final = 32 << 20  # bytes; thrice the largest file that policy takes by default
BINARY_BYTES_MAX: Final = 32 << 20  # declared bytes of one binary; 0.67 MB once made 512 MiB
PATCH_FILES_MAX: Final = 10_000  # files a patch may name; policy's own limit is far below
FINDINGS_MAX: Final = 20
STDERR_BYTES_MAX: Final = 1 << 16  # what git says that is read: many times FINDINGS_MAX lines
APPLY_LIMITS: Final = Limits(
    wall_seconds_max=60,
    output_bytes_max=1 << 20,
    memory_bytes_max=512
    << 20,  # 256 MiB held the bomb of BINARY_BYTES_MAX; large indexes need more
    file_bytes_max=256 << 20,
)
KEPT_NAME: Final = b"autopack-rejected.patch"
_DECLARED: Final = re.compile(rb"^(?:literal|delta)[ \t]+[+-]?(\d+)", re.MULTILINE)
"""As git reads it, which lets a sign before the number and anything after it pass."""
_LONG_NAME: Final = re.compile(
    rb"^(?:diff --git |\+\+\+ |(?:rename|copy) to )[^\n]{8192}", re.MULTILINE
)
"""Twice what a file system takes; git crashes on a tree some 20,000 folders deep."""
_FILES: Final = re.compile(rb"^(?:diff --git |\+\+\+ )", re.MULTILINE)
_NAMES: Final = re.compile(
    rb"^(?:diff --git|---|\+\+\+|(?:rename|copy) (?:from|to)) .*", re.MULTILINE
)
_ESCAPED: Final = re.compile(rb"\\(?:n|r|01[25]|0[4-7][0-7]|1[0-7][0-7])")
"""A line break, or a plain letter, which git itself never escapes."""
_NOTHING: Final = "error: No valid patches in input"  # after what was wrong with them
_SAID: Final = (
    (re.compile(r"^error: patch failed: (?P<path>.*):(?P<line>\d+)$"), "patch-does-not-apply"),
    (re.compile(r"^error: (?P<path>.*): patch does not apply$"), "patch-does-not-apply"),
    (re.compile(r"^(?:error|fatal): corrupt (?:binary )?patch at line (?P<line>\d+)"),
     "patch-corrupt"),
    (re.compile(r"^fatal: (?:Out of memory|Data too large)"), "patch-limits"),
    (re.compile(r"^error: (?P<path>.*): (?:does not exist in index|already exists in index)$"),
     "patch-does-not-apply"),
    (re.compile(r"^error: '(?P<path>.*)' appears as both a file and as a directory$"),
     "patch-does-not-apply"),
    (re.compile(r"^error: invalid path '(?P<path>.*)'$"), "patch-path"),
    (re.compile(r"^error: affected file '(?P<path>.*)' is beyond a symbolic link$"), "patch-path"),
)  # fmt: skip


def apply(store: Store, parent: str, patch: bytes) -> str | Refused:
    """The tree of `parent` with the patch applied; a blank patch changes nothing."""
    if refusals := tuple(_precheck(patch)):
        return Refused(refusals)
    with index_of(store, parent) as index:
        if patch.strip():
            said = store.run(
                "apply", "--cached", "--whitespace=nowarn", "-",
                index=index, stdin=patch, limits=APPLY_LIMITS, extra=Extra(fed=True),
            )  # fmt: skip
            if not said.ok:
                return _refusal(said, patch)
        return store.oid("write-tree", index=index)


def keep_patch(store: Store, parent: str, patch: bytes) -> str:
    """A tree with the parent's files and the patch as `autopack-rejected.patch` at the root."""
    blob = store.oid("hash-object", "-w", "--stdin", "--no-filters", stdin=patch)
    entries = store.output("ls-tree", "-z", "--full-tree", parent).split(b"\0")[:-1]
    kept = [entry for entry in entries if entry.partition(b"\t")[2] != KEPT_NAME]
    kept.append(b"100644 blob " + blob.encode() + b"\t" + KEPT_NAME)
    return store.oid("mktree", "-z", stdin=b"\0".join([*kept, b""]))


def _precheck(patch: bytes) -> Iterator[Finding]:
    if len(patch) > PATCH_BYTES_MAX:
        message = f"the patch is {len(patch)} bytes; at most {PATCH_BYTES_MAX}"
        yield Finding("patch-size", message)
        return
    if (files := len(_FILES.findall(patch))) > 2 * PATCH_FILES_MAX:
        yield Finding("too-many-files", f"the patch names over {PATCH_FILES_MAX} files ({files})")
    for match in itertools.islice(_LONG_NAME.finditer(patch), FINDINGS_MAX):
        message = "a name of thousands of bytes; use a shorter path"
        yield Finding("path-length", message, line=_line(patch, match))
    declared = [
        match
        for match in _DECLARED.finditer(patch)
        if len(match[1]) > 18 or int(match[1]) > BINARY_BYTES_MAX
    ]
    for match in declared[:FINDINGS_MAX]:
        message = f"a binary file of more than {BINARY_BYTES_MAX} bytes; leave it out"
        yield Finding("binary-size", message, line=_line(patch, match))


def _line(patch: bytes, match: re.Match[bytes]) -> int:
    return patch.count(b"\n", 0, match.start()) + 1


def _refusal(said: Finished, patch: bytes) -> Refused:
    """Why git did not apply it; GitFailed when that was not the patch's doing."""
    killed = said.signal in (signal.SIGKILL, signal.SIGTERM) and said.ended is Ended.SIGNALLED
    full = said.exit_code is not None and environmental(said)
    if killed or (full and not any(_lies(name) for name in _NAMES.findall(patch))):
        raise failed("git apply", said)
    text = printable_lines(said.stderr[-STDERR_BYTES_MAX:])
    if said.exit_code is None:
        message = f"applying the patch passed a limit of time, memory or size ({said.ended})"
        return Refused((Finding("patch-limits", message),))
    findings: dict[tuple[str, str, int], Finding] = {}
    for line in text.splitlines():
        if findings and line.startswith(_NOTHING):
            continue
        finding = _finding(line)
        findings.setdefault((finding.rule, finding.path, finding.line), finding)
    told = [f for f in findings.values() if not (f.line == 0 and _told_better(f, findings))]
    return Refused(
        tuple(told[:FINDINGS_MAX]) or (Finding("patch-does-not-apply", "git refused it"),)
    )


def _lies(name: bytes) -> bool:
    return forged(name) or _ESCAPED.search(name) is not None


def _told_better(finding: Finding, others: dict[tuple[str, str, int], Finding]) -> bool:
    """git names a failing file twice, once with the line."""
    return any(
        o.rule == finding.rule and o.path == finding.path and o.line for o in others.values()
    )


def _finding(line: str) -> Finding:
    for pattern, rule in _SAID:
        if found := pattern.match(line):
            parts = found.groupdict()
            where = int(parts.get("line") or 0)
            message = f"{line}; make the patch against the phase's parent commit"
            return Finding(rule, message, parts.get("path") or "", where)
    return Finding(
        "patch-does-not-apply", f"{line}; make the patch against the phase's parent commit"
    )
