"""`autopack preflight`: the project's CI on one commit, judged as runs judge, without a run.

Only reads the user's repository. Leaves logs and, of what is green, an entry in the green cache.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

from cyclopts import Parameter

from autopack.cli.exits import DONE, ENVIRONMENT, FAILED, INTERRUPTED, INVALID
from autopack.cli.options import Json, Repo
from autopack.core.errors import OperatorFault

if TYPE_CHECKING:
    from autopack.adapters.git.checkout import Checkout
    from autopack.core.preflight import Try
    from autopack.preflighting import Judged, Wish

CODES: Final = {
    "green": DONE,
    "red": FAILED,
    "invalid": INVALID,
    "environment": ENVIRONMENT,
    "cancelled": INTERRUPTED,
}
PROFILES: Final = ("normal", "strict")
FINDINGS_SHOWN: Final = 20
NEW_SHOWN: Final = 3
"""Names of new files in one message."""


def preflight(
    commit: Annotated[
        str, Parameter(name="COMMIT", help="A commit, branch or tag; default: HEAD")
    ] = "",
    /,
    *,
    profile: Annotated[
        str | None, Parameter(help="normal or strict; default: CI_PROFILE, else normal")
    ] = None,
    attempts: Annotated[
        int | None, Parameter(help="At most so many; default: MAX_ATTEMPTS, else 3")
    ] = None,
    backoff: Annotated[
        int | None, Parameter(help="Seconds between two; default: BACKOFF_SECONDS, else 5")
    ] = None,
    base: Annotated[
        str, Parameter(help="Judge by the autopack.toml of this commit, not by its own")
    ] = "",
    worktree: Annotated[
        bool, Parameter(negative="", help="Judge what lies in the work tree, not what is committed")
    ] = False,
    repo: Repo = None,
    json: Json = False,
) -> int:
    """Run the CI profile in the fence, on a clone of exactly that commit; spend no token.

    Green is exit code 0, red 1, nothing to judge 4, a broken machine 3.
    """
    from autopack import preflighting, staffing, trials
    from autopack.cli import render
    from autopack.cli.backtest import Told, told_to_end
    from autopack.settings import load

    folder = repo or Path.cwd()
    wish = _wish(commit, base, worktree=worktree, given=(profile, attempts, backoff))
    loaded = load(folder, os.environ, foreign=True)
    source = trials.repository(loaded, folder)
    _check(source, wish)
    loaded.folders.check_outside(source.top)
    staffing.check_sandbox(loaded.settings.sandbox)
    told = Told()

    def show(tried: Try) -> None:
        if not json:
            render.note(_line(tried, wish.limits.attempts_max))

    with told_to_end(told, "ending the command under way"):
        judged = preflighting.preflight_of(loaded, source, wish, told, show)
    if json:
        render.data({"preflight": record(judged)})
    else:
        render.warn(loaded.warnings, as_json=False)
        render.out(*lines(judged))
    return CODES[judged.outcome.value]


def _wish(
    commit: str, base: str, *, worktree: bool, given: tuple[str | None, int | None, int | None]
) -> Wish:
    from autopack.app.preflight import Limits
    from autopack.core import preflight as core
    from autopack.core.spec import CiProfile
    from autopack.preflighting import Wish

    profile, attempts, backoff = given
    chosen = profile if profile is not None else os.environ.get("CI_PROFILE") or "normal"
    if chosen not in PROFILES:
        name = "--profile" if profile is not None else "CI_PROFILE"
        raise OperatorFault(f"{name} {chosen!r}", f"must be one of {', '.join(PROFILES)}")
    if worktree and commit:
        raise OperatorFault(
            "--worktree judges what lies on HEAD, and COMMIT names another", "give one of the two"
        )
    most, longest = core.ATTEMPTS_MAX, core.BACKOFF_SECONDS_MAX
    limits = Limits(
        _number("attempts", attempts, "MAX_ATTEMPTS", core.ATTEMPTS_DEFAULT, (1, most)),
        _number("backoff", backoff, "BACKOFF_SECONDS", core.BACKOFF_SECONDS_DEFAULT, (0, longest)),
    )
    return Wish(commit, base, worktree, CiProfile(chosen), limits)


def _number(
    flag: str, given: int | None, name: str, default: int, bounds: tuple[int, int],
    environ: Mapping[str, str] = os.environ,
) -> int:  # fmt: skip
    """The flag's, else the environment's, else the default; OperatorFault out of bounds."""
    least, most = bounds
    told = str(given) if given is not None else environ.get(name, "").strip()
    where = f"--{flag}" if given is not None else name
    if not told:
        return default
    if not (told.isascii() and told.isdigit() and len(told) <= len(str(most))):
        raise OperatorFault(f"{where} {told[:40]!r}", f"must be a whole number, {least} to {most}")
    if not least <= int(told) <= most:
        raise OperatorFault(f"{where} {told}", f"must be {least} to {most}")
    return int(told)


def _check(source: Checkout, wish: Wish) -> None:
    """OperatorFault when what lies there is not what would be judged."""
    facts, top = source.facts, source.top
    if facts.bare and wish.worktree:
        raise OperatorFault(f"{top}: a bare repository has no work tree", "name a COMMIT")
    if facts.bare or wish.worktree or wish.revision:
        return
    head = source.commit("HEAD")
    new = sorted(set(source.files()) - set(source.listed(head))) if head else []
    if facts.dirty or new:
        named = f" (new: {', '.join(new[:NEW_SHOWN])})" if new else ""
        raise OperatorFault(
            f"{top} has changes that are not committed{named}, and they would not be judged",
            "commit them, or judge them with --worktree, or name the commit: preflight HEAD",
        )


def _line(tried: Try, attempts_max: int) -> str:
    how = tried.verdict.value + (", cached" if tried.cached else "")
    said = tried.error or (tried.evidence.summary if tried.evidence else "")
    first = f": {said.splitlines()[0][:200]}" if said else ""
    return f"attempt {tried.number} of {attempts_max}: {how}, {tried.tests_run} tests{first}"


def lines(judged: Judged) -> list[str]:
    """The verdict for people; findings of the last attempt that had any."""
    from autopack.app.preflight import log_folders
    from autopack.core.preflight import flaky

    last = judged.tries[-1]
    tested = f"the work tree on {judged.commit[:12]}" if judged.worktree else judged.commit[:12]
    tests = "by exit code alone" if last.weak else f"{last.tests_run} tests"
    shown = [f"{judged.outcome.value}: {tested}, {judged.profile.value}, {tests}"]
    shown += [f"judged by {judged.defined_by}"]
    reds = [each for each in judged.tries if each.evidence]
    flakes = flaky(judged.tries)
    if flakes:
        numbers = ", ".join(str(each.number) for each in flakes)
        shown.append(f"flaky: red in attempt {numbers}, then green on the same commit")
    shown += [
        f"not its doing: {each.test} ({each.kind.value}): {each.reason}"
        for each in last.exonerated[:FINDINGS_SHOWN]
    ]
    if reds and reds[-1].evidence:
        evidence = reds[-1].evidence
        shown += evidence.summary.splitlines()
        shown += [
            f"  {each.test or each.rule}: {each.message.splitlines()[0] if each.message else ''}"
            for each in evidence.findings[:FINDINGS_SHOWN]
        ]
        more = len(evidence.findings) - FINDINGS_SHOWN + evidence.more
        shown += [f"  and {more} more"] if more > 0 else []
    shown += [last.error] if last.error else []
    return [*shown, *(f"log: {folder}" for folder in log_folders(judged.tries))]


def record(judged: Judged) -> dict[str, Any]:
    """The verdict as data."""
    from dataclasses import asdict

    from autopack.core.preflight import flaky

    return {
        "outcome": judged.outcome.value,
        "exit_code": CODES[judged.outcome.value],
        "commit": judged.commit,
        "worktree": judged.worktree,
        "profile": judged.profile.value,
        "defined_by": judged.defined_by,
        "flaky_attempts": [each.number for each in flaky(judged.tries)],
        "attempts": [asdict(each) for each in judged.tries],
    }
