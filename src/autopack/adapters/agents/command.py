"""Any program as an agent: a prompt by file or stdin, a clone, a fence, an exit code.

What it says of itself is a claim: git decides whether there is work, the gate and CI whether it is
good. Its folder of answers (`AUTOPACK_VERDICT_FILE`, `AUTOPACK_ISSUES_FILE`, `AUTOPACK_USAGE_FILE`)
is fresh each time and read as hostile.
"""

from __future__ import annotations

import functools
import logging
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from autopack.adapters.agents.answers import (
    keep_answers,
    read_issues,
    read_usage,
    read_verdict,
)
from autopack.adapters.agents.options import Options
from autopack.adapters.agents.program import NotShown, check_arguments, check_program
from autopack.adapters.agents.prompt import auditor_prompt, builder_prompt
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
from autopack.core.errors import EnvironmentFault, refusal
from autopack.core.event import Outcome, Recommendation
from autopack.core.words import plain
from autopack.process.fence import MaskRefused
from autopack.process.folders import activity, borrowed_objects, clear, write_log
from autopack.process.limits import Ended, Finished, Limits, ProgramMissing
from autopack.process.workbench import PLACE, Job, PlaceTaken, host_toolchain

MASKED: Final = (
    ".codex", ".opencode", "opencode.json", "opencode.jsonc", ".mcp.json", ".claude",
)  # fmt: skip
"""What agents execute or obey at start, straight from the repository."""
PLACEHOLDER: Final = re.compile(r"(?:-[\w-]*=)?\{(\w+)\}")
"""A whole word, or an option's value: braces within a script are its own."""
NOTE_CHARACTERS_MAX: Final = 2_000
_log = logging.getLogger(__name__)
ENDS: Final = {
    Ended.TIMED_OUT: (Outcome.TIMED_OUT, "took more than wall_seconds_max"),
    Ended.IDLE: (Outcome.TIMED_OUT, "showed no progress for idle_seconds_max"),
    Ended.CANCELLED: (Outcome.CANCELLED, "cancelled"),
    Ended.OUTPUT_LIMIT: (Outcome.FAILED, "said more than output_bytes_max"),
    Ended.MEMORY_LIMIT: (Outcome.FAILED, "used more than memory_bytes_max"),
    Ended.SIGNALLED: (Outcome.FAILED, "was killed"),
}


@dataclass(frozen=True)
class CommandOptions:
    """`[agents.NAME]` of type `command`, checked."""

    command: tuple[str, ...]
    prompt_by_stdin: bool
    env: Mapping[str, str]
    network: bool
    read_only: tuple[Path, ...]
    limits: Limits


