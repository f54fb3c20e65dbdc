"""kill -9 of the supervisor in the middle of a push: the user's repository keeps no lock of ours."""

from __future__ import annotations

import signal
from pathlib import Path

from tests.lab import Lab, processes, until
from tests.recovery.conftest import Undisturbed
from tests.recovery.ground import check_as_undisturbed, finish, started

HOOK = """\
#!/bin/sh
# the first push stands still while it holds its locks
if [ "$1" = prepared ] && rm "{root}/armed" 2>/dev/null; then
  : >"{root}/reached"
  while [ -e "{root}/hold" ]; do sleep 0.01; done
fi
"""


def locks(lab: Lab) -> list[Path]:
    return list((lab.project / ".git").rglob("*.lock"))


def test_killed_while_a_push_holds_locks(lab: Lab, undisturbed: Undisturbed) -> None:
    started(lab)
    hook = lab.project / ".git" / "hooks" / "reference-transaction"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text(HOOK.format(root=lab.root))
    hook.chmod(0o755)
    for name in ("armed", "hold"):
        (lab.root / name).touch()
    supervisor = lab.start("supervise", "--until-idle")
    until((lab.root / "reached").exists, "the push holds its locks")
    assert locks(lab)
    supervisor.send_signal(signal.SIGKILL)
    supervisor.wait(10)
    (lab.root / "hold").unlink()
    until(lambda: not processes(lab.root), "the push has ended")
    assert not locks(lab)
    finish(lab)
    check_as_undisturbed(lab, undisturbed.story)
