"""The project part of autopack.toml: what is read, and that every mistake is told at once."""

from __future__ import annotations

import shlex

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autopack.core.project import (
    CiCommand,
    EnvironmentSpec,
    GateSettings,
    Project,
    Report,
    environment_key,
    parse_project,
    profile_digest,
)
from autopack.core.reader import (
    Problem,
)
from autopack.core.spec import (
    CiProfile,
    OnPhaseFailure,
    SafetyProfile,
)
from autopack.core.words import nearest, split

FULL = """\
builder = "my-agent"
[agents.my-agent]
anything = { at = "all" }

[project]
id = "toy"

[ci.normal]
commands = [
  { run = "python -m pytest -q --junitxml={report}", report = "junit", seconds_max = 60 },
  { run = ["ruff", "check", "a b"], report = "exit-code" },
]

[environment]
prepare = ["python -m venv {cache}"]
inputs = ["requirements.txt"]
cache = [".venv"]

[policy]
protected = ["migrations/**"]
max_files = 7

[run]
safety_profile = "safety_critical"
on_phase_failure = "stop"
parallel_max = 4
max_phases = 3
"""


def project(text: str) -> Project:
    parsed = parse_project(text, "folder")
    assert isinstance(parsed, Project), parsed
    return parsed


def problems(text: str) -> dict[str, Problem]:
    parsed = parse_project(text, "folder")
    assert not isinstance(parsed, Project)
    return {problem.key: problem for problem in parsed}


def minimal(extra: str = "", command: str = '{ run = "true" }') -> str:
    return f"[ci.normal]\ncommands = [{command}]\n{extra}"


def test_everything_is_read() -> None:
    parsed = project(FULL)
    assert parsed.project_id == "toy"
    pytest_command = ("python", "-m", "pytest", "-q", "--junitxml={report}")
    assert parsed.normal == (
        CiCommand(pytest_command, Report.JUNIT, 60),
        CiCommand(("ruff", "check", "a b"), Report.EXIT_CODE, 600),
    )
    assert parsed.environment == EnvironmentSpec(
        (("python", "-m", "venv", "{cache}"),), (".venv",), ("requirements.txt",), 900
    )
    assert (parsed.policy.protected, parsed.policy.files_max) == (("migrations/**",), 7)
    assert parsed.run.safety_profile is SafetyProfile.SAFETY_CRITICAL
    assert parsed.run.on_phase_failure is OnPhaseFailure.STOP
    assert (parsed.run.parallel_max, parsed.run.phases_max) == (4, 3)
    assert parsed.run.token_cap is None


def test_a_missing_strict_profile_is_the_normal_one() -> None:
    parsed = project(minimal())
    assert parsed.profile(CiProfile.STRICT) == parsed.profile(CiProfile.NORMAL) != ()


def test_a_strict_profile_of_its_own() -> None:
    parsed = project(minimal('[ci.strict]\ncommands = [{ run = "make all" }]'))
    assert parsed.profile(CiProfile.STRICT)[0].argv == ("make", "all")


def test_checks_of_a_forge_are_named_once_each() -> None:
    assert project(minimal()).checks == ()
    assert project(minimal('[ci]\nchecks = ["a (1)", "b", "b"]')).checks == ("a (1)", "b")
    assert "ci.checks[0]" in problems(minimal('[ci]\nchecks = [" "]'))
    assert "ci.checks" in problems(minimal('[ci]\nchecks = "a"'))


@pytest.mark.parametrize(
    ("name", "expected"), [("folder", "folder"), ("my folder", "my-folder"), ("…", "project")]
)
def test_the_id_defaults_to_a_usable_form_of_the_folder(name: str, expected: str) -> None:
    parsed = parse_project(minimal(), name)
    assert isinstance(parsed, Project)
    assert parsed.project_id == expected


