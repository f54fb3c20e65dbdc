"""A run's place in its series, for people. Never reads a store."""

from __future__ import annotations

from dataclasses import dataclass, replace

from autopack.app.sentences import count
from autopack.core import series
from autopack.core.promotion import work_branch
from autopack.core.run import Run


@dataclass(frozen=True)
class PartView:
    """A part that is still to come; `phases` counts them."""

    part: int
    tiers: tuple[str, ...]
    phases: int


@dataclass(frozen=True)
class SeriesView:
    """`part` of `parts` runs of one plan."""

    series: str
    part: int
    parts: int
    rest: tuple[PartView, ...]
    """What was to come after this part when it began."""
    next_run: str
    """The run that goes on after this one; empty when none has begun, or none is known."""
    latest: str = ""
    """The last part that has begun after this one, and its state; empty as `next_run`."""
    latest_state: str = ""
    latest_ended: bool = False
    work_branch: str = ""
    """The branch that holds what the series has landed up to that part; empty: none is known."""

    @property
    def place(self) -> str:
        """As `part 2 of 3 of nightly`."""
        return f"part {self.part} of {self.parts} of {self.series}"

    @property
    def to_come(self) -> str:
        """As `part 2 (T2, 4 phases), part 3 (T3 T4, 5 phases)`; empty after the last part."""
        told = (
            f"part {each.part} ({' '.join(each.tiers)}, {count(each.phases, 'phase')})"
            for each in self.rest
        )
        return ", ".join(told)


def series_view(run: Run, next_run: str = "", latest: Run | None = None) -> SeriesView | None:
    """Where a run stands in its series; None for a run that is the whole of its plan."""
    spec = run.spec
    if not spec.series:
        return None
    rest = tuple(
        PartView(part.number, part.tier_ids, len(part.phases)) for part in series.coming(spec)
    )
    view = SeriesView(spec.series, spec.part, series.parts_of(spec), rest, next_run)
    if latest is None:
        return replace(view, work_branch=work_branch(run))
    return replace(
        view,
        latest=latest.run_id,
        latest_state=latest.state.value,
        latest_ended=latest.ended,
        work_branch=work_branch(latest),
    )
