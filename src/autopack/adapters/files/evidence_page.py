"""The evidence page of a promotion: what was done and what speaks for it, as Markdown with a limit.

It is the text of the pull request and `evidence.md` among the run's files. Texts of agents, plans
and tools stand in code spans, where nothing is a mention, a link, an image, HTML or a word that
closes an issue. Never writes a file.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from autopack.app.evidence import LandedProof
from autopack.app.issues_view import debt
from autopack.app.report import RunView
from autopack.app.sentences import count
from autopack.core.idset import PROVED_MAX
from autopack.core.run import CheckVerdict, Severity
from autopack.core.words import visible

PAGE_CHARACTERS_MAX: Final = 60_000
"""Below GitHub's 65,536 for the text of a pull request."""
FILE_CHARACTERS_MAX: Final = 1_000_000
TEXT_CHARACTERS_MAX: Final = 300
"""Of one text that others wrote."""
NOTES_CHARACTERS_MAX: Final = 1_000
"""Of what an auditor said of one commit."""
ISSUES_TOLD: Final = 100
FINDINGS_TOLD: Final = 20
"""For each commit."""
TESTS_TOLD: Final = 20
"""For each commit: of those that it turned green, and of red ones that it is not blamed for."""
CUT: Final = "\n\n… cut here: the run's own files tell the rest.\n"
_REFERENCE: Final = re.compile(r"(?<=#)(?=\d)|(?<=[Gg][Hh]-)(?=\d)")
_TITLE: Final = re.compile(r"[^\w .,()'+-]+")
TITLE_CHARACTERS_MAX: Final = 120


@dataclass(frozen=True)
class Page:
    """What the page is made of; `notes`: what is to be known of the promotion itself."""

    run: RunView
    title: str
    marker: str
    landed: tuple[LandedProof, ...]
    notes: tuple[str, ...] = ()


def title(page: Page) -> str:
    """One line for the pull request; of the plan's own name only plain words."""
    words = " ".join(_TITLE.sub(" ", visible(page.title)).split())
    words = re.sub(r"\b(gh)-(?=\d)", r"\1 ", words, flags=re.IGNORECASE)
    named = f": {words[:TITLE_CHARACTERS_MAX].strip()}" if words else ""
    return f"[autopack] {page.run.run_id}{named}"


def evidence_page(page: Page, characters_max: int = PAGE_CHARACTERS_MAX) -> str:
    """The whole page, cut at a line where it is too long."""
    sections = [
        *_head(page),
        *_commits(page.landed),
        *_checks(page.landed),
        *_proved(page.landed),
        *_weak(page.landed),
        *_exonerated(page.landed),
        *_beside(page.landed),
        *_waivers(page.landed),
        *_audits(page.landed),
        *_issues(page.run),
        *_reproduce(page),
    ]
    text = "\n".join(sections).rstrip("\n") + "\n"
    if len(text) <= characters_max:
        return text
    kept = text[: characters_max - len(CUT)]
    return kept[: kept.rindex("\n")].rstrip("\n") + CUT


def code(text: str, characters_max: int = TEXT_CHARACTERS_MAX) -> str:
    """A text of others as one code span, in a table too; empty for none."""
    line = visible(" ".join(text.split()))
    if len(line) > characters_max:
        line = line[: characters_max - 1] + "…"
    if not line:
        return ""
    line = _REFERENCE.sub("\u200b", line).replace("|", "\\|")
    longest = max((len(run) for run in re.findall(r"`+", line)), default=0)
    fence = "`" * (longest + 1)
    pad = " " if line.startswith("`") or line.endswith("`") else ""
    return f"{fence}{pad}{line}{pad}{fence}"


def _head(page: Page) -> Iterator[str]:
    run = page.run
    tokens, duration = run.budget("tokens"), run.budget("duration")
    tests = sum(each.tests_run for each in page.landed[-1:])
    weak = sum(each.weak or not each.proved for each in page.landed)
    yield page.marker
    yield f"# Run {code(run.run_id)}"
    yield ""
    yield f"{run.landed}; every commit passed the gate and CI before it landed."
    yield ""
    yield f"- base: {code(run.base_ref)} at {run.base_commit}"
    yield f"- proven tip: {page.landed[-1].commit if page.landed else run.tip}"
    if not page.landed and run.work_branch:
        yield f"- nothing landed in this run: its work is that of {code(run.work_branch)}"
    if run.series:
        yield f"- {code(run.series.place)}, continues {code(run.predecessor)}"
    elif run.predecessor:
        yield f"- continues {code(run.predecessor)}"
    yield f"- the last commit's CI ran {count(tests, 'test')}" + (
        f"; {count(weak, 'commit')} on weak evidence, named below" if weak else ""
    )
    yield f"- {tokens.used:,.0f} of {tokens.limit:,.0f} tokens, {count(run.ci_runs_used, 'CI run')}"
    yield f"- {duration.used / 60:.1f} of {duration.limit / 60:.0f} minutes"
    yield f"- builder {code(run.builder)}, auditor {code(run.auditor) or 'none'}"
    sandbox = "none: agents and CI saw the machine" if run.sandbox == "none" else run.sandbox
    yield f"- sandbox {sandbox}"
    yield f"- debt: {debt(run.issues.debt_status, run.issues.excess)}"
    yield from (f"- {note}" for note in page.notes)
    yield ""


def _commits(landed: Sequence[LandedProof]) -> Iterator[str]:
    yield from _table(
        "Phases",
        ("phase", "what", "commit", "gate", "CI", "attempts", "tokens"),
        (
            (
                code(each.phase_id),
                code(each.name),
                each.commit[:12],
                each.gate,
                each.ci,
                str(each.attempts),
                f"{each.tokens:,}",
            )
            for each in landed
        ),
    )


