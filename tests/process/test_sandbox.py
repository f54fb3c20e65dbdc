"""The fence: what is visible, what is refused, and that nothing survives it. All real bubblewrap."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

import autopack
from autopack.process.fence import HOME, Fence, MaskRefused
from autopack.process.network import NetworkOpen, closed_network, interpreter
from autopack.process.runner import Ended, Finished, Limits, ProgramMissing
from autopack.process.sandbox import (
    Sandbox,
    SandboxFailed,
    SandboxMissing,
    Unfenced,
    default_identity,
    probe,
)
from tests.process.ground import alive, cancel_when, give, new_mark, until

LIMITS = Limits(wall_seconds_max=30.0)


def sh(sandbox: Sandbox, script: str, fence: Fence, limits: Limits = LIMITS) -> Finished:
    return sandbox.run(["sh", "-c", script], fence, limits)


def test_only_the_work_folder_is_kept(sandbox: Sandbox, work: Path, tmp_path: Path) -> None:
    script = """
    touch inside || exit 1
    for place in / /usr /etc /dev /home /proc; do
        touch "$place/escaped" 2>/dev/null && echo "wrote $place"
    done
    touch /tmp/scratch ~/scratch /dev/shm/scratch "$1/scratch"
    """
    finished = sandbox.run(["sh", "-c", script, "sh", str(tmp_path)], Fence(work), LIMITS)
    assert (finished.exit_code, finished.stdout) == (0, b"")
    assert (work / "inside").exists()
    assert not Path("/tmp/scratch").exists()
    assert [path.name for path in tmp_path.iterdir()] == ["work"]


def test_the_rest_of_the_host_is_absent(sandbox: Sandbox, work: Path, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("canary")
    secret.chmod(0o644)
    finished = sh(
        sandbox, f"cat {secret}; ls /root /var /etc/shadow /etc/ssh; ls -A ~", Fence(work)
    )
    assert finished.stdout == b""
    assert b"canary" not in finished.stderr


def test_the_environment_is_cleared(
    sandbox: Sandbox, work: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CANARY_TOKEN", "x")
    finished = sandbox.run(["env"], Fence(work, env={"GIVEN": "a b\nc"}), LIMITS)
    text = finished.stdout.decode()
    names = {line.split("=")[0] for line in text.splitlines() if "=" in line}
    assert names == {"HOME", "PATH", "TMPDIR", "LANG", "GIVEN", "PWD"}
    assert "GIVEN=a b\nc\n" in text
    assert f"HOME={HOME}\n" in text


def test_nobody_is_root_inside_or_outside(sandbox: Sandbox, work: Path) -> None:
    finished = sh(sandbox, "id -u; whoami; grep ^CapEff /proc/self/status; touch f", Fence(work))
    uid, name, capabilities = finished.stdout.decode().splitlines()
    assert int(uid) != 0
    assert name == "autopack"
    assert int(capabilities.split()[1], 16) == 0
    assert (work / "f").stat().st_uid == int(uid)


def test_other_processes_and_our_descriptors_are_invisible(sandbox: Sandbox, work: Path) -> None:
    script = (
        "cat /proc/[0-9]*/environ | tr '\\0' '\\n'; ls /proc | grep -c '^[0-9]'; ls /proc/self/fd"
    )
    finished = sh(sandbox, script, Fence(work))
    lines = finished.stdout.decode().splitlines()
    assert int(next(line for line in lines if line.isdigit())) < 8
    assert lines[-4:] == ["0", "1", "2", "3"]  # 3 is ls reading that folder
    assert not any("PYTEST" in line for line in lines)


def test_the_network_is_closed(sandbox: Sandbox) -> None:
    closed_network(sandbox)


def test_the_network_test_notices_an_open_one() -> None:
    with pytest.raises(NetworkOpen, match="host tcp"):
        closed_network(Unfenced(default_identity()))


def test_a_network_that_was_asked_for_is_there(sandbox: Sandbox, work: Path) -> None:
    here = Path("/proc/net/dev").read_text().count(":")
    seen = sh(sandbox, "grep -c : /proc/net/dev", Fence(work, network=True))
    assert int(seen.stdout) == here
    closed = sh(sandbox, "grep -c : /proc/net/dev", Fence(work))
    assert int(closed.stdout) == 1


def test_binds_go_where_they_are_told(sandbox: Sandbox, work: Path, tmp_path: Path) -> None:
    for name in ("shown", "moved", "shared"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "file").write_text(name)
        give(tmp_path / name)
    fence = Fence(
        work,
        read_only=(tmp_path / "shown",),
        read_only_at=((tmp_path / "moved", "/opt/there"), (tmp_path / "shown/file", "/opt/one")),
        writable=(tmp_path / "shared",),
    )
    script = f"""
    cat {tmp_path}/shown/file /opt/there/file /opt/one
    touch {tmp_path}/shown/x /opt/there/x 2>/dev/null; touch {tmp_path}/shared/x
    """
    assert sh(sandbox, script, fence).stdout == b"shownmovedshown"
    made = [name for name in ("shown", "moved", "shared") if (tmp_path / name / "x").exists()]
    assert made == ["shared"]


def test_the_work_folder_may_appear_elsewhere(sandbox: Sandbox, work: Path) -> None:
    (work / ".codex").mkdir()
    (work / ".codex/config").write_text("canary")
    fence = Fence(work, inside="/autopack/work", masked=(".codex",))
    finished = sh(sandbox, f"pwd; touch made; ls .codex; ls {work}", fence)
    assert finished.stdout == b"/autopack/work\n"
    assert (work / "made").exists()
    with pytest.raises(ValueError, match="absolute"):
        Fence(work, inside="relative")


def test_a_read_only_place_inside_a_writable_one_stays_read_only(
    sandbox: Sandbox, work: Path
) -> None:
    (work / "kept").mkdir()
    give(work / "kept")
    script = "touch kept/x 2>/dev/null; touch y"
    assert sh(sandbox, script, Fence(work, read_only=(work / "kept",))).ok
    assert (work / "y").exists()
    assert not (work / "kept/x").exists()


def test_an_auditor_s_clone_is_read_only(sandbox: Sandbox, work: Path) -> None:
    assert not sh(sandbox, "touch x", Fence(work, work_read_only=True)).ok
    assert not list(work.iterdir())


def test_agent_configuration_is_masked(sandbox: Sandbox, work: Path) -> None:
    for folder in (".codex", "real", "sub/.opencode"):
        (work / folder).mkdir(parents=True)
        (work / folder / "config").write_text("canary")
    (work / ".mcp.json").write_text("canary")
    (work / ".claude").symlink_to("real")
    (work / "dangling").symlink_to("nowhere")
    masked = (".codex", ".mcp.json", ".claude", "sub/.opencode", "opencode.json", "dangling")
    script = "cat .mcp.json && ls .codex .claude/ && ! touch .mcp.json && ! grep -r canary ."
    finished = sh(sandbox, script, Fence(work, masked=masked))
    assert finished.ok, finished.stderr
    assert finished.stdout == b".claude/:\n\n.codex:\n"
    assert (work / ".codex/config").read_text() == "canary"
    assert not (work / "opencode.json").exists()


def test_a_mask_that_would_leave_the_work_tree_is_refused(sandbox: Sandbox, work: Path) -> None:
    (work / ".codex").symlink_to("/usr/share")
    with pytest.raises(MaskRefused, match=r"cannot be hidden"):
        sh(sandbox, "true", Fence(work, masked=(".codex",)))
    with pytest.raises(ValueError, match="not a path below"):
        sh(sandbox, "true", Fence(work, masked=("../x",)))


def test_a_reader_gets_its_input_and_then_the_end(sandbox: Sandbox, work: Path) -> None:
    assert sandbox.run(["cat"], Fence(work), LIMITS, stdin=b"prompt").stdout == b"prompt"
    assert sandbox.run(["cat"], Fence(work), LIMITS).ok


def test_limits_of_time_and_silence_and_output_hold(sandbox: Sandbox, work: Path) -> None:
    fence = Fence(work)
    wall = sandbox.run(["sleep", "60"], fence, Limits(wall_seconds_max=0.5))
    assert wall.ended is Ended.TIMED_OUT
    idle = sandbox.run(["sleep", "60"], fence, Limits(30.0, idle_seconds_max=0.5))
    assert idle.ended is Ended.IDLE
    loud = sandbox.run(["cat", "/dev/zero"], fence, Limits(30.0, output_bytes_max=1 << 20))
    assert (loud.ended, len(loud.stdout)) == (Ended.OUTPUT_LIMIT, 1 << 20)


def test_a_fork_storm_is_limited_and_leaves_nothing(sandbox: Sandbox, work: Path) -> None:
    mark = new_mark()
    limits = Limits(wall_seconds_max=1.5, processes_max=40)
    peak = 0

    def look() -> object:
        nonlocal peak
        peak = max(peak, len(alive(mark)))
        return peak

    storm = f": {mark}; storm() {{ storm | storm & }}; while :; do storm; done"
    finished = sandbox.run(["sh", "-c", storm], Fence(work), limits, progress=look)
    assert not finished.ok
    assert b"fork" in finished.stderr.lower()
    assert peak <= 45  # bubblewrap and the guard carry the mark too
    assert not alive(mark)


def test_fences_side_by_side_do_not_starve_each_other(sandbox: Sandbox, work: Path) -> None:
    limits = Limits(wall_seconds_max=30.0, processes_max=40)
    script = "for i in $(seq 30); do sleep 1 & done; wait; grep processes /proc/self/limits"
    with ThreadPoolExecutor(4) as pool:
        ends = list(pool.map(lambda _: sh(sandbox, script, Fence(work), limits), range(4)))
    assert [end.stderr for end in ends] == [b""] * 4
    assert all(end.stdout.split()[2:4] == [b"40", b"40"] for end in ends)


def test_scratch_folders_cannot_eat_the_memory(sandbox: Sandbox, work: Path) -> None:
    fence = Fence(work, scratch_bytes_max=1 << 20)
    script = "for p in /tmp ~ /dev/shm; do head -c 5M /dev/zero > $p/f; stat -c %s $p/f; done"
    sizes = sh(sandbox, script, fence).stdout.split()
    assert len(sizes) == 3
    assert all(int(size) <= 1 << 20 for size in sizes)


def test_a_program_missing_inside_is_told_from_a_failing_one(sandbox: Sandbox, work: Path) -> None:
    with pytest.raises(ProgramMissing, match="no-such-program"):
        sandbox.run(["no-such-program"], Fence(work), LIMITS)
    liar = "echo 'bwrap: execvp pytest: No such file or directory' >&2; exit 1"
    assert sh(sandbox, liar, Fence(work)).exit_code == 1
    with pytest.raises(SandboxFailed, match="gone"):
        sandbox.run(["true"], Fence(work / "gone"), LIMITS)


ESCAPES = {
    "plain": "sleep {m} & wait",
    "setsid": "setsid sleep {m} & setsid -f sleep {m}; wait",
    "double fork": "(setsid sh -c 'sleep {m} & sleep {m} &' &); sleep {m}",
    "nohup": "nohup sleep {m} >/dev/null 2>&1 & wait",
    "deaf": "trap '' TERM HUP INT; (trap '' TERM; setsid sleep {m}) & while :; do sleep {m}; done",
    "closed streams": "setsid sleep {m} <&- >&- 2>&- & exec sleep {m} <&- >&- 2>&-",
}


@pytest.mark.parametrize("style", ESCAPES)
def test_cancel_leaves_no_survivor(sandbox: Sandbox, work: Path, style: str) -> None:
    mark = new_mark()
    asleep = f"sleep\0{mark}\0"
    cancel, helper = cancel_when(lambda: alive(asleep))
    script = ESCAPES[style].format(m=mark)
    finished = sandbox.run(["sh", "-c", script], Fence(work), LIMITS, cancel=cancel)
    left = alive(mark)
    helper.join()
    assert finished.ended is Ended.CANCELLED
    assert left == []


def test_an_ordinary_end_leaves_no_daemon(sandbox: Sandbox, work: Path) -> None:
    mark = new_mark()
    finished = sh(sandbox, f"setsid sleep {mark} & setsid -f sleep {mark}; echo bye", Fence(work))
    assert finished.stdout == b"bye\n"
    assert alive(mark) == []


SUPERVISOR = """
import sys, threading
from pathlib import Path
from autopack.process.fence import Fence
from autopack.process.runner import Limits
from autopack.process.sandbox import Sandbox, default_identity
sandbox = Sandbox(Path(sys.argv[1]), default_identity())
def work():
    sandbox.run(["sh", "-c", sys.argv[3]], Fence(Path(sys.argv[2])), Limits(wall_seconds_max=300))
