"""`autopack backtest`: what policy and gate would have said of a repository's own last commits.

Only reads the user's repository. Ctrl-C ends it after the commit under way: what was found until
then is told, and nothing of the backtest stays.
"""

from __future__ import annotations

import itertools
import os
import re
import signal
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from math import ceil
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final, Literal

from cyclopts import Parameter

from autopack.cli.exits import DONE, FAILED, INTERRUPTED
from autopack.cli.options import Json
from autopack.core.errors import OperatorFault

if TYPE_CHECKING:
    from autopack.adapters.git.checkout import Checkout
    from autopack.cli.verdicts import Report
    from autopack.core.backtest import Replayed
    from autopack.settings import Loaded
    from autopack.trials import Wish

LAST_MAX: Final = 10_000
"""Commits of one backtest: about ten minutes without CI."""
SECONDS_MAX: Final = 24 * 3600
LOOK_SECONDS: Final = 0.1
_REMOTE: Final = re.compile(r"[a-z][a-z0-9+.-]*://|[\w.-]+@[\w.-]+:|github:", re.IGNORECASE)


def _from_one(most: int) -> Parameter:
    def check(_type: object, value: int) -> None:
        if not 1 <= value <= most:
            raise ValueError(f"must be 1 to {most:,}")

    return Parameter(validator=check)


@dataclass(frozen=True)
class Asked:
    """The options of one backtest."""

    last: int
    config: Path | None
    way: str
    ci: bool
    seconds: int
    as_json: bool


def backtest(
    repo: Annotated[str, Parameter(help="Folder of a git repository, bare or not")],
    /,
    *,
    last: Annotated[
        int, _from_one(LAST_MAX), Parameter(help="How many: no merges, merged branches included")
    ] = 100,
    config: Annotated[
        Path | None, Parameter(help="Judge by this autopack.toml, and say what it changes")
    ] = None,
    way: Annotated[
        Literal["patch", "clone"], Parameter(help="How a commit comes in, as from an agent")
    ] = "patch",
    ci: Annotated[
        bool, Parameter(name="--ci", negative="", help="Also run [ci.normal] on each, in the fence")
    ] = False,
    seconds: Annotated[
        int, _from_one(SECONDS_MAX), Parameter(help="Longest time for one commit")
    ] = 600,
    json: Json = False,
) -> int:
    """Replay the last commits of the default branch that are no merges; spend no token.

    Each commit becomes a phase on its own parent, with its own files as scope, and goes through
    governed apply and the gate. Order: topological, newest first, merged branches included.
    """
    asked = Asked(last, config, way, ci, seconds, json)
    told = Told()
    with told_to_end(told, "ending after the commit under way"):
        report = _replayed(repo, asked, told)
    return _end(report, asked)


def _replayed(repo: str, asked: Asked, told: Told) -> Report:
    from autopack import staffing, trials, wiring
    from autopack.app.backtest import replay
    from autopack.app.start import find_base
    from autopack.cli import render
    from autopack.cli.verdicts import Report
    from autopack.core.errors import EnvironmentFault

    folder = _folder(repo)
    loaded = _settings(folder, asked)
    source = trials.repository(loaded, folder)
    loaded.folders.check_outside(source.top)
    base, tip = find_base(source, "")
    wish, judged_by = _wish(source, base, tip, asked)
    if asked.ci:
        staffing.check_sandbox(loaded.settings.sandbox)
    clock = wiring.clock(loaded)
    began = clock.monotonic()
    found: list[Replayed] = []
    fault: EnvironmentFault | None = None
    with trials.backtesting(loaded, source, wish) as (pasts, ground):
        fetched = clock.monotonic()
        show = _progress(len(pasts))
        try:
            for each in replay(pasts, ground, told):
                found.append(each)
                show(found)
        except EnvironmentFault as met:
            fault = met  # what was found before is still told
        finally:
            show(None)
        ended = clock.monotonic()
    report = Report(
        repository=str(source.top), branch=base, tip=tip, policy=judged_by, way=asked.way,
        ci=asked.ci, sandbox=loaded.settings.sandbox if asked.ci else "", last=len(pasts),
        replayed=tuple(found), seconds=ended - fetched, fetch_seconds=fetched - began,
        interrupted=told.is_set() and len(found) < len(pasts), fault=fault,
    )  # fmt: skip
    if not asked.as_json:
        render.warn(loaded.warnings, as_json=False)
    return report


