"""The plain runner: ends, streams, limits, identity, detached programs."""

from __future__ import annotations

import os
import resource
import signal
import sys
import threading
from pathlib import Path

import pytest

from autopack.process.runner import (
    Ended,
    Extra,
    LaunchFailed,
    Limits,
    ProgramMissing,
    run,
    spawn_detached,
)
from autopack.process.sandbox import default_identity
from tests.process.ground import alive, cancel_when, new_mark, until

ENV = {"PATH": "/usr/bin:/bin"}
LIMITS = Limits(wall_seconds_max=20.0)
KERNEL = Limits(wall_seconds_max=20.0, memory_bytes_max=1 << 30)  # goes through the launcher


@pytest.mark.parametrize("limits", [LIMITS, KERNEL], ids=["plain", "launched"])
class TestBothWays:
    def test_output_and_exit_code_are_returned(self, limits: Limits) -> None:
        finished = run(["sh", "-c", "echo out; echo err >&2; exit 3"], env=ENV, limits=limits)
        assert (finished.ended, finished.exit_code) == (Ended.EXITED, 3)
        assert (finished.stdout, finished.stderr) == (b"out\n", b"err\n")
        assert not finished.ok

    def test_environment_is_exactly_what_is_given(self, limits: Limits) -> None:
        finished = run(["/usr/bin/env"], env={"ONLY": "this ü"}, limits=limits)
        assert finished.stdout.decode() == "ONLY=this ü\n"

    def test_stdin_is_fed_whole_and_closed(self, limits: Limits) -> None:
        content = os.urandom(1 << 20)
        finished = run(["cat"], env=ENV, stdin=content, limits=limits)
        assert finished.ok
        assert finished.stdout == content

    def test_a_reader_without_input_gets_end_of_file(self, limits: Limits) -> None:
        assert run(["cat"], env=ENV, limits=limits).ok

    def test_a_program_may_leave_its_input_unread(self, limits: Limits) -> None:
        assert run(["true"], env=ENV, stdin=b"x" * (1 << 20), limits=limits).ok

    def test_a_missing_program_is_named(self, limits: Limits) -> None:
        with pytest.raises(ProgramMissing, match="no-such-program"):
            run(["no-such-program"], env=ENV, limits=limits)

    def test_a_missing_folder_is_not_a_missing_program(
        self, limits: Limits, tmp_path: Path
    ) -> None:
        with pytest.raises(LaunchFailed, match="gone"):
            run(["true"], env=ENV, cwd=tmp_path / "gone", limits=limits)

    def test_a_signal_is_told_from_an_exit(self, limits: Limits) -> None:
        finished = run(["sh", "-c", "kill -9 $$"], env=ENV, limits=limits)
        assert (finished.ended, finished.exit_code) == (Ended.SIGNALLED, None)
        assert finished.signal == signal.SIGKILL

    def test_python_s_ignored_signals_are_not_inherited(self, limits: Limits) -> None:
        # with SIGPIPE ignored `yes` would end with an error message instead
        finished = run(["sh", "-c", "yes | head -n 1"], env=ENV, limits=limits)
        assert (finished.stdout, finished.stderr) == (b"y\n", b"")


def test_the_wall_limit_ends_the_whole_group() -> None:
    mark = new_mark()
    limits = Limits(wall_seconds_max=0.3)
    finished = run(["sh", "-c", f"sleep {mark} & echo up; wait"], env=ENV, limits=limits)
    assert finished.ended is Ended.TIMED_OUT
    assert finished.stdout == b"up\n"
    assert until(lambda: not alive(mark))


def test_a_program_deaf_to_sigterm_is_killed() -> None:
    finished = run(
        ["sh", "-c", "trap '' TERM; while :; do sleep 0.05; done"],
        env=ENV, limits=Limits(wall_seconds_max=0.2), grace_seconds=0.2,
    )  # fmt: skip
    assert (finished.ended, finished.signal) == (Ended.TIMED_OUT, signal.SIGKILL)


