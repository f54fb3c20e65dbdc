"""Answers about commits named by their full id, kept: they never change.

Each saves one or two git processes (4 ms each), several times a phase. Never keeps what a ref says.
"""

from __future__ import annotations

import re
import threading
from collections import OrderedDict
from typing import TYPE_CHECKING, Final, TypeVar, cast

if TYPE_CHECKING:
    from collections.abc import Callable, Sized

ANSWERS_MAX: Final = 256
BYTES_MAX: Final = 1 << 16
"""A longer file is read again each time."""
_FULL_ID: Final = re.compile(r"[0-9a-f]{40}")

_Answer = TypeVar("_Answer", bound="Sized | None")


class Known:
    """The answers asked for last; safe in threads, which may ask the same twice."""

    def __init__(self) -> None:
        self._answers: OrderedDict[tuple[str, str, str], object] = OrderedDict()
        self._lock = threading.Lock()

    def of(self, question: tuple[str, str, str], ask: Callable[[], _Answer]) -> _Answer:
        """The answer to (what, commit, more); what `ask` raises is not kept."""
        with self._lock:
            if question in self._answers:
                self._answers.move_to_end(question)
                return cast("_Answer", self._answers[question])
        answer = ask()
        short = answer is None or len(answer) <= BYTES_MAX
        if short and _FULL_ID.fullmatch(question[1]):
            with self._lock:
                self._answers[question] = answer
                while len(self._answers) > ANSWERS_MAX:
                    self._answers.popitem(last=False)
        return answer
