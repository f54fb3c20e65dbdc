"""What a backtest found, as text and as the JSON that `--json` prints.

The JSON is a public shape: change SCHEMA_VERSION with it (docs/how-to/backtest.md tells its keys).
Never replays anything.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final

from autopack.app.sentences import count
from autopack.cli import render
from autopack.core.backtest import BacktestVerdict, Replayed, RuleShare, Summary, summarise
from autopack.core.errors import EnvironmentFault
from autopack.core.event import CiVerdict
from autopack.core.run import Severity

ORDER: Final = "topological, newest first, no merges, merged branches included"
TOLD_MAX: Final = 20
"""Commits listed of a kind in the text; the JSON has all."""
SUBJECT_CHARACTERS_MAX: Final = 50
WORDS: Final = {
    BacktestVerdict.ACCEPT: "accept",
    BacktestVerdict.NEEDS_AUDITOR: "needs auditor",
    BacktestVerdict.REFUSE: "refuse",
}


@dataclass(frozen=True)
class Report:
    """One backtest: what was asked, and what was found. `seconds` without fetching."""

    repository: str
    branch: str
    tip: str
    policy: str
    way: str
    ci: bool
    sandbox: str
    """What CI ran in; empty without CI."""
    last: int
    replayed: tuple[Replayed, ...]
    seconds: float
    fetch_seconds: float
    interrupted: bool = False
    fault: EnvironmentFault | None = None

    @property
    def per_second(self) -> float:
        return len(self.replayed) / self.seconds if self.seconds else 0.0


def record(report: Report) -> dict[str, Any]:
    """The whole backtest for programs."""
    summary = summarise(report.replayed)
    return {
        "repository": report.repository,
        "branch": report.branch,
        "tip": report.tip,
        "order": ORDER,
        "policy": report.policy,
        "way": report.way,
        "ci": report.ci,
        "sandbox": report.sandbox,
        "commits_found": report.last,
        "commits_replayed": len(report.replayed),
        "complete": len(report.replayed) == report.last,
        "interrupted": report.interrupted,
        "fetch_seconds": round(report.fetch_seconds, 3),
        "seconds": round(report.seconds, 3),
        "commits_per_second": round(report.per_second, 2),
        "verdicts": {verdict.value: number for verdict, number in summary.verdicts.items()},
        "identical_trees": summary.identical,
        "different_trees": list(summary.different),
        "rules": [asdict(rule) for rule in summary.rules],
        "slowest": [{"commit": r.commit, "seconds": round(r.seconds, 3)} for r in summary.slowest],
        "changes": [asdict(change) for change in summary.changes],
        "commits": [_commit(each) for each in report.replayed],
    }


def _commit(each: Replayed) -> dict[str, Any]:
    row = asdict(each)
    measure = row.pop("measure")
    return {**row, **measure, "seconds": round(each.seconds, 4)}


def lines(report: Report) -> list[str]:
    """The report for people: counts, rules with what to change, what is slow, what differs."""
    summary = summarise(report.replayed)
    return [
        *_head(report, summary),
        *_rules(report, summary),
        *_remedies(summary),
        *_refused(report),
        *_ci(report),
        *_changes(report, summary),
        *_trees(summary),
        *_slowest(summary),
    ]


def _head(report: Report, summary: Summary) -> Iterator[str]:
    done = len(report.replayed)
    yield f"{report.repository}: {count(done, 'commit')} up to {report.branch} ({report.tip[:12]})"
    yield f"  policy: {report.policy}"
    ci = f"run, sandbox {report.sandbox}" if report.ci else "not run"
    yield f"  order: {ORDER}; way: {report.way}; CI: {ci}"
    rate = _rate(report.per_second) if done else "nothing replayed"
    yield f"  {report.seconds:.1f} s ({rate}), fetched in {report.fetch_seconds:.1f} s"
    if done < report.last:
        why = "interrupted" if report.interrupted else "the machine failed"
        yield f"  NOT COMPLETE: {why} after {done} of {report.last}; the rest is unknown"
    rows = [
        (f"  {WORDS[verdict]}", str(number), _percent(number, done))
        for verdict, number in summary.verdicts.items()
    ]
    yield from render.table(("", "", ""), rows)


def _rules(report: Report, summary: Summary) -> Iterator[str]:
    if not summary.rules:
        return
    yield ""
    rows = [
        (f"  {rule.rule}", _asks(rule), str(rule.commits),
         _percent(rule.commits, len(report.replayed)), rule.example[:12],
         ", ".join(f"{each.path} ({each.commits})" for each in rule.paths))
        for rule in summary.rules
    ]  # fmt: skip
    yield from render.table(("  RULE", "", "COMMITS", "SHARE", "EXAMPLE", "MOST OFTEN AT"), rows)


def _remedies(summary: Summary) -> Iterator[str]:
    if not summary.rules:
        return
    flags = [rule for rule in summary.rules if rule.remedy.startswith("--")]
    settings = [rule for rule in summary.rules if rule not in flags]
    for where, rules in (("in autopack.toml", settings), ("with an option of backtest", flags)):
        if rules:
            yield from ("", f"to have them taken, {where}:")
            yield from render.table(("", ""), [(f"  {r.rule}", r.remedy) for r in rules])[1:]


def _rate(per_second: float) -> str:
    slow = 0 < per_second < 1
    return f"{1 / per_second:.1f} s a commit" if slow else f"{per_second:.1f} commits/s"


def _refused(report: Report) -> Iterator[str]:
    refused = [each for each in report.replayed if each.verdict is BacktestVerdict.REFUSE]
    if not refused:
        return
    yield from ("", "refused")
    for each in refused[:TOLD_MAX]:
        yield f"  {_named(each)}"
        reason = next(f for f in each.findings if f.severity is Severity.REFUSE)
        path = f"{reason.path}: " if reason.path else ""
        first = next(iter(reason.message.splitlines()), "")
        yield f"    {reason.rule}: {path}{first}"
    yield from _more(len(refused))


def _ci(report: Report) -> Iterator[str]:
    """What CI could say, and where it could say nothing."""
    if not report.ci:
        return
    runs = [each.ci for each in report.replayed if each.ci]
    kinds: Mapping[str, int] = {v.value: sum(r.verdict == v for r in runs) for v in CiVerdict}
    told = ", ".join(f"{number} {kind}" for kind, number in kinds.items() if number) or "none"
    weak, cached = sum(run.weak for run in runs), sum(run.cached for run in runs)
    yield from ("", f"CI: {told}; {weak} by exit code alone, {cached} known from before")
    if left := len(report.replayed) - len(runs):
        yield f"  not run on {count(left, 'commit')} that the gate refused"
    if kinds[CiVerdict.INFRA]:
        yield "  infra: this machine could not run CI there, which says nothing of the commit"
    if red := [run for run in runs if run.verdict != CiVerdict.PASS]:
        yield f"  logs: {red[0].log}"


def _changes(report: Report, summary: Summary) -> Iterator[str]:
    if not any(each.before for each in report.replayed):
        return
    yield ""
    if not summary.changes:
        yield "against the base's own policy: no verdict changes"
        return
    yield f"against the base's own policy: {count(len(summary.changes), 'verdict')} changed"
    for change in summary.changes[:TOLD_MAX]:
        yield f"  {change.commit[:12]} {WORDS[change.before]} -> {WORDS[change.after]}"
    yield from _more(len(summary.changes))


def _trees(summary: Summary) -> Iterator[str]:
    made = summary.identical + len(summary.different)
    yield from ("", f"trees: {summary.identical} of {made} identical to the commit's")
    yield from (f"  differs: {commit}" for commit in summary.different[:TOLD_MAX])
    yield from _more(len(summary.different))


def _slowest(summary: Summary) -> Iterator[str]:
    if not summary.slowest:
        return
    yield from ("", "slowest")
    rows = [
        (f"  {each.commit[:12]}", f"{each.seconds:.2f} s", count(each.measure.files, "file"),
         _short(each.subject))
        for each in summary.slowest
    ]  # fmt: skip
    yield from render.table(("",) * 4, rows)[1:]


def _named(each: Replayed) -> str:
    return f"{each.commit[:12]} {_short(each.subject)}"


def _short(subject: str) -> str:
    most = SUBJECT_CHARACTERS_MAX
    return subject if len(subject) <= most else f"{subject[: most - 1]}…"


def _more(number: int) -> Iterator[str]:
    if number > TOLD_MAX:
        yield f"  and {number - TOLD_MAX} more (--json has all)"


def _asks(rule: RuleShare) -> str:
    return "refuses" if rule.severity is Severity.REFUSE else "asks"


def _percent(part: int, whole: int) -> str:
    return f"{100 * part / whole:.1f} %" if whole else "-"
