"""What these tests stand on: folders given away, marked processes, conditions with a deadline."""

from __future__ import annotations

import os
import signal
import threading
import time
import uuid
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from autopack.process.sandbox import default_identity

if TYPE_CHECKING:
    from collections.abc import Callable


def give(path: Path) -> Path:
    """Hand a path to the user that the programs of these tests run as."""
    identity = default_identity()
    if identity is not None:
        os.chown(path, identity.uid, identity.gid)
    return path


def cancel_when(condition: Callable[[], object]) -> tuple[threading.Event, threading.Thread]:
    """An event that a started thread sets once `condition` holds."""
    event = threading.Event()

    def wait() -> None:
        until(condition)
        event.set()

    thread = threading.Thread(target=wait)
    thread.start()
    return event, thread


def new_mark() -> str:
    """A number that `sleep` takes and that nobody else has on a command line."""
    return f"86400.{uuid.uuid4().int % 10**15:015d}"


def alive(mark: str) -> list[int]:
    """Processes, zombies excepted, with `mark` in their arguments."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            try:
                if mark.encode() in (entry / "cmdline").read_bytes():
                    found.append(int(entry.name))
            except OSError:
                continue
    return found


def end_sleeps(mark: str) -> None:
    """End what an agent waits for: it goes on as if it had slept enough."""
    for pid in alive(mark):
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGTERM)


def until(condition: Callable[[], object], seconds: float = 8.0) -> bool:
    """Whether `condition` came true before the deadline."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if condition():
            return True
        time.sleep(0.01)
    return bool(condition())
