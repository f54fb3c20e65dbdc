"""An agent that does what was recorded: patches and verdicts from files. For demos and tests.

`FOLDER/<phase_id>/<attempt>.patch` is a unified diff; beside it `<attempt>.toml` may say `outcome`,
`tokens`, `note`, `wait_seconds`, `parked_until` (Unix seconds); for an audit `<number>.toml` says
`recommendation`, `notes`, `tokens`. Both may hold `[[issues]]`. Runs nothing and touches no clone.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Final, TypeVar

from autopack.adapters.agents.answers import AnswerRefused, issue_list
from autopack.adapters.agents.options import Options
from autopack.adapters.agents.registry import AgentContext
from autopack.app.agents import (
    Attempt,
    Audited,
    AuditTask,
    Built,
)
from autopack.app.ports import (
    Cancel,
    Clone,
)
from autopack.core.errors import OperatorFault
from autopack.core.event import Outcome, Recommendation
from autopack.core.issue import IssueReport, IssueSource
from autopack.core.words import nearest, number_fault

BUILD_KEYS: Final = frozenset(
    {"outcome", "tokens", "note", "wait_seconds", "parked_until", "issues"}
)
E = TypeVar("E", bound=StrEnum)
AUDIT_KEYS: Final = frozenset({"recommendation", "notes", "tokens", "wait_seconds", "issues"})


@dataclass(frozen=True)
class ScriptedAgent:
    """A Builder and an Auditor in one: both only read below `folder`."""

    folder: Path

    def build(self, attempt: Attempt, clone: Clone, cancel: Cancel) -> Built:
        """The recorded attempt; one that nobody recorded has failed."""
        del clone
        base = self.folder / attempt.phase.phase_id / str(attempt.number)
        patch, said = _bytes(base, ".patch"), _table(base, BUILD_KEYS)
        if patch is None and said is None:
            return Built(Outcome.FAILED, note=f"nothing is recorded at {base}.patch")
        said = said or {}
        if cancel.wait(_number(said, "wait_seconds", base)):
            return Built(Outcome.CANCELLED)
        outcome = _member(said, "outcome", Outcome, Outcome.SUBMITTED, base)
        return Built(
            outcome,
            tokens=int(_number(said, "tokens", base)),
            note=str(said.get("note", "")),
            patch=patch if outcome is Outcome.SUBMITTED else None,
            parked_until=_number(said, "parked_until", base),
            issues=_issues(said, IssueSource.SELF_DOUBT, base),
        )

    def audit(self, task: AuditTask, clone: Clone, cancel: Cancel) -> Audited:
        """The recorded verdict; one that nobody recorded is none."""
        del clone
        base = self.folder / task.phase.phase_id / str(task.number)
        said = _table(base, AUDIT_KEYS)
        if said is None or "recommendation" not in said:
            return Audited(Recommendation.INVALID, notes=f"no verdict is recorded at {base}.toml")
        if cancel.wait(_number(said, "wait_seconds", base)):
            return Audited(Recommendation.INVALID, notes="cancelled")
        return Audited(
            _member(said, "recommendation", Recommendation, Recommendation.INVALID, base),
            tokens=int(_number(said, "tokens", base)),
            notes=str(said.get("notes", "")),
            patch=_bytes(base, ".patch"),
            issues=_issues(said, IssueSource.AUDITOR, base),
        )

    def spent(self, log_folder: Path, tokens_max: int) -> int:
        """None: a recording uses its tokens when it answers."""
        del log_folder, tokens_max
        return 0


def factory(name: str, given: Mapping[str, object], context: AgentContext) -> ScriptedAgent:
    """`[agents.NAME] type = "scripted"`: option `patches`, a folder."""
    options = Options(name, given)
    patches = options.text("patches")
    options.finish()
    folder = context.base / patches
    if not patches or not folder.is_dir():
        raise options.fault("patches", f"{patches!r} is no folder", "name a folder of recordings")
    return ScriptedAgent(folder)


def _bytes(base: Path, suffix: str) -> bytes | None:
    try:
        return base.with_name(base.name + suffix).read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        return None


def _table(base: Path, known: frozenset[str]) -> dict[str, object] | None:
    content = _bytes(base, ".toml")
    if content is None:
        return None
    try:
        table = tomllib.loads(content.decode())
    except ValueError as fault:
        raise OperatorFault(
            f"{base}.toml: not TOML: {number_fault(str(fault))}", "mend the recording"
        ) from fault
    for key in table:
        if key not in known:
            meant = nearest(key, known)
            hint = f"did you mean {meant!r}?" if meant else f"known: {', '.join(sorted(known))}"
            raise OperatorFault(f"{base}.toml: unknown key {key!r}", hint)
    return table


def _issues(said: Mapping[str, object], source: IssueSource, base: Path) -> tuple[IssueReport, ...]:
    try:
        return issue_list(said.get("issues", []), source)
    except AnswerRefused as fault:
        raise OperatorFault(f"{base}.toml: {fault}", "mend the recording") from fault


def _number(said: Mapping[str, object], key: str, base: Path) -> float:
    value = said.get(key, 0)
    if isinstance(value, bool) or not isinstance(value, (int, float)) or value < 0:
        raise OperatorFault(f"{base}.toml: {key} must be a number of at least 0", "mend it")
    return value


def _member(said: Mapping[str, object], key: str, kind: type[E], default: E, base: Path) -> E:
    value = said.get(key, default.value)
    options = [member.value for member in kind]
    if value not in options:
        what = f"{base}.toml: {key} must be one of {', '.join(options)}"
        raise OperatorFault(what, f"it is {value!r}")
    return kind(value)
