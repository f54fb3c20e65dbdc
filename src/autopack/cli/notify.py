"""`autopack notify`: try who is told of runs. Records nothing and tells nothing of any run."""

from __future__ import annotations

import os
import threading
from pathlib import Path
from typing import Annotated

from cyclopts import App, Parameter

from autopack.cli.exits import DONE, FAILED
from autopack.cli.options import Json

app = App(name="notify", help="Who is told of what happens to runs.")


@app.command(name="test")
def send_test(
    target: Annotated[str, Parameter(name="TARGET", help="Only this one; default: all")] = "",
    /,
    *,
    json: Json = False,
) -> int:
    """Send a test notice to each [notify.*] and tell the answer; leave with 1 if one fails."""
    from autopack import notifying
    from autopack.adapters.clock import SystemClock
    from autopack.cli import render
    from autopack.core.errors import OperatorFault
    from autopack.core.notice import cloud_event, trial_notice
    from autopack.core.words import nearest
    from autopack.settings import load

    loaded = load(Path.cwd(), os.environ)
    known = sorted(loaded.settings.notify)
    if not known:
        hint = "add [notify.NAME] to your own autopack.toml; see docs/how-to/notifications.md"
        raise OperatorFault("nobody is told of runs", hint)
    if target and target not in known:
        meant = nearest(target, known) or ", ".join(known)
        raise OperatorFault(f"there is no [notify.{target}]", f"did you mean {meant}?")
    loaded.folders.make()
    clock, rows = SystemClock(), []
    for each in notifying.recipients(loaded):
        if target in ("", each.name):
            now = clock.now()
            # An id of its own, so that no receiver takes it for a repetition.
            notice = trial_notice(f"{now}_{os.getpid()}", now)
            told = each.target.tell(notice.notice_id, cloud_event(notice), threading.Event())
            rows.append({"target": each.name, "delivered": told.delivered, "answer": told.said})
            if not json:
                mark = "ok  " if told.delivered else "FAIL"
                render.out(f"{mark} {each.name}: {told.said}")
    if json:
        render.data({"targets": rows})
    return DONE if all(row["delivered"] for row in rows) else FAILED
