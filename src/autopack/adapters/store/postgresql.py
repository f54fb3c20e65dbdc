"""What is peculiar to PostgreSQL: connections, limits, error names. Never shows a password."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, ClassVar, Final

from sqlalchemy import URL, Connection, Engine, create_engine, event, inspect, make_url, text
from sqlalchemy.exc import ArgumentError, DBAPIError, SQLAlchemyError
from sqlalchemy.pool import NullPool

from autopack.adapters.store.tables import PREFIX
from autopack.core.errors import EnvironmentFault, OperatorFault, StoreAway

SERVER_VERSION_MIN: Final = 14
CONNECT_SECONDS_MAX: Final = 10
STATEMENT_SECONDS_MAX: Final = 60
LOCK_SECONDS_MAX: Final = 30
IDLE_IN_TRANSACTION_SECONDS_MAX: Final = 120
SILENCE_SECONDS_MAX: Final = 20
"""A server that acknowledges nothing for so long is lost, though its socket looks open."""
CONNECTIONS_MAX: Final = 12
"""Of one pool: workers read and write for moments only."""
SESSION: Final = (
    # What was answered survives a power cut of the server, whatever its default is.
    "SET synchronous_commit = on;"
    f"SET statement_timeout = '{STATEMENT_SECONDS_MAX}s';"
    f"SET lock_timeout = '{LOCK_SECONDS_MAX}s';"
    f"SET idle_in_transaction_session_timeout = '{IDLE_IN_TRANSACTION_SECONDS_MAX}s';"
    # How soon the server lets go of what a client held that vanished without a word.
    f"SET tcp_keepalives_idle = {SILENCE_SECONDS_MAX};"
    "SET tcp_keepalives_interval = 5; SET tcp_keepalives_count = 3"
)
_WIRE: Final = {
    "connect_timeout": str(CONNECT_SECONDS_MAX),
    "keepalives_idle": str(SILENCE_SECONDS_MAX),
    "keepalives_interval": "5",
    "keepalives_count": "3",
    "tcp_user_timeout": str(SILENCE_SECONDS_MAX * 1000),
    "application_name": "autopack",
}
_DRIVER: Final = "pip install 'autopack[postgresql]'"
_AWAY: Final = "start the server, or correct its address; nothing is lost, `run watch` goes on"
_LOGIN: Final = "correct user and password in DATABASE_URL, in PGPASSWORD or in ~/.pgpass"
_GRANT: Final = "let this user own the database, or grant it CREATE and USAGE on its schema"
_BY_STATE: Final = {
    "08": _AWAY,
    "57P": _AWAY,
    "28": _LOGIN,
    "3D000": "create it (`createdb NAME`), or correct DATABASE_URL",
    "42501": _GRANT,
    "25006": "the server takes no writes (a standby?): name its primary in DATABASE_URL",
    "53100": "the server's disk is full: free space there and try again, nothing was half written",
    "53300": "the server has no connection left: close some, or raise its max_connections",
    "53": "the server is out of resources: see its log",
    "55P03": "another process holds the rows; stop it or wait, then try again",
    "40": "another process was in the way: try again",
    "57014": "the server took too long: see its load and its log",
    "58": "the server's disk refused to read or write: check its health and space",
    "XX": "the server's files are damaged: see its log, restore a backup",
}
"""Advice by SQLSTATE; the longest beginning wins."""
_UNKNOWN: Final = "see `autopack doctor` and the server's log; if it persists, please report it"
_BY_WORDS: Final = (
    ("too many", _BY_STATE["53300"]),
    ("connection slots", _BY_STATE["53300"]),
    ("no pg_hba.conf entry", "let the server's pg_hba.conf admit this user from this machine"),
    ("permission denied", _GRANT),
    ('FATAL:  role "', _LOGIN),
    ("password", _LOGIN),
    ("does not exist", _BY_STATE["3D000"]),
    ("certificate", "correct sslmode, sslrootcert and the like in DATABASE_URL"),
)
"""Advice for a refused connection, for which the driver knows no SQLSTATE; the first one wins."""


class PostgresqlDatabase:
    """The Dialect of a database of a PostgreSQL server."""

    reads: ClassVar[Mapping[str, Any]] = {"isolation_level": "AUTOCOMMIT"}
    snapshot: ClassVar[Mapping[str, Any]] = {"isolation_level": "REPEATABLE READ"}
    writes: ClassVar[Mapping[str, Any]] = {}

    def __init__(self, url: str) -> None:
        """OperatorFault: it is no URL of PostgreSQL, or the driver is missing."""
        try:
            self.url = make_url(url).set(drivername="postgresql+psycopg")
        except (ArgumentError, ValueError) as error:
            hint = "postgresql://USER@HOST/DATABASE; @ / ? # and other special characters as %XX"
            raise OperatorFault("the database's URL cannot be read", hint) from error
        try:
            import psycopg  # noqa: F401, PLC0415  only whoever uses PostgreSQL needs it
        except ImportError as error:
            what = f"a store on PostgreSQL needs the driver psycopg: {error}"
            raise OperatorFault(what, _DRIVER) from error

    def __str__(self) -> str:
        url = self.url
        place = {"host": url.query["host"]} if "host" in url.query else {}
        shown = URL.create(
            "postgresql", url.username, None, url.host, url.port, url.database, place
        )
        return shown.render_as_string().replace("%2F", "/")

    def prepare(self) -> None:
        """Nothing to do: somebody else makes databases."""

    def connect(self) -> Engine:
        """The store's own connections; a dead one is replaced before it is used."""
        return self._engine(
            {}, pool_size=CONNECTIONS_MAX, max_overflow=0, pool_timeout=LOCK_SECONDS_MAX,
            pool_pre_ping=True, isolation_level="READ COMMITTED",
        )  # fmt: skip

    def sessions(self, name: str) -> Engine:
        """Connections of that name for the server's lists, each closed for good after its use."""
        told = {"application_name": name}
        return self._engine(told, poolclass=NullPool, isolation_level="AUTOCOMMIT")

    def _engine(self, told: Mapping[str, str], **options: Any) -> Engine:
        given = {name: value for name, value in _WIRE.items() if name not in self.url.query}
        engine = create_engine(self.url, connect_args={**given, **told}, **options)

        @event.listens_for(engine, "connect")
        def _configure(connection: Any, _record: object) -> None:  # noqa: ANN401  the driver's
            before, connection.autocommit = connection.autocommit, True
            connection.execute(SESSION)
            connection.autocommit = before

        return engine

    def check(self, connection: Connection) -> None:
        """See that the server is new enough, can hold our text, and nobody else lives there."""
        version = connection.dialect.server_version_info or (0,)
        if int(version[0]) < SERVER_VERSION_MIN:
            told = ".".join(map(str, version))
            what = f"{self} is PostgreSQL {told}; Autopack needs {SERVER_VERSION_MIN} or newer"
            raise EnvironmentFault(what, "upgrade the server or name another")
        names = inspect(connection).get_table_names()
        if names and not any(name.startswith(PREFIX) for name in names):
            what = f"{self} has tables of another application: {', '.join(sorted(names)[:3])}"
            hint = "make a database for Autopack alone and name it as AUTOPACK_DATABASE_URL;"
            raise OperatorFault(what, f"{hint} AUTOPACK_DATABASE_URL=sqlite needs none")
        encoding = connection.execute(text("SHOW server_encoding")).scalar()
        if encoding != "UTF8":
            what = f"{self} keeps its text as {encoding}; Autopack needs UTF8"
            raise EnvironmentFault(what, "make another: createdb -E UTF8 -T template0 NAME")

    def prepare_tables(self, connection: Connection) -> None:
        """Nothing to do: `check` has looked."""

    def migrate_alone(self, connection: Connection) -> None:
        """Let no other process migrate until the transaction ends."""
        key = lock_key(connection, "migration")
        connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": key})

    @contextmanager
    def translated(self, doing: str) -> Iterator[None]:
        """The database's own errors become an EnvironmentFault that says what to do."""
        from psycopg import Error, OperationalError  # noqa: PLC0415  only who uses it needs it

        try:
            yield
        except DBAPIError as error:
            cause = error.orig or error
            cut = error.connection_invalidated or isinstance(cause, OperationalError)
            raise self._fault(doing, cause, cut=cut) from error
        except (Error, SQLAlchemyError) as error:
            raise self._fault(doing, error, cut=isinstance(error, OperationalError)) from error

    def _fault(self, doing: str, error: BaseException, *, cut: bool) -> EnvironmentFault:
        """`cut`: there was no connection, or it is no more; nothing else means that."""
        state = getattr(error, "sqlstate", None) or ""
        diagnosis = getattr(error, "diag", None)
        said = (diagnosis and diagnosis.message_primary) or str(error)
        what = f"cannot {doing} the store {self}: {self._without_password(said)}"
        advice = _advice(state, said) if state or cut else _UNKNOWN
        lost = advice in (_AWAY, _BY_STATE["53300"])
        return (StoreAway if lost else EnvironmentFault)(what, advice)

    def _without_password(self, said: str) -> str:
        line = "; ".join(line.strip() for line in said.splitlines() if line.strip())
        query = [value for name, value in self.url.query.items() if "password" in name]
        for secret in (str(self.url.password or ""), *map(str, query)):
            line = line.replace(secret, "***") if secret else line
        return line


def lock_key(connection: Connection, purpose: str) -> int:
    """The 64 bits by which the processes of one store find an advisory lock of its database."""
    schema = connection.execute(text("SELECT current_schema()")).scalar()
    name = hashlib.sha256(f"autopack {purpose} {schema}".encode()).digest()
    return int.from_bytes(name[:8], "big", signed=True)


def _advice(state: str, said: str) -> str:
    found = [begin for begin in _BY_STATE if state and state.startswith(begin)]
    if found:
        return _BY_STATE[max(found, key=len)]
    if state:
        return _UNKNOWN
    return next((advice for words, advice in _BY_WORDS if words in said), _AWAY)
