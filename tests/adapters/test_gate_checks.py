"""The gate's own checks in detail: what counts as a secret, whose doing a red command is."""

from __future__ import annotations

import base64
import subprocess
import sys
import threading
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from autopack.adapters.gate.commands import Commands
from autopack.adapters.gate.registry import CheckContext
from autopack.adapters.gate.secrets import check
from autopack.app.checks import FILE_BYTES_MAX, Subject
from autopack.app.ports import Cancel, Tested, TestTask
from autopack.core.errors import EnvironmentFault
from autopack.core.event import CiVerdict
from autopack.core.patch import SYMLINK
from autopack.core.policy import Rules
from autopack.core.project import CiCommand, GateSettings, Project, Report
from autopack.core.run import Candidate, Evidence, Finding, Severity
from autopack.core.spec import CiProfile
from autopack.process.folders import write_log
from autopack.process.limits import Ended, Finished
from autopack.testing import FakeVerifier, MemoryRepository, Objects, UserRepository
from tests.core.walk import phase_spec, run_spec
from tests.keys import planted

KEYS = planted()
LINT, TYPES = (CiCommand((name, "."), Report.EXIT_CODE) for name in ("lint", "types"))
RED = Tested(CiVerdict.FAIL, Evidence("ci", "lint .: exit code 1\nline 3 is bad"))


def subject(
    after: Mapping[bytes, bytes], before: Mapping[bytes, bytes] | None = None, **phase: object
) -> Subject:
    user = UserRepository(Objects())
    base = user.commit(dict(before or {b"a": b"one\n"}))
    repository = MemoryRepository({"user": user})
    repository.prepare("user", "main", base, "autonomous/r")
    tree = repository.objects.add_tree(dict(after))
    commit = repository.commit(tree, base, "work", 1, "refs/autopack/r/P1/1")
    spec = run_spec(replace(phase_spec("P1"), **phase))  # type: ignore[arg-type]  # its own fields
    diff = repository.diff(base, tree)
    candidate = Candidate("1", commit, tree, base)
    return Subject(spec, spec.phases[0], Rules(("**",)), candidate, diff, repository)


def secrets(looked: Subject) -> list[tuple[str, str, int, Severity]]:
    found = check(looked, threading.Event())
    return [(each.rule, each.path, each.line, each.severity) for each in found]


# --- secrets --------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", sorted(KEYS))
def test_each_kind_is_refused_at_its_line(kind: str) -> None:
    text = f"one\ntwo\n{KEYS[kind]}\n".encode()
    found = secrets(subject({b"a": b"one\n", b"src/k": text}))
    assert found == [("secret", "src/k", 3, Severity.REFUSE)]


def test_only_what_is_added_counts() -> None:
    key = KEYS["github"]
    before = {b"a": f"zero\n{key}\nlast\n".encode()}
    assert not secrets(subject({b"a": f"last\nzero\n{key}\n".encode()}, before))
    assert not secrets(subject({b"a": b"last\n"}, before))
    assert secrets(subject({b"a": f"{key}\nx\n{key}\n".encode()}, before)) == [
        ("secret", "a", 3, Severity.REFUSE)
    ]


def test_a_key_is_found_in_binary_files_and_in_wide_characters() -> None:
    key = KEYS["aws"]
    for data in (b"\0\xff\n" + key.encode() + b"\0", f"x\n{key}\n".encode("utf-16")):
        assert [rule for rule, *_ in secrets(subject({b"a": b"one\n", b"b": data}))] == ["secret"]


def test_a_private_key_is_told_once_where_it_begins() -> None:
    text = f"one\nkey:\n{KEYS['private-key']}\nlast\n"
    assert secrets(subject({b"a": text.encode()})) == [("secret", "a", 3, Severity.REFUSE)]


