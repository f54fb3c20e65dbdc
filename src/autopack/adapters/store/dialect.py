"""What a store asks of its kind of database; `sqlite` and `postgresql` answer.

Never holds a statement of the store.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager
from typing import Any, ClassVar, Protocol

from sqlalchemy import Connection, Engine


class Dialect(Protocol):
    """One database of one kind. `str()` of it is fit to be shown: no password."""

    reads: ClassVar[Mapping[str, Any]]
    """Execution options of a connection for one statement that reads."""
    snapshot: ClassVar[Mapping[str, Any]]
    """The same for several statements that must see one state."""
    writes: ClassVar[Mapping[str, Any]]
    """The same for a transaction that writes."""

    def prepare(self) -> None:
        """Make what must be there before anybody can connect."""
        ...

    def connect(self) -> Engine:
        """The store's own connections."""
        ...

    def check(self, connection: Connection) -> None:
        """See at each opening, also only to read, that the store can be there; a Fault if not."""
        ...

    def prepare_tables(self, connection: Connection) -> None:
        """Called before the first table is made or changed, outside a transaction of ours."""
        ...

    def migrate_alone(self, connection: Connection) -> None:
        """Let no other process migrate until the transaction ends."""
        ...

    def translated(self, doing: str) -> AbstractContextManager[None]:
        """The database's own errors become an EnvironmentFault that says what to do."""
        ...
