"""The cheats of `cheats/`: one file a kind, each a change to the small repository of `base.toml`.

A kind names the rule that has to say so. Its change is written into a real repository and judged by
the whole gate, as a candidate of a phase; nothing of it is run.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from autopack.adapters.gate.registry import CheckContext, load_checks
from autopack.adapters.git.repository import BareRepository
from autopack.adapters.git.wrapper import Git
from autopack.app import gate
from autopack.app.apply import judging
from autopack.app.backtest import PHASE, SPEC
from autopack.app.checks import Subject
from autopack.core import policy
from autopack.core.event import CandidateChecked
from autopack.core.project import Project, parse_project
from autopack.core.run import Candidate
from tests.repos import git, user_repository, write

FOLDER = Path(__file__).with_name("cheats")
TOKEN = "ghp_" + "a1B2c3D4e5" * 3 + "F6g7H8"
"""What `{token}` stands for: no secret lies in a file of ours."""


@dataclass(frozen=True)
class Cheat:
    """One kind: what it does, and the rule that names it."""

    name: str
    what: str
    rule: str
    edits: Mapping[str, Any]

    def apply(self, folder: Path) -> None:
        """Make the change in a work tree of the base."""
        for each in self.edits.get("replace", ()):
            path = folder / each["path"]
            text = path.read_text(encoding="utf-8")
            assert text.count(each["old"]) == 1, f"{self.name}: {each['path']}"
            path.write_text(text.replace(each["old"], each["new"]), encoding="utf-8")
        for kind, front in (("append", False), ("prepend", True)):
            for each in self.edits.get(kind, ()):
                path, more = folder / each["path"], each["text"].replace("{token}", TOKEN)
                text = path.read_text(encoding="utf-8")
                path.write_text(more + text if front else text + more, encoding="utf-8")
        for each in self.edits.get("write", ()):
            write(folder, {each["path"]: each["text"]})
        for each in self.edits.get("remove", ()):
            (folder / each["path"]).unlink()
        for each in self.edits.get("link", ()):
            (folder / each["path"]).symlink_to(each["target"])


def cheats() -> list[Cheat]:
    """Every kind, by name."""
    return list(_cheats())


def _cheats() -> Iterator[Cheat]:
    for path in sorted(FOLDER.glob("*.toml")):
        if path.stem != "base":
            told = tomllib.loads(path.read_text(encoding="utf-8"))
            yield Cheat(path.stem, told.pop("what"), told.pop("rule"), told)


def base_files() -> dict[str, str | bytes]:
    """The repository that all of them start from."""
    found: dict[str, str | bytes] = tomllib.loads((FOLDER / "base.toml").read_text())["files"]
    return found


class Court:
    """The base in a user's repository and in ours, and the gate that judges each cheat there."""

    def __init__(self, root: Path) -> None:
        self.user = root / "user"
        self.base = user_repository(self.user, base_files())
        self.repository = BareRepository.create(root / "bare", Git())
        self.repository.prepare(str(self.user), "main", self.base, "autonomous/cheats")
        project = parse_project((self.user / "autopack.toml").read_text(), "shop")
        assert isinstance(project, Project)
        self.project = project
        nothing_runs = replace(project, gate=replace(project.gate, commands=()))
        self.checks = load_checks(CheckContext(nothing_runs))

    def judge(self, cheat: Cheat) -> CandidateChecked:
        """The gate's verdict on a cheat; the work tree is the base's again."""
        cheat.apply(self.user)
        ours = str(self.repository.folder / "objects")
        git(self.user, "add", "-A", GIT_OBJECT_DIRECTORY=ours)
        tree = git(self.user, "write-tree", GIT_OBJECT_DIRECTORY=ours)
        git(self.user, "reset", "-q", "--hard", GIT_OBJECT_DIRECTORY=ours)
        phase = replace(
            PHASE,
            phase_id="F1",
            scope=tuple(cheat.edits.get("scope", ("**",))),
            deliver=tuple(cheat.edits.get("deliver", ())),
        )
        judges = judging(self.repository, self.base, self.project)
        rules = policy.rules_for(phase, self.project.policy, judges)
        candidate = Candidate("1", "", tree, self.base)
        diff = self.repository.diff(self.base, tree)
        run = replace(SPEC, phases=(phase,))
        subject = Subject(run, phase, rules, candidate, diff, self.repository)
        return gate.judge(subject, self.checks)
