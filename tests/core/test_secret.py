"""What a secret looks like, and that texts come without it."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autopack.core.event import (
    AttemptEnded,
    AuditEnded,
    CandidateChecked,
    CandidateTested,
    CiVerdict,
    CommandFailed,
    DeliveryRefused,
    GateVerdict,
    IssueRecorded,
    Outcome,
    ReapplyConflicted,
    Recommendation,
)
from autopack.core.issue import IssueReport, IssueSource
from autopack.core.redact import cleaned, redact, redact_bytes
from autopack.core.reported import made_plain
from autopack.core.run import (
    Candidate,
    CheckResult,
    CheckVerdict,
    Evidence,
    Finding,
)
from autopack.core.secret import find
from tests.keys import planted

KINDS = sorted(planted())
HARMLESS = (
    "AKIA" + "IOSFODNN7EXAMPLE",
    "sk-ant-" + "x" * 40,
    "sk-" + "1234567890" * 5,
    "ghp_" + "abcdefghijklmnopqrstuvwxyz0123456789",
    "https://user:password@example.com/",
    "http://foo:bar@localhost:8080",
    "postgres://postgres:postgres@db/test",
    "https://${USER}:${PASSWORD}@corp.io",
    "redis://:{password}@cache/0",
    "ssh://git@github.com:org/name.git",
    "https://host:8443/a@b",
    "-----BEGIN PRIVATE KEY-----\nMIIEvQIBADANBgkq...\n-----END PRIVATE KEY-----",
    "if b'-----BEGIN RSA PRIVATE KEY-----' in data:",
    "0123456789abcdef0123456789abcdef01234567",
    "task-sk-circle12 sk-cube sk-folding-cube",
    "-----BEGIN CERTIFICATE-----\n" + "Q" * 64,
)


def keyed(text: str) -> str:
    """The part of a planted text that is the secret itself."""
    (found,) = find(text)
    return text[found.start : found.end]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("seed", range(5))
def test_each_kind_is_found_wherever_it_stands(kind: str, seed: int) -> None:
    text = planted(seed)[kind]
    secret = keyed(text)
    for around in ("{}", "key={}\n", '{{"a": "{}"}}', "({}),", "see {} there", "\\n{}", "%3D{}",
                   "\x1b[31m{}\x1b[0m", "[1;31m{}[0m"):  # fmt: skip
        told = redact(around.format(text))
        assert secret not in told
        assert "[redacted: " in told
        assert not list(find(told))
        assert redact(told) == told


@pytest.mark.parametrize("text", HARMLESS)
def test_examples_and_placeholders_are_let_be(text: str) -> None:
    assert redact(text) is text


def test_a_private_key_goes_whatever_it_is_written_in() -> None:
    key = planted()["private-key"]
    lines = key.splitlines()
    for written in (
        key,
        "\r\n".join(lines),
        "\n".join(f"    {line}" for line in lines),
        r"\n".join(lines),
        "\n".join(f'"{line}\\n"' for line in lines),
        "&#10;".join(lines),
    ):
        told = redact(f"before {written} after")
        assert told.startswith("before ")
        assert told.endswith(" after")
        assert not any(line in told for line in lines[1:-1])


def test_all_secrets_of_a_text_go_and_the_rest_stays() -> None:
    secrets = planted(7)
    text = "\n".join(f"{name}: {secret};" for name, secret in secrets.items())
    told = redact(text)
    assert not any(keyed(secret) in told for secret in secrets.values())
    assert all(f"{name}: " in told for name in secrets)
    assert redact_bytes(b"\xff" + text.encode()).startswith(b"\xffanthropic: [redacted")


@given(st.text(max_size=300))
def test_what_holds_no_secret_is_the_very_same(text: str) -> None:
    assert redact(text) is text or "[redacted: " in redact(text)
    data = text.encode("utf-8", "replace")
    assert redact_bytes(data) is data or b"[redacted: " in redact_bytes(data)


@pytest.mark.parametrize(
    "part",
    ["://", "a://b:", "://x@", "aws key ", "aws", "-----BEGIN PRIVATE KEY-----\n", "sk-ant-",
     "A: b\n", "xoxb-1-", "A" * 64 + "\n", "1234567890:AA", "AccountKey=", "sq0csp-", "-us1"],
)  # fmt: skip
def test_hostile_texts_take_no_time_that_grows_with_their_square(part: str) -> None:
    text = part * (1_000_000 // len(part))  # hours, for a pattern that looks back at all of it
    assert redact(text)
    assert redact("-----BEGIN PRIVATE KEY-----" + text)


SECRET = planted(3)["anthropic"]
FINDING = Finding("rule", f"said {SECRET}", f"src/{SECRET}", 3, test=f"t::{SECRET}")
EVIDENCE = Evidence("ci", SECRET, (FINDING,))
REPORT = IssueReport(
    "a_key", IssueSource.PROBE, SECRET, evidence_refs=(SECRET,), description=SECRET
)
CANDIDATE = Candidate("1", "c" * 40, "d" * 40, "e" * 40)


@pytest.mark.parametrize(
    "event",
    [
        AttemptEnded("P1", 1, Outcome.FAILED, 5, CANDIDATE, EVIDENCE, 0.0, (REPORT,), SECRET),
        CandidateChecked(
            "P1", GateVerdict.FAIL, (FINDING,),
            (CheckResult("ratchet", CheckVerdict.WAIVED, (FINDING,), SECRET),),
        ),
        AuditEnded("P1", Recommendation.REVISE, 5, SECRET, CANDIDATE, (REPORT,)),
        CandidateTested("P1", CiVerdict.FAIL, EVIDENCE, passed=(SECRET,)),
        ReapplyConflicted("P1", EVIDENCE),
        DeliveryRefused("f" * 40, SECRET),
        CommandFailed(SECRET, 5, (REPORT,)),
        IssueRecorded("P1", REPORT, SECRET),
    ],
    ids=lambda event: event.kind,
)  # fmt: skip
def test_an_event_is_recorded_without_secrets_and_names_the_same_things(event: object) -> None:
    told = cleaned(event)
    assert SECRET not in repr(told)
    assert repr(told) == repr(event).replace(SECRET, "[redacted: anthropic-key]")
    assert cleaned(told) is told


def test_a_recording_of_somebody_is_asked_for_without_secrets() -> None:
    assert SECRET not in repr(made_plain(REPORT))
    plain = replace(REPORT, category="c", evidence_refs=("x",), description="d")
    assert made_plain(plain) == plain
