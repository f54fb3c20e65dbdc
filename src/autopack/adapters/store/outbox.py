"""SqlOutbox: the Outbox port in the store's database, so that an event and its notices are one.

A settled notice stays, with what became of it, as long as its run. Never sends anything.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Final, Protocol, cast

from sqlalchemy import Connection, insert, select, update

from autopack.adapters.store import projection
from autopack.adapters.store.tables import notices
from autopack.app.notify import ROUND
from autopack.app.ports import Transaction
from autopack.core.notice import Owed

OWED: Final = "owed"
DELIVERED: Final = "delivered"
GIVEN_UP: Final = "given_up"


class _Shares(Protocol):
    """The store's own transactions."""

    connection: Connection


class SqlOutbox:
    """What is owed, in one table; `reading` and `writing` are its store's."""

    def __init__(
        self,
        reading: Callable[[], AbstractContextManager[Connection]],
        writing: Callable[[str], AbstractContextManager[Connection]],
    ) -> None:
        self._reading = reading
        self._writing = writing

    def owe(self, owed: Sequence[Owed], within: Transaction) -> None:
        """Note notices in an open write of the store."""
        rows = [
            {
                "run_id": each.run_id,
                "notice_id": each.notice_id,
                "target": each.target,
                "body": each.body,
                "state": OWED,
                "attempts": 0,
                "said": "",
            }
            for each in owed
        ]
        if rows:
            cast("_Shares", within).connection.execute(insert(notices), rows)

    def owed(self, target: str, *, after: int = 0, limit: int = ROUND) -> list[Owed]:
        """What a target has not had yet, oldest first, behind the place `after`."""
        query = (
            select(notices)
            .where(notices.c.target == target, notices.c.state == OWED, notices.c.number > after)
            .order_by(notices.c.number)
            .limit(limit)
        )
        with self._reading() as connection:
            rows = connection.execute(query).all()
        return [
            Owed(
                row.target, row.notice_id, row.run_id, row.body, row.number, row.attempts, row.said
            )
            for row in rows
        ]

    def delivered(self, owed: Owed) -> None:
        """It was told: never owed again."""
        self._settle(owed, DELIVERED, "")

    def failed(self, owed: Owed, said: str, *, given_up: bool) -> None:
        """Count an attempt; `given_up`: it was the last."""
        self._settle(owed, GIVEN_UP if given_up else OWED, projection.storable(said))

    def _settle(self, owed: Owed, state: str, said: str) -> None:
        change = (
            update(notices)
            .where(notices.c.number == owed.number, notices.c.state == OWED)
            .values(state=state, attempts=notices.c.attempts + 1, said=said)
        )
        with self._writing("note a notice in") as connection:
            connection.execute(change)
