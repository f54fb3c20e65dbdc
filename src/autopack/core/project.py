"""The project part of `autopack.toml`: what a repository says of its CI, environment and policy.

Always given the text of the base commit, so that no candidate changes what judges it. Reports all
problems at once; leaves the machine part's keys alone. Never reads a file, never runs anything.
"""

from __future__ import annotations

import hashlib
import json
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from autopack.core import gate
from autopack.core.ids import id_problem
from autopack.core.reader import Problem, Reader
from autopack.core.selection import TESTS
from autopack.core.spec import (
    CiProfile,
    OnPhaseFailure,
    PromoteMode,
    RunScope,
    SafetyProfile,
)
from autopack.core.words import syntax_fault

MACHINE_KEYS: Final = frozenset(
    {"builder", "auditor", "sandbox", "workers_max", "agents", "database_url", "runs_dir"}
)
"""Top-level keys that `settings` reads."""
PROJECT_KEYS: Final = frozenset({"project", "ci", "environment", "gate", "policy", "run"})
COMMAND_SECONDS_DEFAULT: Final = 600
ENVIRONMENT_SECONDS_DEFAULT: Final = 900
SECONDS_MAX: Final = 24 * 3600
COMMANDS_MAX: Final = 50


class Report(StrEnum):
    """How a CI command tells its result; an exit code alone is weak evidence."""

    JUNIT = "junit"
    EXIT_CODE = "exit-code"


@dataclass(frozen=True)
class CiCommand:
    """One command of a profile; `{report}` in an argument stands for the JUnit file's path.

    `rerun`: the command that runs some tests only, `{tests}` standing for them; empty: all run.
    """

    argv: tuple[str, ...]
    report: Report
    seconds_max: int = COMMAND_SECONDS_DEFAULT
    rerun: tuple[str, ...] = ()


@dataclass(frozen=True)
class EnvironmentSpec:
    """What must be installed before CI can run, from which inputs, kept at which paths.

    `{cache}` in an argument stands for the first of `cache`. Paths are relative to the checkout.
    """

    prepare: tuple[tuple[str, ...], ...]
    cache: tuple[str, ...]
    inputs: tuple[str, ...] = ()
    seconds_max: int = ENVIRONMENT_SECONDS_DEFAULT


@dataclass(frozen=True)
class GateSettings:
    """The gate's checks beside the required ones, and the commands of the one that runs programs.

    Each command tells its result by its exit code.
    """

    checks: tuple[str, ...] = gate.DEFAULT
    commands: tuple[CiCommand, ...] = ()


@dataclass(frozen=True)
class PolicySettings:
    """The project's additions to the path policy; None keeps the built-in limit."""

    protected: tuple[str, ...] = ()
    files_max: int | None = None
    changed_lines_max: int | None = None
    file_bytes_max: int | None = None


@dataclass(frozen=True)
class RunSettings:
    """What a run of this project starts with; None keeps the built-in default."""

    safety_profile: SafetyProfile | None = None
    run_scope: RunScope | None = None
    on_phase_failure: OnPhaseFailure | None = None
    parallel_max: int | None = None
    token_cap: int | None = None
    phases_max: int | None = None
    duration_minutes_max: int | None = None
    parked_minutes_max: int | None = None
    promote: PromoteMode | None = field(default=None, kw_only=True)
    promotions_open_max: int | None = field(default=None, kw_only=True)
    """0: any number."""


@dataclass(frozen=True)
class Project:
    """The project part, checked."""

    project_id: str
    normal: tuple[CiCommand, ...]
    strict: tuple[CiCommand, ...]
    environment: EnvironmentSpec | None = None
    policy: PolicySettings = field(default=PolicySettings())
    run: RunSettings = field(default=RunSettings())
    gate: GateSettings = field(default=GateSettings())
    checks: tuple[str, ...] = ()
    """Of a forge that tests, those that count; none named: all that it reports."""

    def profile(self, profile: CiProfile) -> tuple[CiCommand, ...]:
        """The commands of a profile, in order."""
        return self.strict if profile is CiProfile.STRICT else self.normal