def test_names_and_link_targets_are_looked_at_and_never_shown() -> None:
    key = KEYS["npm"]
    looked = subject({b"a": b"one\n", f"src/{key}".encode(): b"x\n"})
    found = list(check(looked, threading.Event()))
    assert [each.rule for each in found] == ["secret"]
    assert key not in repr(found)
    links = tuple(
        replace(change, new_mode=SYMLINK, target=f"/home/{key}") for change in looked.diff.changes
    )
    linked = replace(looked, diff=replace(looked.diff, changes=links))
    rules = [each.message.split(" ")[1] for each in check(linked, threading.Event())]
    assert rules == ["path", "link's"]


def test_what_only_the_library_knows_or_a_name_gives_away_asks() -> None:
    parts = ["eyJhbGciOiJIUzI1NiJ9", "eyJzdWIiOiIxMjM0In0", "c2lnbmF0dXJlLW9mLWl0"]
    token = ".".join(parts)
    strong = "q8Zr" + "T2vLx9" + "Wm4K"
    text = f"jwt = '{token}'\npassword = '{strong}'\npassword = 'hunter2'\n"
    found = secrets(subject({b"a": b"one\n", b"b.py": text.encode()}))
    assert found == [
        ("secret-likely", "b.py", 1, Severity.ASK),
        ("secret-likely", "b.py", 2, Severity.ASK),
    ]


@pytest.mark.parametrize("before", [0, 600, 980, 1_000, 7_000])
@pytest.mark.parametrize("claims", ["eyJzdWIiOiIxMjM0In0", "long"])
def test_a_token_is_found_wherever_in_a_line_it_stands(before: int, claims: str) -> None:
    if claims == "long":
        told = base64.urlsafe_b64encode(b'{"sub": "' + b"a1b2c3" * 200 + b'"}').rstrip(b"=")
        claims = told.decode()
    token = f"eyJhbGciOiJIUzI1NiJ9.{claims}.c2lnbmF0dXJlLW9mLWl0"
    text = f'{{"pad": "{"z" * before}", "t": "{token}"}}\n'.encode()
    assert secrets(subject({b"a": text})) == [("secret-likely", "a", 1, Severity.ASK)]


def test_what_is_too_large_to_read_asks() -> None:
    large = b"x\n" * (FILE_BYTES_MAX // 2 + 1)
    assert secrets(subject({b"a": b"one\n", b"big": large})) == [
        ("secret-unread", "big", 0, Severity.ASK)
    ]


@pytest.mark.parametrize("text", ["a = 1\n" * 2_000, "://" * 300_000, "password = '" * 30_000])
def test_ordinary_and_hostile_files_are_looked_through_in_time(text: str) -> None:
    assert not secrets(subject({b"a": b"one\n", b"b": text.encode()}))


def test_the_library_is_loaded_by_the_first_look_only() -> None:
    program = (
        "import sys, autopack.wiring, autopack.staffing, autopack.adapters.gate.secrets as s;"
        "print('detect_secrets' in sys.modules); s._detectors();"
        "print('detect_secrets' in sys.modules)"
    )
    said = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True)
    assert said.stdout.split() == [b"False", b"True"]


# --- commands -------------------------------------------------------------------------------------


class Printing(FakeVerifier):
    """A verifier whose commands print what their verdict says, and keep it as CI does."""

    def __init__(self, *tested: Tested) -> None:
        super().__init__({("P1", number): each for number, each in enumerate(tested, 1)})

    def test(self, task: TestTask, cancel: Cancel) -> Tested:
        tested = super().test(task, cancel)
        said = tested.evidence.summary.encode() if tested.evidence else b""
        task.log_folder.mkdir(parents=True, exist_ok=True)
        finished = Finished(Ended.EXITED, 1, said, b"", 0.1 * len(self.tasks))
        write_log(task.log_folder / "0.log", (f"lint-{len(self.tasks)}",), finished)
        return tested


def commands(
    tmp_path: Path, *tested: Tested, given: tuple[CiCommand, ...] = (LINT,)
) -> tuple[Commands, FakeVerifier]:
    verifier = Printing(*tested)
    project = Project("lab", given, given, gate=GateSettings(commands=given))
    context = CheckContext(project, lambda _: verifier, tmp_path / "clones", tmp_path / "logs")
    return Commands(context), verifier


