"""What an agent's configuration lacks on this machine, told before a run starts."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from autopack.adapters.agents.command import CommandAgent
from autopack.adapters.agents.registry import AgentContext, load_agent
from autopack.core.errors import OperatorFault
from autopack.process.limits import ProgramMissing
from autopack.process.sandbox import Unfenced, default_identity
from autopack.process.workbench import PLACE, Workbench


def agent(folder: Path, *command: str, **more: object) -> CommandAgent:
    bench = Workbench(Unfenced(default_identity()))
    context = AgentContext(bench, {"PATH": os.environ["PATH"]}, folder)
    made = load_agent("b", {"type": "command", "command": list(command), **more}, context)
    assert isinstance(made, CommandAgent)
    return made


@pytest.mark.parametrize("word", ["{}", "--script={}"])
def test_a_path_among_the_arguments_that_the_fence_hides(tmp_path: Path, word: str) -> None:
    script = tmp_path / "good.py"
    script.touch()
    it = agent(tmp_path, "python3", word.format(script))
    with pytest.raises(OperatorFault) as told:
        it.check(fenced=True, prepares=False)
    assert f"{word.format(script)} is not shown to agents in the fence" in told.value.what
    assert told.value.what.count(str(script)) == 1
    assert f'read_only = ["{tmp_path}"]' in told.value.hint
    assert it.check(fenced=False, prepares=False) == ""
    shown = agent(tmp_path, "python3", word.format(script), read_only=[str(tmp_path)])
    assert shown.check(fenced=True, prepares=False) == ""


@pytest.mark.parametrize(
    "word", ["/nowhere/at/all", "/dev/null", "/tmp", f"{PLACE}/x", "/usr/bin", "src/a", "-x=1"]
)
def test_paths_that_the_fence_has_or_nobody_has_are_no_matter(tmp_path: Path, word: str) -> None:
    assert agent(tmp_path, "python3", word).check(fenced=True, prepares=False) == ""


def test_a_program_that_only_an_environment_may_bring_is_in_doubt(tmp_path: Path) -> None:
    it = agent(tmp_path, "no-such-agent")
    doubt = "not found on this machine; it must come from [environment]"
    assert doubt in it.check(fenced=True, prepares=True)
    with pytest.raises(ProgramMissing):
        it.check(fenced=True, prepares=False)


def test_a_file_that_is_not_executable(tmp_path: Path) -> None:
    program = tmp_path / "my agent"
    program.write_text("#!/bin/sh\n")
    with pytest.raises(ProgramMissing) as told:
        agent(tmp_path, str(program)).check(fenced=True, prepares=False)
    assert f"`chmod +x '{program}'`" in told.value.hint


@pytest.mark.parametrize("word", ["{promptfile}", "--file={prompt}"])
def test_an_unknown_placeholder_is_refused(tmp_path: Path, word: str) -> None:
    with pytest.raises(OperatorFault) as told:
        agent(tmp_path, "python3", word)
    assert f"agents.b.command: unknown placeholder {word}" in told.value.what
    assert "{prompt_file}" in told.value.hint


def test_braces_of_a_script_are_its_own(tmp_path: Path) -> None:
    assert agent(tmp_path, "sh", "-c", "echo ${HOME} {a}").options.command[2] == "echo ${HOME} {a}"