def test_a_program_may_say_goodbye_within_the_grace() -> None:
    script = "trap 'echo bye; exit 0' TERM; echo up; while :; do sleep 0.05; done"
    finished = run(["sh", "-c", script], env=ENV, limits=Limits(wall_seconds_max=1.0))
    assert (finished.ended, finished.stdout) == (Ended.TIMED_OUT, b"up\nbye\n")
    assert not finished.ok


def test_silence_ends_a_program_and_talk_does_not() -> None:
    limits = Limits(wall_seconds_max=20.0, idle_seconds_max=1.0)
    assert run(["sleep", "60"], env=ENV, limits=limits).ended is Ended.IDLE
    talk = "for i in 1 2 3 4 5 6; do echo $i; sleep 0.3; done"
    assert run(["sh", "-c", talk], env=ENV, limits=limits).ok


def test_progress_counts_as_life_only_while_it_changes() -> None:
    limits = Limits(wall_seconds_max=20.0, idle_seconds_max=1.0)
    values = iter(range(1000))
    changing = run(["sleep", "2.5"], env=ENV, limits=limits, progress=lambda: next(values))
    assert changing.ok
    still = run(["sleep", "60"], env=ENV, limits=limits, progress=lambda: 1)
    assert still.ended is Ended.IDLE


def test_a_failing_progress_leaves_nothing_behind() -> None:
    mark = new_mark()

    def fail() -> object:
        if alive(mark):
            raise RuntimeError("the watcher broke")
        return None

    with pytest.raises(RuntimeError, match="the watcher broke"):
        run(["sleep", mark], env=ENV, limits=LIMITS, progress=fail)
    assert not alive(mark)


def test_endless_output_keeps_its_head_and_our_memory_flat() -> None:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    limits = Limits(wall_seconds_max=20.0, output_bytes_max=2_000_003)
    finished = run(["sh", "-c", "echo head; cat /dev/zero"], env=ENV, limits=limits)
    assert finished.ended is Ended.OUTPUT_LIMIT
    assert finished.truncated
    assert len(finished.stdout) == 2_000_003
    assert finished.stdout.startswith(b"head\n")
    grown_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert grown_kib < 64 << 10


def test_output_of_exactly_the_limit_is_whole() -> None:
    limits = Limits(wall_seconds_max=20.0, output_bytes_max=1000)
    finished = run(["head", "-c", "1000", "/dev/zero"], env=ENV, limits=limits)
    assert finished.ok
    assert not finished.truncated


def test_a_last_burst_over_the_limit_is_not_a_success() -> None:
    limits = Limits(wall_seconds_max=20.0, output_bytes_max=10)
    finished = run(["head", "-c", "11", "/dev/zero"], env=ENV, limits=limits)
    assert (finished.ended, finished.ok) == (Ended.OUTPUT_LIMIT, False)


def test_cancel_ends_it_and_a_cancelled_call_starts_nothing(tmp_path: Path) -> None:
    mark = new_mark()
    cancel, timer = cancel_when(lambda: alive(mark))
    finished = run(["sleep", mark], env=ENV, limits=LIMITS, cancel=cancel)
    timer.join()
    assert finished.ended is Ended.CANCELLED
    run(["touch", str(tmp_path / "made")], env=ENV, limits=LIMITS, cancel=cancel)
    assert not (tmp_path / "made").exists()


def test_an_escaped_daemon_holding_the_pipe_does_not_hold_us() -> None:
    mark = new_mark()
    finished = run(["sh", "-c", f"setsid sleep {mark} & echo done"], env=ENV, limits=LIMITS)
    assert (finished.ended, finished.stdout) == (Ended.EXITED, b"done\n")
    for pid in alive(mark):  # the documented gap of a run without a fence
        os.kill(pid, signal.SIGKILL)


