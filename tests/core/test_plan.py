"""Plans in their three forms: one model, all problems at once, order and worst case."""

from __future__ import annotations

import json
import re
import string
from pathlib import Path

import jsonschema
import pytest
import tomlkit
from hypothesis import given
from hypothesis import strategies as st

from autopack.adapters.files.plan_file import read_plan
from autopack.adapters.files.plan_markdown import parse_markdown
from autopack.app.plan import dry_run
from autopack.core.errors import OperatorFault
from autopack.core.plan import CompiledPlan, PlanOptions, PlanRefused, compile_plan
from autopack.core.plan_check import PHASES_MAX, cycles
from autopack.core.plan_data import parse_json, parse_toml, plan_schema
from autopack.core.plan_draft import LIST_KEYS, TASK_CHARACTERS_MAX, TEXT_KEYS, PlanDraft
from autopack.core.spec import (
    CiProfile,
    Complexity,
    SafetyProfile,
)

REFERENCE = Path(__file__).parents[2] / "docs" / "reference"


def compiled(draft: PlanDraft, options: PlanOptions | None = None) -> CompiledPlan:
    plan = compile_plan(draft, options)
    assert isinstance(plan, CompiledPlan), str(plan)
    return plan


def test_a_plan_has_at_most_a_thousand_phases_over_all_its_runs() -> None:
    def text(tiers: int) -> str:
        phase = "### Phase F{0}: x\n- scope: a\n\nDo.\n"
        return "".join(f"## Tier T{n}: x\n\n{phase.format(n)}" for n in range(tiers))

    (said,) = refused(parse_markdown(text(PHASES_MAX + 1), "plan.md"))
    assert "the plan has 1,001 phases; at most 1,000" in said
    assert isinstance(compile_plan(parse_markdown(text(PHASES_MAX), "plan.md")), CompiledPlan)


def refused(draft: PlanDraft, options: PlanOptions | None = None) -> list[str]:
    plan = compile_plan(draft, options)
    assert isinstance(plan, PlanRefused)
    return [str(problem) for problem in plan.problems]


def phase(phase_id: str, *attributes: str, task: str = "Do it.", scope: str = "src/**") -> str:
    listed = "\n".join(f"- {each}" for each in (f"scope: {scope}", *attributes))
    return f"### Phase {phase_id}: Name of {phase_id}\n\n{listed}\n\n{task}\n\n"


def markdown(*phases: str) -> PlanDraft:
    return parse_markdown("## Tier T1: First\n\n" + "".join(phases), "plan.md")


# --- Markdown -----------------------------------------------------------------------------------


def test_markdown_attributes_and_task() -> None:
    draft = parse_markdown(
        "# Title\n\nFor people.\n\n## Tier T1: The first\n\nFor people too.\n\n"
        "### Phase F1.1: A name ###\n"
        "- Category: docs\n* other list\n\n"
        "### Phase F1.2: Real\n- category: tests\n- complexity: high\n- mode: refactor_heavy\n"
        "- scope: `src/**`, **/*.py,\n  docs\n- needs: F1.1\n- packs: a, b\n- deliver: src/a.py\n"
        "\n\n  indented first line\n\n- category: not an attribute\n\n#### Own heading\ntext  \n\n",
        "p.md",
    )
    second = draft.tiers[0].phases[1]
    assert (draft.tiers[0].id, draft.tiers[0].name) == ("T1", "The first")
    assert second.scope == ("src/**", "**/*.py", "docs")
    assert (second.category, second.complexity, second.mode) == ("tests", "high", "refactor_heavy")
    assert (second.needs, second.packs, second.deliver) == (("F1.1",), ("a", "b"), ("src/a.py",))
    assert second.task == (
        "  indented first line\n\n- category: not an attribute\n\n#### Own heading\ntext  "
    )
    assert second.place.line("scope") == 17
    assert draft.tiers[0].phases[0].task == "* other list"


