"""Runs that a store remembers, newest first, chosen and bounded. Only reads."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from autopack.app.ports import Store
from autopack.core.run import Run

LOOKED_AT_MAX: Final = 2_000
"""The newest runs of a store, of all projects, that are looked through for those that are asked."""
PAGE: Final = 100


@dataclass(frozen=True)
class Choice:
    """Which runs are asked for; empty texts choose all."""

    project_id: str = ""
    repository: str = ""
    state: str = ""

    def takes(self, run: Run) -> bool:
        """Whether it is one of them."""
        return (
            self.project_id in {"", run.spec.project_id}
            and self.repository in {"", run.spec.repository}
            and self.state in {"", run.state.value}
        )


def past_runs(store: Store, choice: Choice, limit: int) -> list[Run]:
    """At most `limit` runs of a choice, newest first, among the newest `LOOKED_AT_MAX`."""
    found: list[Run] = []
    for run in _newest(store):
        if choice.takes(run):
            found.append(run)
            if len(found) == limit:
                break
    return found


def project_ids(store: Store) -> list[str]:
    """Ids of the projects that the newest `LOOKED_AT_MAX` runs are of, sorted."""
    return sorted({run.spec.project_id for run in _newest(store)})


def _newest(store: Store) -> Iterator[Run]:
    after, looked = "", 0
    while looked < LOOKED_AT_MAX:
        page = store.runs(after=after, limit=min(PAGE, LOOKED_AT_MAX - looked))
        yield from page
        if len(page) < PAGE:
            return
        after, looked = page[-1].run_id, looked + len(page)