def test_memory_of_one_process_is_limited() -> None:
    limits = Limits(wall_seconds_max=20.0, memory_bytes_max=64 << 20)
    finished = run(["head", "-c", "1G", "/dev/zero"], env=ENV, limits=LIMITS)
    assert finished.ended is Ended.OUTPUT_LIMIT  # it streams: the control
    finished = run(["sort", "-S", "1G", "/dev/zero"], env=ENV, limits=limits)
    assert finished.ended in (Ended.EXITED, Ended.MEMORY_LIMIT)
    assert not finished.ok


def test_memory_of_the_whole_tree_is_watched() -> None:
    code = (
        "import time; held = b'x' * (60 << 20); time.sleep(60)"  # below the limit for one process
    )
    limits = Limits(wall_seconds_max=20.0, memory_bytes_max=150 << 20)
    script = '"$@" & "$@" & "$@" & "$@" & wait'
    argv = ["sh", "-c", script, "sh", sys.executable, "-I", "-S", "-c", code]
    finished = run(argv, env=ENV, limits=limits)
    assert finished.ended is Ended.MEMORY_LIMIT


def test_a_file_is_limited(tmp_path: Path) -> None:
    limits = Limits(wall_seconds_max=20.0, file_bytes_max=4096)
    target = tmp_path / "file"
    finished = run(["sh", "-c", f"cat /dev/zero > {target}"], env=ENV, limits=limits)
    assert not finished.ok
    assert target.stat().st_size == 4096


def test_launching_needs_nothing_that_the_lesser_user_cannot_read(work: Path) -> None:
    identity = default_identity()
    uid = os.getuid() if identity is None else identity.uid
    script = "id -u; id -G; pwd; touch here"
    finished = run(
        ["sh", "-c", script], env=ENV, cwd=work, limits=LIMITS, identity=identity,
        extra=Extra(reach=(os.fspath(work),)),
    )  # fmt: skip
    assert finished.stdout.decode().split() == [str(uid), *_groups(identity), str(work)]
    assert (work / "here").stat().st_uid == uid


def _groups(identity: object) -> list[str]:
    # a dropped user has its own group alone: none of root's remain
    if identity is not None:
        return ["65533"]
    return run(["id", "-G"], env=ENV, limits=LIMITS).stdout.decode().split()


def test_many_threads_run_at_once_without_mixing_streams() -> None:
    results: dict[int, bytes] = {}

    def one(number: int) -> None:
        limits = KERNEL if number % 2 else LIMITS
        results[number] = run(["echo", str(number)], env=ENV, limits=limits).stdout

    threads = [threading.Thread(target=one, args=(n,)) for n in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == {n: f"{n}\n".encode() for n in range(16)}


def test_no_descriptor_is_left_open() -> None:
    def count() -> int:
        return len(list(Path("/proc/self/fd").iterdir()))

    run(["true"], env=ENV, limits=KERNEL)
    before = count()
    for limits in (LIMITS, KERNEL):
        run(["true"], env=ENV, limits=limits)
        with pytest.raises(ProgramMissing):
            run(["no-such-program"], env=ENV, limits=limits)
    assert count() == before


def test_a_detached_program_outlives_the_call_and_appends_to_its_log(tmp_path: Path) -> None:
    log, gate = tmp_path / "log", tmp_path / "gate"
    log.write_text("before\n")
    script = f"echo $$ $PPID; until [ -e {gate} ]; do sleep 0.02; done; echo after"
    pid = spawn_detached(["sh", "-c", script], env=ENV, cwd=tmp_path, log=log)
    assert until(lambda: str(pid) in log.read_text())
    assert os.getsid(pid) == pid
    gate.touch()
    assert until(lambda: log.read_text().endswith("after\n"))
    assert log.read_text().startswith(f"before\n{pid} ")


def test_a_detached_program_that_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(ProgramMissing, match="no-such-program"):
        spawn_detached(["no-such-program"], env=ENV, cwd=tmp_path, log=tmp_path / "log")
