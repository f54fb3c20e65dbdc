"""How a command ends that fails: what is told on standard error, and the exit code.

Never shows a traceback: that of a defect of ours is kept in a file.
"""

from __future__ import annotations

import errno
import os
import sys
from pathlib import Path
from typing import Final

from autopack import __version__
from autopack.cli.exits import INTERRUPTED
from autopack.core.errors import EnvironmentFault, Fault, OperatorFault, OwnFault

REFUSALS: Final = frozenset(
    {errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EPERM, errno.EROFS, errno.EIO}
)
"""What the machine says when it is full, closed or broken: not a defect of ours."""
CROOKED: Final = frozenset({errno.ENAMETOOLONG, errno.ELOOP})
"""What it says of a path that can be none."""


def answer(fault: BaseException, *, as_json: bool) -> int:
    """Tell what went wrong; the exit code."""
    from autopack.cli import render

    match fault:
        case Fault():
            code, message, hint, exit_code = fault.code, fault.what, fault.hint, fault.exit_code
        case KeyboardInterrupt():
            code, message, hint, exit_code = "interrupted", "interrupted", "", INTERRUPTED
        case OSError() if fault.errno in REFUSALS:
            hint = "free or open what the message names"
            code, message, exit_code = EnvironmentFault.code, str(fault), EnvironmentFault.exit_code
        case OSError() if fault.errno in CROOKED:
            hint = "no file or folder can have that path"
            code, message, exit_code = OperatorFault.code, str(fault), OperatorFault.exit_code
        case _:
            hint = f"a defect of Autopack; please report it {_kept(fault)}"
            message = f"unexpected: {type(fault).__name__}: {fault}"
            code, exit_code = OwnFault.code, OwnFault.exit_code
    render.fault(code, message, hint, as_json=as_json)
    return exit_code


def _kept(fault: BaseException) -> str:
    """Where the traceback is, or why it is nowhere: the disk may be what is wrong."""
    try:
        return f"with {_keep_traceback(fault)}"
    except OSError as refused:
        return f"(its traceback could not be kept: {refused})"


def _keep_traceback(fault: BaseException) -> str:
    """Write the traceback into a file of its own; where."""
    import tempfile
    import traceback

    from autopack.settings import load

    try:
        folder = load(Path.cwd(), os.environ).folders.logs
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except (OSError, OperatorFault):
        folder = Path(tempfile.gettempdir())
    handle, name = tempfile.mkstemp(prefix="crash-", suffix=".log", dir=folder)
    with os.fdopen(handle, "w") as file:
        file.write(f"autopack {__version__}: {sys.argv[1:]}\n")
        traceback.print_exception(fault, file=file)
    return name
