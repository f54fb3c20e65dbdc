"""Every bad input ends in a clear message and its exit code, and leaves nothing behind."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import sys
from collections.abc import Callable
from pathlib import Path

import filelock
import pytest

from autopack.adapters.store.tables import VERSION_TABLE
from autopack.process.limits import Finished, Limits
from autopack.process.runner import run
from tests.cli.world import PLAN, SETTINGS, World, contents

USAGE, ENVIRONMENT = 2, 3
Spoil = Callable[[World], None]


def no_repository(world: World) -> None:
    (world.repo / "a.py").write_text("")


def empty(world: World) -> None:
    world.git("init", "--quiet", "--initial-branch=main")


def unborn(world: World) -> None:
    world.toy()
    world.git("branch", "-m", "main", "elsewhere")
    world.git("checkout", "--quiet", "--orphan", "fresh")


def shallow(world: World) -> None:
    world.toy()
    world.commit({"more.py": ""})
    whole = world.repo.rename(world.root / "whole")
    world.git("clone", "--quiet", "--depth=1", f"file://{whole}", str(world.repo), cwd=world.root)


def bare(world: World) -> None:
    world.git("init", "--quiet", "--bare")


def no_settings(world: World) -> None:
    world.commit({"a.py": ""})
    (world.repo / "autopack.toml").write_text(SETTINGS)


def bad_project(world: World) -> None:
    world.toy(SETTINGS.replace("commands", "comands"))


def bad_machine(world: World) -> None:
    world.toy('bulider = "x"\n' + SETTINGS)


def unknown_builder(world: World) -> None:
    world.toy(SETTINGS.replace('builder = "recorded"', 'builder = "recorder"'))


def broken_agent(world: World) -> None:
    world.toy()
    shutil.rmtree(world.root / "patches")


def branch_in_the_way(world: World) -> None:
    world.toy()
    world.git("branch", "autonomous")


def tag_in_the_way(world: World) -> None:
    world.toy()
    world.git("tag", "autonomous")


def no_plan(world: World) -> None:
    world.toy()
    world.plan.unlink()


def plan_not_text(world: World) -> None:
    world.toy()
    world.plan.write_bytes(b"## Tier T1: \xff\n")


def plan_is_folder(world: World) -> None:
    world.toy()
    world.plan.unlink()
    world.plan.mkdir()


def plan_with_faults(world: World) -> None:
    world.toy()
    world.plan.write_text(PLAN.replace("low", "lowish").replace("scope: a.py", "needs: F9.9"))


def plan_in_json(world: World) -> None:
    world.toy()
    world.plan_name = "plan.json"
    world.plan.write_text('{"tiers": [{"id": "T1", "phases": [{"id": "F1", "tsk": "x"}]}]}')


def plan_needs_auditor(world: World) -> None:
    world.toy()
    world.plan.write_text(PLAN.replace("category: tests", "category: schema_contract_change"))


def no_git(world: World) -> None:
    world.toy()
    world.env["PATH"] = world.path_with("bwrap")


def no_bubblewrap(world: World) -> None:
    world.toy()
    world.env["PATH"] = world.path_with("git")


def old_git(world: World) -> None:
    world.toy()
    world.shadow("git", "echo git version 1.8.3")


def broken_bubblewrap(world: World) -> None:
    world.toy()
    world.shadow("bwrap", "echo no namespaces here >&2; exit 1")


def other_hash(world: World) -> None:
    world.git("init", "--quiet", "--initial-branch=main", "--object-format=sha256")
    world.toy()


def damaged_store(world: World) -> None:
    world.toy()
    (world.root / "data").mkdir(mode=0o700)
    (world.root / "data" / "autopack.db").write_bytes(b"certainly not a database\n" * 100)


def foreign_database(world: World) -> None:
    world.toy()
    world.env["DATABASE_URL"] = "mysql://user:secret@localhost/app"


def silent_server(world: World) -> None:
    world.toy()  # nobody listens on port 1
    world.env["DATABASE_URL"] = "postgresql://user:secret@127.0.0.1:1/app"


def unset_key(world: World) -> None:
    world.toy(
        SETTINGS.replace('type = "scripted"\npatches = "../patches"',
                         'command = ["true"]\npass_env = ["NOT_SET_ANYWHERE"]')
    )  # fmt: skip


def no_agent(world: World) -> None:
    world.toy(SETTINGS.replace('type = "scripted"\npatches = "../patches"',
                               'command = ["no-such-agent", "{prompt_file}"]'))  # fmt: skip


def agent_elsewhere(world: World) -> None:
    """A program on the user's PATH, in a folder that no agent is shown."""
    program = world.root / "own" / "our-agent"
    program.parent.mkdir()
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    world.env["PATH"] += f":{program.parent}"
    world.toy(SETTINGS.replace('type = "scripted"\npatches = "../patches"',
                               'command = ["our-agent"]'))  # fmt: skip


