"""An incident is bounded, whatever was said, and its hostile texts are only text."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from markdown_it import MarkdownIt

from autopack.adapters.files.artefacts import FileArtefacts
from autopack.adapters.files.incident import (
    INCIDENT_CHARACTERS_MAX,
    LOG_BYTES_TOLD,
    incident,
    spec_json,
)
from autopack.adapters.files.reproduction import Context
from autopack.app.outcome import Places
from autopack.app.ports import Recorded
from autopack.app.report import run_view
from autopack.core import event as ev
from autopack.core.project import Project, parse_project
from autopack.core.run import Candidate, Cause, Evidence, Failure, Finding, Phase, Run, Stage, Step
from tests.app.test_report import run_of, spec

HOSTILE = "```\n# Owned\n</script><script>alert(1)</script> $(reboot) `reboot` \x1b[31m"
PLACES = Places("/files", "/files/incident.md", "/logs", "/data/repo'; reboot; '.git")
PROJECT = """
[ci.normal]
commands = [{ run = ["sh", "-c", "echo '$HOME'"] }, { run = "t {report}", report = "junit" }]
"""


def failed(run_id: str = "nightly") -> Run:
    failure = Failure(Cause.REQUIRES_HUMAN_REVIEW, f"no attempt is left after {HOSTILE}", "F1")
    phase = Phase(spec("F1", 1), Step.FAILED, 2, failure=failure, evidence=Evidence("ci", HOSTILE))
    run = run_of(phase, stage=Stage.DONE, failure=failure)
    return dataclasses.replace(run, spec=dataclasses.replace(run.spec, run_id=run_id))


def log(attempts: int, findings: int = 1, said: str = HOSTILE) -> list[Recorded]:
    events: list[ev.Event] = []
    for number in range(1, attempts + 1):
        made = Candidate(str(number), f"{number:040x}", "t", "b")
        red = Evidence("ci", said, tuple(Finding("test", said, said, 3) for _ in range(findings)))
        events += [
            ev.AttemptEnded("F1", number, ev.Outcome.SUBMITTED, 70, made),
            ev.CandidateTested("F1", ev.CiVerdict.FAIL, red, 4),
        ]
    return [Recorded("nightly", n, ev.Happened(e, 1_700_000_000), "") for n, e in enumerate(events)]


def told(events: list[Recorded], context: Context = Context()) -> str:  # noqa: B008  frozen
    run = failed()
    return incident(run, run_view(run, events), events, {}, PLACES, context)


def test_each_attempt_has_its_own_place() -> None:
    text = told(log(3))
    assert [line for line in text.splitlines() if line.startswith("#### ")] == [
        "#### Attempt 1", "#### Attempt 2", "#### Attempt 3",
    ]  # fmt: skip
    second = text.partition("#### Attempt 2")[2].partition("####")[0]
    assert f"{2:040x}" in second
    assert f"{3:040x}" not in second


def test_whatever_is_said_an_incident_is_bounded() -> None:
    long = "word " * 10_000
    text = told(log(20, findings=20, said=long))
    assert len(text) < INCIDENT_CHARACTERS_MAX + 100_000
    assert "more was said than fits here" in text
    tokens = MarkdownIt("gfm-like", {"linkify": False}).parse(text)
    assert not {token.type for token in tokens} & {"html_block"}


def test_commands_are_quoted_and_hostile_texts_are_text() -> None:
    parsed = parse_project(PROJECT, "p")
    assert isinstance(parsed, Project)
    text = told(log(1), Context(parsed, {"git": HOSTILE}))
    assert "sh -c 'echo '\"'\"'$HOME'\"'\"''" in text
    assert "\nt report.xml\n" in text
    assert "git clone --shared --no-checkout '/data/repo'\"'\"'; reboot; '\"'\"'.git'" in text
    assert "\x1b" not in text
    tokens = MarkdownIt("gfm-like", {"linkify": False}).parse(text)
    kinds = {t.type for t in tokens} | {c.type for t in tokens for c in t.children or ()}
    assert not kinds & {"html_block", "html_inline", "link_open", "image", "code_inline"}
    headings = [tokens[i + 1].content for i, t in enumerate(tokens) if t.type == "heading_open"]
    assert not [each for each in headings if each.startswith("Owned")]


def test_ci_is_not_named_where_it_never_judged() -> None:
    """The gate's word, then the auditor's, each of a candidate that CI never saw."""
    project = parse_project(PROJECT, "p")
    assert isinstance(project, Project)
    made = Candidate("1", "c" * 40, "t" * 40, "b" * 40)
    submitted = ev.AttemptEnded("F1", 1, ev.Outcome.SUBMITTED, 70, made)
    found = (Finding("scope", "is outside", "README.md"),)
    cases: list[tuple[list[ev.Event], Failure, Evidence | None, str]] = [
        (
            [submitted, ev.CandidateChecked("F1", ev.GateVerdict.FAIL, found)],
            Failure(
                Cause.POLICY_VIOLATION, "no attempt is left after 1 attempt; the last: …", "F1"
            ),
            Evidence("gate", "the gate refused the change", found),
            "scope at README.md: is outside",
        ),
        (
            [submitted, ev.AuditEnded("F1", ev.Recommendation.ESCALATE, notes="do not land it")],
            Failure(Cause.REQUIRES_HUMAN_REVIEW, "the auditor escalates: do not land it", "F1"),
            None,
            "do not land it",
        ),
    ]
    for events, failure, evidence, said in cases:
        phase = Phase(spec("F1", 1), Step.FAILED, 1, failure=failure, evidence=evidence)
        run = run_of(phase, stage=Stage.DONE, failure=failure)
        text = reproduced(run, events, project)
        assert "which CI never judged" in text
        assert f"diff {'b' * 40} refs/autopack/nightly/F1/1\n" in text
        assert said in text
        assert "t report.xml" not in text
        tested = [*events, ev.CandidateTested("F1", ev.CiVerdict.FAIL, evidence, 4)]
        assert "as CI judged it:" in reproduced(run, tested, project)
        assert "t report.xml" in reproduced(run, tested, project)
        nothing = [*events, ev.AttemptEnded("F1", 2, ev.Outcome.REFUSED)]
        assert "left nothing that could be a candidate" in reproduced(run, nothing, project)


def reproduced(run: Run, events: list[ev.Event], project: Project) -> str:
    log = [Recorded("nightly", n, ev.Happened(e, 1), "") for n, e in enumerate(events)]
    text = incident(run, run_view(run, log), log, {}, PLACES, Context(project))
    return text.partition("## Reproduce")[2].partition("## Timeline")[0]


def test_of_a_log_head_and_end_are_told(tmp_path: Path) -> None:
    (tmp_path / "project/.git/info").mkdir(parents=True)
    (tmp_path / "project/.git/HEAD").write_text("ref: refs/heads/main\n")
    place = tmp_path / "logs/nightly/F1/ci-2"
    place.mkdir(parents=True)
    (place / "1.log").write_text("$ begins\n" + "x" * 50_000 + "\nends\n")
    artefacts = FileArtefacts(tmp_path / "project", logs=tmp_path / "logs")
    artefacts.render(failed(), log(2))
    text = (artefacts.folder("nightly") / "incident/incident.md").read_text()
    second = text.partition("#### Attempt 2")[2]
    assert "$ begins" in second
    assert "\nends\n" in second
    assert "bytes more" in second
    assert second.count("x" * 100) < LOG_BYTES_TOLD
    assert "x" * LOG_BYTES_TOLD not in text
    assert '"run_id": "nightly"' in spec_json(failed())