@pytest.mark.parametrize(
    "task",
    [
        "```\n### Phase F9: in a fence\n- scope: x\n## Tier T9: y\n```",
        "~~~~text\n```\n# not closed by this\n~~~~",
        "    ### Phase F9: indented code\n\nText.",
        "> ### Phase F9: quoted",
        "Text\n---\nmore text\n===\nend",
        "<!--\n### Phase F9: commented out\n-->",
        "Text.\n\n- scope: src\n- scpoe: typo of no matter\n\n1. one\n   - deep",
        "Text.\n\n```\nfence\n\n\n```\n\ttab",
    ],
)
def test_markdown_keeps_a_task_verbatim(task: str) -> None:
    plan = compiled(markdown(phase("F1", task=task), phase("F2")))
    assert [each.phase_id for each in plan.phases] == ["F1", "F2"]
    assert plan.phases[0].task == task


def test_a_list_after_a_blank_line_is_the_task() -> None:
    plan = compiled(markdown("### Phase F1: x\n- scope: src\n\n- Do this\n- scope: that\n"))
    assert plan.phases[0].task == "- Do this\n- scope: that"
    assert plan.phases[0].scope == ("src",)


def test_attributes_may_stand_apart() -> None:
    plan = compiled(markdown("### Phase F1: x\n- scope: src\n\n- category: docs\n\nTask.\n"))
    assert (plan.phases[0].task_category, plan.phases[0].task) == ("docs", "Task.")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("- scpoe: src\n", "plan.md:4: unknown attribute 'scpoe'; did you mean 'scope'?"),
        ("- scope: a\n\n- catgory: x\n", "plan.md:6: unknown attribute 'catgory'; did you mean"),
        ("- zzzzzzzz: src\n", "plan.md:4: unknown attribute 'zzzzzzzz'; known are category,"),
        ("- scope: a\n- do it\n", "plan.md:5: 'do it' is no `key: value`; a task's own list"),
        ("- scope: a\n- scope: b\n", "plan.md:5: scope: stands twice under one heading"),
        ("- scope:\n  - a\n  - b\n", "plan.md:4: scope: must be one line of text; write lists"),
        ("- scope: a\n- mode:\n", "plan.md:5: mode: has no value"),
        (
            "- scope: a\nDo it.\n",
            "plan.md:5: 'Do it.' joins the attribute above it; leave an empty",
        ),
        ("- scope: a\n\nx\n\n###Phase F2: y\n", "plan.md:8: '###Phase F2: y' is no heading; leave"),
        ("- scope: a\n\n```py\nx\n", "plan.md:6: the code fence ``` is never closed"),
        ("- scope: a\n\n<!-- x\n", "plan.md:6: the comment <!-- is never closed"),
        ("- scope: a\n\nx\n\n### Phsae F2: y\n", "plan.md:8: heading 'Phsae F2: y' is neither"),
        ("- scope: a\n\nx\n\n# Other\n", "plan.md:8: heading 'Other' is neither a tier nor"),
        ("- scope: a\n\nx\n\n## Phase F2: y\n", "plan.md:8: heading 'Phase F2: y' is neither"),
    ],
)
def test_markdown_form_is_checked(text: str, expected: str) -> None:
    problems = refused(parse_markdown(f"## Tier T1: x\n\n### Phase F1: y\n{text}", "plan.md"))
    assert any(problem.startswith(expected) for problem in problems), problems


def test_misspelt_tier_and_lost_phase() -> None:
    problems = refused(parse_markdown("## Teir T1: x\n\n" + phase("F1"), "p.md"))
    assert len(problems) == 2
    assert problems[0].startswith("p.md:1: heading 'Teir T1: x' is neither a tier nor a phase")
    assert problems[1].startswith("p.md:3: phase F1 stands in no tier")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "##Tier T1: x\n\n### Phase F1: y\n",
            "p.md:1: '##Tier T1: x' is no heading; leave a blank",
        ),
        ("## tier t1 - x\n", "p.md:1: heading 'tier t1 - x' is neither a tier nor a phase"),
    ],
)
def test_a_first_heading_that_is_nearly_one_is_named(text: str, expected: str) -> None:
    problems = refused(parse_markdown(text, "p.md"))
    assert any(problem.startswith(expected) for problem in problems), problems


def test_text_under_the_attributes_is_told_once_and_an_indented_line_wraps() -> None:
    problems = refused(parse_markdown("## Tier T1: x\n\n### Phase F1: y\n- category: docs\n"
                                      "- scope: a\nDo it.\nAnd that.\n", "p.md"))  # fmt: skip
    assert len(problems) == 1
    plan = compiled(markdown("### Phase F1: x\n- category: docs\n- scope: a,\n  b\n\nTask.\n"))
    assert plan.phases[0].scope == ("a", "b")