def agent_outside_the_fence(world: World) -> None:
    agent_elsewhere(world)
    settings = (world.repo / "autopack.toml").read_text()
    whole = settings.replace('"our-agent"', f'"{world.root}/own/our-agent"')
    world.commit({"autopack.toml": whole})


CASES: dict[str, tuple[Spoil, int, tuple[str, ...]]] = {
    "no repository": (no_repository, USAGE, ("no git repository", "git init")),
    "empty": (empty, USAGE, ("empty repository", "commit something first")),
    "unborn branch": (unborn, USAGE, ("fresh", "unborn")),
    "shallow": (shallow, USAGE, ("shallow", "--unshallow")),
    "bare": (bare, USAGE, ("bare", "clone it")),
    "settings not committed": (no_settings, USAGE, ("has no autopack.toml", "commit it on main")),
    "bad project part": (bad_project, USAGE, ("comands", "commands")),
    "bad machine part": (bad_machine, USAGE, ("bulider", "did you mean 'builder'")),
    "unknown builder": (unknown_builder, USAGE, ("recorder", "did you mean 'recorded'")),
    "agent not installed": (no_agent, ENVIRONMENT, ("agents.recorded.command", "no-such-agent")),
    "agent not on its PATH": (agent_elsewhere, ENVIRONMENT, ("our-agent", "read_only = [")),
    "agent not shown": (agent_outside_the_fence, USAGE, ("our-agent", "read_only = [")),
    "broken agent": (broken_agent, USAGE, ("agents.recorded.patches",)),
    "variable not set": (unset_key, USAGE, ("NOT_SET_ANYWHERE",)),
    "branch in the way": (branch_in_the_way, USAGE, ("git branch -m autonomous <new-name>",)),
    "tag in the way": (tag_in_the_way, USAGE, ("tag autonomous", "git tag -d")),
    "no plan": (no_plan, USAGE, ("plan.md", "cannot read the plan")),
    "plan not text": (plan_not_text, USAGE, ("plan.md:1", "UTF-8")),
    "plan is a folder": (plan_is_folder, USAGE, ("regular file",)),
    "plan with faults": (plan_with_faults, USAGE, ("lowish", "F9.9", "scope")),
    "plan in JSON": (plan_in_json, USAGE, ("did you mean 'task'", '`"scope": ["src/**"')),
    "plan needs an auditor": (plan_needs_auditor, USAGE, ("no auditor", "F1.1")),
    "other hash": (other_hash, USAGE, ("sha256", "sha1")),
    "no git": (no_git, ENVIRONMENT, ("git cannot be executed", "install git")),
    "old git": (old_git, ENVIRONMENT, ("git is 1.8.3", "needs 2.", "install a newer git")),
    "no bubblewrap": (
        no_bubblewrap,
        ENVIRONMENT,
        ("bubblewrap (bwrap) is not installed", "apt install bubblewrap", 'sandbox = "none"'),
    ),
    "broken bubblewrap": (
        broken_bubblewrap,
        ENVIRONMENT,
        ("no namespaces here", "user namespaces", 'sandbox = "none"'),
    ),
    "damaged store": (damaged_store, ENVIRONMENT, ("autopack.db", "not a database", "move it")),
    "foreign database": (foreign_database, USAGE, ("mysql", "AUTOPACK_DATABASE_URL=sqlite")),
    "silent server": (
        silent_server,
        ENVIRONMENT,
        ("postgresql://user@127.0.0.1:1/app", "Connection refused", "start the server"),
    ),
}


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("how", [(), ("--dry-run",)], ids=["start", "dry run"])
def test_refused_and_nothing_left_behind(world: World, case: str, how: tuple[str, ...]) -> None:
    spoil, exit_code, words = CASES[case]
    spoil(world)
    before = contents(world.root)
    done = world.autopack("run", str(world.plan), *how)
    said = done.stderr.decode()
    assert done.exit_code == exit_code, said
    for word in words:
        assert word in said
    assert "Traceback" not in said
    assert "secret" not in said
    assert done.stdout == b""
    assert contents(world.root) == before


