"""The documents say what the code does: names appear, generated pages are fresh, links lead somewhere."""

from __future__ import annotations

import importlib.util
import json
import re
import shlex
import tomllib
from collections.abc import Iterator
from enum import StrEnum
from functools import cache
from pathlib import Path
from types import ModuleType

import pytest
from cyclopts import App
from jsonschema import Draft202012Validator

from autopack.cli import exits
from autopack.cli.main import app
from autopack.core import errors, machine, table
from autopack.core.builtin import BUILT_IN
from autopack.core.project import Project, parse_project
from autopack.core.run import Cause, PhaseState, RunState, Stage, Step
from autopack.core.tier import Cleanliness, TierState
from autopack.settings import Agent, Forge, Notify, Settings

ROOT = Path(__file__).parents[1]
PAGES = sorted(
    path.relative_to(ROOT).as_posix()
    for path in (*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"))
)
TOLD = [page for page in PAGES if page in {"README.md", "docs/quickstart.md"} or "/how-to/" in page]


@cache
def page(path: str) -> str:
    return (ROOT / path).read_text(encoding="utf-8")


@cache
def everything() -> str:
    return "\n".join(page(path) for path in PAGES)


def blocks(path: str, language: str) -> list[str]:
    return re.findall(rf"(?ms)^```{language}\n(.*?)^```", page(path))


@cache
def generator() -> ModuleType:
    spec = importlib.util.spec_from_file_location("docs_generate", ROOT / "docs" / "generate.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


GENERATED = [
    "cli.md", "states.md", "settings.md", "errors.md", "exit-codes.md", "plan.schema.json",
    "settings.schema.json", "ruleset.json", "ruleset.schema.json", "hostile.md",
]  # fmt: skip


@pytest.mark.parametrize("name", GENERATED)
def test_generated_pages_are_fresh(name: str) -> None:
    made = generator().PAGES[name]()
    assert page(f"docs/reference/{name}") == made, "run `make docs`"


def test_every_generated_page_is_compared() -> None:
    assert set(generator().PAGES) == set(GENERATED)


def commands(node: App, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Every command that a user is shown, as its words."""
    for name in node:
        if name.startswith("-"):
            continue
        child = node[name]
        if child.show:
            yield (*path, name)
            yield from commands(child, (*path, name))


def test_every_command_is_in_the_reference_and_explained() -> None:
    known = list(commands(app))
    assert len(known) > 10
    text = page("docs/reference/cli.md")
    by_hand = "\n".join(page(p) for p in PAGES if p != "docs/reference/cli.md")
    absent = [" ".join(words) for words in known if f"autopack {' '.join(words)}" not in text]
    untold = [words for words in known if not re.search(rf"\b{words[-1]}\b", by_hand)]
    assert not absent
    assert not untold, f"only in the generated reference: {untold}"


def test_every_setting_is_explained() -> None:
    text = page("docs/reference/settings.md")
    for model in (Settings, Agent, Forge, Notify):
        for name, info in model.model_fields.items():
            row = re.search(rf"(?m)^\| `{name}` \|.*$", text)
            assert row, f"{name}: run `make docs`"
            assert info.description, f"{model.__name__}.{name} has no description"


def test_every_environment_variable_is_in_the_documents() -> None:
    source = "\n".join(p.read_text(encoding="utf-8") for p in (ROOT / "src").rglob("*.py"))
    names = set(re.findall(r"\"((?:AUTOPACK|XDG|RUN|AUTONOMOUS)_[A-Z_]+[A-Z])\"", source))
    names -= set(RunState)
    names |= {"DATABASE_URL", "AUTOPACK_RUN_ID", "AUTOPACK_PROMPT_FILE"}
    absent = sorted(name for name in names if name not in everything())
    assert not absent


@pytest.mark.parametrize(
    "states", [RunState, PhaseState, TierState, Stage, Step, Cause, Cleanliness],
    ids=lambda states: states.__name__,
)  # fmt: skip
def test_every_state_is_in_the_documents(states: type[StrEnum]) -> None:
    absent = [state for state in states if f"`{state}`" not in everything()]
    assert not absent


def test_every_failed_state_has_its_remedy() -> None:
    text = page("docs/how-to/failed-run.md")
    assert [s for s in RunState if s.startswith("DONE_FAILED") and f"`{s}`" not in text] == []


def test_every_event_and_command_is_in_the_reference() -> None:
    text = page("docs/reference/states.md")
    kinds = {rule.event.kind for rule in table.TABLE} | {c.kind for c in machine.ANSWERS}
    assert [kind for kind in kinds if f"`{kind}`" not in text] == []


def test_every_culprit_and_exit_code_is_in_the_documents() -> None:
    text = page("docs/reference/exit-codes.md")
    for fault in (
        errors.OperatorFault,
        errors.AgentFault,
        errors.EnvironmentFault,
        errors.OwnFault,
    ):
        meaning, names = exits.MEANINGS[fault.exit_code]
        assert fault.code in names
        assert f"| {fault.exit_code} | {meaning} |" in text
        assert f"`{fault.__name__}`" in page("docs/reference/errors.md")
    for code in (exits.DONE, exits.INTERRUPTED):
        assert f"| {code} |" in text


def test_a_command_says_more_of_known_codes_only() -> None:
    for command, meanings in exits.COMMANDS.items():
        assert meanings.keys() <= exits.MEANINGS.keys()
        words = command.removesuffix(" PLAN")
        assert f"autopack {words}" in page("docs/reference/cli.md"), command


def test_every_error_says_what_happened() -> None:
    silent = re.findall(
        r"(?m)^\| `\w+` \| `(\w+)` \| \d+ \|  ?\|$", page("docs/reference/errors.md")
    )
    assert not silent, f"no docstring: {silent}"


def test_every_port_is_in_the_documents() -> None:
    """Listening on one is a promise to document it; today none is."""
    source = "\n".join(p.read_text(encoding="utf-8") for p in (ROOT / "src").rglob("*.py"))
    serves = re.search(r"\bport\s*(?::\s*int\s*)?=\s*\d|serve_forever|uvicorn", source)
    assert bool(serves) != ("listens on no port" in page("docs/reference/files.md"))


GLOSSARY_TERMS = [
    "Run", "Tier", "Phase", "Attempt", "Candidate", "Snapshot", "Integration branch", "Builder",
    "Auditor", "Verifier", "Supervisor", "Gate", "Finding", "Verdict", "Evidence", "Fence", "Clone",
    "Capture", "Landing", "Delivery", "Command", "Event", "Pending", "Stage", "Step", "Store",
    "Engine", "Projection", "Budget", "Reservation", "Parked", "INFRA", "Salvage", "Scope", "Policy",
    "Port", "Adapter", "Base", "Plan", "Fault", "Cause", "Environment", "Request", "Successor",
]  # fmt: skip


def test_the_glossary_explains_each_word_once() -> None:
    terms = re.findall(r"(?m)^- \*\*(.+?)\*\*:", page("GLOSSARY.md"))
    assert sorted(set(GLOSSARY_TERMS) - set(terms)) == []
    assert len(terms) == len({term.lower() for term in terms})


def test_the_plan_reference_names_every_key_and_mode() -> None:
    schema = json.loads(page("docs/reference/plan.schema.json"))
    Draft202012Validator.check_schema(schema)
    text = page("docs/reference/plan.md")
    tier = schema["properties"]["tiers"]["items"]["properties"]
    phase = tier["phases"]["items"]["properties"]
    assert [key for key in phase if f"`{key}`" not in text] == []
    assert [mode for mode in BUILT_IN.builder_modes if f"`{mode}`" not in text] == []


def test_plan_examples_satisfy_the_schema() -> None:
    schema = json.loads(page("docs/reference/plan.schema.json"))
    examples = [tomllib.loads(code) for code in blocks("docs/reference/plan.md", "toml")]
    assert examples
    for example in examples:
        Draft202012Validator(schema).validate(example)


def test_the_project_example_is_accepted() -> None:
    example = blocks("docs/reference/configuration.md", "toml")[0]
    project = parse_project(example, "example")
    assert isinstance(project, Project), project
    assert [key for key in ("protected", "max_files") if key not in example] == []


def test_machine_examples_are_accepted() -> None:
    found = 0
    for path in PAGES:
        for code in blocks(path, "toml"):
            table = tomllib.loads(code)
            if "agents" in table:
                Settings(**table)
                found += 1
    assert found > 1


def shell_lines(path: str) -> list[list[str]]:
    lines = "".join(blocks(path, "sh")).splitlines()
    return [words for line in lines if (words := shlex.split(line, comments=True))]


def test_make_commands_are_targets() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    named = {words[1] for path in PAGES for words in shell_lines(path) if words[0] == "make"}
    named |= set(re.findall(r"`make ([a-z-]+)[^`]*`", everything()))
    assert {"demo", "test"} <= named
    assert [name for name in named if not re.search(rf"(?m)^{name}:", makefile)] == []


@pytest.mark.parametrize("path", TOLD)
def test_told_commands_parse(path: str) -> None:
    """Command lines in the pages for people are lines that the program takes."""
    for words in shell_lines(path):
        if words[0] == "autopack":
            arguments = [word.replace("<run>", "r1") for word in words[1:]]
            app.parse_args(arguments, print_error=False, exit_on_error=False)


def test_inline_commands_exist() -> None:
    known = {" ".join(words) for words in commands(app)}
    roots = {words.split()[0] for words in known}
    text = re.sub(r"(?ms)^```.*?^```", "", everything()).replace("\n", " ")
    named = re.findall(r"`autopack ([a-z]+)(?: ([a-z]+))?", text)
    assert [root for root, _ in named if root not in roots] == []


def anchors(path: str) -> set[str]:
    heads = re.findall(r"(?m)^#+ (.+)$", page(path))
    return {re.sub(r"[^\w\- ]", "", head.lower()).replace(" ", "-") for head in heads}


@pytest.mark.parametrize("path", PAGES)
def test_links_lead_somewhere(path: str) -> None:
    text = re.sub(r"(?ms)^```.*?^```", "", page(path))
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if re.match(r"https?://|mailto:", target):
            continue
        name, _, anchor = target.partition("#")
        place = (ROOT / path).parent / name if name else ROOT / path
        assert place.exists(), f"{path} links to {target}"
        if anchor and place.suffix == ".md":
            assert anchor in anchors(place.resolve().relative_to(ROOT).as_posix()), target


def test_the_readme_is_one_screen_or_three() -> None:
    lines = page("README.md").splitlines()
    assert len(lines) < 120
    assert lines[2].startswith("Autopack lands")
    first = shell_lines("README.md")[:2]
    assert [words[:2] for words in first] == [["make", "demo"], ["make", "test"]]


def test_every_decision_is_listed_and_short() -> None:
    index = page("docs/adr/README.md")
    for path in PAGES:
        if re.match(r"docs/adr/\d{4}-", path):
            assert f"({Path(path).name})" in index
            assert len(page(path).splitlines()) <= 40
            for part in ("Context", "Decision", "Consequence"):
                assert f"**{part}.**" in page(path), path
