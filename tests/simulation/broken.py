"""How a world says that a promise does not hold."""

from __future__ import annotations


class Broken(BaseException):  # no handler of the subject may answer it
    """A promise of ours does not hold."""


def need(holds: object, message: str) -> None:
    """Broken unless it holds."""
    if not holds:
        raise Broken(message)
