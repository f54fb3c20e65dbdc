"""What every Builder, Auditor and Verifier does, the public fakes included."""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from autopack.adapters.agents.registry import AgentContext, load_agent
from autopack.adapters.git.history import open_history
from autopack.adapters.git.wrapper import Git
from autopack.app import agents, ports
from autopack.core.event import CiVerdict, Outcome, Recommendation
from autopack.process.sandbox import Unfenced, default_identity
from autopack.process.workbench import Workbench
from autopack.testing.agents import FakeAuditor, FakeBuilder, FakeVerifier, Work
from autopack.testing.unified import apply_patch
from tests.adapters.commits import RUN, attempt, audit_task, ci_task
from tests.repos import commit_all, user_repository, write

PATCH = (
    b"diff --git a/new b/new\nnew file mode 100644\n--- /dev/null\n+++ b/new\n@@ -0,0 +1 @@\n+new\n"
)
VERDICT = '{"recommendation": "approve", "notes": "fine"}'


def fake(folder: Path) -> object:
    del folder
    builder = FakeBuilder({("F1.1", 1): Work({"new": b"new\n"})}, agents.Built(Outcome.FAILED))
    auditor = FakeAuditor(
        {("F1.1", 1): agents.Audited(Recommendation.APPROVE, notes="fine")},
        agents.Audited(Recommendation.INVALID),
    )

    class Both:
        build = builder.build
        audit = auditor.audit

    return Both()


def scripted(folder: Path) -> object:
    recorded = folder / "recorded/F1.1"
    recorded.mkdir(parents=True)
    (recorded / "1.patch").write_bytes(PATCH)
    context = AgentContext(Workbench(Unfenced(default_identity())), {}, folder)
    agent = load_agent("s", {"type": "scripted", "patches": "recorded"}, context)

    class Recorded:
        build = agent.build

        def audit(self, *words: object) -> object:
            verdict = 'recommendation = "approve"\nnotes = "fine"\n'
            (recorded / "1.toml").write_text(verdict)
            return agent.audit(*words)

    return Recorded()


def command(folder: Path) -> object:
    source = (
        "import os\n"
        "if os.environ['AUTOPACK_ATTEMPT'] != '1': raise SystemExit(1)\n"
        "if 'AUTOPACK_VERDICT_FILE' in os.environ:\n"
        f"    open(os.environ['AUTOPACK_VERDICT_FILE'], 'w').write({VERDICT!r})\n"
        "else:\n"
        "    open('new', 'w').write('new\\n')\n"
    )
    context = AgentContext(Workbench(Unfenced(default_identity())), {}, folder)
    given = {"type": "command", "command": ["python", "-c", source]}
    return load_agent("c", given, context)


def replay(folder: Path) -> object:
    user_repository(folder / "past", {"old": "old\n"})
    write(folder / "past", {"new": "new\n"})
    commit_all(folder / "past")
    context = AgentContext(
        Workbench(Unfenced(default_identity())), {}, folder,
        history=functools.partial(open_history, Git()),
    )  # fmt: skip
    given = {"type": "replay", "repository": "past", "commits": {"F1.1": "main"}}
    agent = load_agent("r", given, context)
    assert not hasattr(agent, "audit"), "history judges nothing"

    class Both:
        build = agent.build
        audit = fake(folder).audit  # type: ignore[attr-defined]  # the other half

    return Both()


MADE = [fake, scripted, command, replay]


@pytest.fixture(params=MADE, ids=[make.__name__ for make in MADE])
def agent(request: pytest.FixtureRequest, tmp_path: Path) -> object:
    make: Callable[[Path], object] = request.param
    return make(tmp_path)


@pytest.fixture
def clone(tmp_path: Path) -> ports.Clone:
    (tmp_path / "clone").mkdir()
    return ports.Clone(tmp_path / "clone", "base", tmp_path / "index")


def set_event() -> threading.Event:
    event = threading.Event()
    event.set()
    return event


def test_work_is_a_patch_or_in_the_clone(
    agent: agents.Builder, clone: ports.Clone, tmp_path: Path
) -> None:
    built = agent.build(attempt(tmp_path), clone, threading.Event())
    assert built.outcome is Outcome.SUBMITTED, built
    assert built.error == ""
    left = {path.name: path.read_bytes() for path in clone.folder.iterdir()}
    if built.patch is None:
        assert left == {"new": b"new\n"}
    else:
        assert left == {}
        assert apply_patch({}, built.patch) == {b"new": b"new\n"}


def test_the_same_attempt_again_gives_the_same(
    agent: agents.Builder, clone: ports.Clone, tmp_path: Path
) -> None:
    first = agent.build(attempt(tmp_path), clone, threading.Event())
    assert agent.build(attempt(tmp_path), clone, threading.Event()) == first


def test_a_failed_attempt_is_a_value(
    agent: agents.Builder, clone: ports.Clone, tmp_path: Path
) -> None:
    built = agent.build(attempt(tmp_path, number=2), clone, threading.Event())
    assert (built.outcome, built.patch, built.error) == (Outcome.FAILED, None, "")


def test_told_to_end_before_it_began(
    agent: agents.Builder, clone: ports.Clone, tmp_path: Path
) -> None:
    built = agent.build(attempt(tmp_path), clone, set_event())
    assert built.outcome is Outcome.CANCELLED
    assert built.patch is None
    assert list(clone.folder.iterdir()) == []


def test_a_verdict(agent: agents.Auditor, clone: ports.Clone, tmp_path: Path) -> None:
    audited = agent.audit(audit_task(tmp_path), clone, threading.Event())
    assert (audited.recommendation, audited.notes) == (Recommendation.APPROVE, "fine"), audited


def test_no_verdict_is_an_approval_when_told_to_end(
    agent: agents.Auditor, clone: ports.Clone, tmp_path: Path
) -> None:
    audited = agent.audit(audit_task(tmp_path), clone, set_event())
    assert audited.recommendation is Recommendation.INVALID


def test_the_fake_verifier_answers_by_count_and_keeps_what_it_was_asked(tmp_path: Path) -> None:
    red = ports.Tested(CiVerdict.FAIL)
    fake = FakeVerifier({("F1.1", 2): red}, digest="d")
    task = ci_task(tmp_path)
    assert fake.prepare(RUN, threading.Event()) == "d"
    verdicts = [fake.test(task, threading.Event()).verdict for _ in range(3)]
    assert verdicts == [CiVerdict.PASS, CiVerdict.FAIL, CiVerdict.PASS]
    assert fake.test(task, set_event()).verdict is CiVerdict.CANCELLED
    assert (fake.prepared, len(fake.tasks)) == (["r1"], 4)