def run(made: Commands, looked: Subject, cancel: threading.Event | None = None) -> list[Finding]:
    return list(made(looked, cancel or threading.Event()))


def test_green_commands_say_nothing_and_the_parent_is_left_alone(tmp_path: Path) -> None:
    made, verifier = commands(tmp_path, given=(LINT, TYPES))
    looked = subject({b"a": b"two\n"})
    assert not run(made, looked)
    assert [task.commit for task in verifier.tasks] == [looked.candidate.commit] * 2


def test_red_on_the_candidate_alone_fails_with_what_it_said(tmp_path: Path) -> None:
    made, verifier = commands(tmp_path, RED)
    looked = subject({b"a": b"two\n"})
    (found,) = run(made, looked)
    assert (found.rule, found.severity) == ("command-red", Severity.REFUSE)
    assert "line 3 is bad" in found.message
    assert verifier.tasks[1].commit == looked.candidate.parent


@pytest.mark.parametrize(
    ("profile", "severity"), [(CiProfile.NORMAL, Severity.NOTE), (CiProfile.STRICT, Severity.ASK)]
)
def test_red_on_the_parent_as_well_is_told_and_strict_asks(
    tmp_path: Path, profile: CiProfile, severity: Severity
) -> None:
    made, _ = commands(tmp_path, RED, RED)
    (found,) = run(made, subject({b"a": b"two\n"}, ci_profile=profile))
    assert (found.rule, found.severity) == ("command-red-before", severity)


def said(*lines: str, verdict: CiVerdict = CiVerdict.FAIL) -> Tested:
    return Tested(verdict, Evidence("ci", "\n".join(lines)))


@pytest.mark.parametrize(
    ("here", "before", "new"),
    [
        (said("/c1/old.py:3 bad", "found 1"), said("/c2/old.py:7 bad", "found 1"), ""),
        (said("/c1/old.py:3 bad", "found 1"), said("/c1/old.py:3 bad", "worse", "found 2"), ""),
        (said("old.py: bad", "one.py: bad"), said("old.py: bad"), "one.py: bad"),
        (said("/c1/a.py:3 bad", "/c1/b.py:3 bad"), said("/c2/b.py:3 bad"), "<path>:<n> bad"),
        (said("bad"), said("bad", verdict=CiVerdict.INVALID), "could not be judged"),
        (said("bad"), said("bad\n" * 600_000), "cannot be compared"),
    ],
    ids=["the same elsewhere", "less", "more", "as many more", "no verdict", "too long"],
)  # fmt: skip
def test_what_was_red_before_excuses_only_what_was_said_before(
    tmp_path: Path, here: Tested, before: Tested, new: str
) -> None:
    made, _ = commands(tmp_path, here, before)
    (found,) = run(made, subject({b"a": b"two\n"}))
    assert found.rule == "command-red-before"
    assert (found.severity is Severity.ASK) is bool(new)
    assert new in found.message


def test_the_parent_is_run_once_for_a_command(tmp_path: Path) -> None:
    made, verifier = commands(tmp_path, RED, RED, RED)
    looked = subject({b"a": b"two\n"})
    assert run(made, looked)[0].rule == run(made, looked)[0].rule == "command-red-before"
    assert len(verifier.tasks) == 3


def test_a_machine_that_fails_is_no_verdict(tmp_path: Path) -> None:
    made, _ = commands(tmp_path, Tested(CiVerdict.INFRA, error="no bubblewrap"))
    with pytest.raises(EnvironmentFault, match="no bubblewrap"):
        run(made, subject({b"a": b"two\n"}))


def test_told_to_end_early_it_says_so(tmp_path: Path) -> None:
    made, _ = commands(tmp_path)
    cancel = threading.Event()
    cancel.set()
    with pytest.raises(EnvironmentFault, match="told to end"):
        run(made, subject({b"a": b"two\n"}), cancel)
