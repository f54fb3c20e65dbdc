"""Writes the reference pages that are made from the code, so that they cannot say anything else.

`python docs/generate.py` writes them; `--check` names those that differ and ends with 1. Pages by
hand stand beside them and are held to the code by tests/test_docs.py.
"""

from __future__ import annotations

import importlib
import json
import pkgutil
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel

import autopack

if TYPE_CHECKING:
    from pydantic.fields import FieldInfo

    from autopack.core.errors import Fault

ROOT = Path(__file__).parents[1]
REFERENCE = ROOT / "docs" / "reference"
NOTICE = "<!-- Made by `make docs` from the code; do not edit. -->"


def cli_page() -> str:
    """All commands with their options, as `--help` tells them."""
    from autopack.cli.main import app

    called, sys.argv = sys.argv, ["autopack"]  # cyclopts names commands after the process
    try:
        text = app.generate_docs(output_format="markdown", recursive=True, usage_name="autopack")
    finally:
        sys.argv = called
    lines = [line.rstrip() for line in text.strip().splitlines()]
    body = "\n".join(lines).replace("# autopack\n", f"# Commands\n\n{NOTICE}\n", 1)
    body = body.replace(str(Path.home()), "~")
    return (
        f"{body}\n\n## Exit codes\n\nSee [exit codes](exit-codes.md). Every reading command takes "
        "`--json`.\n"
    )


def states_page() -> str:
    """The machine: diagrams, the table of transitions, commands with what answers them."""
    from autopack.core import machine, table
    from autopack.core.run import PHASE_STATE, Cause, PhaseState, RunState
    from autopack.core.tier import TierState

    parts = [
        "# States, events and commands",
        NOTICE,
        "Made from `autopack.core.table.TABLE`. What is not listed is refused, changing nothing.",
        "A run has a *stage*; while it works, each of its phases has a *step*.",
        "## A run",
        _diagram(_stage_edges(table.TABLE)),
        "## A phase",
        _diagram(_step_edges(table.TABLE)),
        "## What the world sees",
        "Run states: " + _listed(RunState) + ".",
        "Phase states: " + _listed(PhaseState) + ". Tier states: " + _listed(TierState) + ".",
        "Causes of failure: " + _listed(Cause) + "; each is one `DONE_FAILED_…` state.",
        _table(("step", "phase state"), ((f"`{s}`", f"`{p}`") for s, p in PHASE_STATE.items())),
        "## Transitions",
        _table(("stage", "step", "event", "leads to", "what it means"), _rules(table.TABLE)),
        "## Commands and their answers",
        "A command is performed at least once and answered exactly once, by number.",
        _table(("command", "what it asks", "answered by"), _answers(machine.ANSWERS)),
        "## Events that answer nothing",
        _table(
            ("event", "what happened"),
            ((_kind(event), _summary(event)) for event in machine.UNASKED),
        ),
    ]
    return "\n\n".join(parts) + "\n"


def settings_page() -> str:
    """The machine part of autopack.toml, with the environment variables."""
    from pydantic import AliasChoices

    from autopack.settings import ENVIRONMENT_ONLY, USER_ONLY, Agent, Forge, Notify, Settings

    rows = []
    for name, info in Settings.model_fields.items():
        alias = info.validation_alias
        choices = alias.choices if isinstance(alias, AliasChoices) else [f"AUTOPACK_{name.upper()}"]
        where = "environment only" if name in ENVIRONMENT_ONLY else "file, environment"
        where = "user file, environment" if name in USER_ONLY else where
        variables = ", ".join(f"`{choice}`" for choice in choices)
        rows.append((f"`{name}`", _default(info), variables, where, info.description or ""))
    agents = [
        (f"`{name}`", _default(info), info.description or "")
        for name, info in Agent.model_fields.items()
    ]
    targets = [
        (f"`{name}`", _default(info), info.description or "")
        for name, info in Notify.model_fields.items()
    ]
    forge = [
        (f"`{name}`", _default(info), info.description or "")
        for name, info in Forge.model_fields.items()
    ]
    parts = [
        "# Settings of the machine",
        NOTICE,
        "Made from `autopack.settings`; how sources combine: [configuration](configuration.md).",
        _table(("key", "default", "environment", "may stand in", "meaning"), rows),
        "## `[agents.<name>]`",
        _table(("key", "default", "meaning"), agents),
        "## `[notify.<name>]`",
        "In the user's file and the environment: [notifications](../how-to/notifications.md).",
        _table(("key", "default", "meaning"), targets),
        "## `[forge]`",
        "In the user's file and the environment: [pull requests](../how-to/pull-requests.md).",
        _table(("key", "default", "meaning"), forge),
    ]
    return "\n\n".join(parts) + "\n"


