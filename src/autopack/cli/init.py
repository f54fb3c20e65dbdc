"""`autopack init`: write one commented autopack.toml that fits the repository. Asks nothing."""

from __future__ import annotations

import json
import os
import re
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from autopack.cli.options import Json, Repo
from autopack.core.ids import id_problem

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from autopack.cli.detect import Command, InstalledAgent, Kind


def init(
    *,
    workflows: Annotated[
        bool, Parameter(negative="", help="Also write .github/workflows/ci.yml, of the same tests")
    ] = False,
    repo: Repo = None,
    json: Json = False,
) -> None:
    """Look at the repository, write autopack.toml, say what comes next. Overwrites nothing.

    With --workflows an autopack.toml that is there is left alone, and only the other is written.
    """
    from autopack import wiring
    from autopack.cli import detect, render
    from autopack.core.errors import OperatorFault
    from autopack.core.reader import (
        FILE_NAME,
    )
    from autopack.settings import load

    folder = repo or Path.cwd()
    loaded = load(folder, os.environ)
    source = wiring.checkout(loaded, folder)
    target = source.top / FILE_NAME
    there = target.exists() or target.is_symlink()
    if there and not workflows:
        raise OperatorFault(f"{target} exists and is left alone", "edit it, or move it away first")
    flow = _free_workflow(source.top) if workflows else None
    kind = detect.detect(source.top, source.files())
    agents = detect.installed_agents(loaded.environ.get("PATH", os.defpath))
    if not there:
        with target.open("x", encoding="utf-8") as file:
            file.write(text(source.top.name, kind, agents, loaded.environ))
    branch = source.facts.default_branch or source.facts.head_branch or "main"
    if flow is not None:
        from autopack.cli.workflows import ci_workflow

        flow.parent.mkdir(parents=True, exist_ok=True)
        with flow.open("x", encoding="utf-8") as file:
            file.write(ci_workflow(kind, branch))
    found = {
        "file": str(target),
        **({"workflow": str(flow)} if flow is not None else {}),
        "language": kind.language,
        "seen": kind.why,
        "tests": [command.run for command in kind.normal],
        "environment": list(kind.prepare),
        "default_branch": branch,
        "remotes": source.remotes(),
        "agents": [agent.name for agent in agents],
    }
    made = ["autopack.toml", *([str(flow.relative_to(source.top))] if flow is not None else [])]
    steps = _next(kind, agents, branch, made, top=source.top, unborn=source.facts.empty)
    if json:
        render.data({**found, "next": steps})
        return
    shown = [(key, _shown(value)) for key, value in found.items()]
    render.out(*render.table(("", ""), shown)[1:])
    render.note(*(f"note: {each}" for each in kind.notes), *(f"next: {each}" for each in steps))


def _free_workflow(top: Path) -> Path:
    """Where the workflow goes; OperatorFault when it is there, or its folder leads elsewhere."""
    from autopack.cli.workflows import PATH
    from autopack.core.errors import OperatorFault

    flow = top / PATH
    if flow.exists() or flow.is_symlink():
        raise OperatorFault(f"{flow} exists and is left alone", "move it away first")
    if any((top / part).is_symlink() for part in (".github", ".github/workflows")):
        what = f"{flow.parent} leads out of the repository or elsewhere in it"
        raise OperatorFault(what, "make it a folder")
    return flow


def _shown(value: object) -> str:
    if isinstance(value, list):
        return "; ".join(value) or "none found"
    return str(value)


def _next(
    kind: Kind,
    agents: Sequence[InstalledAgent],
    branch: str,
    made: Sequence[str],
    *,
    top: Path,
    unborn: bool,
) -> list[str]:
    steps = []
    if not kind.normal:
        steps.append("no test command was found: fill in ci.normal.commands")
    if not agents:
        steps.append("no coding agent was found on PATH: fill in builder and [agents.…]")
    commit = f"git add {shlex.join(made)} && git commit -m 'Configure Autopack' (on {branch})"
    if unborn:
        steps.append(
            "there is no commit yet, and a run starts from one: make a first, with your files"
        )
        commit = "git add --all && git commit -m 'First commit'"
    return [*steps, f"cd {shlex.quote(str(top))}; {commit}", "autopack doctor --tests"]


