"""What a run is started with: a plan's file, or the goal that an agent drafts a plan for.

Never starts anything.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from autopack.core.draft import GOAL_CHARACTERS_MAX, Draft
from autopack.core.errors import OperatorFault
from autopack.core.words import nearest

GOAL_BYTES_MAX: Final = 4 * GOAL_CHARACTERS_MAX + 3
"""Of a goal's file: the characters at their longest, and a byte order mark."""
COMMANDS: Final = ("list", "view", "watch", "cancel", "retry", "deliver")


@dataclass(frozen=True)
class Given:
    """As the command line has it; exactly one of the first three is to be there."""

    plan: Path | None
    goal: str | None = None
    goal_file: Path | None = None
    plan_only: bool = False

    @property
    def name(self) -> str:
        """What a run is called when nobody says."""
        source = self.plan or self.goal_file
        return source.stem if source else "draft"

    @property
    def draft(self) -> Draft | None:
        """The goal; None when there is a plan. OperatorFault when it is not one of the three."""
        given = [each for each in (self.plan, self.goal, self.goal_file) if each is not None]
        if len(given) != 1:
            what = "give exactly one of PLAN, --goal and --goal-file"
            raise OperatorFault(what, "`autopack run --help`")
        if self.plan is not None:
            if self.plan_only:
                hint = "`--dry-run` shows what a written plan comes to"
                raise OperatorFault("--plan-only goes with --goal or --goal-file", hint)
            self._refuse_command(self.plan)
            return None
        return Draft(self.goal if self.goal is not None else self._read(), self.plan_only)

    def _read(self) -> str:
        path = self.goal_file or Path()
        try:
            with path.open("rb") as file:
                data = file.read(GOAL_BYTES_MAX + 1)
            if len(data) > GOAL_BYTES_MAX:
                what = f"{path}: too large: more than {GOAL_BYTES_MAX:,} bytes"
                hint = f"a goal has at most {GOAL_CHARACTERS_MAX:,} characters"
                raise OperatorFault(what, hint)
            return data.decode("utf-8-sig")
        except UnicodeDecodeError as fault:
            raise OperatorFault(f"{path}: not UTF-8", "save the goal as UTF-8 text") from fault
        except (OSError, ValueError) as fault:
            reason = fault.strerror if isinstance(fault, OSError) else fault
            what = f"{path}: cannot read the goal: {reason}"
            raise OperatorFault(what, "check the path") from fault

    @staticmethod
    def _refuse_command(path: Path) -> None:
        """`autopack run lits` names no plan: a misspelt command, most likely."""
        if not path.suffix and not path.exists():
            meant = nearest(str(path), COMMANDS)
            hint = f"did you mean `autopack run {meant}`?" if meant else "`autopack run --help`"
            raise OperatorFault(f"{path}: neither a plan nor a command of `autopack run`", hint)
