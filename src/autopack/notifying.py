"""Builds who is told of runs from settings, as `wiring` builds runs. Never tells anybody itself."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from autopack.core.errors import OperatorFault
from autopack.settings import Loaded
from autopack.settings.folders import at_home

if TYPE_CHECKING:
    from autopack.app.notify import Notifier, Outbox, Recipient, Target


@contextmanager
def notifier(loaded: Loaded, outbox: Outbox) -> Iterator[Notifier | None]:
    """Who tells of runs, at work; None when there is nobody to tell."""
    if not loaded.settings.notify:
        yield None
        return
    from autopack.adapters.clock import SystemClock
    from autopack.app.notify import Notifier

    made = Notifier(outbox, recipients(loaded), SystemClock())
    made.start()
    try:
        yield made
    finally:
        made.stop()


def _secret_file(name: str, path: str, loaded: Loaded) -> Path:
    try:
        return at_home(path, loaded.environ)
    except ValueError as fault:
        raise OperatorFault(
            f"notify.{name}.secret_file: {fault}", "write the whole path"
        ) from fault


def recipients(loaded: Loaded) -> list[Recipient]:
    """Everybody whom the settings name."""
    from autopack.app.notify import Recipient
    from autopack.core.notice import NoticeKind

    return [
        Recipient(
            name,
            _target(loaded, name),
            frozenset(map(NoticeKind, said.on)),
            said.details,
            said.attempts_max,
        )
        for name, said in loaded.settings.notify.items()
    ]


def _target(loaded: Loaded, name: str) -> Target:
    said = loaded.settings.notify[name]
    if said.command:
        from autopack.adapters.notify.command import Command

        folder = loaded.folders.state
        return Command(said.command, loaded.environ, said.pass_env, folder, said.seconds_max)
    from autopack.adapters.clock import SystemClock
    from autopack.adapters.notify.secret import Secret
    from autopack.adapters.notify.webhook import Webhook

    file = _secret_file(name, said.secret_file, loaded) if said.secret_file else None
    given = said.secret.get_secret_value() if said.secret else ""
    secret = Secret(name, given, file)
    # The real time, also where runs are dated by SOURCE_DATE_EPOCH: receivers refuse old notices.
    return Webhook(said.address, secret, SystemClock(), said.seconds_max)
