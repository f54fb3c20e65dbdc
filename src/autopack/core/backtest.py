"""What a backtest found: a commit's verdict with its reasons, and what many of them come to.

A backtest replays a repository's own commits through gate and apply, so that a policy can be judged
by history before a token is spent. Records and counting only: nothing here replays anything.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Final

from autopack.core.event import GateVerdict
from autopack.core.run import Finding, Severity

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

SCOPE_PATHS_MAX: Final = 200
"""Patterns of one scope: each path is held against each, 40,000 matches take about 20 ms."""
SLOWEST_TOLD: Final = 5
PATHS_TOLD: Final = 3
_SPECIAL: Final = re.compile(r"([\\*?\[\]!# ])")
_BLANK: Final = re.compile(r"[^\S ]")
"""White space that ends a pattern unseen, escaped or not: any one character stands for it."""


class BacktestVerdict(StrEnum):
    """What would become of a commit, were it a phase's work."""

    ACCEPT = "accept"
    NEEDS_AUDITOR = "needs_auditor"
    REFUSE = "refuse"


@dataclass(frozen=True)
class Measure:
    """What limits count: files, added plus removed lines, bytes of the largest new file."""

    files: int = 0
    changed_lines: int = 0
    largest_file_bytes: int = 0


@dataclass(frozen=True)
class CiRun:
    """CI on a replayed commit; `verdict` is a CiVerdict's value, `log` the folder of its output."""

    verdict: str
    summary: str
    tests_run: int
    weak: bool
    cached: bool
    log: str


@dataclass(frozen=True)
class Replayed:
    """One commit that was replayed on its parent (empty for a root commit)."""

    commit: str
    parent: str
    subject: str
    verdict: BacktestVerdict
    findings: tuple[Finding, ...]
    seconds: float
    identical: bool | None
    """Whether the tree is byte for byte the commit's; None when there is no tree to compare."""
    measure: Measure = Measure()
    ci: CiRun | None = None
    before: BacktestVerdict | None = None
    """The verdict under the base's own policy, when another one is tried."""


@dataclass(frozen=True)
class PathCount:
    """A path and how many commits met a rule there."""

    path: str
    commits: int


@dataclass(frozen=True)
class RuleShare:
    """How many of the commits met one rule; `share` of all replayed, 0 to 1.

    `example`: the newest of them; `paths`: where it was met most often, PATHS_TOLD at most.
    """

    rule: str
    severity: Severity
    commits: int
    share: float
    example: str
    paths: tuple[PathCount, ...]
    remedy: str


@dataclass(frozen=True)
class Change:
    """A commit whose verdict another policy changes."""

    commit: str
    before: BacktestVerdict
    after: BacktestVerdict


@dataclass(frozen=True)
class Summary:
    """What the replayed commits come to."""

    verdicts: Mapping[BacktestVerdict, int]
    identical: int
    different: tuple[str, ...]
    rules: tuple[RuleShare, ...]
    slowest: tuple[Replayed, ...]
    changes: tuple[Change, ...]


def verdict_of(findings: Iterable[Finding]) -> BacktestVerdict:
    """One refusal refuses, one question needs an auditor."""
    severities = {finding.severity for finding in findings}
    if Severity.REFUSE in severities:
        return BacktestVerdict.REFUSE
    asks = Severity.ASK in severities
    return BacktestVerdict.NEEDS_AUDITOR if asks else BacktestVerdict.ACCEPT


GATE: Final = {
    GateVerdict.PASS: BacktestVerdict.ACCEPT,
    GateVerdict.NEEDS_AUDITOR: BacktestVerdict.NEEDS_AUDITOR,
    GateVerdict.FAIL: BacktestVerdict.REFUSE,
}


