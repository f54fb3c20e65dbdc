"""What goes wrong: a process that dies at any port call, and an environment that refuses or lies."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from autopack.core.errors import EnvironmentFault


class Crash(BaseException):
    """The process is dead: no handler of ours may answer it."""


@dataclass(frozen=True)
class Rates:
    """How often what goes wrong, per port call or per step of the scheduler."""

    crash: float
    refusal: float
    """An environment fault before the effect."""
    lost: float
    """An environment fault after the effect: done, and told as failed."""
    again: float
    """A command that was answered is delivered once more."""
    request: float
    foreign: float
    """Somebody writes into the user's repository."""
    jump: float
    """The wall clock is set, ten years either way at most."""
    stop: float
    """The supervisor is asked to end while commands are under way."""
    misbehave: float
    """An agent, its auditor or CI says no, parks, conflicts, ends badly."""

    @classmethod
    def draw(cls, rng: random.Random) -> Rates:
        """The rates of one seed: some worlds are calm, some are on fire."""
        return cls(
            crash=rng.choice([0.0, 0.003, 0.01, 0.03]),
            refusal=rng.choice([0.0, 0.002, 0.01]),
            lost=rng.choice([0.0, 0.002, 0.01]),
            again=rng.choice([0.0, 0.1]),
            request=rng.choice([0.0, 0.01, 0.03]),
            foreign=rng.choice([0.0, 0.0, 0.03]),
            jump=rng.choice([0.0, 0.05]),
            stop=rng.choice([0.0, 0.01]),
            misbehave=rng.choice([0.0, 0.1, 0.3, 0.6]),
        )


class Process:
    """One life of the supervisor: its ports crash and fail; once dead they do nothing."""

    def __init__(self, rng: random.Random, rates: Rates, say: Callable[[str], None]) -> None:
        self._rng = rng
        self._rates = rates
        self._say = say
        self.alive = True
        self.faulty = True

    def die(self, where: str) -> Crash:
        """End this life."""
        self.alive = False
        self._say(f"crash {where}")
        return Crash(where)

    def port(self, target: object, methods: Sequence[str]) -> Any:  # noqa: ANN401  it is any port
        """A port whose calls go through this process."""
        made = _Port()
        for name in methods:
            setattr(made, name, self._through(name, getattr(target, name)))
        return made

    def _through(self, name: str, call: Callable[..., Any]) -> Callable[..., Any]:
        rng, rates = self._rng, self._rates
        before = rates.crash + rates.refusal
        after = rates.crash + rates.lost

        def through(*args: object, **options: object) -> object:
            if not self.alive:
                raise Crash(name)
            if self.faulty and (drawn := rng.random()) < before:
                if drawn < rates.crash:
                    raise self.die(f"before {name}")
                self._say(f"refusal of {name}")
                raise EnvironmentFault(f"{name} was refused")
            result = call(*args, **options)
            if not self.alive:
                raise Crash(name)
            if self.faulty and (drawn := rng.random()) < after:
                if drawn < rates.crash:
                    raise self.die(f"after {name}")
                self._say(f"lost answer of {name}")
                raise EnvironmentFault(f"the answer of {name} was lost")
            return result

        return through


class _Port:
    """Holds the wrapped methods of a port."""
