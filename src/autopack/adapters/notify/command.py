"""A target that is a program of the operator: the notice on its standard input, exit 0 is heard.

It runs as the supervisor does, outside any fence, with time and output limits and without the
supervisor's environment. Never through a shell, never with anything of a notice in its arguments.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final, cast

from autopack.app.notify import Told
from autopack.app.ports import Cancel
from autopack.core.errors import Fault, OperatorFault
from autopack.core.words import visible
from autopack.process import runner
from autopack.process.limits import Ended, Finished, Limits

if TYPE_CHECKING:
    import threading

OUTPUT_BYTES_MAX: Final = 64 << 10
SAID_CHARACTERS_MAX: Final = 200
PASSED: Final = frozenset(
    {"PATH", "HOME", "USER", "LOGNAME", "LANG", "LC_ALL", "LC_CTYPE", "TZ", "TMPDIR"}
)
"""What any program may expect; everything else is named by `pass_env`."""


@dataclass(frozen=True)
class Command:
    """Starts a program for each notice, in `folder`."""

    argv: tuple[str, ...]
    environ: Mapping[str, str]
    pass_env: tuple[str, ...]
    folder: Path
    seconds_max: float

    def tell(self, _notice_id: str, body: str, cancel: Cancel) -> Told:
        """Run the program once on one notice."""
        names = PASSED | set(self.pass_env)
        try:
            finished = runner.run(
                self.argv,
                env={name: value for name, value in self.environ.items() if name in names},
                cwd=self.folder,
                stdin=body.encode(),
                limits=Limits(self.seconds_max, output_bytes_max=OUTPUT_BYTES_MAX),
                cancel=cast("threading.Event", cancel),  # all it does is ask `is_set`
            )
        except (Fault, OSError) as fault:
            said = fault.what if isinstance(fault, Fault) else str(fault)
            return Told(delivered=False, said=visible(said), heard=False)
        return _told(finished)

    def check(self) -> None:
        """OperatorFault when the program is not found; it is not started."""
        if shutil.which(self.argv[0], path=self.environ.get("PATH", os.defpath)) is None:
            what = f"the command of a [notify.*] is not found: {self.argv[0]}"
            raise OperatorFault(what, "install it, or write its whole path")


def _told(finished: Finished) -> Told:
    if finished.ok:
        return Told(delivered=True, said="exit 0", heard=True)
    exited = finished.ended is Ended.EXITED
    said = f"exit {finished.exit_code}" if exited else finished.ended.value.replace("_", " ")
    words = (finished.stderr or finished.stdout).decode("utf-8", "replace").split()
    if words:
        said += f": {visible(' '.join(words)[:SAID_CHARACTERS_MAX])}"
    return Told(delivered=False, said=said, heard=exited)