@dataclass(frozen=True)
class CommandAgent:
    """A Builder and an Auditor in one: the same program, asked differently."""

    options: CommandOptions
    context: AgentContext
    name: str = ""

    def check(self, *, fenced: bool, prepares: bool) -> str:
        """A doubt about its program; ProgramMissing, or NotShown where the fence hides a path.

        `fenced`: a sandbox hides the rest of the machine. `prepares`: the run makes an environment,
        whose programs are not there yet.
        """
        program, key = self.options.command[0], f"agents.{self.name}.command"
        later = program.startswith(f"{PLACE}/") or "/" not in program
        search = self.options.env.get("PATH", "")
        try:
            check_program(
                key, program, self.options.read_only, search, self.context.environ, fenced=fenced
            )
        except (ProgramMissing, NotShown):
            if not (prepares and later):
                raise
            return f"{key}: {program} is not found on this machine; it must come from [environment]"
        if fenced:
            check_arguments(key, self.options.command[1:], self.options.read_only)
        return ""

    def build(self, attempt: Attempt, clone: Clone, cancel: Cancel) -> Built:
        """One attempt; SUBMITTED is the program's exit code 0 and no more."""
        ids = {
            "AUTOPACK_RUN_ID": attempt.run_id,
            "AUTOPACK_PHASE_ID": attempt.phase.phase_id,
            "AUTOPACK_ATTEMPT": str(attempt.number),
            "AUTOPACK_TOKENS_MAX": str(attempt.tokens_max),
        }
        prompt = builder_prompt(attempt, self.context.prompts)
        issues_file = attempt.log_folder / "answers" / "issues.json"
        ids["AUTOPACK_ISSUES_FILE"] = str(issues_file)
        try:
            job = self._job(prompt, clone, attempt.log_folder, ids)
            finished = self._run(job, attempt.run_id, cancel)
        except (EnvironmentFault, MaskRefused, PlaceTaken) as fault:
            return Built(Outcome.FAILED, error=str(fault))
        except OSError as fault:
            return Built(Outcome.FAILED, error=str(refusal(fault, attempt.log_folder)))
        issues, ignored = read_issues(issues_file)
        tokens, said = _charged(attempt.log_folder, attempt.tokens_max, job.argv, finished, ignored)
        _keep(attempt.log_folder)
        outcome, note = _outcome(finished, self.options.limits, self.name)
        note = plain(_joined(note, said), NOTE_CHARACTERS_MAX)
        return Built(outcome, tokens, note, issues=issues)

    def audit(self, task: AuditTask, clone: Clone, cancel: Cancel) -> Audited:
        """One audit; only a valid verdict of a program that ended well counts."""
        ids = {
            "AUTOPACK_RUN_ID": task.run_id,
            "AUTOPACK_PHASE_ID": task.phase.phase_id,
            "AUTOPACK_ATTEMPT": str(task.number),
            "AUTOPACK_TOKENS_MAX": str(task.tokens_max),
        }
        prompt = auditor_prompt(task, self.context.prompts)
        answers = task.log_folder / "answers"
        try:
            job = self._job(prompt, clone, task.log_folder, ids)
            job = replace(
                job,
                env={**job.env, "AUTOPACK_VERDICT_FILE": str(answers / "verdict.json")},
                work_read_only=True,
            )
            finished = self._run(job, task.run_id, cancel)
        except (MaskRefused, PlaceTaken) as fault:  # the candidate's doing
            return Audited(Recommendation.INVALID, notes=str(fault))
        except EnvironmentFault as fault:
            return Audited(Recommendation.INVALID, error=str(fault))
        except OSError as fault:
            return Audited(Recommendation.INVALID, error=str(refusal(fault, task.log_folder)))
        tokens, said = _charged(task.log_folder, task.tokens_max, job.argv, finished)
        outcome, note = _outcome(finished, self.options.limits, self.name)
        if outcome is not Outcome.SUBMITTED:
            notes = plain(_joined(f"the auditor {note}", said), NOTE_CHARACTERS_MAX)
            _keep(task.log_folder)
            return Audited(Recommendation.INVALID, tokens, notes)
        verdict = read_verdict(answers / "verdict.json")
        _keep(task.log_folder)
        notes = _joined(verdict.notes, said)
        return Audited(verdict.recommendation, tokens, notes, verdict.patch, issues=verdict.issues)

    def spent(self, log_folder: Path, tokens_max: int) -> int:
        """What the last try wrote into its usage file; all that it had when it is half-written."""
        return read_usage(log_folder / "answers" / "usage.json").charged(tokens_max)[0]

    def _job(self, prompt: str, clone: Clone, folder: Path, ids: Mapping[str, str]) -> Job:
        answers, prompt_file = folder / "answers", folder / "prompt.md"
        folder.mkdir(parents=True, exist_ok=True)
        clear(answers)  # of a try that a crash cut short
        answers.mkdir()
        prompt_file.write_text(prompt, encoding="utf-8")
        prompt_file.chmod(0o644)
        bench = self.context.workbench
        objects = borrowed_objects(clone.folder)
        for lent in (answers, clone.folder):
            bench.lend(lent)
        argv = [word.replace("{prompt_file}", str(prompt_file)) for word in self.options.command]
        ours = {
            **ids,
            "AUTOPACK_PROMPT_FILE": str(prompt_file),
            "AUTOPACK_USAGE_FILE": str(answers / "usage.json"),
        }
        return Job(
            argv=argv,
            folder=clone.folder,
            limits=self.options.limits,
            env={**self.options.env, **ours},
            read_only=(*self.options.read_only, *objects, prompt_file),
            writable=(answers,),
            masked=MASKED,
            network=self.options.network,
            stdin=prompt.encode() if self.options.prompt_by_stdin else b"",
        )

    def _run(self, job: Job, run_id: str, cancel: Cancel) -> Finished:
        bench = self.context.workbench
        own = host_toolchain([path for path in self.options.read_only if path.is_dir()])
        bins = dict.fromkeys((*own.bins, *bench.toolchain.bins))
        bench = replace(bench, toolchain=replace(bench.toolchain, bins=tuple(bins)))
        job = replace(job, prepared=self.context.prepared(run_id))
        if not job.network:
            bench.prove_closed()
        return bench.run(job, cancel, functools.partial(activity, job.folder))