def test_all_problems_come_at_once_with_key_and_line() -> None:
    found = problems(
        "[project]\n"
        'id = "../evil"\n'
        "[ci.normal]\n"
        "commands = [\n"
        '  { run = "true" },\n'
        '  { run = "pytest", report = "junit" },\n'
        '  { rum = "x", seconds_max = 0 },\n'
        "]\n"
        "[environment]\n"
        'prepare = ["true"]\n'
        'cache = ["/abs"]\n'
        "[run]\n"
        "parallel_max = true\n"
    )
    lines = {key: problem.line for key, problem in found.items()}
    assert lines == {
        "project.id": 2,
        "ci.normal.commands[1].run": 6,
        "ci.normal.commands[2].rum": 7,
        "ci.normal.commands[2].run": 7,
        "ci.normal.commands[2].seconds_max": 7,
        "environment.cache[0]": 11,
        "environment.cache": 11,
        "run.parallel_max": 13,
    }
    assert str(found["project.id"]).startswith("autopack.toml:2: project.id: ids are")


@pytest.mark.parametrize(
    ("text", "key", "meant"),
    [
        (minimal("[enviroment]\nx = 1"), "enviroment", "environment"),
        (minimal("[run]\ntoken_caps = 1"), "run.token_caps", "token_cap"),
        (minimal('[policy]\nprotect = ["a"]'), "policy.protect", "protected"),
        (minimal("[ci.norml]"), "ci.norml", "normal"),
        (minimal(command='{ run = "true", second_max = 3 }'), ".second_max", "seconds_max"),
        (minimal('[run]\nsafety_profile = "nromal"'), "run.safety_profile", "normal"),
        (minimal(command='{ run = "x {report}", report = "junti" }'), ".report", "junit"),
    ],
)
def test_a_misspelt_word_is_refused_with_what_was_meant(text: str, key: str, meant: str) -> None:
    found = [p for k, p in problems(text).items() if k.endswith(key)]
    assert f"did you mean '{meant}'?" in found[0].message


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("", "ci.normal.commands"),
        ("ci = 3", "ci"),
        ("[ci.normal]\ncommands = []", "ci.normal.commands"),
        ("[ci.normal]\ncommands = 'pytest'", "ci.normal.commands"),
        (minimal(command='"pytest"'), "ci.normal.commands[0]"),
        (minimal(command='{ run = "" }'), "ci.normal.commands[0].run"),
        (minimal(command='{ run = ["a", 3] }'), "ci.normal.commands[0].run"),
        (minimal(command='{ run = "a \'b" }'), "ci.normal.commands[0].run"),
        (minimal(command='{ run = "a\\u0000b" }'), "ci.normal.commands[0].run"),
        (minimal(command='{ run = "x {report}" }'), "ci.normal.commands[0].report"),
        (minimal(command='{ run = "x", seconds_max = 1.5 }'), "ci.normal.commands[0].seconds_max"),
        (minimal("[environment]\ncache = ['a']"), "environment.prepare"),
        (minimal("[environment]\nprepare = ['a']"), "environment.cache"),
        (minimal("[environment]\nprepare = ['a']\ncache = ['a', 'a/b']"), "environment.cache"),
        (minimal("[environment]\nprepare = ['a']\ncache = ['../x']"), "environment.cache[0]"),
        (minimal("[environment]\nprepare = ['a']\ncache = ['.git/x']"), "environment.cache[0]"),
        (minimal("[environment]\nprepare = ['a']\ncache = [3]"), "environment.cache[0]"),
        (minimal("[policy]\nmax_files = 0"), "policy.max_files"),
    ],
)
def test_refused(text: str, key: str) -> None:
    assert key in problems(text)


def test_text_that_is_no_toml_names_its_line() -> None:
    (problem,) = problems("[ci.normal]\ncommands = [\n").values()
    assert problem.message.startswith("not TOML")
    assert problems("a = 1\n= 2\n")[""].line == 2


def test_text_that_no_reader_can_take_is_refused_in_our_words() -> None:
    (long,) = problems(minimal("[run]\ntoken_cap = " + "9" * 5_000)).values()
    assert long.message == "not TOML: a number has more than 4,300 digits: write less"
    (deep,) = problems(minimal("[run]\nmax_phases = " + "[" * 100_000)).values()
    assert "nested too deeply" in deep.message


