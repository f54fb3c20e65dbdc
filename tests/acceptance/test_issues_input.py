"""What people type at `autopack issues`, however large or crooked: refused in short, nothing written."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator

import pytest

from tests.cli.world import contents
from tests.lab import Lab, phase

SAID_MAX = 1_000
"""Characters of a refusal, whatever was typed."""
LONG = "x" * 100_000
CROOKED = {
    "enormous": LONG,
    "path": "../../etc/passwd",
    "dots": "a..b",
    "absolute": "/etc/passwd",
    "line break": "k\nrm",
    "last line break": "k\n",
    "escape": "k\x1b[31m",
    "bidi": "k\u202egnp",
    "blank": "a b",
    "empty": "",
    "not text": "k\udcff",
}


@pytest.fixture(scope="module")
def known(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    lab = Lab(tmp_path_factory.mktemp("known")).make()
    done = lab.run(phase("F1", "do: write src/one.txt one"))
    assert done.code == 0, done.err
    told = lab.cli("issues", "record", "r", "F1", "real")
    assert told.code == 0, told.err
    yield lab
    lab.close()


def refused(lab: Lab, *arguments: str) -> str:
    """What is said of it: short, plain, and nothing anywhere is another than before."""
    before = contents(lab.root)
    done = lab.cli("issues", *arguments)
    assert (done.code, done.out) == (2, ""), done
    assert "Traceback" not in done.err
    assert len(done.err) < SAID_MAX
    assert all(unicodedata.category(c) not in {"Cc", "Cf", "Cs"} for c in done.err if c != "\n")
    assert contents(lab.root) == before
    return done.err


@pytest.mark.parametrize("case", CROOKED)
@pytest.mark.parametrize(
    "before", [("record", "r", "F1"), ("show",), ("resolve",)], ids=lambda words: words[0]
)
def test_a_key_that_is_none(known: Lab, before: tuple[str, ...], case: str) -> None:
    assert "issue_key: 1 to 128 of A-Z a-z 0-9" in refused(known, *before, CROOKED[case])


@pytest.mark.parametrize("case", CROOKED)
def test_a_run_or_phase_that_is_none(known: Lab, case: str) -> None:
    assert "run" in refused(known, "record", CROOKED[case], "F1", "k")
    assert "phase" in refused(known, "record", "r", CROOKED[case], "k")


@pytest.mark.parametrize(
    ("option", "value", "word"),
    [
        ("--description", "x" * 4_001, "description: at most 4,000"),
        ("--description", LONG, "description: at most 4,000"),
        ("--category", LONG, "category: at most 64"),
        ("--evidence", LONG, "evidence_refs: at most 500"),
        ("--evidence", "path:../../secret", "evidence_refs: '../../secret'"),
        ("--evidence", "path:/etc/passwd", "write a path relative to the repository's root"),
        ("--evidence", "path:a/./b:7", "without '.', '..' or empty parts"),
        ("--evidence", "path:.git/config", "git's own folder"),
        ("--evidence", "path:", "write a path relative"),
        ("--idempotency-key", LONG, "the recording's key"),
        ("--idempotency-key", "../k", "the recording's key"),
        ("--idempotency-key", "k\nk", "the recording's key"),
        ("--idempotency-key", "k\u202e", "the recording's key"),
        ("--severity", LONG, "severity"),
        ("--severity", "minor\nmajor", "severity"),
        ("--source", "../ci", "source"),
        ("--source", LONG, "source"),
        ("--unheard", "of", "unheard"),
    ],
    ids=lambda each: each[:20],
)
def test_an_option_that_cannot_be(known: Lab, option: str, value: str, word: str) -> None:
    assert word in refused(known, "record", "r", "F1", "k", option, value)


def test_more_evidence_than_is_kept(known: Lab) -> None:
    many = (part for n in range(21) for part in ("--evidence", f"path:src/{n}.txt"))
    assert "evidence_refs: at most 20" in refused(known, "record", "r", "F1", "k", *many)


def test_a_reason_that_is_too_long(known: Lab) -> None:
    assert "the reason: at most 4,000" in refused(known, "resolve", "real", "--reason", LONG)


@pytest.mark.parametrize("where", ["absent", "/dev/null", "a\nb", "x" * 5_000])
def test_a_folder_that_is_none(known: Lab, where: str) -> None:
    for command in (("list",), ("show", "real"), ("resolve", "real")):
        refused(known, *command, "--repo", where)


def test_hidden_characters_are_not_kept(known: Lab) -> None:
    said = ("--description", "odd\u202e \x1b[2Jname\nsecond", "--category", "a\tb\u200fc",
            "--evidence", "path:src/a.txt:7\n", "--evidence", "two\nlines")  # fmt: skip
    done = known.cli("issues", "record", "r", "F1", "crooked", *said)
    assert done.code == 0, done.err
    found = known.cli("issues", "show", "crooked", "--json").data["issue"]
    assert found["description"] == "odd [2Jname\nsecond"
    assert found["category"] == "a bc"
    assert found["evidence_refs"] == ["path:src/a.txt:7", "two lines"]
    given = known.cli("issues", "resolve", "crooked", "--reason", "gone\u202e\x1b[2J now")
    assert given.code == 0, given.err
    history = known.cli("issues", "show", "crooked", "--json").data["issue"]["history"]
    assert history[-1]["where"] == "gone[2J now"
