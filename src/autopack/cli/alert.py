"""Tell whoever has turned away from a terminal: a bell, its title line, the desktop.

The words are those of `core.notice`, ours alone. Never fails: what cannot ring is silent.
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Mapping
from typing import Final

from autopack.app.ports import Recorded
from autopack.core import machine
from autopack.core.errors import Fault
from autopack.core.notice import notices
from autopack.core.run import Run
from autopack.core.words import visible

DESKTOP_SECONDS_MAX: Final = 5
PLAIN_TERMINALS: Final = frozenset({"", "dumb", "linux"})
"""They would show an OSC sequence instead of reading it."""
DESKTOP_VARIABLES: Final = frozenset(
    {"PATH", "HOME", "DISPLAY", "WAYLAND_DISPLAY", "XAUTHORITY", "XDG_RUNTIME_DIR",
     "DBUS_SESSION_BUS_ADDRESS"}
)  # fmt: skip


class Alert:
    """Rings for what happens to a run from where it stands now."""

    def __init__(self, run: Run, environ: Mapping[str, str]) -> None:
        self._run = run
        self._environ = environ

    def heard(self, recorded: Recorded) -> list[str]:
        """Ring for the notices of one event, if it is news; them as lines."""
        if recorded.sequence <= self._run.version:
            return []
        before, answer = self._run, machine.advance(self._run, recorded.happened)
        if isinstance(answer, machine.Refusal):
            return []
        self._run = answer.run
        said = [each.summary for each in notices(before, recorded.happened, answer.run)]
        for summary in said:
            self._ring(summary)
        return [f"notice: {summary}" for summary in said]

    def _ring(self, summary: str) -> None:
        terminal = sys.__stderr__  # the other one is the live view's, which shows no sequence
        if terminal is not None and terminal.isatty():
            plain = self._environ.get("TERM", "") in PLAIN_TERMINALS
            terminal.write("\a" if plain else f"\x1b]9;{visible(summary)}\x07\a")
            terminal.flush()
        self._show(summary)

    def _show(self, summary: str) -> None:
        """On the desktop, where there is one."""
        environ = self._environ
        if not (environ.get("DISPLAY") or environ.get("WAYLAND_DISPLAY")):
            return
        if shutil.which("notify-send", path=environ.get("PATH", "")) is None:
            return
        from autopack.process.limits import Limits
        from autopack.process.runner import run

        given = {name: value for name, value in environ.items() if name in DESKTOP_VARIABLES}
        try:
            run(
                ["notify-send", "--app-name=autopack", "--", "autopack", summary],
                env=given,
                limits=Limits(DESKTOP_SECONDS_MAX, output_bytes_max=4096),
            )
        except (Fault, OSError):  # a desktop that does not answer is no reason to stop watching
            return
