"""One process while it lives: feed it, read it, notice every limit, end it with its group.

A selector loop in the calling thread. It never blocks on the child, never keeps more output than
the limit, and never returns before the child is dead and reaped.
"""

from __future__ import annotations

import contextlib
import os
import selectors
import signal
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from autopack.process import tree
from autopack.process.limits import Ended, Finished, Limits

if TYPE_CHECKING:
    import subprocess
    import threading
    from collections.abc import Callable

DRAIN_SECONDS: Final = 1.0  # for output left in a pipe that an escaped grandchild still holds
CANCEL_POLL_SECONDS: Final = 0.1
WATCH_POLL_SECONDS: Final = 1.0  # progress and memory are looked at this often
CHUNK_BYTES: Final = 1 << 16


@dataclass
class _Stream:
    """One output: its head up to a limit."""

    limit: int
    content: bytearray = field(default_factory=bytearray)
    truncated: bool = False

    def take(self, part: bytes) -> None:
        room = self.limit - len(self.content)
        self.truncated = self.truncated or len(part) > room
        self.content += part[: max(room, 0)]


class Watch:
    """One process while it lives."""

    def __init__(
        self,
        process: subprocess.Popen[bytes],
        limits: Limits,
        cancel: threading.Event | None,
        progress: Callable[[], object] | None,
        grace_seconds: float,
    ) -> None:
        if process.stdin is None or process.stdout is None or process.stderr is None:
            raise ValueError("a watched process has all three pipes")
        self.stdin, self.stdout, self.stderr = process.stdin, process.stdout, process.stderr
        self.process, self.limits, self.cancel = process, limits, cancel
        self.progress, self.grace_seconds = progress, grace_seconds
        self.start = self.active = self.watched = time.monotonic()
        self.seen: object = None
        self.ended: Ended | None = None
        self.kill_at: float | None = None
        self.streams = (
            _Stream(limits.output_bytes_max),
            _Stream(limits.output_bytes_max),
        )
        self.watches = progress is not None or limits.memory_bytes_max is not None

    def follow(self, stdin: bytes, settle: Callable[[], None] | None) -> Finished:
        """Until the end, and a little beyond: the group is dead and the pipes are read."""
        pidfd = _pidfd(self.process.pid)
        with selectors.DefaultSelector() as selector:
            try:
                self._open(selector, stdin, pidfd)
                self._loop(selector, pidfd)
            finally:
                # before the leader is reaped, so that its number cannot belong to anyone else
                self._signal(signal.SIGKILL)
                code = self.process.wait()
                if pidfd is not None:
                    with contextlib.suppress(KeyError):
                        selector.unregister(pidfd)
                    os.close(pidfd)
                try:
                    if settle is not None:
                        settle()
                    self._drain(selector)
                finally:
                    self._close()
        return self._finished(code)

    def _open(self, selector: selectors.BaseSelector, stdin: bytes, pidfd: int | None) -> None:
        if self.progress is not None:
            self.seen = self.progress()
        for pipe, stream in zip((self.stdout, self.stderr), self.streams, strict=True):
            os.set_blocking(pipe.fileno(), False)
            selector.register(pipe.fileno(), selectors.EVENT_READ, stream)
        feed = self.stdin
        if stdin:
            os.set_blocking(feed.fileno(), False)
            selector.register(feed.fileno(), selectors.EVENT_WRITE, memoryview(stdin))
        else:
            feed.close()
        if pidfd is not None:
            selector.register(pidfd, selectors.EVENT_READ, None)

    def _loop(self, selector: selectors.BaseSelector, pidfd: int | None) -> None:
        while True:
            for key, _ in selector.select(self._pause(pidfd)):
                if key.fd == pidfd:
                    return
                self._serve(selector, key)
            if pidfd is None and _has_ended(self.process.pid):
                return
            now = time.monotonic()
            if self.kill_at is not None:
                if now >= self.kill_at:
                    self._signal(signal.SIGKILL)
                    self.kill_at = float("inf")
            elif (reason := self._reason(now)) is not None:
                self._end(reason, now)

    def _pause(self, pidfd: int | None) -> float:
        """Seconds until something other than a descriptor must be looked at."""
        now = time.monotonic()
        if self.kill_at is not None:
            soonest = self.kill_at
        else:
            soonest = self.start + self.limits.wall_seconds_max
            if self.limits.idle_seconds_max is not None:
                soonest = min(soonest, self.active + self.limits.idle_seconds_max)
            if self.watches:
                soonest = min(soonest, self.watched + WATCH_POLL_SECONDS)
            if self.cancel is not None:
                soonest = min(soonest, now + CANCEL_POLL_SECONDS)
        if pidfd is None:
            soonest = min(soonest, now + CANCEL_POLL_SECONDS)
        return min(max(soonest - now, 0.0), 3600.0)

    def _serve(self, selector: selectors.BaseSelector, key: selectors.SelectorKey) -> None:
        if isinstance(key.data, memoryview):
            self._feed(selector, key)
            return
        try:
            part = os.read(key.fd, CHUNK_BYTES)
        except BlockingIOError:
            return
        if not part:
            selector.unregister(key.fd)
            return
        self.active = time.monotonic()
        key.data.take(part)

    def _feed(self, selector: selectors.BaseSelector, key: selectors.SelectorKey) -> None:
        try:
            written = os.write(key.fd, key.data[:CHUNK_BYTES])
        except BlockingIOError:
            return
        except BrokenPipeError:
            written = len(key.data)  # it does not want the rest
        rest = key.data[written:]
        if rest:
            selector.modify(key.fd, selectors.EVENT_WRITE, rest)
            return
        selector.unregister(key.fd)
        self.stdin.close()

    def _reason(self, now: float) -> Ended | None:
        """Why the process must end now, if it must."""
        if self.cancel is not None and self.cancel.is_set():
            return Ended.CANCELLED
        if any(stream.truncated for stream in self.streams):
            return Ended.OUTPUT_LIMIT
        if now - self.start >= self.limits.wall_seconds_max:
            return Ended.TIMED_OUT
        if self.watches and now - self.watched >= WATCH_POLL_SECONDS:
            self.watched = now
            if self._too_big():
                return Ended.MEMORY_LIMIT
            self._look(now)
        idle = self.limits.idle_seconds_max
        if idle is not None and now - self.active >= idle:
            self._look(now)
            return Ended.IDLE if now - self.active >= idle else None
        return None

    def _look(self, now: float) -> None:
        if self.progress is None:
            return
        value = self.progress()
        if value != self.seen:
            self.seen, self.active = value, now

    def _too_big(self) -> bool:
        limit = self.limits.memory_bytes_max
        return limit is not None and tree.private_bytes(tree.descendants(self.process.pid)) > limit

    def _end(self, reason: Ended, now: float) -> None:
        self.ended = reason
        abrupt = reason in (Ended.OUTPUT_LIMIT, Ended.MEMORY_LIMIT) or self.grace_seconds <= 0
        self._signal(signal.SIGKILL if abrupt else signal.SIGTERM)
        self.kill_at = float("inf") if abrupt else now + self.grace_seconds

    def _signal(self, number: signal.Signals) -> None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.process.pid, number)

    def _drain(self, selector: selectors.BaseSelector) -> None:
        """Read what is left until all writers are gone, or for a moment if some escaped."""
        for key in list(selector.get_map().values()):
            if not isinstance(key.data, _Stream):
                selector.unregister(key.fd)
        until = time.monotonic() + DRAIN_SECONDS
        while selector.get_map() and (left := until - time.monotonic()) > 0:
            for key, _ in selector.select(left):
                self._serve(selector, key)
            if any(stream.truncated for stream in self.streams):
                return

    def _close(self) -> None:
        for pipe in (self.stdin, self.stdout, self.stderr):
            pipe.close()

    def _finished(self, code: int) -> Finished:
        truncated = any(stream.truncated for stream in self.streams)
        ended = self.ended
        if ended is None and truncated:
            ended = Ended.OUTPUT_LIMIT  # it ended by itself, but what it said is not whole
        if ended is None:
            ended = Ended.EXITED if code >= 0 else Ended.SIGNALLED
        stdout, stderr = (bytes(stream.content) for stream in self.streams)
        return Finished(
            ended=ended,
            exit_code=code if ended is Ended.EXITED else None,
            stdout=stdout,
            stderr=stderr,
            seconds=time.monotonic() - self.start,
            truncated=truncated,
            signal=-code if code < 0 else None,
        )


def _pidfd(pid: int) -> int | None:
    """A descriptor that becomes readable when `pid` ends; None where the kernel has none."""
    if not hasattr(os, "pidfd_open"):
        return None
    try:
        return os.pidfd_open(pid)
    except OSError:
        return None


def _has_ended(pid: int) -> bool:
    """Whether our child ended, leaving it for `wait`."""
    return os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT | os.WNOHANG) is not None