def parse_project(text: str, name: str) -> Project | tuple[Problem, ...]:
    """The project part of `text`, or all its problems; `name` is the id when it gives none."""
    try:
        table = tomllib.loads(text)
    except RecursionError:
        return (Problem("", "its values are nested too deeply"),)
    except ValueError as fault:
        line, message = syntax_fault(text, str(fault))
        return (Problem("", f"not TOML: {message}", line),)
    reader = Reader(text)
    reader.known(table, "", PROJECT_KEYS | MACHINE_KEYS)
    project_id = _project_id(reader, table, name)
    ci = reader.table(table, "ci", frozenset({"normal", "strict", "checks"}))
    normal = _profile(reader, ci, "normal")
    strict = _profile(reader, ci, "strict") if "strict" in ci else normal
    checks = reader.texts(ci, "ci.checks", lambda name: "" if name.strip() else "an empty name")
    environment = _environment(reader, table) if "environment" in table else None
    policy, run, looks = _policy(reader, table), _run(reader, table), _gate(reader, table)
    if reader.problems:
        return tuple(reader.problems)
    return Project(project_id, normal, strict, environment, policy, run, looks, checks)


def profile_digest(commands: tuple[CiCommand, ...]) -> str:
    """SHA-256 of what a profile runs: a green result holds for these commands only."""
    return _digest([[list(c.argv), c.report.value, c.seconds_max] for c in commands])


def environment_key(
    environment: EnvironmentSpec | None, contents: Mapping[str, bytes | None], host: str = ""
) -> str:
    """SHA-256 that names an environment: its commands, its inputs' contents, the host it is for.

    `contents`: every path of `inputs`, None when the commit has no such file. Without
    `[environment]` the key tells of nothing but the host.
    """
    if environment is None:
        return _digest([host])
    inputs = [
        [path, None if (data := contents[path]) is None else hashlib.sha256(data).hexdigest()]
        for path in environment.inputs
    ]
    prepare = [list(argv) for argv in environment.prepare]
    return _digest([host, prepare, list(environment.cache), inputs])


def _digest(value: object) -> str:
    encoded = json.dumps(value, ensure_ascii=True, separators=(",", ":"))
    return hashlib.sha256(encoded.encode()).hexdigest()


def _project_id(reader: Reader, table: dict[str, object], name: str) -> str:
    given = reader.table(table, "project", frozenset({"id"}))
    project_id = reader.text(given, "project.id") if "id" in given else name
    if problem := id_problem(project_id):
        if "id" in given:
            reader.problem("project.id", problem)
        return re.sub(r"[^A-Za-z0-9_-]+", "-", name).strip("-_")[:64] or "project"
    return project_id


def _profile(reader: Reader, ci: dict[str, object], name: str) -> tuple[CiCommand, ...]:
    key = f"ci.{name}"
    profile = reader.table(ci, key, frozenset({"commands"}))
    if "commands" not in profile:
        reader.problem(f"{key}.commands", "missing: CI needs at least one command")
        return ()
    listed = reader.list(profile, f"{key}.commands", COMMANDS_MAX)
    if not listed:
        reader.problem(f"{key}.commands", "empty: CI needs at least one command")
    return tuple(
        command
        for number, item in enumerate(listed)
        if (command := _command(reader, item, f"{key}.commands[{number}]")) is not None
    )


def _command(reader: Reader, item: object, key: str) -> CiCommand | None:
    if not isinstance(item, dict):
        reader.problem(key, 'write a table: { run = "…", report = "junit" }')
        return None
    reader.known(item, key, frozenset({"run", "report", "seconds_max", "rerun"}))
    if "run" not in item:
        reader.problem(f"{key}.run", "missing: which program runs?")
    argv = reader.argv(item["run"], f"{key}.run") if "run" in item else ()
    told = reader.choice(item, f"{key}.report", Report)
    report = told or Report.EXIT_CODE
    default = COMMAND_SECONDS_DEFAULT
    seconds = reader.whole(item, f"{key}.seconds_max", SECONDS_MAX) or default
    names_report = any("{report}" in word for word in argv)
    if argv and report is Report.JUNIT and not names_report:
        reader.problem(f"{key}.run", 'report = "junit" needs {report} where the file\'s path goes')
    if names_report and report is Report.EXIT_CODE and (told or "report" not in item):
        reader.problem(f"{key}.report", 'the command names {report}: write report = "junit"')
    return CiCommand(argv, report, seconds, _rerun(reader, item, key, report))


def _rerun(reader: Reader, item: Mapping[str, object], key: str, report: Report) -> tuple[str, ...]:
    """How some tests run alone."""
    if "rerun" not in item:
        return ()
    argv = reader.argv(item["rerun"], f"{key}.rerun")
    missing = [each for each in (TESTS, "{report}") if not any(each in word for word in argv)]
    if argv and missing:
        reader.problem(f"{key}.rerun", f"it needs {' and '.join(missing)}")
    if report is not Report.JUNIT:
        reader.problem(f"{key}.rerun", 'only report = "junit" tells which tests are red')
    return argv