def _end(report: Report, asked: Asked) -> int:
    from autopack.cli import render, verdicts
    from autopack.core.backtest import BacktestVerdict

    if asked.as_json:
        render.data({"backtest": verdicts.record(report)})
    else:
        render.out(*verdicts.lines(report))
    if report.fault is not None:
        raise report.fault
    if report.interrupted:
        return INTERRUPTED
    refused = any(each.verdict is BacktestVerdict.REFUSE for each in report.replayed)
    return FAILED if refused else DONE


def _folder(repo: str) -> Path:
    """The folder that was named; an address is not brought here by us."""
    folder = Path(repo)
    if not folder.exists() and _REMOTE.match(repo):
        address = re.sub(r"^github:", "https://github.com/", repo)
        hint = f"bring it here first: git clone --bare {address} FOLDER, then backtest FOLDER"
        raise OperatorFault(f"{repo} is no folder on this machine", hint)
    return folder


def _settings(folder: Path, asked: Asked) -> Loaded:
    """With CI the repository's own machine part must be right, else only the store matters."""
    from autopack.settings import load, load_for_store

    read = load if asked.ci else load_for_store
    return read(folder, os.environ, foreign=True)


def _wish(source: Checkout, base: str, tip: str, asked: Asked) -> tuple[Wish, str]:
    """What to replay, and whose policy judges."""
    from autopack.app.backtest import Policies, project_of
    from autopack.core.reader import (
        FILE_NAME,
    )
    from autopack.trials import Wish

    name = source.top.name
    text = source.read(tip, FILE_NAME)
    project = project_of(text or "", name)
    policies = Policies(project.policy)
    where = f"{base} ({tip[:12]})"
    judged_by = f"{FILE_NAME} of {where}"
    if text is None:
        judged_by = f"the defaults: {where} has no {FILE_NAME}"
    if asked.config is not None:
        other = project_of(_text(asked.config), name, str(asked.config))
        policies = Policies(other.policy, compared=project.policy)
        if asked.ci and not other.normal:
            other = replace(other, normal=project.normal, environment=project.environment)
        project, judged_by = replace(other, project_id=project.project_id), str(asked.config)
    if asked.ci and not project.normal:
        what = f"--ci: neither {where} nor a --config says how this project is tested"
        raise OperatorFault(what, f"`autopack init` writes an {FILE_NAME}; or give --config FILE")
    wish = Wish(base, tip, asked.last, project, policies, asked.ci, asked.way == "clone",
                asked.seconds)  # fmt: skip
    return wish, judged_by


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as fault:
        said = fault.strerror if isinstance(fault, OSError) else f"not UTF-8: {fault}"
        raise OperatorFault(f"--config {path}: {said}", "name a readable TOML file") from fault


class Told:
    """A Cancel that a signal handler may set: no lock, for who is interrupted may hold it."""

    def __init__(self) -> None:
        self._told = False

    def set(self) -> None:
        """Tell it to end early."""
        self._told = True

    def is_set(self) -> bool:
        """Whether it was told."""
        return self._told

    def wait(self, timeout: float | None = None) -> bool:
        """Return when it is told, or after `timeout` seconds; whether it was told."""
        looks = itertools.count() if timeout is None else range(ceil(timeout / LOOK_SECONDS))
        for _ in looks:
            if self._told:
                break
            time.sleep(LOOK_SECONDS)
        return self._told


@contextmanager
def told_to_end(told: Told, how: str) -> Iterator[None]:
    """Ctrl-C and SIGTERM tell it to end; once more ends it at once. `how`: what it says then."""
    numbers: tuple[int, ...] = (signal.SIGINT, signal.SIGTERM)
    before = {number: signal.getsignal(number) for number in numbers}

    def end(number: int, _frame: object) -> None:
        told.set()
        if sys.stderr.isatty():  # past its buffer: who is interrupted may be writing into it
            said = f"\r\x1b[K{how}; once more ends it now\r\n".encode()
            with suppress(OSError):
                os.write(sys.stderr.fileno(), said)
        signal.signal(number, before[number])

    for number in before:
        signal.signal(number, end)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _progress(total: int) -> Callable[[Sequence[Replayed] | None], None]:
    """A line on a terminal that is written over; None wipes it."""
    if not sys.stderr.isatty():
        return lambda _found: None

    def show(found: Sequence[Replayed] | None) -> None:
        text = f"{len(found)}/{total} commits" if found is not None else ""
        sys.stderr.write(f"\r\x1b[K{text}")
        sys.stderr.flush()

    return show
