"""Which database a URL names: a file of SQLite or a server of PostgreSQL. It opens nothing.

What is shown of a URL has no password, also of one that is wrong.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

SQLITE: Final = "sqlite"
_SCHEMES: Final = ("postgresql", "postgresql+psycopg", "postgres")
_SCHEME: Final = re.compile(r"[a-z]+[0-9]?(\+[a-z]+[0-9]?)?")
_LOGIN: Final = re.compile(r"(?<=://).*@", re.DOTALL)
"""Up to the last `@`: a password that is not escaped may hold anything."""
_SECRET: Final = re.compile(r"(?i)([?&][^=&]*(?:password|secret)[^=&]*=)[^&]*")


_UNESCAPED: Final = frozenset("@/?#")
_ESCAPED: Final = "write @ / ? # of user and password as %40 %2F %3F %23"


@dataclass(frozen=True)
class Server:
    """A database of a PostgreSQL server; `str()` of it has no password."""

    url: str = field(repr=False)

    def __str__(self) -> str:
        return without_password(self.url)


def without_password(url: str) -> str:
    """The URL, fit to be shown: no password, and nothing that might be a piece of one.

    A login with anything in it that its escaped form has not is hidden whole.
    """

    def user(found: re.Match[str]) -> str:
        name, colon, password = found[0][:-1].partition(":")
        if set(name + password) & _UNESCAPED:
            return "***@"
        return f"{name}:***@" if colon else found[0]

    return _SECRET.sub(r"\1***", _LOGIN.sub(user, url, count=1))


def database_of(url: str, data: Path) -> Path | Server:
    """What a setting names; ValueError says what is wrong with it, without a password."""
    if url == SQLITE:
        return data / "autopack.db"
    scheme, separator, rest = url.partition("://")
    if scheme in _SCHEMES:
        return _server(rest)
    if scheme != SQLITE:
        named = repr(scheme) if separator and _SCHEME.fullmatch(scheme) else "the value"
        raise ValueError(f"{named} is no database Autopack can use: sqlite, or postgresql://…")
    if not rest.startswith("//"):
        raise ValueError("the path is not absolute: sqlite:////path/x.db")
    return Path(rest[1:])


def _server(rest: str) -> Server:
    before_query = rest.partition("?")[0]
    login, _, address = before_query.rpartition("@")
    if "@" in login or "/" in login or "@" in rest.partition("?")[2] or "#" in rest:
        raise ValueError(f"postgresql://…: {_ESCAPED}")
    if not address.partition("/")[2]:
        raise ValueError(f"postgresql://… names no database: postgresql://HOST/NAME; {_ESCAPED}")
    return Server(f"postgresql://{rest}")