print("ready", flush=True)
thread = threading.Thread(target=work)
thread.start()
thread.join()
"""


def supervisor(sandbox: Sandbox, work: Path, script: str) -> subprocess.Popen[bytes]:
    """A process that runs `script` in a fence from one of its threads."""
    env = {"PATH": os.environ["PATH"], "PYTHONPATH": str(Path(autopack.__file__).parents[1])}
    argv = [sys.executable, "-c", SUPERVISOR, str(sandbox.bwrap), str(work), script]
    process = subprocess.Popen(argv, env=env, stdout=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stdout.readline() == b"ready\n"
    return process


def kill(process: subprocess.Popen[bytes]) -> None:
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert process.stdout is not None
    process.stdout.close()


@pytest.mark.parametrize("style", ESCAPES)
def test_a_killed_supervisor_leaves_no_survivor(sandbox: Sandbox, work: Path, style: str) -> None:
    mark = new_mark()
    process = supervisor(sandbox, work, ESCAPES[style].format(m=mark))
    assert until(lambda: alive(f"sleep\0{mark}\0"))
    kill(process)
    assert until(lambda: not alive(mark))


def test_a_supervisor_killed_while_starting_leaves_no_survivor(
    sandbox: Sandbox, work: Path
) -> None:
    """The moments before bubblewrap is tied to its parent: 4 of 10 survived without the guard."""
    mark, wakes = new_mark(), threading.Event()
    for step in range(20):
        process = supervisor(sandbox, work, f"sleep {mark}")
        wakes.wait(0.008 + step * 0.0015)  # samples the start, synchronises nothing
        kill(process)
    assert until(lambda: not alive(mark))


def test_a_fence_inside_the_fence_works(sandbox: Sandbox, work: Path) -> None:
    python, folders = interpreter()
    package = Path(autopack.__file__).parents[1]
    script = """
