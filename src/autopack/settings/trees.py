"""Trees of settings as files and variables give them: tables in tables. Only reads and joins."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any


def merge(into: dict[str, Any], tree: Mapping[str, Any]) -> None:
    """Lay `tree` over `into`, table by table."""
    for key, value in tree.items():
        if isinstance(value, Mapping) and isinstance(into.get(key), dict):
            merge(into[key], value)
        else:
            into[key] = dict(value) if isinstance(value, Mapping) else value


def keys(tree: Mapping[str, Any], prefix: str = "") -> Iterator[str]:
    """Paths of all values, and of tables without any."""
    for key, value in tree.items():
        if isinstance(value, Mapping) and value:
            yield from keys(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}"


def leaves(tree: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """(key path, value) of all values."""
    for key, value in tree.items():
        if isinstance(value, Mapping):
            yield from leaves(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def tables(tree: Mapping[str, Any], key: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """The tables by name below a key; what is no table is told elsewhere."""
    found = tree.get(key)
    for name, table in found.items() if isinstance(found, dict) else ():
        if isinstance(table, dict):
            yield name, table


def named(key: str, value: object) -> list[str]:
    """The tables below a key, or the key itself."""
    return [f"{key}.{name}" for name in value] if isinstance(value, dict) and value else [key]
