"""What the kernel tells about running processes: descendants, their memory, a user's task count.

Reads /proc and nothing else; never signals. On a system without it every answer is "nothing", so
callers lose a watch, not correctness.
"""

from __future__ import annotations

import os
from pathlib import Path

PROC = Path("/proc")
PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


def children(pid: int) -> list[int]:
    """Direct children of every thread of `pid`."""
    found: list[int] = []
    try:
        for task in (PROC / str(pid) / "task").iterdir():
            found.extend(int(word) for word in (task / "children").read_text().split())
    except OSError:
        return found
    return found


def descendants(pid: int) -> list[int]:
    """`pid` and all below it.

    Inside a pid namespace nothing escapes this walk: orphans move to the namespace's init, which is
    itself below the process that made it.
    """
    seen: dict[int, None] = {pid: None}
    todo = [pid]
    while todo:
        for child in children(todo.pop()):
            if child not in seen:
                seen[child] = None
                todo.append(child)
    return list(seen)


def private_bytes(pids: list[int]) -> int:
    """Resident memory that is not shared with a file: what killing these would give back."""
    total = 0
    for pid in pids:
        try:
            _, resident, shared, *_ = (PROC / str(pid) / "statm").read_text().split()
        except (OSError, ValueError):
            continue  # it ended between the walk and here
        total += (int(resident) - int(shared)) * PAGE_BYTES
    return total


def tasks_of(uid: int) -> int:
    """Processes and threads of a real uid now: what RLIMIT_NPROC has already counted."""
    total = 0
    try:
        for entry in os.scandir(PROC):
            if entry.name.isdigit():
                total += _tasks(entry.name, uid)
    except OSError:
        return total
    return total


def _tasks(name: str, uid: int) -> int:
    try:
        # st_uid of /proc/PID is the effective uid, the same here; one stat beats a parse
        if os.stat(f"/proc/{name}").st_uid != uid:
            return 0
        return len(os.listdir(f"/proc/{name}/task"))
    except OSError:
        return 0


def is_namespace_init(pid: int) -> bool:
    """Whether `pid` is process 1 of a pid namespace below ours."""
    try:
        lines = (PROC / str(pid) / "status").read_text().splitlines()
    except OSError:
        return False
    numbers = next((line.split()[1:] for line in lines if line.startswith("NSpid:")), [])
    return len(numbers) > 1 and numbers[-1] == "1"