def text(
    name: str, kind: Kind, agents: Sequence[InstalledAgent], environ: Mapping[str, str]
) -> str:
    """The whole file, with comments."""
    identifier = re.sub(r"[^A-Za-z0-9_-]+", "-", name).strip("-_")[:64]
    project = identifier if identifier and not id_problem(identifier) else "project"
    parts = [
        "# Autopack's settings for this repository; `autopack config show` lists the machine's.",
        "# Runs read [project], [ci], [environment], [policy] and [run] from their base commit:",
        "# commit this file.",
        "",
        *_machine(agents, environ),
        "[project]",
        f"id = {_quoted(project)}",
        "",
        *_ci(kind),
        *_environment(kind),
        "[policy]",
        "# a change there lands only when an auditor agrees; always protected: this file, CI, and",
        "# files that commands of [ci] and [gate] name; add what these call, such as conftest.py",
        "protected = []",
        "",
        "[run]",
        "# parallel_max = 1            # phases at a time",
        "# token_cap = 5_000_000",
        "# max_duration_minutes = 120",
        '# on_phase_failure = "continue"  # or "stop"',
    ]
    return "\n".join(parts) + "\n"


def _machine(agents: Sequence[InstalledAgent], environ: Mapping[str, str]) -> list[str]:
    lines = ["# Who works: names of [agents.*] below. The user's own file may say it instead."]
    if not agents:
        return [
            *lines,
            '# builder = "my-agent"',
            '# auditor = "my-auditor"   # needed where a phase must be reviewed',
            "# [agents.my-agent]",
            '# command = ["my-agent", "--prompt-file", "{prompt_file}"]',
            "",
        ]
    lines += [f"builder = {_quoted(agents[0].name)}", '# auditor = "…"', ""]
    for agent in agents:
        words = ", ".join(_quoted(word) for word in (agent.program, *agent.arguments))
        keys = [key for key in agent.keys if environ.get(key)]
        listed = ", ".join(_quoted(key) for key in keys)
        lines += [
            f"[agents.{agent.name}]",
            f"command = [{words}]",
            f"prompt = {_quoted(agent.prompt)}",
            "network = true   # to reach its model",
            f"pass_env = [{listed}]   # what authorises it: {' or '.join(agent.keys)}",
        ]
        home = Path(os.path.realpath(agent.program)).parent
        if not str(home).startswith(("/usr/", "/bin")):
            lines.append(f"read_only = [{_quoted(str(home))}]   # where it is installed")
        lines.append("")
    return lines


def _ci(kind: Kind) -> list[str]:
    lines = [
        "# What decides green or red: in a fence, without network, on exactly what would land.",
        "# `rerun` runs some tests only: red ones run again before anybody pays for them.",
        "[ci.normal]",
    ]
    if not kind.normal:
        return [
            *lines,
            "# No test command was found. Green without tests means nothing: fill this in.",
            '# commands = [{ run = ["sh", "test.sh"] }]   # green is exit code 0; or, better,',
            '# commands = [{ run = "python -m pytest -q --junitxml={report}", report = "junit" }]',
            "",
        ]
    lines += ["commands = [", *(_command(command) for command in kind.normal), "]", ""]
    if kind.strict:
        lines += [
            "# Risky phases: also the tests that their markers leave out above.",
            "[ci.strict]",
            "commands = [",
            *(_command(command) for command in kind.strict),
            "]",
            "",
        ]
    return lines


def _command(command: Command) -> str:
    rerun = f", rerun = {_quoted(command.rerun)}" if command.rerun else ""
    return f"  {{ run = {_quoted(command.run)}, report = {_quoted(command.report)}{rerun} }},"


def _environment(kind: Kind) -> list[str]:
    if not kind.prepare:
        return []
    return [
        "# Made once per content of `inputs`, with network; CI and agents get `cache` read-only.",
        "[environment]",
        "prepare = [",
        *(f"  {_quoted(each)}," for each in kind.prepare),
        "]",
        f"inputs = [{', '.join(_quoted(each) for each in kind.inputs)}]",
        f"cache = [{', '.join(_quoted(each) for each in kind.cache)}]",
        "",
    ]


def _quoted(word: str) -> str:
    """A TOML basic string: JSON's escapes are valid there."""
    return json.dumps(word, ensure_ascii=True)