def test_a_profile_digest_changes_with_everything_that_is_run() -> None:
    base = CiCommand(("a", "b"), Report.EXIT_CODE, 5)
    others = [
        (CiCommand(("a b",), Report.EXIT_CODE, 5),),
        (CiCommand(("a", "b"), Report.JUNIT, 5),),
        (CiCommand(("a", "b"), Report.EXIT_CODE, 6),),
        (base, base),
        (),
    ]
    digests = {profile_digest((base,)), *map(profile_digest, others)}
    assert len(digests) == 6
    assert profile_digest((base,)) == profile_digest((CiCommand(("a", "b"), Report.EXIT_CODE, 5),))


def test_an_environment_key_changes_with_inputs_commands_and_host() -> None:
    spec = EnvironmentSpec((("a",),), (".venv",), ("lock",))
    key = environment_key(spec, {"lock": b"1"}, "host")
    assert key == environment_key(spec, {"lock": b"1"}, "host")
    others = {
        environment_key(spec, {"lock": b"2"}, "host"),
        environment_key(spec, {"lock": None}, "host"),
        environment_key(spec, {"lock": b"1"}, "other"),
        environment_key(EnvironmentSpec((("b",),), (".venv",), ("lock",)), {"lock": b"1"}, "host"),
        environment_key(EnvironmentSpec((("a",),), ("env",), ("lock",)), {"lock": b"1"}, "host"),
        environment_key(None, {}, "host"),
    }
    assert len(others) == 6
    assert key not in others


@given(st.text(alphabet=" ab\"'\\\t\n$#", max_size=20))
def test_words_split_as_shlex_does(line: str) -> None:
    try:
        expected = tuple(shlex.split(line))
    except ValueError:
        with pytest.raises(ValueError, match=r"never closed|escapes nothing"):
            split(line)
    else:
        assert split(line) == expected


def test_nearest_gives_nothing_for_strangers() -> None:
    assert nearest("zzz", ["token_cap", "ci"]) == ""
    assert nearest("bulider", ["builder", "auditor"]) == "builder"


GATE = '[ci.normal]\ncommands = [{ run = "true" }]\n[gate]\n'


def test_the_gate_s_checks_and_commands_are_read() -> None:
    project = parse_project(
        GATE + 'checks = ["commands", "mine"]\n'
        'commands = [{ run = "ruff check ." }, { run = ["mypy"], seconds_max = 9 }]\n',
        "p",
    )
    assert isinstance(project, Project)
    assert project.gate.checks == ("commands", "mine")
    assert [(each.argv, each.seconds_max) for each in project.gate.commands] == [
        (("ruff", "check", "."), 600),
        (("mypy",), 9),
    ]
    bare = parse_project(GATE, "p")
    assert isinstance(bare, Project)
    assert bare.gate == GateSettings()


@pytest.mark.parametrize(
    ("given", "key"),
    [
        ("cheks = []", "gate.cheks"),
        ('checks = ["no name"]', "gate.checks[0]"),
        ("checks = [1]", "gate.checks[0]"),
        ("commands = [1]", "gate.commands[0]"),
        ('commands = [{ run = "x", report = "junit" }]', "gate.commands[0].report"),
        ('commands = [{ run = "x {report}" }]', "gate.commands[0].run"),
        ('commands = [{ run = "" }]', "gate.commands[0].run"),
        ('commands = [{ run = "x", seconds_max = 0 }]', "gate.commands[0].seconds_max"),
        ('checks = []\ncommands = [{ run = "x" }]', "gate.checks"),
        (f"checks = {[f'c{n}' for n in range(51)]}", "gate.checks"),
    ],
)
def test_what_is_wrong_with_the_gate_is_told_by_its_key(given: str, key: str) -> None:
    problems = parse_project(GATE + given + "\n", "p")
    assert isinstance(problems, tuple)
    assert [problem.key for problem in problems] == [key]