def test_carriage_returns_are_line_ends() -> None:
    text = "## Tier T1: x\r\n\r\n### Phase F1: y\r\n- scope: a\r\n\r\nOne\r\ntwo\r\n"
    assert compiled(parse_markdown(text, "p.md")).phases[0].task == "One\ntwo"


# --- what is wrong, all at once -----------------------------------------------------------------


def test_every_problem_at_once() -> None:
    text = (
        "## Tier T1: First\n\n"  # 1
        "### Phase bad/id: x\n- scope: src\n\nDo.\n"  # 3
        "### Phase F1: x\n- complexity: hgih\n- mode: tweak\n\nDo.\n"  # 7
        "### Phase F1: y\n- scope: /etc, ../up, src/**\n- deliver: docs/a.md\n\n"  # 12
        "### Phase f1: z\n- scope: !src\n- needs: F9, T1, G1\n\nDo.\n"  # 16
        "## Tier T1: Second\n\n"  # 21
        "### Phase G1: x\n- scope: src/**\n- deliver: docs/a.md, src/*.py, /x\n- needs: G2\n\nDo.\n"
        "### Phase G2: x\n- scope: src/**\n- needs: G1\n- category: two words\n\nDo.\n"
    )
    problems = refused(parse_markdown(text, "plan.md"), PlanOptions(phases_max=3))
    found = [problem.split("; ")[0] for problem in problems]
    assert found == [
        "plan.md:1: tier T1 has 4 phases, a run at most 3 (max_phases)",
        "plan.md:3: id: bad phase id 'bad/id'",
        "plan.md:7: scope: is missing",
        "plan.md:8: complexity: unknown complexity 'hgih'",
        "plan.md:9: mode: unknown mode 'tweak'",
        "plan.md:12: id: phase id F1 is taken (line 7)",
        "plan.md:12: task: is empty",
        "plan.md:13: scope: '/etc' is absolute",
        "plan.md:13: scope: '../up' leaves the repository with '..'",
        "plan.md:16: id: phase ids F1 (line 7) and f1 differ in case only",
        "plan.md:17: scope: only excludes, so nothing may be changed",
        "plan.md:18: needs: unknown phase 'F9'",
        "plan.md:18: needs: 'T1' is a tier",
        "plan.md:18: needs: needs G1 of a later tier",
        "plan.md:21: id: tier id T1 is taken (line 1)",
        "plan.md:25: deliver: '/x' is absolute",
        "plan.md:25: deliver: 'docs/a.md' lies outside of the phase's scope",
        "plan.md:25: deliver: 'src/*.py' is not one plain path",
        "plan.md:26: needs: phases wait for each other: G1 → G2 → G1",
        "plan.md:32: category: bad category 'two words'",
    ]


def test_a_task_that_no_builder_could_be_given_is_refused() -> None:
    compiled(markdown(phase("F1", task="x" * TASK_CHARACTERS_MAX)))
    (problem,) = refused(markdown(phase("F1", task="x" * (TASK_CHARACTERS_MAX + 1))))
    assert problem.startswith("plan.md:3: task: has 30,001 characters; at most 30,000"), problem


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("/", "absolute"),
        ("!/x", "absolute"),
        ("~/x", "absolute"),
        ("C:\\x", "absolute"),
        ("a/../b", "'..'"),
        ("a\\..\\b", "'..'"),
        ("..", "'..'"),
        (".git/config", "git's own"),
        ("sub/.GIT/hooks", "git's own"),
        ("#comment", "matches nothing"),
        ("a\u0007b", "control characters"),
        ("x" * 1001, "longer"),
        ("!", "no gitignore pattern"),
        (" ", "is empty"),
    ],
)
def test_bad_scope(path: str, said: str) -> None:
    row = {"id": "F1", "scope": ["ok/**", path], "task": "x"}
    text = json.dumps({"tiers": [{"id": "T1", "phases": [row]}]})
    (problem,) = refused(parse_json(text, "p.json"))
    assert said in problem
    assert problem.startswith("p.json: tiers[0].phases[0].scope: ")


