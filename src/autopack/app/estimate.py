"""What a plan will cost, told from the project's past runs in the store. Only reads.

Tokens are read from the runs' records; only the logs of runs whose phases were chosen as samples
are walked for minutes, so that a long history costs little.
"""

from __future__ import annotations

from collections.abc import Sequence

from autopack.app.past import Choice, past_runs
from autopack.app.ports import Store
from autopack.app.report import log_of
from autopack.core.cost import costs
from autopack.core.forecast import RUNS_MAX, Forecast, Key, choose, forecast, samples_of
from autopack.core.spec import PhaseSpec, RunSpec


def forecast_of(store: Store | None, spec: RunSpec) -> Forecast:
    """The forecast of a run that has not begun; phases that landed before cost nothing."""
    phases = [phase for phase in spec.phases if phase.phase_id not in spec.landed]
    if store is None:
        return forecast(choose(phases, []), {})
    return _forecast(store, Choice(spec.project_id, spec.repository), phases)


def _forecast(store: Store, choice: Choice, phases: Sequence[PhaseSpec]) -> Forecast:
    runs = past_runs(store, choice, RUNS_MAX)
    chosen = choose(phases, samples_of(runs))
    wanted = dict.fromkeys(sample.run_id for each in chosen for sample in each.samples)
    seconds: dict[Key, float] = {}
    unread = 0
    for run_id in wanted:
        try:
            found = costs(recorded.happened for recorded in log_of(store, run_id))
        except ValueError:
            unread += 1
            continue
        seconds |= {(run_id, cost.phase_id): cost.active_seconds for cost in found}
    return forecast(chosen, seconds, runs_read=len(runs), runs_unread=unread)
