"""Random specs and a random world for walks of the machine. Never checks anything itself."""

from __future__ import annotations

import random
from dataclasses import dataclass, field, replace
from enum import StrEnum

from hypothesis import strategies as st

from autopack.core import gate, machine, queue
from autopack.core.blame import Blamed, Exoneration
from autopack.core.command import (
    Audit,
    AwaitRoom,
    Build,
    Check,
    Command,
    CompilePlan,
    Deliver,
    Land,
    Pending,
    PrepareBase,
    PrepareEnvironment,
    Promote,
    Reapply,
    Test,
    Wait,
)
from autopack.core.draft import PHASE, Draft
from autopack.core.event import (
    AttemptEnded,
    AuditEnded,
    BasePrepared,
    CancelRequested,
    CandidateChecked,
    CandidateReapplied,
    CandidateTested,
    CiVerdict,
    CommandFailed,
    Delivered,
    DeliveryRefused,
    DeliveryRequested,
    DurationSpent,
    EnvironmentPrepared,
    Event,
    GateVerdict,
    Happened,
    IssueRecorded,
    Outcome,
    PlanDrafted,
    PlanRejected,
    Promoted,
    PromotionRefused,
    PromotionRequested,
    PromotionsFull,
    ReapplyConflicted,
    Recommendation,
    RoomAwaited,
    RunCreated,
    SnapshotLanded,
    Unparked,
)
from autopack.core.issue import IssueReport, IssueSeverity, IssueSource, KnownIssue, SeverityUpgrade
from autopack.core.run import (
    Candidate,
    Evidence,
    Finding,
    Run,
    Severity,
    Stage,
)
from autopack.core.spec import (
    CiProfile,
    Complexity,
    OnPhaseFailure,
    PhaseSpec,
    PromoteMode,
    RunSpec,
    SafetyProfile,
    TierSpec,
)

SURPLUS_MAX = 50
"""Tokens that one answer may pass its `tokens_max` by: the model call that was under way."""
ASKED_DELIVERIES_MAX = 4
_LATER = (DeliveryRequested, IssueRecorded, PromotionRequested)
"""What may be asked of a run that has ended."""
WATCHED = ("watched",)
"""The test in the evidence of the issue that walks know from before."""
KNOWN = KnownIssue("issue_1", IssueSeverity.MINOR, False, "r0", ("test:watched",), "")
AGED = KnownIssue("issue_2", IssueSeverity.MINOR, True, "r0", ("path:src/a.py",), "")
UPGRADE = SeverityUpgrade("issue_*", source=IssueSource.AUDITOR.value)
"""Makes major what walks report now and then."""


def phase_spec(phase_id: str, tier_id: str = "T1", phase_index: int = 1) -> PhaseSpec:
    """A plain phase; tests replace what they speak of."""
    return PhaseSpec(
        phase_id=phase_id,
        tier_id=tier_id,
        phase_index=phase_index,
        name=phase_id,
        task="a task",
        task_category="tests",
        complexity=Complexity.LOW,
        builder_mode="tweak_light",
        scope=("**",),
        needs=(),
        packs=(),
        deliver=(),
        ci_profile=CiProfile.NORMAL,
        auto_apply=True,
        auditor_profile="",
        builder_attempts_max=2,
        auditor_attempts_max=2,
        incident_token_cap=1000,
        files_max=10,
        changed_lines_max=100,
    )


def run_spec(*phases: PhaseSpec) -> RunSpec:
    """A run of those phases, with a tier for each tier id they name."""
    names = sorted({phase.tier_id for phase in phases}) or ["T1"]
    tiers = tuple(TierSpec(name, index, name, 10**9, 10**6) for index, name in enumerate(names, 1))
    return RunSpec(
        run_id="r",
        project_id="p",
        repository="/repository",
        base_ref="main",
        base_commit="base",
        tiers=tiers,
        phases=phases,
        builder="scripted",
        auditor="",
        sandbox="none",
    )