@pytest.mark.parametrize("path", ["a/./b", "./a", "a//b", "a/b?.py"])
def test_deliver_is_one_plain_path(path: str) -> None:
    (problem,) = refused(markdown(phase("F1", f"deliver: {path}", scope="**")))
    assert "is not one plain path" in problem


def test_deliver_inside_scope_by_gitignore_rules() -> None:
    compiled(markdown(phase("F1", "deliver: src/a/b.py, docs/x.md", scope="src/, docs/*.md")))
    out = refused(markdown(phase("F1", "deliver: src/gen/b.py", scope="src/**, !src/gen/**")))
    assert "outside of the phase's scope" in out[0]


def test_hostile_ids_and_names_are_shown_harmless() -> None:
    row = {"id": "F\u001b[31m", "name": "a\nb", "task": "\ud800", "scope": ["x"]}
    text = json.dumps({"tiers": [{"id": "T1", "phases": [row]}]})
    problems = refused(parse_json(text, "p.json"))
    assert len(problems) == 3
    assert all(problem.isprintable() for problem in problems)


def test_empty_plans() -> None:
    for draft in (parse_markdown("", "p"), parse_toml("", "p"), parse_json("{}", "p")):
        assert refused(draft)[0].startswith("p: the plan has no phases")


def test_cycles_are_named_in_full() -> None:
    graph = {"a": ["b"], "b": ["c", "x"], "c": ["a"], "d": ["d"], "e": ["a"], "x": []}
    assert cycles(graph) == [["a", "b", "c"], ["d"]]


def test_a_long_chain_is_no_cycle_and_no_recursion() -> None:
    chain = {str(n): [str(n + 1)] for n in range(5000)}
    assert cycles(chain) == []
    assert len(cycles({**chain, "5000": ["0"]})[0]) == 5001


# --- TOML and JSON ------------------------------------------------------------------------------


TOML = """
[[tiers]]
id = "T1"
titel = "x"
[[tiers.phases]]
id = "F1"
scope = "src"
task = \"\"\"
[[tiers.phases]]
id = "in a string"
\"\"\"
[[tiers.phases]]
scpoe = ["src"]
needs = ["F1", 3]
complexity = 1
task = "x"
"""


def test_toml_problems_have_key_and_line() -> None:
    assert [problem.split("; ")[0] for problem in refused(parse_toml(TOML, "p.toml"))] == [
        "p.toml:4: tiers[0].titel: unknown key",
        "p.toml:7: tiers[0].phases[0].scope: must be an array of strings, not a string",
        "p.toml:12: tiers[0].phases[1].id: is missing",
        "p.toml:13: tiers[0].phases[1].scpoe: unknown key",
        "p.toml:14: tiers[0].phases[1].needs[1]: must be a string, not a number",
        "p.toml:15: tiers[0].phases[1].complexity: must be a string, not a number",
    ]


def test_inline_tables_have_a_key_and_no_line() -> None:
    text = 'tiers = [{ id = "T1", phases = [{ id = "F1", task = "x" }] }]'
    assert refused(parse_toml(text, "p"))[0].startswith("p: tiers[0].phases[0].scope: is missing")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a = ", "p:1: not TOML"),
        ("\n\nx = 1\nx = 2", "p:4: not TOML"),
        ("a = " + "[" * 5000, "p: not a plan: its values are nested too deeply"),
        ("a = " + "9" * 5000, "p: not TOML"),
    ],
)
def test_unreadable_toml(text: str, said: str) -> None:
    (problem,) = refused(parse_toml(text, "p"))
    assert problem.startswith(said)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "p:1: not JSON"),
        ('{\n"tiers": [,]}', "p:2: not JSON"),
        ("[]", "p:1: not a plan: write"),
        ('{"tiers": [], "tiers": []}', "p: not a plan: the key 'tiers' stands twice"),
        ("[" * 100_000, "p: not a plan: its values are nested too deeply"),
        ("9" * 5000, "p: not a plan"),
    ],
)
def test_unreadable_json(text: str, said: str) -> None:
    (problem,) = refused(parse_json(text, "p"))
    assert problem.startswith(said)


