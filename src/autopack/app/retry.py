"""The successor of a run that ended: from its last good snapshot, or again on another base.

Writes nothing; a run that has ended is never opened again.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Container
from dataclasses import replace

from autopack.app.naming import free_name, name_problems, ways_blocked
from autopack.app.outcome import plan_only
from autopack.app.planning import Machine, agent_problems
from autopack.app.start import Source, nothing_known
from autopack.app.surveyor import surveyed
from autopack.core import backlog
from autopack.core.budget import never_fit
from autopack.core.draft import Draft
from autopack.core.errors import OperatorFault
from autopack.core.project import Project, parse_project
from autopack.core.reader import FILE_NAME
from autopack.core.run import PhaseState, Run
from autopack.core.series import reserved
from autopack.core.spec import PhaseSpec, RunSpec


def successor(
    run: Run,
    source: Source,
    machine: Machine,
    known: Container[str],
    onto: str = "",
    *,
    token_cap: int | None = None,
    remembered: Callable[[str, str], backlog.Facts] = nothing_known,
    goes_on: str = "",
) -> RunSpec:
    """The run that continues `run` from its last good snapshot, or again from the commit `onto`.

    On `onto` only what it already holds counts as landed. `token_cap`: instead of the run's own.
    It is the same part of a series, which goes on after it.
    `remembered`: the issues of a project, by its id and repository. `goes_on`: the run that stands
    for its series now.
    """
    _refuse_retry(run, goes_on, again=bool(onto))
    done = {phase.phase_id for phase in run.phases if phase.state is PhaseState.COMPLETE}
    if onto:
        commit = source.commit(onto)
        if not commit:
            raise OperatorFault(f"{onto} names no commit of {source.top}", "`git fetch` it first")
        held = {s.phase_id for s in run.snapshots if source.is_ancestor(s.commit, commit)}
        inherited = source.is_ancestor(run.spec.base_commit, commit)
        base, landed = (onto, commit), (done & held) | set(run.spec.landed if inherited else ())
    else:
        ref = run.spec.branch if run.snapshots else run.spec.base_ref
        base, landed = (ref, run.tip or run.spec.base_commit), done | set(run.spec.landed)
    run_id = _free_successor(run.run_id, source, known)
    left = tuple(p.phase_id for p in run.spec.phases if p.phase_id not in landed)
    phases = tuple(_renamed(phase, machine.fixed) for phase in run.spec.phases)
    rest = tuple(_renamed(phase, machine.fixed) for phase in run.spec.rest_phases)
    waiting = [*(phase for phase in phases if phase.phase_id in left), *rest]
    problems = [
        *agent_problems(machine, waiting),
        *name_problems(run_id, source.facts, known),
    ]
    to_come = [name for name in reserved(run.spec) if name not in known]
    problems += [p for name in to_come for p in ways_blocked(name, source.facts, fixed=True)]
    token_cap = token_cap or run.spec.token_cap
    tiers = (*run.spec.tiers, *run.spec.rest_tiers)
    problems += never_fit(waiting, tiers, token_cap, run.spec.safety_profile)
    if not left and not rest:  # else it succeeds at once, and the next part begins
        problems.append(f"{run.run_id}: every phase has landed; nothing is left to run")
    if problems:
        raise OperatorFault("\n".join(problems), "nothing was started")
    made = replace(
        run.spec,
        run_id=run_id,
        repository=str(source.top),
        base_ref=base[0],
        base_commit=base[1],
        builder=machine.builder,
        auditor=machine.auditor,
        sandbox=machine.sandbox,
        verifier=machine.verifier,
        phases=phases,
        rest_phases=rest,
        token_cap=token_cap,
        predecessor=run.run_id,
        promote_onto=onto or run.spec.onto,
        draft=_asked(run.spec, machine.fixed),
        landed=tuple(p.phase_id for p in run.spec.phases if p.phase_id in landed),
        survey=surveyed(source, base[1]) if onto else run.spec.survey,
        gate_commands=_gate_commands(source, base[1], run.spec),
    )
    facts = remembered(made.project_id, made.repository)
    return backlog.remembered_in(made, backlog.backlog(facts, made.aging))


def _gate_commands(source: Source, commit: str, spec: RunSpec) -> bool:
    """Whether the gate of the new base runs programs; as before where its file cannot be read."""
    project = parse_project(source.read(commit, FILE_NAME) or "", spec.project_id)
    return bool(project.gate.commands) if isinstance(project, Project) else spec.gate_commands


def _asked(spec: RunSpec, fixed: frozenset[str]) -> Draft | None:
    """The same draft; its plan keeps the agents of roles that were given anew, too."""
    if spec.draft is None or not spec.drafting:
        return spec.draft
    named = {*spec.draft.fixed, *(fixed & {"builder", "auditor"})}
    return replace(spec.draft, fixed=tuple(sorted(named)))


def _renamed(phase: PhaseSpec, fixed: frozenset[str]) -> PhaseSpec:
    """The phase without agents of its own in roles that were given anew."""
    return replace(
        phase,
        builder="" if "builder" in fixed else phase.builder,
        auditor="" if "auditor" in fixed else phase.auditor,
    )


def _refuse_retry(run: Run, goes_on: str, *, again: bool) -> None:
    if not run.ended:
        hint = f"`autopack run watch {run.run_id}`, or `autopack run cancel {run.run_id}` first"
        raise OperatorFault(f"run {run.run_id} is still under way", hint)
    if run.failure is None and plan_only(run):
        hint = "run its comprehensive_plan.md (`autopack run FILE --base REF`), or draft anew"
        raise OperatorFault(f"run {run.run_id} was started for its plan only", hint)
    if run.failure is None and not again:
        hint = "`--onto REF` makes it again on another base"
        if goes_on and goes_on != run.run_id:
            hint = f"its series went on in {goes_on} (`autopack run retry {goes_on}`); {hint}"
        if run.undelivered:
            hint = f"`autopack run deliver {run.run_id}` brings its branch to you"
        raise OperatorFault(f"run {run.run_id} succeeded: there is nothing to retry", hint)


def _free_successor(run_id: str, source: Source, known: Container[str]) -> str:
    stem = re.sub(r"-r\d+$", "", run_id)
    return free_name(lambda number: f"{stem}-r{number}", source.facts, known)