def _environment(reader: Reader, table: dict[str, object]) -> EnvironmentSpec:
    keys = frozenset({"prepare", "inputs", "cache", "seconds_max"})
    given = reader.table(table, "environment", keys)
    listed = reader.list(given, "environment.prepare", COMMANDS_MAX)
    prepare = [reader.argv(each, f"environment.prepare[{n}]") for n, each in enumerate(listed)]
    cache = reader.texts(given, "environment.cache", path_problem)
    inputs = reader.texts(given, "environment.inputs", path_problem)
    for key, value in (("prepare", listed), ("cache", cache)):
        if not value:
            reader.problem(
                f"environment.{key}", "missing or empty: remove [environment] or fill it"
            )
    for path in cache:
        if any(other != path and other.startswith(f"{path}/") for other in cache):
            reader.problem("environment.cache", f"{path!r} holds another of the paths")
    seconds = reader.whole(given, "environment.seconds_max", SECONDS_MAX)
    return EnvironmentSpec(tuple(prepare), cache, inputs, seconds or ENVIRONMENT_SECONDS_DEFAULT)


def _gate(reader: Reader, table: dict[str, object]) -> GateSettings:
    given = reader.table(table, "gate", frozenset({"checks", "commands"}))
    named = reader.texts(given, "gate.checks", id_problem, gate.CHECKS_MAX)
    checks = named if "checks" in given else gate.DEFAULT
    commands = []
    for number, item in enumerate(reader.list(given, "gate.commands", COMMANDS_MAX)):
        key = f"gate.commands[{number}]"
        if not isinstance(item, dict) or "run" not in item:
            reader.problem(key, 'write a table: { run = "…", seconds_max = 60 }')
            continue
        reader.known(item, key, frozenset({"run", "seconds_max"}))
        argv = reader.argv(item["run"], f"{key}.run")
        if any("{report}" in word for word in argv):
            reader.problem(
                f"{key}.run", "the gate reads exit codes, no reports: leave {report} out"
            )
        seconds = reader.whole(item, f"{key}.seconds_max", SECONDS_MAX) or COMMAND_SECONDS_DEFAULT
        commands.append(CiCommand(argv, Report.EXIT_CODE, seconds))
    if commands and "commands" not in checks:
        reader.problem("gate.checks", "name 'commands', too: else gate.commands never run")
    return GateSettings(checks, tuple(commands))


def _policy(reader: Reader, table: dict[str, object]) -> PolicySettings:
    keys = frozenset({"protected", "max_files", "max_changed_lines", "max_file_bytes"})
    given = reader.table(table, "policy", keys)
    return PolicySettings(
        reader.texts(given, "policy.protected", lambda glob: "" if glob else "an empty glob"),
        reader.whole(given, "policy.max_files"),
        reader.whole(given, "policy.max_changed_lines"),
        reader.whole(given, "policy.max_file_bytes"),
    )


def _run(reader: Reader, table: dict[str, object]) -> RunSettings:
    numbers = ("parallel_max", "token_cap", "max_phases", "max_duration_minutes")
    choices = ("safety_profile", "run_scope", "on_phase_failure")
    more = ("parked_minutes_max", "promote", "promotions_open_max")
    keys = frozenset({*numbers, *choices, *more})
    given = reader.table(table, "run", keys)
    return RunSettings(
        reader.choice(given, "run.safety_profile", SafetyProfile),
        reader.choice(given, "run.run_scope", RunScope),
        reader.choice(given, "run.on_phase_failure", OnPhaseFailure),
        *(reader.whole(given, f"run.{key}") for key in (*numbers, "parked_minutes_max")),
        promote=reader.choice(given, "run.promote", PromoteMode),
        promotions_open_max=reader.whole(given, "run.promotions_open_max", least=0),
    )


def path_problem(path: str) -> str:
    """Why `path` is no plain path below the checkout; empty when it is one."""
    parts = path.split("/")
    if not path or path.startswith("/") or "\0" in path:
        return f"{path!r}: write a path relative to the repository's root"
    if any(part in ("", ".", "..") for part in parts):
        return f"{path!r}: write it without '.', '..' or empty parts"
    return f"{path!r}: git's own folder" if parts[0].lower() == ".git" else ""
