"""Runs for store and engine tests: real specs, moved by the real machine."""

from __future__ import annotations

from autopack.core import machine
from autopack.core.event import (
    BasePrepared,
    CancelRequested,
    EnvironmentPrepared,
    Event,
    Happened,
    RunCreated,
)
from autopack.core.run import (
    Run,
)
from autopack.core.spec import (
    CiProfile,
    Complexity,
    PhaseSpec,
    RunSpec,
    TierSpec,
)

AT = 1_790_000_000


def phase_spec(phase_id: str, index: int, tier_id: str = "T1") -> PhaseSpec:
    return PhaseSpec(
        phase_id=phase_id,
        tier_id=tier_id,
        phase_index=index,
        name=f"phase {phase_id}",
        task="Make it so.\n" * 20,
        task_category="feature_scaffolding",
        complexity=Complexity.LOW,
        builder_mode="tweak_light",
        scope=("src/**",),
        needs=(),
        packs=(),
        deliver=(),
        ci_profile=CiProfile.NORMAL,
        auto_apply=True,
        auditor_profile="standard",
        builder_attempts_max=3,
        auditor_attempts_max=1,
        incident_token_cap=100_000,
        files_max=20,
        changed_lines_max=500,
    )


def run_spec(run_id: str = "r1", phases: int = 2) -> RunSpec:
    return RunSpec(
        run_id=run_id,
        project_id="p",
        repository="/repo",
        base_ref="main",
        base_commit="0" * 40,
        tiers=(TierSpec("T1", 1, "first", 1_000_000, 20),),
        phases=tuple(phase_spec(f"F{i}", i) for i in range(1, phases + 1)),
        builder="scripted",
        auditor="scripted",
        sandbox="none",
    )


def born(run_id: str = "r1", phases: int = 2) -> tuple[Run, Happened]:
    """A new run and its first event."""
    spec = run_spec(run_id, phases)
    return machine.create(spec).run, Happened(RunCreated(spec), AT)


def moved(run: Run, event: Event, *, unasked: bool = False) -> tuple[Run, Happened]:
    """The run after an event that answers its first pending command (or nothing)."""
    answers = 0 if unasked else run.pending[0].number
    happened = Happened(event, AT + run.version, answers, active_seconds=0.1)
    answer = machine.advance(run, happened)
    assert isinstance(answer, machine.Advanced), answer
    return answer.run, happened


def walk(run_id: str = "r1", phases: int = 2) -> list[tuple[Run, Happened]]:
    """Four events of a run: created, base and environment prepared, cancelled."""
    steps = [born(run_id, phases)]
    steps.append(moved(steps[-1][0], BasePrepared()))
    steps.append(moved(steps[-1][0], EnvironmentPrepared("sha256:e")))
    steps.append(moved(steps[-1][0], CancelRequested("someone"), unasked=True))
    return steps