@pytest.mark.parametrize("value", [3, "x", [3], {"id": "T1"}, None])
def test_tiers_of_a_wrong_type(value: object) -> None:
    problems = refused(parse_json(json.dumps({"tiers": value}), "p"))
    assert problems == ["p: tiers: must be an array of objects"]
    given = json.dumps({"tiers": [{"id": "T1", "phases": value}, GOOD]})
    assert refused(parse_json(given, "p")) == ["p: tiers[0].phases: must be an array of objects"]


GOOD = {"id": "T9", "phases": [{"id": "F9", "scope": ["a"], "task": "x"}]}


@pytest.mark.parametrize(
    ("phase", "said"),
    [
        ({"task": 7}, ["task: must be a string, not a number"]),
        ({"task": None}, ["task: must be a string, not null"]),
        ({"scope": "a"}, ["scope: must be an array of strings, not a string"]),
        ({"scope": [{}]}, ["scope[0]: must be a string, not an object"]),
        ({"scope": ["../a", 3]},
         ["scope[1]: must be a string, not a number", "scope: '../a' leaves the repository"]),
        ({"id": 5}, ["id: must be a string, not a number"]),
        ({"task": ""}, ['task: is empty; write what is to be done, as `"task": "…"`']),
        ({"scope": []},
         ['scope: is missing; say which files it may change, as in `"scope": ["src/**", "tests/**"]`']),
        ({"scope": ["#a"]}, ["scope: '#a' matches nothing; write \"\\\\#\" for a #"]),
    ],
)  # fmt: skip
def test_json_is_told_once_and_advised_in_json(phase: dict[str, object], said: list[str]) -> None:
    whole = {"id": "F1", "scope": ["a"], "task": "x", **phase}
    problems = refused(parse_json(json.dumps({"tiers": [{"id": "T1", "phases": [whole]}]}), "p"))
    assert len(problems) == len(said), problems
    for problem, start in zip(problems, said, strict=True):
        assert problem.startswith(f"p: tiers[0].phases[0].{start}"), problem


def test_a_misspelt_key_is_not_missing_too() -> None:
    given = '{"tiers": [{"id": "T1", "phases": [{"id": "F1", "scpe": ["a"], "tsk": "x"}]}]}'
    assert refused(parse_json(given, "p")) == [
        "p: tiers[0].phases[0].scpe: unknown key; did you mean 'scope'?",
        "p: tiers[0].phases[0].tsk: unknown key; did you mean 'task'?",
    ]


# --- one model ----------------------------------------------------------------------------------

WORDS = st.text(string.ascii_letters + string.digits + " ()é-_/", max_size=20).map(str.strip)
IDS = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9_-]{0,8}", fullmatch=True)
ITEMS = st.lists(st.text(string.ascii_letters + "*/._-[]", min_size=1, max_size=12), max_size=3)
LINES = st.text(
    string.printable.replace("\r", "").replace("\x0b", "").replace("\n", ""), max_size=30
)
TASKS = st.lists(LINES, min_size=1, max_size=5).map(
    lambda lines: "````text\n" + "\n".join(line.replace("`", "'") for line in lines) + "\n````"
)
PHASES = st.fixed_dictionaries(
    {"id": IDS, "name": WORDS, "task": TASKS},
    optional={
        **dict.fromkeys(TEXT_KEYS, IDS),
        **dict.fromkeys(LIST_KEYS, ITEMS),
    },
)
PLANS = st.fixed_dictionaries(
    {
        "tiers": st.lists(
            st.fixed_dictionaries(
                {"id": IDS, "name": WORDS, "phases": st.lists(PHASES, max_size=3)}
            ),
            max_size=3,
        )
    }
)


def as_markdown(plan: dict[str, list[dict[str, object]]]) -> str:
    lines: list[str] = ["# A plan", "", "About it."]
    for tier in plan["tiers"]:
        lines += [f"## Tier {tier['id']}: {tier['name']}", ""]
        assert isinstance(tier["phases"], list)
        for row in tier["phases"]:
            lines += [f"### Phase {row['id']}: {row['name']}", ""]
            lines += [f"- {key}: {row[key]}" for key in TEXT_KEYS if key in row]
            for key in LIST_KEYS:
                if row.get(key):
                    lines.append(f"- {key}: " + ", ".join(f"`{item}`" for item in row[key]))
            lines += ["", row["task"], ""]
    return "\n".join(lines)


