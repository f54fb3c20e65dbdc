"""A project's ruleset through the command line: who works, what is frozen, what is refused."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.lab import Lab, phase

NAME = "project_ruleset_lab.json"
STRATEGY = "project_implementation_strategy_v1.json"


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    found = Lab(tmp_path)
    found.make(worker=f"{found.command('{prompt_file}')}\n[agents.second]\n"
                      f"{found.command('{prompt_file}')}")  # fmt: skip
    yield found
    found.close()


def rule(lab: Lab, said: dict[str, Any] | str) -> Path:
    path = lab.project / ".autonomous_runs" / NAME
    path.parent.mkdir(exist_ok=True)
    path.write_text(said if isinstance(said, str) else json.dumps({"version": 1, **said}))
    return path


DOCS = phase("F1.1", "do: write src/a.txt a", category="docs")
TESTS = phase("F1.2", "do: write src/b.txt b", category="tests")


@pytest.mark.slow
def test_a_category_has_its_own_builder_and_the_strategy_is_frozen(lab: Lab) -> None:
    rule(lab, {
        "version": 7,
        "agents": {"docs": {"builder": "second"}},
        "category_defaults": {"docs": {"incident_token_cap": 1234, "minor_tolerance": 0.5}},
        "safety_profiles": {"normal": {"aging_runs": 9}},
        "run_token_cap": 4_000_000,
    })  # fmt: skip
    done = lab.run((DOCS, TESTS))
    assert done.code == 0, done
    names = {event.phase_id: lab.load().spec.builder_of(event.phase_id)
             for event in lab.of_kind("attempt_ended")}  # fmt: skip
    assert names == {"F1.1": "second", "F1.2": "worker"}
    path = lab.project / ".autonomous_runs" / "r" / STRATEGY
    strategy = json.loads(path.read_text())
    assert strategy["ruleset"].startswith("7@")
    assert strategy["aging"] == {"runs": 9, "tiers": 2, "quarantine_days": 14}
    assert strategy["run_token_cap"] == 4_000_000
    assert strategy["category_strategies"]["docs"]["incident_token_cap"] == 1234
    assert strategy["tier_strategies"]["T1"]["minor_issues_max"] == 2  # 0.5 + 2.0, its floor
    assert strategy["phase_strategies"]["F1.1"]["builder"] == "second"
    shown = lab.cli("strategy", "show", "r", "--json")
    assert shown.data["strategy"] == strategy
    told = lab.cli("strategy", "show", "r").out
    assert "F1.1" in told
    aging = "when seen in 2 runs (thresholds: 9 runs, 2 (run, tier) pairs; never in its first run)"
    assert aging in told
    lab.check_sound()

    rule(lab, {"version": 8})
    changed = {each["path"]: (each["before"], each["after"])
               for each in lab.cli("strategy", "diff", "r", "--json").data["differences"]}  # fmt: skip
    assert changed["aging.runs"] == (9, 3)
    assert changed["phase_strategies.F1.1.incident_token_cap"] == (1234, 200_000)
    assert changed["phase_strategies.F1.1.builder"] == ("second", "worker")
    assert "phase_strategies.F1.2.builder" not in changed


@pytest.mark.slow
def test_who_commits_is_the_phases_builder(lab: Lab) -> None:
    rule(lab, {"agents": {"docs": {"builder": "second"}}})
    assert lab.run((DOCS,)).code == 0
    logs = lab.load().spec
    assert logs.agents == ("worker", "second")


@pytest.mark.slow
def test_a_builder_on_the_command_line_works_on_every_phase(lab: Lab) -> None:
    rule(lab, {"agents": {"docs": {"builder": "second"}}})
    done = lab.run((DOCS, TESTS), options=("--builder", "worker", "--dry-run"))
    assert done.code == 0, done
    lab.run((DOCS, TESTS), options=("--builder", "worker"))
    assert lab.load().spec.agents == ("worker",)


@pytest.mark.slow
def test_an_agent_that_audits_itself_is_told_of(lab: Lab) -> None:
    """By the ruleset or by flags; before a run and when it starts."""
    rule(lab, {"agents": {"docs": {"auditor": "worker"}}})
    said = "worker is builder and auditor of F1.1: it audits its own work"
    plan = lab.plan((DOCS, TESTS))
    assert said in lab.cli("run", plan, "--dry-run").err
    assert said in lab.cli("strategy", "dry-run", plan).err
    assert said in lab.run((DOCS, TESTS), options=("--detach",)).err
    both = lab.cli("run", plan, "--dry-run", "--json", "--builder", "second", "--auditor", "second")
    (told,) = [json.loads(line) for line in both.err.splitlines() if "audits its own" in line]
    assert told["message"].startswith("second is builder and auditor of F1.1, F1.2: ")
    assert "own work" not in lab.cli("run", plan, "--dry-run", "--auditor", "second").err


@pytest.mark.slow
def test_dry_runs_show_the_profile_and_the_ci_of_each_phase(lab: Lab) -> None:
    plan = lab.plan((DOCS, phase("F1.2", "do: write src/b.txt b", complexity="high")))
    usual = lab.cli("run", plan, "--dry-run").out
    assert "safety profile normal, run scope multi_tier" in usual
    rows = {line.split()[0]: line for line in usual.splitlines() if line.startswith("  F1.")}
    assert " normal " in rows["F1.1"]
    assert " strict " in rows["F1.2"]
    careful = ("--safety-profile", "safety_critical", "--json")
    dry = lab.cli("run", plan, "--dry-run", *careful).data
    assert (dry["safety_profile"], dry["run_scope"]) == ("safety_critical", "single_tier")
    assert {p["ci_profile"] for w in dry["dry_run"]["waves"] for p in w["phases"]} == {"strict"}
    strategy = lab.cli("strategy", "dry-run", plan, *careful).data["strategy"]
    assert strategy["safety_profile"] == "safety_critical"
    assert strategy["aging"] == {"runs": 2, "tiers": 1, "quarantine_days": 14}
    wrong = lab.cli("strategy", "dry-run", plan, "--safety-profile", "paranoid")
    assert wrong.code == 2


@pytest.mark.slow
def test_a_mode_that_prefers_a_single_tier_is_warned_of_among_several(lab: Lab) -> None:
    rule(lab, {"builder_modes": {"tweak_light": {"single_tier_preferred": True}}})
    warned = (
        "F1.1, F2.1: tweak_light prefers a run of a single tier, and this one has 2 (run_scope)"
    )
    other = phase("F2.1", "do: write src/b.txt b", category="docs")
    plan = lab.plan(DOCS)
    one = lab.cli("run", plan, "--dry-run")
    assert (one.code, "single tier" in one.out + one.err) == (0, False)
    plan.write_text(f"{plan.read_text()}\n## Tier T2: more\n{other}")
    told = lab.cli("run", plan, "--dry-run")
    assert told.code == 0, told.err
    assert warned in " ".join((told.out + told.err).split())
    done = lab.cli("run", plan, "--run-id", "r")
    assert done.code == 0, done.err
    shown = lab.cli("strategy", "show", "r")
    assert f"warning: {warned}" in shown.out


def test_an_agent_that_is_not_there_is_refused_with_whose_it_is(lab: Lab) -> None:
    rule(lab, {"agents": {"docs": {"builder": "secnd", "auditor": "nobody"}}})
    done = lab.run((DOCS,))
    assert done.code == 2
    assert "builder 'secnd' (the ruleset's, for docs): no [agents.secnd]" in done.err
    assert "did you mean 'second'?" in done.err
    assert "auditor 'nobody'" in done.err


@pytest.mark.slow
def test_each_source_of_a_value_wins_over_those_below_it(tmp_path: Path) -> None:
    def cap(lab: Lab, *options: str) -> int:
        done = lab.cli("strategy", "dry-run", lab.plan(DOCS), "--json")
        assert done.code == 0, done
        if options:
            lab.run(DOCS, options=("--detach", *options))
            return lab.load().spec.token_cap
        return int(done.data["strategy"]["run_token_cap"])

    lab = Lab(tmp_path)
    lab.make()
    assert cap(lab) == 5_000_000
    rule(lab, {"run_token_cap": 3_000_000})
    assert cap(lab) == 3_000_000
    (tmp_path / "two").mkdir()
    other = Lab(tmp_path / "two")
    other.make(project="[run]\ntoken_cap = 2_000_000")
    rule(other, {"run_token_cap": 3_000_000})
    assert cap(other) == 2_000_000
    other.variables["RUN_TOKEN_CAP"] = "1000000"
    assert cap(other) == 1_000_000
    assert cap(other, "--token-cap", "900000") == 900_000
    lab.close()
    other.close()


# --- the last good one -----------------------------------------------------------------------------


@pytest.mark.slow
def test_a_wrong_ruleset_gives_way_to_the_last_good_one(lab: Lab) -> None:
    path = rule(lab, {"version": 3, "run_token_cap": 4_000_000})
    assert lab.run(DOCS).code == 0
    rule(lab, '{"version": 4, "run_token_cap": -1}')
    plan = lab.plan(DOCS)
    done = lab.cli("strategy", "dry-run", plan, "--json")
    assert done.code == 0, done
    assert done.data["strategy"]["run_token_cap"] == 4_000_000
    assert done.data["strategy"]["ruleset"].startswith("3@")
    warned = [json.loads(line)["message"] for line in done.err.splitlines()]
    assert f"{path} is wrong; the last good ruleset, 3@" in warned[0]
    assert "run_token_cap: must be a whole number" in warned[1]
    again = lab.cli("run", plan, "--run-id", "r2", "--detach")
    assert again.code == 0, again
    assert "the last good ruleset, 3@" in again.err
    assert lab.load("r2").spec.ruleset.startswith("3@")


READING = [("issues", "list"), ("issues", "show", "doubt"), ("report", "backlog")]


@pytest.mark.parametrize("good_before", [False, True])
@pytest.mark.slow
def test_who_reads_is_told_of_a_wrong_ruleset_and_goes_on(lab: Lab, good_before: bool) -> None:
    """Nothing of it on standard output: neither in JSON nor in tables."""
    if good_before:
        rule(lab, {"version": 3, "safety_profiles": {"normal": {"aging_runs": 1}}})
    done = lab.run(phase("F1", "do: write src/a.txt a", 'do: issues [{"issue_key": "doubt"}]'))
    assert done.code == 0, done.err
    path = rule(lab, '{"version": 4, "run_token_cap": -1}')
    used = "the last good ruleset, 3@" if good_before else "the built-in ruleset is used instead"
    plan = str(lab.plan(DOCS))
    for words in (*READING, ("report", "forecast", plan)):
        shown = lab.cli(*words, "--json")
        assert shown.code == 0, (words, shown)
        told = [json.loads(line) for line in shown.err.splitlines()]
        assert {each["code"] for each in told} == {"warning"}
        assert str(path) in told[0]["message"]
        assert used in told[0]["message"]
        assert "run_token_cap: must be a whole number" in told[1]["message"]
        assert shown.data["schema_version"]
        table = lab.cli(*words)
        assert (table.code, f"warning: {path} is wrong" in table.err) == (0, True), table
        assert "warning" not in table.out
    doctor = lab.cli("doctor", "--json")
    check = {each["check"]: each for each in doctor.data["checks"]}["ruleset"]
    assert (check["status"], doctor.code) == (("warn", 0) if good_before else ("fail", 2))
    dry = lab.cli("run", plan, "--dry-run", "--json")
    if good_before:
        assert json.loads(dry.err.splitlines()[0])["code"] == "warning"
    assert dry.code == (0 if good_before else 2)


BAD: list[tuple[str | dict[str, Any], str]] = [
    ({"default_safety_profile": "paranoid"}, "default_safety_profile: must be one of"),
    ({"run_token_cap": -1}, "run_token_cap: must be a whole number"),
    (
        {"safety_profiles": {"normal": {"minor_tolerance": -0.5}}},
        "minor_tolerance: must be a number",
    ),
    (
        {"builder_modes": {"tweak_light": {"strict": 1}}},
        "tweak_light.strict: must be true or false",
    ),
    ({"category_defaults": {"docs": {"severity": []}}}, "docs.severity: must be one of"),
    ({"category_defaults": {"docs": {"auditor_profile": "../x"}}}, "docs.auditor_profile: write 1"),
    ({"severity_upgrades": [{"issue_key": "x" * 129}]}, "issue_key: write at most 128"),
    ({"high_risk_categories": "docs"}, "high_risk_categories: must be a list"),
    ({"debt": {"incident_token_cap": -1}}, "debt.incident_token_cap: must be a whole number"),
    ({"default_run_scope": "everything"}, "default_run_scope: must be one of"),
    ({"category_defaults": {"../../etc": {}}}, "category_defaults.../../etc: a bad name"),
    ({"project_id": "../lab"}, "project_id: ids are"),
    ({"run_token_cup": 1}, "did you mean 'run_token_cap'?"),
    ('{"version": 1, "version": 2}', "stands twice"),
    ('{"version": NaN}', "NaN is no JSON number"),
    ("x" * 300_000, "at most 256,000 bytes"),
    ("[" * 100_000, "nested too deeply"),
    ("", "not JSON"),
]


@pytest.mark.parametrize(("said", "problem"), BAD, ids=lambda each: str(each)[:30])
def test_a_wrong_ruleset_without_a_last_good_one_is_refused(
    lab: Lab, said: str | dict[str, Any], problem: str
) -> None:
    path = rule(lab, said)
    done = lab.run(DOCS)
    assert done.code == 2, done
    assert problem in done.err
    assert str(path) in done.err
    assert "Traceback" not in done.err
    assert not (lab.disk / "data" / "autopack.db").exists()
    assert [each.name for each in path.parent.iterdir()] == [NAME]


# --- other files -----------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_ruleset_is_tried_before_it_holds(lab: Lab, tmp_path: Path) -> None:
    file = tmp_path / "try.json"
    file.write_text(json.dumps({"version": 2, "builder_modes": {"tweak_light": {"files_max": 9}}}))
    done = lab.cli("strategy", "dry-run", lab.plan(DOCS), "--ruleset", file, "--json")
    assert done.code == 0, done
    changed = {each["path"]: each["after"] for each in done.data["differences"]}
    assert changed.pop("ruleset").startswith("2@")
    assert changed == {"phase_strategies.F1.1.files_max": 9}
    told = lab.cli("strategy", "dry-run", lab.plan(DOCS), "--ruleset", file)
    assert "phase_strategies.F1.1.files_max  2" in told.out
    compared = lab.cli("strategy", "diff", "--ruleset", file, "--json").data
    changes = {each["path"]: each["after"] for each in compared["differences"]}
    assert changes == {"version": 2, "builder_modes.tweak_light.files_max": 9}
    file.write_text('{"version": 1, "agents": {"docs": {"builder": "second"}}}')
    (said,) = lab.cli("strategy", "diff", "--ruleset", file, "--json").data["differences"]
    assert said == {"path": "agents.docs.builder", "before": None, "after": "second"}
    file.write_text("{")
    refused = lab.cli("strategy", "diff", "--ruleset", file)
    assert refused.code == 2
    assert "built-in" not in refused.err
    assert not (lab.disk / "data" / "autopack.db").exists()
    assert not (lab.project / ".autonomous_runs").exists()


def test_without_a_file_nothing_differs(lab: Lab) -> None:
    done = lab.cli("strategy", "diff")
    assert (done.code, done.out) == (0, "nothing differs between built in and built in\n")


@pytest.mark.parametrize("arguments", [
    ("diff", "--ruleset", "absent.json"), ("diff", "--ruleset", "."), ("diff", "r"), ("show", "r"),
    ("dry-run", "absent.md"),
])  # fmt: skip
def test_what_is_not_there_is_refused(lab: Lab, arguments: tuple[str, ...]) -> None:
    done = lab.cli("strategy", *arguments)
    assert done.code == 2, done
    assert "Traceback" not in done.err
