"""kill -9 while an agent drafts the plan: it is drafted once and paid once, and its run ends as if
nothing had happened. A sample here; every place there is under `full`.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pytest

from autopack import wiring
from autopack.app.start import Wish, new_draft
from autopack.app.supervise import create_run
from autopack.cli.launch import machine
from autopack.core.draft import FILE, PHASE, Draft
from autopack.core.run import RunState
from tests.lab import Lab, phase
from tests.recovery.ground import (
    PATCHES,
    WEAK,
    CountedGit,
    Story,
    check_as_undisturbed,
    counted_git,
    finish,
    host,
    story,
)
from tests.recovery.places import PARTS, WHEN, EveryPlace, die_at_save, die_in_git
from tests.repos import write

TOKENS: Final = 70
"""Of each of the two attempts at the plan."""
BAD: Final = "## Tier T1: all of it\n\n" + phase("F1", "First.", needs="F9")
GOOD: Final = "## Tier T1: all of it\n\n" + phase("F1", "First.")


def _written(text: str) -> str:
    """A patch that adds the plan."""
    lines = text.splitlines()
    head = f"diff --git a/{FILE} b/{FILE}\nnew file mode 100644\n--- /dev/null\n+++ b/{FILE}\n"
    return head + f"@@ -0,0 +1,{len(lines)} @@\n" + "".join(f"+{line}\n" for line in lines)


def begun(lab: Lab) -> Lab:
    """A run without a plan that waits for a supervisor; its agent's second draft is one."""
    write(lab.tools, {
        "patches/F1/1.patch": PATCHES["patches/F1/1.patch"],
        "patches/F1/1.toml": "tokens = 100\n",
        f"patches/{PHASE}/1.patch": _written(BAD),
        f"patches/{PHASE}/1.toml": f"tokens = {TOKENS}\n",
        f"patches/{PHASE}/2.patch": _written(GOOD),
        f"patches/{PHASE}/2.toml": f"tokens = {TOKENS}\n",
    })  # fmt: skip
    lab.make(ci=WEAK, worker='type = "scripted"\npatches = "../tools/patches"')
    loaded = lab.loaded
    source, wish = wiring.checkout(loaded, lab.project), Wish(name="work", run_id="r")
    ready = new_draft(wish, machine(loaded), source, Draft("Reach it."), wiring.KnownRuns(None))
    with wiring.writing(loaded) as store:
        create_run(store, wiring.clock(loaded), ready.spec)
    return lab


@dataclass(frozen=True)
class Drafted:
    """How the run ends when nobody is killed, and the places there are to die at."""

    story: Story
    saves: int
    calls: int
    kinds: list[str]
    documents: dict[str, str]

    def save_of(self, kind: str) -> int:
        """The save that told of the last event of that kind; the first event was saved before."""
        return len(self.kinds) - 1 - self.kinds[::-1].index(kind)


def documents(lab: Lab) -> dict[str, str]:
    """What a reader finds of the plan."""
    folder = lab.project / ".autonomous_runs" / "r"
    names = ("spec.md", "comprehensive_plan.md", "phases/phase_00__plan.md")
    return {name: (folder / name).read_text().replace(str(lab.root), "ROOT") for name in names}


@pytest.fixture(scope="session")
def drafted(tmp_path_factory: pytest.TempPathFactory) -> Drafted:
    with counted_git() as git:
        git.arm("before", 0)
        lab = begun(Lab(tmp_path_factory.mktemp("drafted"), PATH=git.path["PATH"]))
        before = git.calls
        done = host(lab, "before", 0)
        assert done.returncode == 0, done.stderr
        calls = git.calls - before
    assert lab.kinds()[:6] == ["run_created", "base_prepared", "attempt_ended", "plan_rejected",
                               "attempt_ended", "plan_drafted"]  # fmt: skip
    return Drafted(story(lab), int(done.stdout), calls, lab.kinds(), documents(lab))


def check(lab: Lab, drafted: Drafted) -> None:
    """Drafted once, paid once, told as if nobody had been killed."""
    finish(lab)
    check_as_undisturbed(lab, drafted.story)
    run = lab.load()
    assert run.state is RunState.DONE_SUCCESS
    assert run.draft is not None
    assert (run.draft.tokens_spent, run.tokens_spent) == (2 * TOKENS, 2 * TOKENS + 100)
    assert documents(lab) == drafted.documents


@pytest.mark.parametrize(
    ("when", "kind"),
    [
        ("before", "plan_rejected"), ("after", "plan_rejected"),
        ("before", "plan_drafted"), ("after", "plan_drafted"),
    ],
)  # fmt: skip
def test_killed_around_the_plan(lab: Lab, drafted: Drafted, when: str, kind: str) -> None:
    die_at_save(begun(lab), when, drafted.save_of(kind))
    there = (when, kind) == ("after", "plan_drafted")
    assert lab.load().spec.drafting is not there, "run and plan are saved together"
    check(lab, drafted)


@pytest.mark.slow
@pytest.mark.parametrize(("when", "share"), [("before", 0.2), ("after", 0.4)])
def test_killed_in_a_git_call(
    lab: Lab, git: CountedGit, drafted: Drafted, when: str, share: float
) -> None:
    assert die_in_git(begun(lab), git, when, round(share * drafted.calls))
    check(lab, drafted)


@pytest.mark.slow
@WHEN
def test_killed_at_the_plan_on_postgresql(server_lab: Lab, drafted: Drafted, when: str) -> None:
    die_at_save(begun(server_lab), when, drafted.save_of("plan_drafted"))
    check(server_lab, drafted)


@pytest.mark.slow
def test_killed_again_in_recovery(lab: Lab, drafted: Drafted) -> None:
    die_at_save(begun(lab), "after", drafted.save_of("plan_rejected"))
    die_at_save(lab, "before", 2)
    check(lab, drafted)


@pytest.mark.full
@pytest.mark.timeout(1200)
@WHEN
@pytest.mark.parametrize("part", range(PARTS))
@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_killed_at_every_place(
    request: pytest.FixtureRequest, tmp_path: Path, drafted: Drafted, when: str, part: int,
    kind: str,
) -> None:  # fmt: skip
    databases = request.getfixturevalue("databases") if kind == "postgresql" else None
    every = EveryPlace(drafted.saves, drafted.calls, begun, lambda lab: check(lab, drafted))
    every.die(tmp_path, when, part, databases)