@st.composite
def specs(draw: st.DrawFn) -> RunSpec:
    """Runs of 1 to 8 phases in 1 to 3 tiers, with small limits so that each is met."""
    tier_count = draw(st.integers(1, 3))
    count = draw(st.integers(max(1, tier_count), 8))
    places = sorted(draw(st.lists(st.integers(1, tier_count), min_size=count, max_size=count)))
    phases: list[PhaseSpec] = []
    for index, place in enumerate(places, 1):
        before = [phase.phase_id for phase in phases]
        needs = draw(st.lists(st.sampled_from(before), unique=True, max_size=2)) if before else []
        phases.append(
            replace(
                phase_spec(f"P{index}", f"T{place}", index),
                needs=tuple(needs),
                auto_apply=draw(st.booleans()),
                high_risk=draw(st.sampled_from([False, False, True])),
                builder_attempts_max=draw(st.integers(1, 3)),
                auditor_attempts_max=draw(st.integers(0, 2)),
                incident_token_cap=draw(st.sampled_from([300, 1000])),
                issue_severity=draw(st.sampled_from(IssueSeverity)),
            )
        )
    landed = draw(st.sampled_from([0, 0, 1, 2]))
    run = run_spec(*phases)
    tolerance = draw(st.sampled_from([None, 0, 1]))
    majors = draw(st.sampled_from([0, 1]))
    caps = {tier.tier_id: (draw(st.sampled_from([1500, 10**6])), draw(st.sampled_from([2, 100])))
            for tier in run.tiers}  # fmt: skip
    return replace(
        run,
        tiers=tuple(
            replace(
                t,
                token_cap=caps[t.tier_id][0],
                ci_run_cap=caps[t.tier_id][1],
                minor_issues_max=tolerance,
                major_issues_max=majors,
            )
            for t in run.tiers
        ),
        auditor=draw(st.sampled_from(["", "auditor"])),
        safety_profile=draw(st.sampled_from(SafetyProfile)),
        on_phase_failure=draw(st.sampled_from(OnPhaseFailure)),
        parallel_max=draw(st.integers(1, 4)),
        token_cap=draw(st.sampled_from([1200, 2500, 10**6])),
        infra_retries_max=draw(st.integers(0, 3)),
        conflicts_max=draw(st.integers(0, 2)),
        reapplies_max=draw(st.sampled_from([0, 1, 3, 25])),
        parks_max=draw(st.integers(0, 3)),
        predecessor="r0" if landed else "",
        base_ref="autonomous/r0" if landed else run.base_ref,
        promote_onto=run.base_ref,
        landed=tuple(phase.phase_id for phase in phases[:landed]),
        known_issues=draw(st.sampled_from([(), (KNOWN,), (KNOWN, AGED)])),
        severity_upgrades=draw(st.sampled_from([(), (UPGRADE,)])),
        minor_issues_max=draw(st.sampled_from([None, 0, 2])),
        promote=draw(st.sampled_from(PromoteMode)),
        promotions_open_max=draw(st.sampled_from([0, 1])),
        held_back=draw(st.sampled_from([(), (), ("part 1 is not clean",)])),
    )


def events_max(spec: RunSpec) -> int:
    """More accepted events than any walk of this spec can have."""
    total = 0
    for phase in spec.phases:
        audits = phase.auditor_attempts_max
        attempts = phase.builder_attempts_max + spec.conflicts_max + audits
        candidates = attempts + audits + spec.reapplies_max
        builds = attempts + 2 * spec.parks_max  # each park is an attempt's end and an unparking
        landings = spec.reapplies_max + 1
        total += builds + 2 * candidates + audits + spec.reapplies_max + landings
        total += spec.infra_retries_max + 1
    deliveries = len(spec.phases) + 2  # and a promotion
    start = 4 + spec.infra_retries_max
    unasked = 2 + 2 * ASKED_DELIVERIES_MAX
    return 1 + start + total + deliveries + unasked


