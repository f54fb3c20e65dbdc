"""Where a supervisor's log lines go, and that none of them holds a secret."""

from __future__ import annotations

import logging
import sys

from autopack.core.redact import redact

FORMAT = "%(asctime)s %(levelname)s %(message)s"


class Redacted(logging.Formatter):
    """Lines, tracebacks too, without the secrets that programs put into them."""

    def format(self, record: logging.LogRecord) -> str:
        """The line."""
        return redact(super().format(record))


def to_standard_error() -> None:
    """Log there, with dates."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(Redacted(FORMAT))
    logging.basicConfig(level=logging.INFO, handlers=[handler])
    logging.getLogger("alembic").setLevel(logging.WARNING)  # it tells of each migration