@given(PLANS)
def test_three_forms_are_one_model(plan: dict[str, list[dict[str, object]]]) -> None:
    from_json = parse_json(json.dumps(plan), "p")
    assert from_json.problems == ()
    assert parse_toml(tomlkit.dumps(plan), "p") == from_json
    assert parse_markdown(as_markdown(plan), "p") == from_json


@given(st.text())
def test_no_text_breaks_a_reader(text: str) -> None:
    for reader in (parse_markdown, parse_toml, parse_json):
        compile_plan(reader(text, "p"))


@given(PLANS)
def test_a_compiled_plan_obeys_its_schema(plan: dict[str, list[dict[str, object]]]) -> None:
    if isinstance(compile_plan(parse_json(json.dumps(plan), "p")), CompiledPlan):
        jsonschema.validate(plan, plan_schema())


# --- schema and reference -----------------------------------------------------------------------


def test_published_schema_is_generated() -> None:
    published = json.loads((REFERENCE / "plan.schema.json").read_text(encoding="utf-8"))
    assert published == plan_schema(), "write json.dumps(plan_schema()) there"
    jsonschema.Draft202012Validator.check_schema(plan_schema())


def test_examples_of_the_reference() -> None:
    page = (REFERENCE / "plan.md").read_text(encoding="utf-8")
    (text,) = re.findall(r"````markdown\n(.*?)````\n", page, re.DOTALL)
    (toml,) = re.findall(r"```toml\n(.*?)```\n", page, re.DOTALL)
    assert [each.phase_id for each in compiled(parse_markdown(text, "p")).phases] == [
        "F1.1",
        "F1.2",
    ]
    assert len(compiled(parse_toml(toml, "p")).phases) == 1
    jsonschema.validate(tomlkit.parse(toml).unwrap(), plan_schema())


@pytest.mark.parametrize(
    "row",
    [
        {"id": "F1", "scope": [], "task": "x"},
        {"id": "F1", "scope": ["a"], "task": ""},
        {"id": "F1", "scope": ["a"], "task": "x", "scpoe": ["a"]},
        {"id": "F1", "scope": ["a"], "task": "x", "complexity": "huge"},
        {"id": "a b", "scope": ["a"], "task": "x"},
        {"scope": ["a"], "task": "x"},
    ],
)
def test_schema_and_compiler_refuse_alike(row: dict[str, object]) -> None:
    plan = {"tiers": [{"id": "T1", "phases": [row]}]}
    assert not jsonschema.Draft202012Validator(plan_schema()).is_valid(plan)
    assert refused(parse_json(json.dumps(plan), "p"))


# --- the compiled plan --------------------------------------------------------------------------


def diamond() -> PlanDraft:
    return parse_markdown(
        "## Tier T1: First\n"
        + phase("A", "needs: C", "category: docs")
        + phase("B", "category: tests")
        + phase("C", "category: security_auth")
        + phase("D", "needs: A, B, A", "category: orchestrator", "complexity: low")
        + "## Tier T2: Second\n"
        + phase("E", "needs: A")
        + phase("F", "category: my_own", "complexity: high"),
        "p.md",
    )


def test_specs() -> None:
    plan = compiled(diamond())
    assert [(p.phase_id, p.tier_id, p.phase_index) for p in plan.phases] == [
        ("A", "T1", 1),
        ("B", "T1", 2),
        ("C", "T1", 3),
        ("D", "T1", 4),
        ("E", "T2", 5),
        ("F", "T2", 6),
    ]
    d, e, f = plan.phases[3:]
    assert (d.task_category, d.auditor_profile) == ("cross_cutting_refactor", "orchestrator_review")
    assert (d.complexity, d.builder_mode, d.ci_profile) == ("low", "tweak_light", "strict")
    assert d.needs == ("A", "B")
    assert (e.task_category, e.complexity, e.ci_profile) == (
        "feature_scaffolding",
        Complexity.MEDIUM,
        CiProfile.NORMAL,
    )
    assert (f.task_category, f.builder_mode, f.ci_profile) == ("my_own", "refactor_heavy", "strict")
    assert [(t.tier_index, t.token_cap, t.ci_run_cap) for t in plan.tiers] == [
        (1, 3 * 2_300_000, 8),
        (2, 3 * 1_000_000, 4),
    ]
    assert plan.audited == ("C", "D")


