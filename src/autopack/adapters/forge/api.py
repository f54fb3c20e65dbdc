"""A REST API asked until it answers: what may be repeated is, with pauses that grow, up to a limit.

What may have been done and must not be done twice is never repeated here: its caller looks first.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final, TypeVar

from autopack.adapters.forge.said import NoAnswer, Transport, judge, parsed
from autopack.app.forge import ForgeAway
from autopack.app.ports import Cancel, Clock

TRIES_MAX: Final = 6
FIRST_SECONDS: Final = 0.5
"""The first pause; each is twice the one before, and up to half as long again by chance."""
PER_PAGE: Final = 100
Read = TypeVar("Read")


@dataclass(frozen=True)
class Api:
    """Asks through `transport`; waits `wait_seconds_max` at most for each answer, all in all."""

    transport: Transport
    clock: Clock
    cancel: Cancel
    chance: Callable[[], float]
    wait_seconds_max: float

    def get(self, path: str, read: Callable[[object], Read]) -> Read:
        """What a path has, as `read` takes it from the JSON (NoAnswer: ask again)."""
        return self._ask("GET", path, None, read)

    def change(self, method: str, path: str, value: object, read: Callable[[object], Read]) -> Read:
        """A change that may be made twice: what comes of it is the same."""
        return self._ask(method, path, value, read)

    def once(self, path: str, value: object, read: Callable[[object], Read]) -> Read:
        """A POST that must not be made twice; NoAnswer when it may have been made."""
        return self._ask("POST", path, value, read, again=False)

    def pages(
        self, path: str, pages_max: int, read: Callable[[object], list[Read]], *, whole: bool
    ) -> Iterator[Read]:
        """The items of a listing, page by page: the addresses that a server names are not followed.

        `whole`: ForgeAway when there are more; otherwise the rest is left out.
        """
        apart = "&" if "?" in path else "?"
        for number in range(1, pages_max + 1):
            page = self.get(f"{path}{apart}per_page={PER_PAGE}&page={number}", read)
            yield from page
            if len(page) < PER_PAGE:
                return
        if whole:
            what = f"{self.transport.where}{path} has more than {pages_max * PER_PAGE:,} items"
            raise ForgeAway(what, "see what makes so many")

    def _ask(
        self,
        method: str,
        path: str,
        value: object,
        read: Callable[[object], Read],
        *,
        again: bool = True,
    ) -> Read:
        body = b"" if value is None else json.dumps(value).encode()
        what = f"{self.transport.where}: {method} {path.partition('?')[0]}"
        waited, last = 0.0, ForgeAway(what)
        for number in range(TRIES_MAX):
            pause = FIRST_SECONDS * 2**number
            try:
                said = self.transport.ask(method, path, body)
                judge(said, what, self.clock.now())
                return read(parsed(said))
            except NoAnswer as fault:
                if not again:
                    raise
                told = str(fault)
                last = ForgeAway(told if told.startswith(what) else f"{what}: {told}",
                                 "check the network and the forge, then try again")  # fmt: skip
            except ForgeAway as fault:
                if fault.retry_after is None:
                    raise
                last, pause = fault, max(pause, fault.retry_after)
            pause *= 1 + self.chance() / 2
            if number + 1 == TRIES_MAX or waited + pause > self.wait_seconds_max:
                break
            self._wait(pause, what)
            waited += pause
        raise last

    def pause(self, number: int, what: str) -> None:
        """Wait before the next try; the first has number 0. ForgeAway when told to end."""
        self._wait(FIRST_SECONDS * 2**number * (1 + self.chance() / 2), what)

    def _wait(self, seconds: float, what: str) -> None:
        if self.cancel.wait(seconds):
            raise ForgeAway(f"{what}: told to end", "it goes on with the next start")