def errors_page() -> str:
    """Every class of error, with its code, exit code and meaning."""
    from autopack.core.errors import Fault

    for found in pkgutil.walk_packages(autopack.__path__, "autopack."):
        if ".migrations" not in found.name and ".demo." not in found.name:
            importlib.import_module(found.name)
    rows = [
        (f"`{fault.code}`", f"`{fault.__name__}`", str(fault.exit_code), _summary(fault))
        for fault in sorted(_family(Fault), key=lambda fault: (fault.exit_code, fault.code))
    ]
    parts = [
        "# Errors",
        NOTICE,
        "Made from the subclasses of `autopack.core.errors.Fault`; the codes appear with `--json`.",
        "What each exit code means: [exit codes](exit-codes.md).",
        _table(("code", "class", "exit", "what happened"), rows),
    ]
    return "\n\n".join(parts) + "\n"


def _family(root: type[Fault]) -> Iterator[type[Fault]]:
    yield root
    for child in sorted(root.__subclasses__(), key=lambda each: (each.__module__, each.__name__)):
        if child.__module__.startswith("autopack."):
            yield from _family(child)


def exit_codes_page() -> str:
    """Every exit code, and what it means for a command that says more."""
    from autopack.cli.exits import COMMANDS, MEANINGS

    codes = (
        (str(code), meaning, ", ".join(f"`{error}`" for error in names))
        for code, (meaning, names) in MEANINGS.items()
    )
    commands = (
        (f"`{command}`", str(code), meaning)
        for command, meanings in COMMANDS.items()
        for code, meaning in meanings.items()
    )
    parts = [
        "# Exit codes",
        NOTICE,
        "Made from `autopack.cli.exits`. Every class of error with its code: [errors](errors.md).",
        _table(("code", "meaning", "errors"), codes),
        "With `--json` an error is one line on standard error, and a warning too, under `warning`:",
        '`{"code": …, "message": …, "hint": …}`. Data stays on standard output.',
        "## Where a command says more",
        _table(("command", "code", "meaning"), commands),
    ]
    return "\n\n".join(parts) + "\n"


def plan_schema() -> str:
    """The JSON Schema of a plan in TOML or JSON."""
    from autopack.core.plan_data import plan_schema as schema

    return _json(schema())


def ruleset() -> str:
    """The built-in ruleset, as a project's file would give it."""
    from autopack.core.builtin import BUILT_IN
    from autopack.core.ruleset import to_text

    return to_text(BUILT_IN)


def ruleset_schema() -> str:
    """The JSON Schema of a project's ruleset."""
    from autopack.core.ruleset_fields import ruleset_schema as schema

    return _json(schema())


def settings_schema() -> str:
    """The JSON Schema of the machine part of autopack.toml."""
    from autopack.settings import Settings

    return _json(Settings.model_json_schema(by_alias=False))


def _json(value: object) -> str:
    return json.dumps(value, indent=2, sort_keys=True) + "\n"


def _default(info: FieldInfo) -> str:
    value = info.get_default(call_default_factory=True)
    if isinstance(value, BaseModel):  # a table: its own keys are listed below
        return "-"
    return "-" if value in (None, "", (), {}) else f"`{json.dumps(value)}`"


def _listed(states: Iterable[object]) -> str:
    return ", ".join(f"`{state}`" for state in states)