import pathlib, sys
from autopack.process.fence import Fence
from autopack.process.network import closed_network
from autopack.process.runner import Limits
from autopack.process.sandbox import probe
inner = probe()
closed_network(inner)
limits = Limits(wall_seconds_max=20, processes_max=50, memory_bytes_max=1 << 30)
work = pathlib.Path.cwd() / "inner"
work.mkdir()
print(inner.run(["sh", "-c", "id -u; touch made"], Fence(work), limits).stdout.decode())
"""
    env = {"PYTHONPATH": str(package), "PYTHONDONTWRITEBYTECODE": "1"}
    fence = Fence(work, read_only=(package, *folders), env=env)
    finished = sandbox.run([python, "-c", script], fence, LIMITS)
    assert finished.stderr == b""
    assert int(finished.stdout) != 0
    assert (work / "inner/made").exists()


def test_a_missing_bubblewrap_says_what_to_install(tmp_path: Path) -> None:
    with pytest.raises(SandboxMissing, match="install") as caught:
        probe(str(tmp_path))
    assert "sandbox = " in caught.value.hint


def test_a_broken_bubblewrap_says_what_to_switch_on(tmp_path: Path) -> None:
    fake = tmp_path / "bwrap"
    fake.write_text("#!/bin/sh\necho 'bwrap: No permissions to create new namespace' >&2; exit 1\n")
    fake.chmod(0o755)
    with pytest.raises(SandboxMissing, match="No permissions") as caught:
        probe(str(tmp_path))
    assert "max_user_namespaces" in caught.value.hint


class TestUnfenced:
    def test_it_drops_privileges_and_clears_the_environment(self, work: Path) -> None:
        unfenced = Unfenced(default_identity())
        fence = Fence(work, env={"GIVEN": "1"})
        finished = unfenced.run(["sh", "-c", "id -u; ls -A ~; pwd; env"], fence, LIMITS)
        uid, where, *env = finished.stdout.decode().splitlines()
        assert int(uid) == (unfenced.identity.uid if unfenced.identity else os.getuid())
        assert where == str(work)
        names = {line.split("=")[0] for line in env}
        assert names == {"HOME", "PATH", "TMPDIR", "LANG", "GIVEN", "PWD"}
        assert not unfenced.fenced

    def test_its_group_dies_with_a_cancel(self, work: Path) -> None:
        mark = new_mark()
        asleep = f"sleep\0{mark}\0"
        cancel, helper = cancel_when(lambda: alive(asleep))
        unfenced = Unfenced(default_identity())
        script = ["sh", "-c", f"sleep {mark} & wait"]
        finished = unfenced.run(script, Fence(work), LIMITS, cancel=cancel)
        helper.join()
        assert finished.ended is Ended.CANCELLED
        assert until(lambda: not alive(mark))

    def test_what_only_a_fence_can_do_is_refused(self, work: Path) -> None:
        with pytest.raises(SandboxFailed, match="only inside a sandbox"):
            Unfenced(None).run(["true"], Fence(work, work_read_only=True), LIMITS)
