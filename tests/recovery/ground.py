"""One run of three phases that is killed and started again, and how it should have ended."""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from difflib import unified_diff
from pathlib import Path
from typing import Any, Final

from autopack import wiring
from autopack.core import promotion
from autopack.core.run import Run
from tests.lab import Lab, phase, processes, until
from tests.repos import git, refs, write

HOST: Final = Path(__file__).with_name("host.py")
WEAK: Final = 'commands = [{ run = "test ! -e state/red", seconds_max = 30 }]'
PLAN: Final = (
    (phase("F1", "First."), phase("F2", "Red at first.", needs="F1")),
    phase("F3", "Last."),
)


def _added(path: str, text: str) -> str:
    return (
        f"diff --git a/{path} b/{path}\nnew file mode 100644\n--- /dev/null\n+++ b/{path}\n"
        f"@@ -0,0 +1 @@\n+{text}\n"
    )


PATCHES: Final = {
    "patches/F1/1.patch": _added("src/one.txt", "one"),
    "patches/F1/1.toml": "tokens = 100\n",
    "patches/F2/1.patch": _added("state/red", "red"),
    "patches/F2/2.patch": _added("src/two.txt", "two"),
    "patches/F3/1.patch": _added("src/three.txt", "three"),
}


def started(lab: Lab) -> Lab:
    """The project, and a run of PLAN that waits for a supervisor."""
    write(lab.tools, PATCHES)
    lab.make(ci=WEAK, worker='type = "scripted"\npatches = "../tools/patches"')
    return lab.record(*PLAN)


def host(lab: Lab, when: str, number: int) -> subprocess.CompletedProcess[bytes]:
    """A supervisor that dies at a save, or ends."""
    return subprocess.run(
        [sys.executable, str(HOST), when, str(number)], env=lab.environment, cwd=lab.project,
        capture_output=True, timeout=50, check=False,
    )  # fmt: skip


@dataclass(frozen=True)
class Story:
    """All that must be as if nobody had been killed."""

    events: list[dict[str, Any]]
    bare: dict[str, str]
    user: dict[str, str]
    attempts: dict[str, int]


def story(lab: Lab) -> Story:
    """The run as it ended.

    A delivery is under way while the next phase works: which snapshots it tells of is a matter of
    chance, and that the last one is there is looked at. A green that was remembered before its
    event was saved is found again, as cached. How long a check took is chance.
    """
    run = lab.load()
    events = []
    for recorded_event in lab.events():
        told = dataclasses.asdict(recorded_event.happened.event)
        if told.get("kind") == "delivered":
            continue
        told.pop("cached", None)
        for check in told.get("checks", ()):
            check.pop("seconds")
        events.append(told)
    assert run.delivered == run.tip, (
        run.delivery_refusal,
        [str(e) for e in lab.of_kind("delivery_refused") + lab.of_kind("command_failed")],
    )
    attempts = {each.phase_id: each.attempts_used for each in run.every_phase}
    names = {str(lab.root): "ROOT", **_summaries(lab, run)}
    told, bare, user = (_named(each, names) for each in (events, refs(lab.bare), refs(lab.project)))
    return Story(told, bare, user, attempts)


def _summaries(lab: Lab, run: Run) -> dict[str, str]:
    """What stands for the commit of a promoted run's summaries: they tell minutes."""
    if not run.promotion.number:
        return {}
    said = git(lab.bare, "log", "-1", "--format=on %P", "--name-only", run.tip)
    name = promotion.tag(run.run_id)
    tagged = git(lab.bare, "rev-parse", f"refs/tags/{name}").strip()
    return {run.tip: f"summaries {said}", tagged: f"{name} of them"}


def _named(value: Any, names: dict[str, str]) -> Any:  # noqa: ANN401  any JSON
    if isinstance(value, dict):
        return {key: _named(each, names) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_named(each, names) for each in value]
    if isinstance(value, str):
        for found, name in names.items():
            value = value.replace(found, name)
    return value


def finish(lab: Lab) -> Run:
    """Another supervisor takes over and works until nothing is open."""
    done = lab.cli("supervise", "--until-idle")
    assert done.code == 0, done.err
    return lab.load()


def check_as_undisturbed(lab: Lab, wanted: Story) -> None:
    """The run ended as if nothing had happened, and nothing of the crash is left."""
    until(lab.idle, f"no process is left: {processes(lab.root)}")
    found = story(lab)
    for part in ("events", "bare", "user", "attempts"):
        assert_alike(getattr(found, part), getattr(wanted, part), part)
    assert not list(lab.bare.rglob("*.lock"))
    with wiring.reading(lab.loaded) as store:
        assert store is not None
        assert store.verify("r") == []
    lab.check_untouched()
    left = [path for path in (lab.root / "state" / "clones").rglob("*") if path.is_file()]
    assert not left, f"clones are left: {left}"


def assert_alike(found: Any, wanted: Any, what: str) -> None:  # noqa: ANN401  any JSON
    """Equal, or told where they differ."""
    old, new = _lines(wanted), _lines(found)
    assert old == new, "\n".join([what, *unified_diff(old, new, n=1)])


def _lines(value: Any) -> list[str]:  # noqa: ANN401  any JSON
    return json.dumps(value, indent=1, default=str, sort_keys=True).splitlines()


# --- git as the place of death -------------------------------------------------------------------

SHIM: Final = """\
#!/bin/sh
# git, counted; at call {at} it says so, waits until its supervisor is dead, and goes on
here={here}
exec 9>>"$here/lock"; flock 9
read -r n <"$here/count"; n=$((n + 1)); echo "$n" >"$here/count"
exec 9>&-
[ "$n" = {at} ] || exec {git} "$@"
code=1
if [ {when} = after ]; then {git} "$@"; code=$?; fi
: >"$here/reached"
while [ -e "$here/hold" ]; do sleep 0.01; done
exit $code
"""


class CountedGit:
    """A `git` that comes first on PATH, where also the user of the fence finds it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def arm(self, when: str, at: int) -> None:
        """Die at the call `at` from now; 0 only counts."""
        self.folder.chmod(0o777)
        (self.folder / "reached").unlink(missing_ok=True)
        for name, text in (("count", "0\n"), ("lock", ""), ("hold", "")):
            (self.folder / name).write_text(text)
            (self.folder / name).chmod(0o666)
        git = shutil.which("git")
        shim = self.folder / "git"
        shim.write_text(SHIM.format(at=at, here=self.folder, git=git, when=when))
        shim.chmod(0o755)

    @property
    def calls(self) -> int:
        return int((self.folder / "count").read_text())

    @property
    def path(self) -> dict[str, str]:
        return {"PATH": f"{self.folder}:{os.environ['PATH']}"}

    def kill(self, supervisor: subprocess.Popen[bytes], seconds: float = 40.0) -> bool:
        """Kill it when the call comes; whether it came before the supervisor was done."""
        reached = self.folder / "reached"
        until(lambda: reached.exists() or supervisor.poll() is not None, "the call", seconds)
        died = reached.exists()
        if died:
            supervisor.send_signal(signal.SIGKILL)
        supervisor.wait(10)
        (self.folder / "hold").unlink()
        return died


@contextmanager
def counted_git() -> Iterator[CountedGit]:
    """Not below pytest's closed folders, or the fence's user would not find it."""
    with tempfile.TemporaryDirectory(prefix="autopack-git-") as folder:
        yield CountedGit(Path(folder))