def _outcome(finished: Finished, limits: Limits, name: str) -> tuple[Outcome, str]:
    """How an attempt ended, and a note that goes on from "the agent"; a limit with its value."""
    if finished.ok:
        return Outcome.SUBMITTED, ""
    if finished.ended in ENDS:
        outcome, note = ENDS[finished.ended]
        limit = note.rpartition(" ")[2]
        value = getattr(limits, limit, None)
        return outcome, note if value is None else f"{note} = {value:,} ([agents.{name}])"
    said = (finished.stderr or finished.stdout)[-NOTE_CHARACTERS_MAX:].decode(errors="replace")
    shown = said.replace("\x1b", r"\x1b")  # what only drives a terminal must not pass for words
    words = f"; its last output: {shown}" if shown.strip() else ""
    return Outcome.FAILED, f"ended with exit code {finished.exit_code}{words}"


def _charged(
    folder: Path, tokens_max: int, argv: Sequence[str], finished: Finished, more: str = ""
) -> tuple[int, str]:
    """The tokens of a try, and what else is to be said of it; its log is written.

    Once the program ran, its result stands: a log that cannot be written is only told of.
    """
    tokens, said = read_usage(folder / "answers" / "usage.json").charged(tokens_max)
    said = _joined(said, more)
    try:
        write_log(folder / "agent.log", argv, finished, said)
    except EnvironmentFault as fault:
        said = _joined(said, f"its log is not kept: {fault.what}")
        _log.warning("the agent's result stands, but %s", said)
    return tokens, said


def _keep(folder: Path) -> None:
    """Its answers, without secrets; a disk that refuses costs no result."""
    try:
        keep_answers(folder / "answers")
    except OSError as fault:
        _log.warning("answers of an agent stay as they are: %s", refusal(fault, folder))


def _joined(note: str, said: str) -> str:
    return "; ".join(part for part in (note, said) if part)


def factory(name: str, given: Mapping[str, object], context: AgentContext) -> CommandAgent:
    """`[agents.NAME] type = "command"`."""
    options = Options(name, given)
    command = options.argv("command")
    for word in command:
        if (found := PLACEHOLDER.fullmatch(word)) and found[1] != "prompt_file":
            raise options.fault("command", f"unknown placeholder {word}", "known: {prompt_file}")
    passed = options.texts("pass_env")
    missing = [variable for variable in passed if variable not in context.environ]
    parsed = CommandOptions(
        command=command,
        prompt_by_stdin=options.choice("prompt", ("file", "stdin")) == "stdin",
        env={
            **{key: context.environ[key] for key in passed if key in context.environ},
            **options.table("env"),
        },
        network=options.flag("network"),
        read_only=options.folders("read_only", context.base),
        limits=_limits(options),
    )
    options.finish()
    if missing:
        raise options.fault("pass_env", f"{missing[0]} is not set", "set it, or do not name it")
    return CommandAgent(parsed, context, name)


def _limits(options: Options) -> Limits:
    return Limits(
        wall_seconds_max=options.whole("wall_seconds_max", 3_600),
        idle_seconds_max=options.whole("idle_seconds_max", 900),
        output_bytes_max=options.whole("output_bytes_max", 10_000_000),
        memory_bytes_max=options.whole("memory_bytes_max", 4_000_000_000),
        processes_max=options.whole("processes_max", 512),
        file_bytes_max=options.whole("file_bytes_max", 4_000_000_000),
    )
