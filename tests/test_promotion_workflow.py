"""`.github/workflows/promotion.yml` calls commands that there are, and gives no input to a shell."""

from __future__ import annotations

import importlib
import shlex
from typing import Any, Final

from autopack.cli.main import COMMANDS
from tests.lab import ROOT

yaml: Final[Any] = importlib.import_module("yaml")  # it has no types of its own
FILE: Final = ROOT / ".github" / "workflows" / "promotion.yml"


def jobs() -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(FILE.read_text(encoding="utf-8"))["jobs"]
    return found


def test_its_jobs_look_before_they_promote() -> None:
    assert list(jobs()) == ["check-eligibility", "promote"]
    assert jobs()["promote"]["needs"] == "check-eligibility"


def test_its_commands_are_ours_and_no_input_is_spliced_into_one() -> None:
    ran = [step["run"] for job in jobs().values() for step in job["steps"]]
    assert [shlex.split(line) for line in ran] == [
        ["autopack", "promote", "$RUN", "--dry-run"],
        ["autopack", "promote", "$RUN"],
    ]
    assert "promote" in COMMANDS
    assert not any("${{" in line for line in ran)


def test_it_may_write_only_where_it_promotes() -> None:
    whole = yaml.safe_load(FILE.read_text(encoding="utf-8"))
    assert whole["permissions"] == {"contents": "read"}
    assert "permissions" not in jobs()["check-eligibility"]
    assert jobs()["promote"]["permissions"]["pull-requests"] == "write"