def _checks(landed: Sequence[LandedProof]) -> Iterator[str]:
    """The gate's verdicts, commit by commit."""
    found = [
        f"- {each.commit[:12]}: "
        + ", ".join(
            f"{code(check.check)} {check.verdict.value.replace('_', ' ')}" for check in each.checks
        )
        for each in landed
        if each.checks
    ]
    yield from _list("The gate, check by check", found)


def _proved(landed: Sequence[LandedProof]) -> Iterator[str]:
    """What was red on the parent, by commit; the event itself holds so many at most."""
    found: list[str] = []
    for each in landed:
        if not each.proved:
            continue
        told = [code(test) for test in each.proved[:TESTS_TOLD]]
        if (more := len(each.proved) - TESTS_TOLD) > 0:
            told.append(f"{'at least ' if len(each.proved) >= PROVED_MAX else ''}{more} more")
        found.append(f"- {_named(each)}, {each.proof}: {', '.join(told)}")
    yield from _list("Tests from red to green", found)


def _weak(landed: Sequence[LandedProof]) -> Iterator[str]:
    found = [
        f"- {_named(each)}: {why}"
        for each in landed
        for weak, why in (
            (each.weak, "a CI command tells by its exit code alone"),
            (not each.proved, each.proof),
        )
        if weak
    ]
    yield from _list("Weak evidence", found)


def _exonerated(landed: Sequence[LandedProof]) -> Iterator[str]:
    found = [
        line
        for each in landed
        for line in _first(
            [
                f"- {_named(each)}: {code(red.test)}: {code(red.reason)}; issue"
                f" {code(red.issue_key)}"
                for red in each.exonerated
            ],
            TESTS_TOLD,
            each,
        )
    ]
    yield from _list("Red tests that are not the change's doing", found)


def _beside(landed: Sequence[LandedProof]) -> Iterator[str]:
    """What asked an auditor stands among the waivers, with the reason."""
    found = [
        line
        for each in landed
        for line in _first(
            [
                f"- {_named(each)}: {code(finding.rule)}: {code(finding.message)}"
                for finding in each.beside
                if finding.severity is not Severity.ASK
            ],
            FINDINGS_TOLD,
            each,
        )
    ]
    yield from _list("Its tests beside the parent's", found)


def _first(lines: Sequence[str], most: int, proof: LandedProof) -> Iterator[str]:
    yield from lines[:most]
    if len(lines) > most:
        yield f"- {_named(proof)}: {len(lines) - most} more"


def _named(proof: LandedProof) -> str:
    return f"{code(proof.phase_id)} ({proof.commit[:12]})"


def _waivers(landed: Sequence[LandedProof]) -> Iterator[str]:
    found: list[str] = []
    for each in landed:
        waived = [check for check in each.checks if check.verdict is CheckVerdict.WAIVED]
        asked = [(f, check.reason) for check in waived for f in check.findings]
        asked = asked or [(f, "") for f in each.asked]
        for finding, reason in asked[:FINDINGS_TOLD]:
            place = f" at {code(finding.path)}" if finding.path else ""
            why = f"; the auditor: {code(reason)}" if reason else ""
            said = f"{code(finding.rule)}{place}: {code(finding.message)}{why}"
            found.append(f"- {code(each.phase_id)}: {said}")
        if len(asked) > FINDINGS_TOLD:
            found.append(f"- {code(each.phase_id)}: {len(asked) - FINDINGS_TOLD} more")
    yield from _list("What the gate asked, and an auditor waived", found)


def _audits(landed: Sequence[LandedProof]) -> Iterator[str]:
    found = [
        f"- {code(each.phase_id)}, attempt {audit.attempt}: {audit.recommendation}: "
        f"{code(audit.notes, NOTES_CHARACTERS_MAX) or 'no notes'}"
        for each in landed
        for audit in (*each.audits_before, *each.audits)
    ]
    yield from _list("Auditor", found)


def _issues(run: RunView) -> Iterator[str]:
    found = run.issues.by_key
    rows = [
        (
            code(key),
            each.effective_severity,
            str(each.occurrence_count),
            _phases(each.seen_in_phases),
        )
        for key, each in list(found.items())[:ISSUES_TOLD]
    ]
    yield from _table("Issues", ("issue", "severity", "seen", "in"), rows)
    if len(found) > ISSUES_TOLD:
        yield from (f"{len(found) - ISSUES_TOLD} more.", "")
    if run.issues.resolved:
        yield from (f"Resolved: {', '.join(map(code, run.issues.resolved))}.", "")


def _phases(ids: Iterable[str]) -> str:
    return ", ".join(map(code, ids))


def _reproduce(page: Page) -> Iterator[str]:
    run = page.run
    tip = page.landed[-1].commit if page.landed else run.tip
    yield from (
        "## How to see it yourself",
        "",
        "Each commit has an annotated tag; what CI runs stands in the base's `autopack.toml`.",
        "",
        "```sh",
        f"git log --oneline {run.base_commit}..{tip}",
        f"git worktree add ../{run.run_id} {tip}  # then run what CI runs, in there",
        f"autopack run view {run.run_id}",
        f"autopack events verify {run.run_id}",
        "```",
        "",
    )


def _table(title: str, header: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterator[str]:
    found = list(rows)
    if not found:
        return
    yield from (f"## {title}", "", _row(header), _row(["---"] * len(header)))
    yield from map(_row, found)
    yield ""


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _list(title: str, lines: Sequence[str]) -> Iterator[str]:
    if lines:
        yield from (f"## {title}", "", *lines, "")
