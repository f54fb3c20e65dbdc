"""What the tests of CI and agents stand on: commits as dictionaries, a phase, a run, a store."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import cast

from autopack.app.agents import (
    Attempt,
    AuditTask,
)
from autopack.app.ports import (
    Clone,
    Repository,
    TestTask,
)
from autopack.core.patch import ABSENT, FILE, Change, TreeDiff
from autopack.core.spec import (
    CiProfile,
    Complexity,
    PhaseSpec,
    RunSpec,
    TierSpec,
)
from autopack.process.folders import clear

PHASE = PhaseSpec(
    phase_id="F1.1",
    tier_id="T1",
    phase_index=0,
    name="Add a greeting",
    task="Write greet().",
    task_category="core",
    complexity=Complexity.LOW,
    builder_mode="tweak_light",
    scope=("src/**",),
    needs=(),
    packs=(),
    deliver=("src/greet.py",),
    ci_profile=CiProfile.NORMAL,
    auto_apply=True,
    auditor_profile="",
    builder_attempts_max=3,
    auditor_attempts_max=1,
    incident_token_cap=1000,
    files_max=5,
    changed_lines_max=100,
)
RUN = RunSpec(
    run_id="r1",
    project_id="toy",
    repository="/nowhere",
    base_ref="main",
    base_commit="base",
    tiers=(TierSpec("T1", 0, "one", 3000, 2),),
    phases=(PHASE,),
    builder="b",
    auditor="",
    sandbox="bubblewrap",
)


class Commits:
    """The part of the Repository port that CI asks: files of commits, and checkouts of them.

    A file's content may be a symbolic link: `Path("target")`.
    """

    def __init__(self, **commits: Mapping[str, str | Path]) -> None:
        self.commits = commits
        self.clones: list[str] = []

    def read(self, commit: str, path: str) -> bytes | None:
        content = self.commits[commit].get(path)
        return content.encode() if isinstance(content, str) else None

    def clone(self, commit: str, folder: Path) -> Clone:
        self.clones.append(commit)
        folder.mkdir(parents=True)
        for name, content in self.commits[commit].items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            if isinstance(content, Path):
                path.symlink_to(content)
            else:
                path.write_text(content)
        return Clone(folder, commit, folder.with_suffix(".index"))

    def discard(self, folder: Path) -> None:
        clear(folder)

    def paths(self, commit: str) -> list[bytes]:
        return [name.encode() for name in self.commits[commit]]

    def tree(self, commit: str) -> str:
        return f"tree-{commit}"

    def diff(self, parent: str, tree: str) -> TreeDiff:
        old, new = self.commits[parent], self.commits[tree.removeprefix("tree-")]
        changes = tuple(
            Change(
                name.encode(),
                FILE if name in old else ABSENT,
                FILE if name in new else ABSENT,
                len(str(new.get(name, ""))),
            )
            for name in sorted({*old, *new})
            if old.get(name) != new.get(name)
        )
        return TreeDiff(parent, tree, changes)

    @property
    def port(self) -> Repository:
        return cast("Repository", self)


class Greens:
    """The store's memory of green results."""

    def __init__(self) -> None:
        self.kept: dict[str, str] = {}

    def green(self, key: str) -> str | None:
        return self.kept.get(key)

    def remember_green(self, key: str, result: str) -> None:
        self.kept[key] = result


def attempt(folder: Path, **changes: object) -> Attempt:
    base = Attempt("r1", PHASE, 1, 1000, None, folder / "log")
    return replace(base, **changes)  # type: ignore[arg-type]  # any field


def audit_task(folder: Path) -> AuditTask:
    return AuditTask("r1", PHASE, 1, "candidate", "protected path", 1000, folder / "log")


def ci_task(folder: Path, commit: str = "candidate", tree: str = "") -> TestTask:
    return TestTask(
        RUN, PHASE, commit, tree or f"tree-{commit}", CiProfile.NORMAL, folder, folder / "logs"
    )
