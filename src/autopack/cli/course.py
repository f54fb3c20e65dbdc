"""A dry run for people: order, runs, critical path and worst case of a plan. Starts nothing."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Sequence
from dataclasses import asdict

from autopack.app.plan import DryRun, PlannedPart, dry_run
from autopack.app.sentences import count
from autopack.app.start import Ready
from autopack.cli import render, sheet
from autopack.cli.sheets import forecast_sheet
from autopack.core import series
from autopack.core.forecast import Forecast
from autopack.core.spec import RunSpec


def print_dry_run(ready: Ready, forecast: Forecast, *, as_json: bool) -> None:
    """Print how a plan would go; it starts nothing."""
    course = dry_run(ready.plan)
    if as_json:
        runs = series.planned(ready.spec.run_id, len(course.parts))
        held = {"safety_profile": ready.spec.safety_profile, "run_scope": ready.spec.run_scope}
        told = {**held, "dry_run": asdict(course), "forecast": asdict(forecast)}
        render.data({"run_id": runs[0], "runs": list(runs), **told})
        return
    render.out(*_course(ready.spec, course))
    render.out("", *sheet.text(forecast_sheet(ready.spec.run_id, forecast), render.width()), "")
    render.out(f"nothing was started; next: {_again()}")


def _course(spec: RunSpec, course: DryRun) -> list[str]:
    where = f"{spec.base_ref} ({spec.base_commit[:12]}), {spec.parallel_max} at a time"
    size = f"{count(course.phases, 'phase')} in {count(course.tiers, 'tier')}"
    runs = series.planned(spec.run_id, len(course.parts))
    many = f", {count(len(runs), 'run')} one after another" if len(runs) > 1 else ""
    lines = [
        f"{spec.run_id}: {size}{many} on {where}",
        f"safety profile {spec.safety_profile}, run scope {spec.run_scope}",
    ]
    begins = {part.tiers[0]: part for part in course.parts} if len(runs) > 1 else {}
    header = ("", "PHASE", "CATEGORY", "COMPLEXITY", "CI", "ATTEMPTS", "TOKENS", "NEEDS",
              "SCOPE")  # fmt: skip
    for tier_id, tier_name in dict.fromkeys(
        (wave.tier_id, wave.tier_name) for wave in course.waves
    ):
        if tier_id in begins:
            lines += ["", _heading(begins[tier_id], runs)]
        lines += ["", f"{tier_id} {tier_name}"]
        rows = [
            ("", phase.phase_id, phase.category, phase.complexity, phase.ci_profile,
             str(phase.builder_attempts_max), f"{phase.incident_token_cap:,}",
             " ".join(phase.needs), " ".join(phase.scope))
            for wave in course.waves
            if wave.tier_id == tier_id
            for phase in wave.phases
        ]  # fmt: skip
        lines += render.table(header, rows, render.width())
        lines += [
            f"  {phase.phase_id} cleans up the known issue {phase.cleans}"
            for wave in course.waves
            if wave.tier_id == tier_id
            for phase in wave.phases
            if phase.cleans
        ]
    tries = ", ".join(
        (
            count(course.builder_attempts_max, "attempt"),
            count(course.auditor_attempts_max, "audit"),
            count(course.ci_runs_max, "CI run"),
        )
    )
    lines += [
        "",
        f"order: {' '.join(course.order)}",
        f"critical path: {' '.join(course.critical_path)} ({course.critical_path_tokens:,} tokens)",
        f"at worst: {course.tokens_max:,} tokens, {tries}",
    ]
    if any(len(wave.phases) > 1 for wave in course.waves):
        granted = count(RunSpec.conflicts_max, "attempt")
        lines.append(f"side by side each may be granted {granted} more, within the same tokens")
    if course.incident_tokens > course.tokens_max:
        whose = "a run's cap is less" if len(runs) > 1 else "the run's cap is less"
        lines.append(f"the phases' caps add up to {course.incident_tokens:,}: {whose}")
    if course.ci_runs_max > course.ci_run_cap:
        lines.append(f"the tiers' caps add up to {count(course.ci_run_cap, 'CI run')}: a tier that"
                     " passes its own is not clean, and goes on")  # fmt: skip
    if course.needs_auditor:
        lines.append(f"land only with an auditor: {' '.join(course.needs_auditor)}")
    return lines


def _heading(part: PlannedPart, runs: Sequence[str]) -> str:
    """The run that a part is, and when it begins."""
    size = f"part {part.part} of {len(runs)}, {count(len(part.phases), 'phase')}"
    after = f", after {runs[part.part - 2]} has succeeded" if part.part > 1 else ""
    return f"run {runs[part.part - 1]}: {size}{after}"


def _again() -> str:
    """The same command without `--dry-run`."""
    return shlex.join(["autopack", *(word for word in sys.argv[1:] if word != "--dry-run")])
