"""The engine of the simulation: a queue that delivers in any order, twice, and late."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from enum import Enum, auto

from autopack.app.ports import Transaction
from autopack.app.supervise import CutOff


class State(Enum):
    QUEUED = auto()
    UNDER_WAY = auto()
    DONE = auto()
    GIVEN_UP = auto()


class SimulatedEngine:
    """The scheduler decides what is delivered when; a crash takes all it knows, if not durable."""

    def __init__(self, *, durable: bool) -> None:
        self.states: dict[str, State] = {}
        self._durable = durable

    def enqueue(self, command_ids: Sequence[str], within: Transaction) -> None:
        """Queue when the transaction commits."""
        within.on_commit(lambda: self._queue(command_ids))

    def start(self, perform: Callable[[str], None]) -> None:
        """Nothing: the scheduler performs."""

    def recover(self, command_ids: Sequence[str]) -> None:
        """Queue what is unknown or given up."""
        self._queue(command_ids)

    def stop(self) -> None:
        """Nothing: the scheduler stops."""

    def named(self, state: State) -> list[str]:
        """The commands in a state."""
        return [name for name, is_in in self.states.items() if is_in is state]

    def restart(self) -> None:
        """What a dead process had under way is queued again, or all is forgotten."""
        if not self._durable:
            self.states.clear()
        for name in self.named(State.UNDER_WAY):
            self.states[name] = State.QUEUED

    def deliver(self, name: str, perform: Callable[[str], None], *, forget: bool) -> None:
        """Perform one command; `forget` keeps it queued although it was answered."""
        self.states[name] = State.UNDER_WAY
        try:
            perform(name)
        except CutOff:
            self.states[name] = State.QUEUED
        except Exception:
            self.states[name] = State.GIVEN_UP
            raise
        else:
            self.states[name] = State.QUEUED if forget else State.DONE

    def _queue(self, command_ids: Sequence[str]) -> None:
        for name in command_ids:
            if self.states.get(name, State.GIVEN_UP) is State.GIVEN_UP:
                self.states[name] = State.QUEUED