def test_order_waves_and_critical_path() -> None:
    plan = compiled(diamond())
    assert plan.order == ("B", "C", "A", "D", "E", "F")
    assert plan.waves == (("B", "C"), ("A",), ("D",), ("E", "F"))
    assert plan.critical_path.phase_ids == ("C", "A", "D", "E")
    assert plan.critical_path.tokens == 800_000 + 200_000 + 1_000_000 + 500_000


def test_on_a_tie_the_critical_path_is_a_chain_of_needs() -> None:
    draft = parse_markdown(
        "## Tier T1: First\n" + phase("A") + phase("B")
        + "## Tier T2: Second\n" + phase("C") + phase("D", "needs: B"),
        "p.md",
    )  # fmt: skip
    assert compiled(draft).critical_path.phase_ids == ("B", "D")


def test_worst_case() -> None:
    plan = compiled(diamond(), PlanOptions(token_cap=3_000_000))
    assert plan.worst_case.tokens == 3_000_000
    assert plan.worst_case.incident_tokens == 3_300_000
    assert plan.worst_case.builder_attempts == 2 + 2 + 2 + 2 + 3 + 2
    assert plan.worst_case.auditor_attempts == 1 + 1 + 3 + 2 + 2 + 2
    assert plan.worst_case.ci_runs == 13 + 11
    strict = compiled(diamond(), PlanOptions(safety_profile=SafetyProfile.SAFETY_CRITICAL))
    assert strict.worst_case.ci_runs == 8 + 4
    assert {each.ci_profile for each in strict.phases} == {CiProfile.STRICT}


def test_a_misspelt_category_is_a_warning() -> None:
    plan = compiled(markdown(phase("F1", "category: schema_chnage")))
    assert [str(each) for each in plan.warnings] == [
        (
            "plan.md:6: category: unknown category 'schema_chnage' gets the ordinary rules; "
            "did you mean 'schema_change'?"
        )
    ]


def test_dry_run() -> None:
    course = dry_run(compiled(diamond()))
    assert [(wave.tier_name, [p.phase_id for p in wave.phases]) for wave in course.waves] == [
        ("First", ["B", "C"]),
        ("First", ["A"]),
        ("First", ["D"]),
        ("Second", ["E", "F"]),
    ]
    assert course.critical_path == ("C", "A", "D", "E")
    assert (course.tiers, course.phases, course.needs_auditor) == (2, 6, ("C", "D"))
    assert course.waves[2].phases[0].auditor == "orchestrator_review"
    assert course.waves[0].phases[0].auditor == ""


# --- files --------------------------------------------------------------------------------------


def test_files_of_each_form(tmp_path: Path) -> None:
    data = {"tiers": [{"id": "T1", "phases": [{"id": "F1", "scope": ["a"], "task": "é"}]}]}
    texts = {"p.md": as_markdown({"tiers": [{**data["tiers"][0], "name": "", "phases": []}]})}
    texts |= {"p.JSON": json.dumps(data), "p.toml": "\ufeff" + tomlkit.dumps(data)}
    for name, text in texts.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    assert read_plan(tmp_path / "p.JSON") == read_plan(tmp_path / "p.toml")
    assert read_plan(tmp_path / "p.md").tiers[0].id == "T1"


def test_files_that_are_no_plans(tmp_path: Path) -> None:
    (tmp_path / "p.yaml").write_text("x")
    (tmp_path / "latin.md").write_bytes(b"fine\n\xe9\n")
    (tmp_path / "folder.md").mkdir()
    (tmp_path / "large.md").write_text("x" * 11)
    for name, said in [
        ("p.yaml", "ends in .md"),
        ("latin.md", "latin.md:2: not UTF-8 (byte 0xe9)"),
        ("folder.md", "regular file"),
        ("none.md", "No such file"),
        ("nul\0.md", "cannot read the plan"),
        ("large.md", "at most 10 bytes"),
    ]:
        with pytest.raises(OperatorFault, match=re.escape(said)):
            read_plan(tmp_path / name, bytes_max=10)