def test_all_problems_at_once(world: World) -> None:
    plan_with_faults(world)
    (world.repo / "autopack.toml").write_text(SETTINGS.replace('builder = "recorded"', ""))
    world.git("branch", "autonomous")
    said = world.autopack("run", str(world.plan)).stderr.decode()
    for word in ("lowish", "F9.9", "no builder", "branch autonomous"):
        assert word in said


def test_a_program_that_the_environment_will_bring_or_the_clone_holds(world: World) -> None:
    prepares = '[environment]\nprepare = ["true"]\ncache = [".venv"]\n'
    for word, more in (("brought-later", prepares), ("./tools/agent", "")):
        world.toy(SETTINGS.replace('type = "scripted"\npatches = "../patches"',
                                   f'command = ["{word}"]') + more)  # fmt: skip
        done = world.autopack("run", str(world.plan), "--dry-run")
        assert done.exit_code == 0, done.stderr.decode()


def test_a_dry_run_counts_audits_only_where_an_auditor_is(world: World) -> None:
    world.toy()
    said = world.autopack("run", str(world.plan), "--dry-run").stdout.decode()
    assert "tokens, 2 attempts, 0 audits, 2 CI runs" in said
    assert "1 phase in 1 tier on" in said
    world.env["AUTOPACK_AUDITOR"] = "recorded"
    said = world.autopack("run", str(world.plan), "--dry-run").stdout.decode()
    assert "2 attempts, 1 audit, 3 CI runs" in said


def test_a_name_that_is_taken(world: World) -> None:
    world.toy()
    world.git("branch", "autonomous/mine")
    before = contents(world.root)
    for run_id, word in (("mine", "choose another --run-id"), ("no/id", "ids are")):
        done = world.autopack("run", str(world.plan), "--run-id", run_id)
        assert done.exit_code == USAGE
        assert word in done.stderr.decode()
    assert contents(world.root) == before


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        ("branch", "autonomous/mine/deeper"),
        ("tag", "autonomous/mine"),
        ("tag", "autonomous/mine/tier-T1"),
        ("tag", "autonomous/mine/tier-T1/phase-F1.1"),
    ],
)
def test_a_ref_that_stands_where_a_run_s_refs_must_go(world: World, kind: str, name: str) -> None:
    world.toy()
    world.git(kind, name)
    before = contents(world.root)
    done = world.autopack("run", str(world.plan), "--run-id", "mine")
    assert done.exit_code == USAGE
    said = done.stderr.decode()
    assert f"the {kind} {name} stands where this run's refs must go" in said
    assert "choose another --run-id" in said
    assert contents(world.root) == before


def test_a_line_break_in_the_path_is_told(world: World) -> None:
    world.toy()
    world.repo.rename(world.root / "to\ny")
    done = world.autopack("run", str(world.plan), cwd=world.root / "to\ny")
    assert done.exit_code == USAGE
    assert "the path has a line break" in done.stderr.decode()


def test_an_unborn_branch_beside_the_base_is_a_warning(world: World) -> None:
    commit = world.toy()
    world.git("checkout", "--quiet", "--orphan", "fresh")
    done = world.autopack("run", str(world.plan), "--dry-run")
    assert done.ok, done.stderr.decode()
    assert "fresh is checked out; the run starts from main" in done.stderr.decode()
    assert commit[:12] in done.stdout.decode()


def test_a_linked_work_tree_is_as_good_as_its_repository(world: World) -> None:
    commit = world.toy()
    side = world.root / "side"
    world.git("worktree", "add", "--quiet", str(side), "-b", "side")
    done = world.autopack("run", str(world.plan), "--run-id", "mine", cwd=side)
    assert done.ok, done.stderr.decode()
    assert world.git("rev-parse", "autonomous/mine^") == commit
    assert world.git("status", "--porcelain", cwd=side) == ""