def _table(heads: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    lines = [heads, tuple("---" for _ in heads), *rows]
    return "\n".join(f"| {' | '.join(cell.replace('|', '/') for cell in row)} |" for row in lines)


def _kind(thing: type) -> str:
    return f"`{getattr(thing, 'kind')}`"  # noqa: B009  a type of the union; `kind` is its default


def _summary(thing: type) -> str:
    """A docstring's first paragraph; empty when all it has is a dataclass's signature."""
    doc = (thing.__doc__ or "").strip()
    return "" if doc.startswith(f"{thing.__name__}(") else doc.split("\n\n")[0].replace("\n", " ")


def _rules(table: Iterable[Any]) -> Iterator[tuple[str, ...]]:
    for rule in table:
        targets = ", ".join(f"`{target}`" for target in rule.targets)
        step = f"`{rule.step}`" if rule.step else "-"
        yield f"`{rule.stage}`", step, _kind(rule.event), targets, rule.note


def _answers(answers: dict[Any, tuple[Any, ...]]) -> Iterator[tuple[str, ...]]:
    for command, events in answers.items():
        yield _kind(command), _summary(command), ", ".join(_kind(event) for event in events)


def _stage_edges(table: Iterable[Any]) -> Iterator[tuple[str, str, str]]:
    for rule in table:
        if rule.step is None:
            for target in rule.targets:
                if target != rule.stage:
                    yield str(rule.stage), str(target), rule.event.kind
    # A stage also ends by itself, when the last phase does; the table's notes say when.
    yield "bootstrap", "created", "plan_drafted"
    yield "bootstrap", "closing", "plan_drafted, and only a plan was asked for"
    yield "bootstrap", "stopping", "the drafting phase failed"
    yield "working", "closing", "no phase left"
    yield "stopping", "done", "nothing under way"


def _step_edges(table: Iterable[Any]) -> Iterator[tuple[str, str, str]]:
    yield "queued", "building", "its needs are met"
    yield "queued", "skipped", "a need failed"
    for target in ("reapplying", "testing", "landing", "building"):
        yield "landing_queued", target, "the work ahead of it moved"
    for rule in table:
        if rule.step is not None and str(rule.stage) == "working":
            for target in rule.targets:
                if target != rule.step:
                    yield str(rule.step), str(target), rule.event.kind


def _diagram(edges: Iterable[tuple[str, str, str]]) -> str:
    """A Mermaid state diagram, one arrow for each pair of states."""
    labels: dict[tuple[str, str], list[str]] = {}
    for source, target, label in edges:
        known = labels.setdefault((source, target), [])
        if label not in known:
            known.append(label)
    arrows = [f"    {a} --> {b}: {', '.join(names)}" for (a, b), names in labels.items()]
    return "\n".join(["```mermaid", "stateDiagram-v2", *arrows, "```"])


def hostile_page() -> str:
    """Hostile shapes and what is said to them, from the tables of the tests."""
    sys.path.insert(0, str(ROOT))
    from tests.hostile import page

    return f"# Hostile patches and clones\n\n{NOTICE}\n\n{page.text()}"


PAGES: dict[str, Callable[[], str]] = {
    "cli.md": cli_page,
    "states.md": states_page,
    "settings.md": settings_page,
    "errors.md": errors_page,
    "exit-codes.md": exit_codes_page,
    "plan.schema.json": plan_schema,
    "settings.schema.json": settings_schema,
    "ruleset.json": ruleset,
    "ruleset.schema.json": ruleset_schema,
    "hostile.md": hostile_page,
}
"""Every generated file below docs/reference, and what makes it."""


def main(arguments: list[str]) -> int:
    """Write or check, all or those named; 1 when a checked page differs."""
    check = "--check" in arguments
    stale = False
    for name in [word for word in arguments if word in PAGES] or PAGES:
        page, text = REFERENCE / name, PAGES[name]()
        if page.is_file() and page.read_text(encoding="utf-8") == text:
            continue
        stale = True
        if not check:
            page.write_text(text, encoding="utf-8")
        print(f"docs/reference/{name}: {'not what the code says' if check else 'written'}")
    return 1 if check and stale else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