@dataclass
class World:
    """Answers commands at random; `calm` from 0 (all goes wrong) to 1 (all goes well)."""

    rng: random.Random
    calm: float = 0.7
    failing: float = 0.06
    """How often the environment fails a command."""
    doubting: float = 0.2
    """How often an agent reports an issue."""
    asking: float = 0.08
    """How often the tests of a green candidate ask for an auditor."""
    made: int = 0
    plan: RunSpec | None = None
    """What a draft that compiles comes to."""

    def answer(self, asked: Pending) -> Event:
        command = asked.command
        if self.rng.random() < self.failing:
            return CommandFailed("the disk is full")
        match command:
            case PrepareBase() | PrepareEnvironment() | AwaitRoom() | Deliver() | Promote():
                return self._of_the_run(command)
            case Build():
                return self._attempt(command)
            case Wait():
                return Unparked(command.phase_id, 1.0)
            case Check():
                return self._checked(command)
            case CompilePlan():
                return self._compiled(command)
            case Audit():
                return self._audit(command)
            case Test():
                return self._tested(command.phase_id)
            case Reapply():
                if self.rng.random() < 0.6:
                    made = self.candidate(command.name, command.onto)
                    return CandidateReapplied(command.phase_id, made)
                return ReapplyConflicted(command.phase_id, Evidence("conflict", "both changed it"))
            case Land():
                return SnapshotLanded(command.phase_id, command.candidate.commit, command.tag)

    def _of_the_run(
        self, command: PrepareBase | PrepareEnvironment | AwaitRoom | Deliver | Promote
    ) -> Event:
        match command:
            case PrepareBase():
                waits = not command.waited and not self._well()
                return PromotionsFull(1, 1) if waits else BasePrepared()
            case PrepareEnvironment():
                return EnvironmentPrepared("digest")
            case AwaitRoom():
                return RoomAwaited(self._well(), 1.0)
            case Deliver():
                if self._well():
                    return Delivered(command.tip)
                return DeliveryRefused(command.tip, "the branch is checked out")
            case Promote():
                return self._promoted(command)

    def _promoted(self, asked: Promote) -> Promoted | PromotionRefused:
        """One commit on the branch, whatever becomes of the rest."""
        tip = f"{asked.tip}+summaries"
        if self._well():
            return Promoted(7, "there", tip, self.rng.choice(["open", "merged"]), ("main moved",))
        stands, arrived = self.rng.choice([("", ""), (tip, ""), (tip, tip)])
        return PromotionRefused("the forge is away", stands, arrived)

    def _compiled(self, asked: CompilePlan) -> PlanDrafted | PlanRejected:
        if self.plan is not None and self._well():
            return PlanDrafted(asked.phase_id, self.plan, ("a note",))
        return PlanRejected(asked.phase_id, (Finding("plan", "no plan"),))

    def _gate(self) -> GateVerdict:
        if self.rng.random() < 0.1:
            return GateVerdict.NEEDS_AUDITOR
        return GateVerdict.PASS if self._well() else self.rng.choice([*GateVerdict])

    def _checked(self, asked: Check) -> CandidateChecked:
        """The gate's verdict, sometimes as logs of before its checks were told apart have it."""
        verdict = self._gate()
        if self.rng.random() < 0.5:
            return CandidateChecked(asked.phase_id, verdict)
        severity = {GateVerdict.FAIL: Severity.REFUSE, GateVerdict.NEEDS_AUDITOR: Severity.ASK}
        said = f"question {self.rng.randint(1, 2)}"
        findings = (Finding("rule", said, severity=severity.get(verdict, Severity.NOTE)),)
        checks = (gate.result("protected", findings, ()),)
        return CandidateChecked(asked.phase_id, gate.overall(checks), findings, checks)

    def candidate(self, name: str, parent: str) -> Candidate:
        self.made += 1
        return Candidate(name, f"c{self.made}", f"t{self.made}", parent)

    def _well(self) -> bool:
        return self.rng.random() < self.calm

    def _tokens(self, tokens_max: int) -> int:
        if self._well():
            return self.rng.randint(0, tokens_max // 3)
        return self.rng.randint(0, tokens_max + SURPLUS_MAX)

    def _attempt(self, build: Build) -> AttemptEnded:
        outcome = Outcome.SUBMITTED if self._well() else self.rng.choice([*Outcome])
        submitted = outcome is Outcome.SUBMITTED
        candidate = self.candidate(str(build.attempt), build.parent) if submitted else None
        tokens = self._tokens(build.tokens_max)
        return AttemptEnded(
            build.phase_id, build.attempt, outcome, tokens, candidate, issues=self._issues()
        )

    def _audit(self, audit: Audit) -> AuditEnded:
        verdict = Recommendation.APPROVE if self._well() else self.rng.choice([*Recommendation])
        patched = (
            self.candidate(f"{audit.candidate.name}.a{audit.attempt}", audit.candidate.parent)
            if self.rng.random() < 0.2
            else None
        )
        tokens = self._tokens(audit.tokens_max)
        issues = self._issues(IssueSource.AUDITOR)
        return AuditEnded(audit.phase_id, verdict, tokens, "notes", patched, issues)

    def _issues(self, source: IssueSource = IssueSource.SELF_DOUBT) -> tuple[IssueReport, ...]:
        """What an agent doubts now and then."""
        if self.rng.random() >= self.doubting:
            return ()
        severity = self.rng.choice([None, IssueSeverity.MINOR, IssueSeverity.MAJOR])
        key = f"issue_{self.rng.randint(1, 3)}"
        return (IssueReport(key, source, severity=severity),)

    def _tested(self, phase_id: str) -> CandidateTested:
        """A verdict; of the watched test only a green one tells anything."""
        verdict = CiVerdict.PASS if self._well() else self.rng.choice([*CiVerdict])
        green = verdict is CiVerdict.PASS and self.rng.random() < 0.5
        finding = Finding("test", "it is red", test="red")
        asks = verdict is CiVerdict.PASS and self.rng.random() < self.asking
        gone = f"gone{self.rng.randint(1, 2)}"
        return CandidateTested(
            phase_id,
            verdict,
            Evidence("ci", "red", (finding,)) if verdict is CiVerdict.FAIL else None,
            cached=self.rng.random() < 0.1,
            passed=WATCHED if green else (),
            exonerated=exonerated(self.rng) if verdict is CiVerdict.PASS else (),
            findings=(Finding("test_vanished", gone, severity=Severity.ASK),) if asks else (),
        )


def exonerated(rng: random.Random) -> tuple[Exoneration, ...]:
    """Red tests of a green candidate, now and then; few failures, so that they meet again."""
    if rng.random() < 0.8:
        return ()
    kind = rng.choice([Blamed.FLAKY, Blamed.PRE_EXISTING])
    test = f"t{rng.randint(1, 2)}"
    return (Exoneration(test, kind, "a reason", "0" * 16, ("fail", "pass"), "no", "tests/a.py", 3),)


@dataclass
class Taken:
    """One accepted event: the run before it and after it."""

    before: Run
    happened: Happened
    asked: Pending | None
    after: Run


@dataclass
class Walk:
    """A walk from creation to the end, with its log."""

    run: Run
    log: list[Happened]
    taken: list[Taken] = field(default_factory=list)


def recorded(rng: random.Random, spec: RunSpec) -> IssueRecorded:
    """Somebody's recording of one of a few issues."""
    severity = rng.choice([None, *IssueSeverity])
    report = IssueReport(f"issue_{rng.randint(1, 3)}", IssueSource.PROBE, severity=severity)
    phases = spec.phases[:1] if rng.random() < 0.5 else spec.phases  # also of a tier that ended
    return IssueRecorded(rng.choice(phases).phase_id, report, "me")


def undrafted(plan: RunSpec, attempts: int, cap: int, *, plan_only: bool = False) -> RunSpec:
    """The run that drafts this plan first."""
    phase = replace(
        phase_spec(PHASE, PHASE, 0), builder_attempts_max=attempts, incident_token_cap=cap
    )
    tier = TierSpec(PHASE, 0, "the plan", cap, 0)
    return replace(
        plan, draft=Draft("reach it", plan_only), tiers=(tier,), phases=(phase,),
        series="", rest_tiers=(), rest_phases=(), rest_rules=(),
    )  # fmt: skip


class Storm(StrEnum):
    """Where commands fail often."""

    NONE = "none"
    UNDER_WAY = "under way"
    """Nothing unasked comes between, so that much is on the way."""
    BEHIND = "behind"
    """Those that wait behind work that moved: they answer late, what is ahead fails its tests."""
    AT_THE_END = "at the end"
    """Once the run stops, closes or has ended; soon, for a person may stop it."""


LATE = frozenset({Stage.STOPPING, Stage.CLOSING, Stage.DONE})


def walk(
    spec: RunSpec, seed: int, *, storm: Storm = Storm.NONE, plan: RunSpec | None = None
) -> Walk:
    """Walk a run to its end; AssertionError when it passes `events_max`.

    `plan`: what the run's draft comes to, when it has one.
    """
    most = events_max(spec) + (events_max(plan) if plan else 0)
    rng = random.Random(seed)
    world = World(rng, rng.choice([0.3, 0.7, 0.9, 0.97]), rng.choice([0.0, 0.03, 0.2]))
    unasked = rng.choice([0.0, 0.02, 0.1, 0.3])
    if storm is Storm.UNDER_WAY:
        world, unasked = World(rng, rng.choice([0.3, 0.7]), 0.25), 0.0
    elif storm is Storm.BEHIND:
        world, unasked = World(rng, 0.7), 0.0
    elif storm is Storm.AT_THE_END:
        world, unasked = World(rng, rng.choice([0.7, 0.97])), 0.1
    world.doubting = rng.choice([0.0, 0.0, 0.3])
    world.plan = plan and replace(plan, draft=spec.draft)
    result = Walk(machine.create(spec).run, [Happened(RunCreated(spec), 0)])
    left = ASKED_DELIVERIES_MAX
    while not result.run.ended or (left and rng.random() < unasked * 5):
        assert result.run.version <= most, "the walk does not end"
        assert result.run.pending or result.run.ended, (
            f"nothing is asked and the run is {result.run.stage}"
        )
        if result.run.ended or rng.random() < unasked:
            kinds: list[Event] = [CancelRequested("me"), DurationSpent()]
            if left:
                kinds += [DeliveryRequested("me"), recorded(rng, plan or spec)]
            event = rng.choice(
                [*kinds[-2:], PromotionRequested("me")] if result.run.ended else kinds
            )
            left -= isinstance(event, _LATER)
            _take(result, Happened(event, 0, 0, 1.0), None)
        else:
            asked = rng.choice(result.run.pending)
            if storm is Storm.AT_THE_END and result.run.stage in LATE:
                world.calm, world.failing = 0.5, 0.4
            elif storm is Storm.BEHIND:
                first = [p for p in result.run.pending if not queue.is_moot(result.run, p.command)]
                asked = rng.choice(first) if first and rng.random() < 0.8 else asked
                world.failing = 0.01 if asked in first else 0.5
            _take(result, Happened(world.answer(asked), 0, asked.number, 1.0), asked)
    return result


def _take(result: Walk, happened: Happened, asked: Pending | None) -> None:
    answer = machine.advance(result.run, happened)
    if isinstance(answer, machine.Refusal):
        assert asked is None, answer.reason
        return
    result.taken.append(Taken(result.run, happened, asked, answer.run))
    result.log.append(happened)
    result.run = answer.run


def phase_id_of(command: Command) -> str:
    """The phase a command speaks of; empty for the run's own."""
    return str(getattr(command, "phase_id", ""))
