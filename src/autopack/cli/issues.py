"""`autopack issues`: what is known to be wrong with a project, over all of its runs."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import App, Parameter

from autopack.cli.options import Json, Repo, RunId

if TYPE_CHECKING:
    from autopack.core.backlog import Facts

app = App(name="issues", help="What is known to be wrong, over all runs of this project.")
Key = Annotated[str, Parameter(name="KEY", help="The issue's key")]
Severity = Literal["minor", "major"]
Source = Literal[
    "test", "probe", "ci", "static_check", "auditor", "cursor_self_doubt", "self_doubt"
]


@app.command(name="list")
def list_issues(
    *,
    all: Annotated[  # noqa: A002  the option's name
        bool, Parameter(name="--all", negative="", help="Resolved ones, too")
    ] = False,
    repo: Repo = None,
    json: Json = False,
) -> None:
    """List the backlog of this project, the worst and oldest first."""
    from autopack import wiring
    from autopack.adapters.files.backlog import record
    from autopack.cli import render
    from autopack.cli.backlog import quarantine, remembered
    from autopack.core.backlog import IssueStatus

    here = remembered(repo, as_json=json)
    now = wiring.clock(here.loaded).now()
    project, found = here.project, here.entries
    shown = [e for e in found if all or e.status is not IssueStatus.RESOLVED]
    if json:
        issues = {entry.issue_key: record(entry) for entry in shown}
        render.data({"project_id": project[0], "issues_by_key": issues})
        return
    if not shown:
        hidden = len(found) - len(shown)
        more = f" ({hidden} resolved: --all)" if hidden else ""
        render.note(f"project {project[0]} has no open issue{more}")
        return
    header = ("ISSUE", "STATUS", "SEVERITY", "COUNTS AS", "RUNS", "TIERS", "SEEN", "LAST RUN")
    rows = [
        (e.issue_key, ", ".join(filter(None, (e.status.value, quarantine(e, now)))),
         e.base_severity.value, e.effective_severity.value,
         str(e.age_in_runs), str(e.age_in_tiers), str(e.occurrence_count), e.last_seen_run_id)
        for e in shown
    ]  # fmt: skip
    render.out(*render.table(header, rows, render.width()))


@app.command(name="show")
def show(key: Key, /, *, repo: Repo = None, json: Json = False) -> None:
    """Show one issue with its whole history: where it was seen, who resolved it."""
    from autopack import wiring
    from autopack.adapters.files.backlog import record
    from autopack.app.memory import find
    from autopack.app.sentences import count
    from autopack.cli import render
    from autopack.cli.backlog import quarantine, remembered

    here = remembered(repo, as_json=json)
    project = here.project
    entry, history = find(here.entries, project[0], key), _history(here.facts, key)
    counts_as = entry.effective_severity
    if json:
        told = {"issue_key": key, **record(entry), "history": history}
        render.data({"project_id": project[0], "issue": told})
        return
    render.out(
        f"{key}: {entry.status.value}, {entry.base_severity.value}"
        + (f", counts as {counts_as.value}" if counts_as is not entry.base_severity else "")
        + (f", resolved by {entry.resolved_by}" if entry.resolved_by else "")
        + (f", {kept}" if (kept := quarantine(entry, wiring.clock(here.loaded).now())) else ""),
        f"  category: {entry.category or '(none)'}",
        f"  seen: {count(entry.occurrence_count, 'time')} in {count(entry.age_in_runs, 'run')},"
        f" {count(entry.age_in_tiers, 'tier')}",
        *(f"  evidence: {ref}" for ref in entry.evidence_refs),
        *(f"  | {line}" for line in entry.description.splitlines()),
    )
    if entry.cleaned_in:
        render.out(f"  a cleanup landed in {entry.cleaned_in}; confirm it:",
                   f"  next: autopack issues resolve {key}")  # fmt: skip
    header = ("", "WHEN", "WHAT", "WHERE")
    rows = [("", each["at"], each["what"], each["where"]) for each in history]
    render.out(*render.table(header, rows, render.width()))


@app.command(name="record")
def record_issue(  # noqa: PLR0913  every option of an issue, by name only
    run: RunId,
    phase: Annotated[str, Parameter(name="PHASE", help="The phase it belongs to")],
    key: Key,
    /,
    *,
    severity: Annotated[Severity | None, Parameter(help="Default: that of the category")] = None,
    source: Annotated[Source, Parameter(help="Who says so")] = "probe",
    category: Annotated[str, Parameter(help="What kind of problem, as you name it")] = "",
    evidence: Annotated[
        tuple[str, ...],
        Parameter(help="`test:<id>`, `path:<file>[:<line>]` or text; may be given several times"),
    ] = (),
    description: Annotated[str, Parameter(help="What is wrong")] = "",
    expected_fail: Annotated[
        bool, Parameter(negative="", help="Its test is expected to fail")
    ] = False,
    idempotency_key: Annotated[
        str,
        Parameter(
            help="Names this recording within its run: however often it is sent, it counts once"
        ),
    ] = "",
    json: Json = False,
) -> None:
    """Record an issue of a phase, also of a run that has ended; nothing is started again by it."""
    from autopack import wiring
    from autopack.app import recording
    from autopack.app.sentences import count
    from autopack.cli import render, view
    from autopack.cli.watch import carried_out
    from autopack.core.errors import OperatorFault
    from autopack.core.issue import IssueReport, IssueSeverity, IssueSource

    told = IssueReport(
        issue_key=key,
        source=IssueSource(source),
        category=category,
        severity=IssueSeverity(severity) if severity else None,
        expected_fail=expected_fail,
        evidence_refs=tuple(dict.fromkeys(evidence)),
        description=description,
    )
    loaded = view.here(as_json=json)
    with wiring.reading(loaded) as store:
        found = view.loaded_run(store, run)
        if store is None:
            raise OperatorFault(f"there is no run {run}", "`autopack run list` shows the runs")
        again = recording.again(store, found, phase, told, idempotency_key)
        if not again:
            body = recording.body_of(found, phase, told, idempotency_key)
            number = store.ask(run, recording.KIND, view.who(loaded), body)
            wiring.ensure_supervisor(loaded)
            carried_out(store, run, number, lambda: wiring.ensure_supervisor(loaded))
            found = recording.confirm(store, run, body, number)
        now = next(each for each in found.phase(phase).issues if each.issue_key == key)
    if json:
        render.data({"run_id": run, "phase_id": phase, "issue_key": key,
                     "effective_severity": now.effective_severity.value,
                     "occurrence_count": now.occurrence_count})  # fmt: skip
        return
    seen = count(now.occurrence_count, "time")
    before = ", recorded before under this key" if again else ""
    effective = now.effective_severity.value
    render.out(f"{key}: counts as {effective}, seen {seen} in {phase} of {run}{before}")


@app.command(name="resolve")
def resolve_issue(
    key: Key,
    /,
    *,
    reason: Annotated[str, Parameter(help="Why it is no more")] = "",
    repo: Repo = None,
    json: Json = False,
) -> None:
    """Say that an issue is no more; it opens again, with its history, when it is seen again."""
    from autopack import housekeeping, wiring
    from autopack.app.memory import resolve
    from autopack.app.sentences import count
    from autopack.cli import render, view
    from autopack.cli.backlog import remembered

    here = remembered(repo, as_json=json)
    loaded, project = here.loaded, here.project
    with wiring.writing(loaded) as store:
        who, now = view.who(loaded), wiring.clock(loaded).now()
        entry = resolve(store.memory(), project, key, by=who, reason=reason, at=now)
        housekeeping.write_backlog(loaded, store, project, here.aging)
    if json:
        render.data({"project_id": project[0], "issue_key": key, "resolved_by": who})
    else:
        render.out(f"{key}: resolved; it was seen {count(entry.occurrence_count, 'time')}")


def _history(facts: Facts, key: str) -> list[dict[str, Any]]:
    """Everything that happened to an issue, oldest run first."""
    seen = sorted((s for s in facts.sightings if s.issue.issue_key == key),
                  key=lambda s: (s.run_number, s.tier_id, s.phase_id))  # fmt: skip
    from autopack.app.sentences import count

    told = [
        (s.run_number, 0, _date(s.at), f"seen {count(s.issue.occurrence_count, 'time')}",
         f"{s.run_id}/{s.tier_id}/{s.phase_id}")
        for s in seen
    ]  # fmt: skip
    told += [
        (c.run_number, 1, "", f"a cleanup {'failed' if c.failed else 'landed'}", c.run_id)
        for c in facts.cleanups
        if c.issue_key == key
    ]
    told += [(s.run_number, 2, "", "its tests were green", s.run_id) for s in facts.settled
             if s.issue_key == key]  # fmt: skip
    rows = [{"at": at, "what": what, "where": where} for _, _, at, what, where in sorted(told)]
    given = [r for r in facts.resolutions if r.issue_key == key]
    return rows + [
        {"at": _date(r.at), "what": f"resolved by {r.by}", "where": r.reason} for r in given
    ]


def _date(at: int) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M")
