"""A project's ruleset: what it may say, what is said of a wrong one, and that nothing crashes it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from autopack.core.builtin import BUILT_IN
from autopack.core.issue import SeverityUpgrade
from autopack.core.ruleset import Alias, CategoryAgents, Ruleset, digest_of, to_data, to_text
from autopack.core.ruleset_data import BYTES_MAX, PROBLEMS_MAX, parse_ruleset
from autopack.core.ruleset_fields import (
    AGENTS,
    ALIAS,
    CATEGORY,
    DEBT,
    MODE,
    SAFETY,
    TABLES,
    TOP,
    UPGRADE,
    Choice,
    Flag,
    Kind,
    Number,
    Whole,
    ruleset_schema,
)
from autopack.core.spec import Complexity, RunScope
from autopack.core.strategy import category_rule
from autopack.core.words import visible

FILE = "project_ruleset_lab.json"
REFERENCE = Path(__file__).parents[2] / "docs" / "reference"
SCHEMA = Draft202012Validator(ruleset_schema())


def read(**said: Any) -> Ruleset:
    found = parse_ruleset(json.dumps({"version": 1, **said}), FILE, "lab")
    assert isinstance(found, Ruleset), [str(problem) for problem in found]
    return found


def refused(text: str | None = None, **said: Any) -> list[str]:
    text = json.dumps({"version": 1, **said}, indent=1) if text is None else text
    found = parse_ruleset(text, FILE, "lab")
    assert not isinstance(found, Ruleset), "it was taken"
    return [str(problem) for problem in found]


# --- what it may say -------------------------------------------------------------------------------


def test_a_file_that_says_nothing_is_the_built_in_ruleset() -> None:
    assert read() == replace(BUILT_IN, project_id="lab")


def test_the_published_ruleset_can_be_read_and_satisfies_the_schema() -> None:
    text = (REFERENCE / "ruleset.json").read_text(encoding="utf-8")
    Draft202012Validator.check_schema(json.loads((REFERENCE / "ruleset.schema.json").read_text()))
    SCHEMA.validate(json.loads(text))
    assert parse_ruleset(text, FILE, "lab") == replace(BUILT_IN, project_id="lab")


def test_a_row_is_overlaid_field_by_field() -> None:
    ruleset = read(category_defaults={"docs": {"builder_attempts_max": 5}})
    assert category_rule("docs", ruleset) == replace(category_rule("docs"), builder_attempts_max=5)
    assert category_rule("tests", ruleset) == category_rule("tests")


def test_a_new_category_begins_as_anything_else_in_the_same_file() -> None:
    rows = {"web": {"minor_tolerance": 0.25}, "anything_else": {"incident_token_cap": 7}}
    rule = category_rule("web", read(category_defaults=rows))
    assert (rule.category, rule.minor_tolerance, rule.incident_token_cap) == ("web", 0.25, 7)


def test_tables_of_names() -> None:
    ruleset = read(
        category_defaults={"web": {}},
        aliases={"html": {"category": "web", "auditor_profile": "web_review"}},
        agents={"web": {"builder": "painter"}},
        high_risk_categories=["web"],
        severity_upgrades=[{"issue_key": "sql_*", "source": "ci"}],
        safety_profiles={"normal": {"run_scope": "single_tier", "aging_runs": 9}},
        builder_modes={"tweak_light": {"files_max": 4}},
        default_modes={"low": "schema_heavy"},
        debt={"enabled": False},
    )
    assert ruleset.aliases["html"] == Alias("web", "web_review")
    assert ruleset.agents == {"web": CategoryAgents("painter", "")}
    assert ruleset.high_risk_categories == ("web",)
    assert ruleset.severity_upgrades == (SeverityUpgrade("sql_*", source="ci"),)
    assert ruleset.safety_profiles["normal"].run_scope is RunScope.SINGLE_TIER
    assert ruleset.safety_profiles["normal"].aging_tiers == 2
    assert ruleset.builder_modes["tweak_light"].files_max == 4
    assert ruleset.default_modes[Complexity.LOW] == "schema_heavy"
    assert (ruleset.debt.enabled, ruleset.debt.phases_max) == (False, BUILT_IN.debt.phases_max)


def test_the_label_tells_the_version_and_all_that_is_said() -> None:
    one, other = read(version=3), read(version=3, run_token_cap=1)
    assert one.label == f"3@{digest_of(one)[:12]}"
    assert one.label != other.label
    assert read(version=3).label == one.label


# --- what is said of a wrong one -------------------------------------------------------------------

ROWS = {
    "": TOP,
    "safety_profiles.normal.": SAFETY,
    "category_defaults.docs.": CATEGORY,
    "builder_modes.tweak_light.": MODE,
    "aliases.x.": ALIAS,
    "agents.docs.": AGENTS,
    "severity_upgrades[0].": UPGRADE,
    "debt.": DEBT,
}


def every_field() -> Iterator[tuple[str, Kind]]:
    for prefix, fields in ROWS.items():
        for name, kind in fields.items():
            yield prefix + name, kind


def nested(path: str, value: object) -> dict[str, Any]:
    """A table that holds one value at a path."""
    table: Any = value
    for part in reversed(path.split(".")):
        name, bracket, _ = part.partition("[")
        table = {name: [table] if bracket else table}
    assert isinstance(table, dict)
    return table


def wrong_values(kind: Kind) -> list[object]:
    values: list[object] = [None, [], {}]
    match kind:
        case Whole():
            values += ["7", 1.5, True, -1, kind.least - 1, kind.most + 1]
        case Number():
            values += ["7", True, -0.5, kind.most + 1]
        case Flag():
            values += ["yes", 1]
        case Choice():
            values += ["nothing_known", "", 1]
        case _:
            values += [1, True, "a\nb", "../../etc/passwd\x1b", "x" * 200]
    return values


@pytest.mark.parametrize(("path", "kind"), [*every_field()], ids=lambda each: str(each)[:40])
def test_every_field_refuses_what_it_may_not_hold(path: str, kind: Kind) -> None:
    for value in wrong_values(kind):
        said = {"version": 1, **nested(path, value)}
        problems = refused(json.dumps(said))
        assert any(f": {path}: " in problem for problem in problems), (value, problems)
        assert not SCHEMA.is_valid(said), value


@pytest.mark.parametrize("table", sorted(TABLES))
@pytest.mark.parametrize("value", [1, "x", None, True])
def test_every_table_refuses_what_is_none(table: str, value: object) -> None:
    problems = refused(json.dumps({"version": 1, table: value}))
    assert any(f": {table}: must be a" in problem for problem in problems), problems
    assert not SCHEMA.is_valid({"version": 1, table: value})


@pytest.mark.parametrize(
    ("said", "problem"),
    [
        ({"run_token_cup": 1}, "run_token_cup: unknown key; did you mean 'run_token_cap'?"),
        ({"category_defaults": {"docs": {"severty": "minor"}}},
         "category_defaults.docs.severty: unknown key; did you mean 'severity'?"),
        ({"safety_profiles": {"safety_critcal": {}}},
         "safety_profiles.safety_critcal: unknown key; did you mean 'safety_critical'?"),
        ({"default_safety_profile": "paranoid"},
         "default_safety_profile: must be one of normal, safety_critical"),
        ({"builder_modes": {"tweak_lite": {}}},
         "builder_modes.tweak_lite: unknown key; did you mean 'tweak_light'?"),
        ({"run_token_cap": -5}, "run_token_cap: must be a whole number from 1 to"),
        ({"category_defaults": {"../../x": {}}}, "category_defaults.../../x: a bad name"),
        ({"category_defaults": {"a.b": {}}}, "category_defaults.a.b: a bad name"),
        ({"category_defaults": {"": {}}}, "category_defaults.: a bad name"),
        ({"category_defaults": {"docs": 1}}, "category_defaults.docs: must be an object"),
        ({"project_id": "../x"}, "project_id: ids are 1 to 64 of"),
        ({"project_id": "other"}, "project_id: other is another project, this project is lab"),
        ({"aliases": {"x": {"category": "dcs"}}},
         "aliases.x.category: no category 'dcs'; did you mean 'docs'?"),
        ({"aliases": {"x": {}}}, "aliases.x.category: missing"),
        ({"aliases": {"docs": {"category": "tests"}}}, "aliases.docs: is a category itself"),
        ({"high_risk_categories": ["security_auth"]},
         "high_risk_categories[0]: no category 'security_auth'; it stands for 'security_auth_change'"),
        ({"severity_upgrades": [{"task_category": "dosc"}]},
         "severity_upgrades[0].task_category: no category 'dosc'; did you mean 'docs'?"),
        ({"severity_upgrades": [{"issue_key": "x*"}, {"task_category": "frontend"}]},
         "severity_upgrades[1].task_category: no category 'frontend'; give it a row in"),
        ({"high_risk_categories": [1]}, "high_risk_categories[0]: must be a string"),
        ({"agents": {"frontend": {"builder": "b"}}},
         "agents.frontend: no category 'frontend'; give it a row in category_defaults"),
        ({"default_category": "webby"}, "default_category: no category 'webby'"),
        ({"debt": {"category": "debt_cleanups"}},
         "debt.category: no category 'debt_cleanups'; did you mean 'debt_cleanup'?"),
        ({"default_modes": {"low": "tweak"}}, "default_modes.low: no builder mode 'tweak'; known: "),
        ({"default_modes": {"lowest": "tweak_light"}}, "default_modes.lowest: unknown key"),
        ({"default_modes": {"low": 1}}, "default_modes.low: must be a string"),
        ({"category_defaults": {"docs": {"builder_mode": "big"}}},
         "category_defaults.docs.builder_mode: no builder mode 'big'"),
        ({"severity_upgrades": [{}]}, "severity_upgrades[0]: name at least one of issue_key"),
        ({"severity_upgrades": [1]}, "severity_upgrades[0]: must be an object"),
        ({"severity_upgrades": [{"issue_key": "*"}] * 501},
         "severity_upgrades: 501 entries, at most 500"),
        ({"category_defaults": {f"c{n}": {} for n in range(501)}},
         "category_defaults: 501 entries, at most 500"),
        ({f"k{n}": 1 for n in range(300)}, "300 unknown fields"),
    ],
)  # fmt: skip
def test_a_problem_says_where_it_is_and_what_to_write(said: dict[str, Any], problem: str) -> None:
    (told,) = refused(**said)
    assert told.startswith(FILE)
    assert problem in told


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "1: not JSON: Expecting value, column 1"),
        ('{"version": 1,\n}', "not JSON: "),
        ("[]", "1: write an object"),
        ('{"version": 1, "version": 2}', "the field 'version' stands twice in one object"),
        ('{"category_defaults": {"docs": {}, "docs": {}}}', "'docs' stands twice"),
        ('{"version": NaN}', "NaN is no JSON number"),
        ('{"safety_profiles": {"normal": {"minor_tolerance": Infinity}}}', "Infinity is no JSON"),
        ('{"version": 1, "safety_profiles": {"normal": {"minor_tolerance": 1e999}}}',
         "safety_profiles.normal.minor_tolerance: must be a number from 0 to 1,000"),
        ('{"version": ' + "9" * 5_000 + "}", "a number has more than 4,300 digits: write less"),
        ("[" * 100_000, "nested too deeply"),
        ("{}", "version: missing"),
        (" " * (BYTES_MAX + 1), f"256,001 bytes, at most {BYTES_MAX:,} are read"),
        ("é" * (BYTES_MAX // 2) + "x", "bytes, at most"),
        ('{"version": "\\ud800"}', "version: must be a whole number"),
    ],
)  # fmt: skip
def test_a_text_that_is_no_ruleset(text: str, problem: str) -> None:
    (told,) = refused(text)
    assert problem in told


def test_all_problems_come_at_once_with_their_lines() -> None:
    text = """{
 "version": 0,
 "category_defaults": {
  "docs": {
   "severity": "bad",
   "auto_apply": 1
  },
  "tests": {
   "severity": "bad"
  }
 },
 "debt": {"phases_max": 0}
}"""
    lines = [problem.split(": ")[0].removeprefix(f"{FILE}:") for problem in refused(text)]
    assert sorted(lines, key=int) == ["2", "5", "6", "9", "12"]


def test_a_file_of_nothing_but_problems_is_told_in_short() -> None:
    rows = {f"c{n}": {"severity": n, "auto_apply": n} for n in range(400)}
    told = refused(category_defaults=rows)
    assert len(told) == PROBLEMS_MAX + 1
    assert told[-1] == f"{FILE}: and 600 more problems"


def test_the_names_that_are_known_are_listed_once() -> None:
    rows = {f"c{n}": {"wrong_thing": n, "other_thing": n} for n in range(40)}
    told = refused(category_defaults=rows)
    assert len(told) == 80
    assert "unknown key; known: auditor_attempts_max, " in told[0]
    assert all(problem.endswith("_thing: unknown key") for problem in told[1:])
    modes = refused(category_defaults={f"c{n}": {"builder_mode": "vast"} for n in range(9)})
    assert sum("refactor_heavy" in problem for problem in modes) == 1


@pytest.mark.parametrize("number", ["1.0", "2e0", "1.5", "1e400", "-1.0", "1e30", "true"])
def test_schema_and_reader_agree_on_what_a_whole_number_is(number: str) -> None:
    text = f'{{"version": {number}}}'
    taken = isinstance(parse_ruleset(text, FILE, "lab"), Ruleset)
    assert taken == SCHEMA.is_valid(json.loads(text))
    assert taken == (number in {"1.0", "2e0"})


def test_the_schema_says_when_an_issue_has_aged() -> None:
    schema: dict[str, Any] = ruleset_schema()
    for profile in schema["properties"]["safety_profiles"]["properties"].values():
        for field in ("aging_runs", "aging_tiers"):
            assert "never in its first run" in profile["properties"][field]["description"]


# --- whatever comes --------------------------------------------------------------------------------

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3)
    ),
    max_leaves=8,
)
PATHS = [path for path, _ in every_field()]


@given(st.text())
def test_any_text_is_read_or_refused(text: str) -> None:
    assert parse_ruleset(text, FILE, "lab")


@given(st.dictionaries(st.sampled_from([*sorted(TOP), *sorted(TABLES), "x"]), JSON))
def test_any_json_is_read_or_its_fields_are_named(said: dict[str, Any]) -> None:
    found = parse_ruleset(json.dumps(said), FILE, "lab")
    if isinstance(found, Ruleset):
        assert SCHEMA.is_valid(said)
        assert parse_ruleset(to_text(found), FILE, "lab") == found
    else:
        assert all(visible(str(problem)) == str(problem) for problem in found)
        if "NaN" not in str(found[0]) and "Infinity" not in str(found[0]):
            assert all(p.key.split(".")[0].split("[")[0] in {*said, "version"} for p in found)


BEYOND_THE_SCHEMA = ("no category ", "no builder mode ", "is another project", "is a category ")
"""Problems of names that name nothing: a schema knows no project."""


def agreed(said: dict[str, Any]) -> None:
    """Parser and published schema say the same of a table."""
    found = parse_ruleset(json.dumps(said), FILE, "lab")
    problems = () if isinstance(found, Ruleset) else found
    own = [p for p in problems if not any(each in p.message for each in BEYOND_THE_SCHEMA)]
    assert SCHEMA.is_valid(said) is (not own), (said, [str(p) for p in own])


LAST_LINE = st.sampled_from(["", "\n", "\u2028"])
NEAR: st.SearchStrategy[Any] = st.one_of(
    st.sampled_from(["", "lab", "docs", "a..b", "a.lock", "a.", "*", "*" * 8, "*" * 9, "x" * 64,
                     "x" * 65, "x" * 128, "x" * 129, "schema_*", "normal", "major", "docs\n",
                     "a\tb", "a\x1bb", "a\u202eb", "a\u00adb", "Prüfung", "\ud800", "\U0001f600",
                     0, 1, 1.0, 1e6, 1.5, -1, -0.0, 10**12, 10**12 + 1, 1e12, 1e13, 2.0**31, 1000.5,
                     True, False, None, [], {}]),
    st.builds(str.__add__, st.text(st.characters(max_codepoint=0x3000), max_size=6), LAST_LINE),
    st.builds(str.__add__, st.from_regex(r"[A-Za-z0-9*._-]{0,12}", fullmatch=True), LAST_LINE),
    st.integers(-5, 10**13),
    st.floats(allow_nan=False, allow_infinity=False),
)  # fmt: skip


@pytest.mark.parametrize("path", PATHS)
@given(data=st.data())
@settings(max_examples=25, deadline=None)
def test_parser_and_schema_agree_on_every_field(path: str, data: st.DataObject) -> None:
    agreed({"version": 1, **nested(path, data.draw(NEAR))})


@pytest.mark.parametrize(
    "said",
    [
        {"builder_modes": {"foo": {"files_max": 3}}},
        {"builder_modes": {"tweak_light": {"files_max": 3.0}}},
        {"safety_profiles": {"foo": {}}},
        {"severity_upgrades": [{"issue_key": ""}]},
        {"severity_upgrades": [{"issue_key": "", "category": ""}]},
        {"severity_upgrades": [{"issue_key": "", "source": "ci"}]},
        {"severity_upgrades": [{"task_category": "docs\n"}]},
        {"severity_upgrades": [{}]},
        {"severity_upgrades": [{"issue_key": "a"}] * 501},
        {"category_defaults": {"mine\n": {}}},
        {"category_defaults": {"a b": {}}},
        {"category_defaults": {"mine": {"minor_tolerance": 1e-400}}},
        {"aliases": {"a b": {"category": "docs"}}},
        {"aliases": {"a": {}}},
        {"aliases": {f"a{n}": {"category": "docs"} for n in range(501)}},
        {"high_risk_categories": ["docs", "docs"]},
        {"high_risk_categories": ["docs\n"]},
        {"high_risk_categories": ["docs"] * 201},
        {"default_modes": {"low": "tweak_light" * 50}},
        {"default_modes": {"low": ""}},
        {"default_modes": {"lowest": "tweak_light"}},
        {"$schema": 1},
        {"$schema": "https://example.org"},
        {"version": 1.0},
        {"version": True},
    ],
    ids=lambda each: str(each)[:40],
)
def test_parser_and_schema_agree_on_tables(said: dict[str, Any]) -> None:
    agreed({"version": 1, **said})


def test_a_whole_number_may_be_written_as_json_writes_it() -> None:
    text = '{"version": 1.0, "run_token_cap": 1e6, "run_max_phases": 3.0}'
    ruleset = parse_ruleset(text, FILE, "lab")
    assert isinstance(ruleset, Ruleset)
    assert (ruleset.run_token_cap, ruleset.run_max_phases) == (1_000_000, 3)
    assert '"run_token_cap": 1000000,' in to_text(ruleset)


@given(st.sampled_from(PATHS), JSON)
def test_any_value_of_any_field_is_taken_or_named(path: str, value: object) -> None:
    found = parse_ruleset(json.dumps({"version": 1, **nested(path, value)}), FILE, "lab")
    if not isinstance(found, Ruleset):
        assert any(
            problem.key.startswith(path.split("[", maxsplit=1)[0])
            or path.startswith(problem.key)
            or problem.key.startswith(f"{path.rpartition('.')[0]}.")  # an alias needs its category
            for problem in found
        ), found


@given(
    st.integers(1, 9),
    st.fixed_dictionaries({}, optional={"run_token_cap": st.integers(1, 10**12),
                                        "tier_token_factor": st.integers(1, 9)}),
)  # fmt: skip
def test_what_is_written_is_read_again(version: int, said: dict[str, int]) -> None:
    ruleset = read(version=version, **said)
    again = parse_ruleset(to_text(ruleset), FILE, "lab")
    assert again == ruleset
    assert to_data(ruleset)["version"] == version
