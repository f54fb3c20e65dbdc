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
_LOGIN: Final = re.compile(r"(?<=://)[^?]*@")
_SECRET: Final = re.compile(r"(?i)([?&][^=&]*(?:password|secret)[^=&]*=)[^&]*")


@dataclass(frozen=True)
class Server:
    """A database of a PostgreSQL server; `str()` of it has no password."""

    url: str = field(repr=False)

    def __str__(self) -> str:
        return without_password(self.url)


def without_password(url: str) -> str:
    """The URL, fit to be shown."""

    def user(found: re.Match[str]) -> str:
        name, colon, _password = found[0].partition(":")
        return f"{name}:***@" if colon else found[0]

    return _SECRET.sub(r"\1***", _LOGIN.sub(user, url, count=1))


def database_of(url: str, data: Path) -> Path | Server:
    """What a setting names; ValueError says what is wrong with it, without a password."""
    if url == SQLITE:
        return data / "autopack.db"
    scheme, _, rest = url.partition("://")
    if scheme in _SCHEMES:
        return _server(rest)
    if scheme != SQLITE:
        named = url.partition(":")[0]
        raise ValueError(f"{named!r} is no database Autopack can use: sqlite, or postgresql://…")
    if not rest.startswith("//"):
        raise ValueError("the path is not absolute: sqlite:////path/x.db")
    return Path(rest[1:])


def _server(rest: str) -> Server:
    before_query = rest.partition("?")[0]
    login, _, address = before_query.rpartition("@")
    shown = without_password(f"postgresql://{rest}")
    if "@" in login or "/" in login:
        raise ValueError(f"{shown}: write @ and / of user and password as %40 and %2F")
    if not address.partition("/")[2]:
        raise ValueError(f"{shown} names no database: postgresql://HOST/NAME")
    return Server(f"postgresql://{rest}")