def scope_of(paths: Sequence[bytes]) -> tuple[str, ...]:
    """A scope that names exactly these paths; their top-level names when they are too many."""
    names = [path.decode("utf-8", "surrogateescape") for path in paths]
    if len(names) > SCOPE_PATHS_MAX:
        names = sorted({name.partition("/")[0] for name in names})
    if len(names) > SCOPE_PATHS_MAX:
        return ("**",)
    return tuple(map(_pattern, names)) or ("**",)


def _pattern(name: str) -> str:
    return "/" + _BLANK.sub("?", _SPECIAL.sub(r"\\\1", name))


def summarise(replayed: Sequence[Replayed]) -> Summary:
    """Counts per verdict and per rule, what was slow, what differs, what another policy changes."""
    return Summary(
        verdicts={each: sum(r.verdict is each for r in replayed) for each in BacktestVerdict},
        identical=sum(each.identical is True for each in replayed),
        different=tuple(each.commit for each in replayed if each.identical is False),
        rules=tuple(_shares(replayed)),
        slowest=tuple(sorted(replayed, key=lambda each: -each.seconds)[:SLOWEST_TOLD]),
        changes=tuple(
            Change(each.commit, each.before, each.verdict)
            for each in replayed
            if each.before is not None and each.before is not each.verdict
        ),
    )


def _shares(replayed: Sequence[Replayed]) -> Iterator[RuleShare]:
    """Refusals first, then what is asked, each by how many commits."""
    found: dict[tuple[Severity, str], list[Replayed]] = {}
    places: dict[tuple[Severity, str], Counter[str]] = {}
    for each in replayed:
        met: dict[tuple[Severity, str], set[str]] = {}
        for finding in each.findings:
            met.setdefault((finding.severity, finding.rule), set()).add(finding.path)
        for key, paths in met.items():
            found.setdefault(key, []).append(each)
            places.setdefault(key, Counter()).update(sorted(paths - {""}))
    order = list(Severity)
    for key in sorted(found, key=lambda key: (order.index(key[0]), -len(found[key]))):
        severity, rule = key
        hits = found[key]
        yield RuleShare(
            rule,
            severity,
            len(hits),
            len(hits) / len(replayed),
            hits[0].commit,
            tuple(PathCount(*each) for each in places[key].most_common(PATHS_TOLD)),
            remedy(rule, severity, [each.measure for each in hits]),
        )


def remedy(rule: str, severity: Severity, measures: Sequence[Measure]) -> str:
    """What to change in autopack.toml, or to do, so that commits like these are taken."""
    if rule in _LIMITS:
        key, needed = _LIMITS[rule]
        most = max((needed(each) for each in measures), default=0)
        if most:
            return f"[policy] {key} = {most}"
    if rule == "protected-path":
        return (
            'auditor = "NAME": an auditor decides; patterns of [policy] protected may be taken '
            "out, the built-in ones may not"
        )
    if severity is Severity.ASK:
        return 'auditor = "NAME": an auditor decides'
    return _REMEDIES.get(rule, "no key takes it: such a change is made by hand")


_LIMITS: Final[dict[str, tuple[str, Callable[[Measure], int]]]] = {
    "too-many-files": ("max_files", lambda measure: measure.files),
    "too-many-lines": ("max_changed_lines", lambda measure: measure.changed_lines),
    "file-size": ("max_file_bytes", lambda measure: measure.largest_file_bytes),
}
_CLONE: Final = (
    "no key: it bounds patches only; agents that work in a clone are bound by "
    "[policy] max_file_bytes (try --way clone)"
)
_REMEDIES: Final = {
    "empty-change": "no key: a phase that changes nothing has not done its task",
    "patch-size": _CLONE,
    "binary-size": _CLONE,
    "patch-limits": _CLONE,
    "ci-fail": "[ci.normal]: mend the command, or leave such commits out; its log says why",
    "ci-invalid": "[ci.normal]: let the command report tests that ran; its log says why",
    "ci-infra": "this machine could not run CI: `autopack doctor`, [environment]",
    "ci-cancelled": "--seconds: CI was cut off there; or a smaller [ci.normal]",
}
