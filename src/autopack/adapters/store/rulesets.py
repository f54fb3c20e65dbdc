"""SqlRulesets: the last good ruleset of each project, in one table of the store."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager

from sqlalchemy import Connection, and_, delete, insert, select

from autopack.adapters.store.tables import rulesets


class SqlRulesets:
    """One text for each project and repository; `reading` and `writing` are its store's."""

    def __init__(
        self,
        reading: Callable[[], AbstractContextManager[Connection]],
        writing: Callable[[str], AbstractContextManager[Connection]],
    ) -> None:
        self._reading = reading
        self._writing = writing

    def last(self, project_id: str, repository: str) -> str | None:
        """The text that was kept last; None when there is none."""
        with self._reading() as connection:
            return connection.execute(
                select(rulesets.c.text).where(
                    rulesets.c.project_id == project_id, rulesets.c.repository == repository
                )
            ).scalar()

    def keep(self, project_id: str, repository: str, digest: str, text: str, at: int) -> None:
        """Replace it."""
        row = {"project_id": project_id, "repository": repository}
        mine = and_(rulesets.c.project_id == project_id, rulesets.c.repository == repository)
        with self._writing("keep a ruleset in") as connection:
            connection.execute(delete(rulesets).where(mine))
            connection.execute(insert(rulesets).values(**row, digest=digest, text=text, at=at))