def test_dirty_and_detached_are_warnings(world: World) -> None:
    commit = world.toy()
    world.git("checkout", "--quiet", "--detach")
    (world.repo / "a.py").write_text("changed\n")
    done = world.autopack("run", str(world.plan), "--dry-run")
    assert done.ok, done.stderr.decode()
    said = done.stderr.decode()
    assert "detached" in said
    assert "not committed" in said
    assert commit[:12] in done.stdout.decode()


def test_a_second_supervisor(world: World) -> None:
    world.toy()
    world.lock.parent.mkdir()
    with filelock.FileLock(world.lock):
        done = world.autopack("supervise", "--until-idle")
    assert done.exit_code == ENVIRONMENT
    assert "another supervisor" in done.stderr.decode()


def test_a_store_of_a_newer_version(world: World) -> None:
    world.toy()
    assert world.autopack("supervise", "--until-idle").ok
    database = world.root / "data" / "autopack.db"
    with sqlite3.connect(database) as connection:
        connection.execute(f"update {VERSION_TABLE} set version_num = '9999'")  # noqa: S608  a constant of ours
    connection.close()
    before = database.read_bytes()
    for command in (("run", str(world.plan)), ("run", "list"), ("supervise", "--until-idle")):
        done = world.autopack(*command)
        assert done.exit_code == USAGE, done.stderr.decode()
        assert "newer" in done.stderr.decode()
    assert database.read_bytes() == before


def test_a_full_disk(world: World) -> None:
    """The data folder is a file system of 64 KiB, in a mount namespace of bubblewrap's."""
    world.toy()
    data = world.root / "data"
    data.mkdir()
    before = contents(world.repo)
    done = _on_a_full_disk(world, data, "run", str(world.plan), "--detach")
    said = done.stderr.decode()
    assert done.exit_code == ENVIRONMENT, said
    assert "Traceback" not in said
    assert contents(world.repo) == before
    assert list(data.iterdir()) == []


def _on_a_full_disk(world: World, folder: Path, *arguments: str) -> Finished:
    bwrap = shutil.which("bwrap")
    if bwrap is None:
        if os.environ.get("CI"):
            pytest.fail("CI needs bubblewrap")
        pytest.skip("bubblewrap makes the full disk, and is not installed")
    fence = [bwrap, "--bind", "/", "/", "--dev", "/dev", "--size", "65536", "--tmpfs", str(folder)]
    # the probe of the sandbox needs a /proc of its own namespace only when there is one
    program = [sys.executable, "-m", "autopack.cli.main", *arguments]
    return run([*fence, "--", *program], env=world.env, cwd=world.repo, limits=Limits(50))


def test_usage(world: World) -> None:
    world.toy()
    for arguments, word in (
        (("run",), "PLAN"),
        (("run", "lits"), "did you mean `autopack run list`"),
        (("run", str(world.plan), "--paralel", "2"), "--parallel"),
        (("run", str(world.plan), "--parallel", "0"), "1 or more"),
        (("rum",), "run"),
    ):
        done = world.autopack(*arguments)
        assert done.exit_code == USAGE, arguments
        assert word in done.stderr.decode(), arguments


def test_errors_as_json(world: World) -> None:
    empty(world)
    done = world.autopack("run", str(world.plan), "--json")
    assert done.exit_code == USAGE
    assert done.stdout == b""
    told = json.loads(done.stderr)
    assert told.keys() == {"code", "message", "hint"}
    assert told["code"] == "operator"
    assert "empty repository" in told["message"]


@pytest.mark.parametrize("command", [("run", "view"), ("run", "watch"), ("run", "cancel"),
                                     ("run", "retry"), ("run", "deliver"), ("events", "list"),
                                     ("events", "verify")])  # fmt: skip
def test_an_unknown_run(world: World, command: tuple[str, ...]) -> None:
    world.toy()
    before = contents(world.root)
    done = world.autopack(*command, "nobody")
    assert done.exit_code == USAGE
    assert "nobody" in done.stderr.decode()
    assert contents(world.root) == before
