"""The last steps before a program starts: become somebody lesser, then exec.

Run by a Python of its own (`launcher.BOOT`) between the supervisor and the program, because none of
this is safe in a thread's `preexec_fn`, and no chain of setpriv/prlimit does it without a gap: it
ties the program's life to its parent and *checks* that the parent still lives, so a supervisor
killed at any instruction leaves nothing behind. As root it first makes folders below 0700 parents
reachable for the lesser user, in a mount namespace of its own: the first closed ancestor is
covered by an empty folder and only the wanted paths are bound back, so nothing else is opened up.

Every import comes before that: the standard library may be out of reach for the lesser user.
It never interprets the program's environment before privileges are gone, never runs a shell, and
imports only what starts fast: json alone costs 8 ms, hence marshal.
"""

import _ctypes  # `ctypes` costs 3 ms, and only mounts need it
import _signal  # type: ignore[import-not-found]  # `signal` costs 4 ms of enums
import marshal
import os
import resource
import sys

LINUX = sys.platform == "linux"
PR_SET_PDEATHSIG, PR_SET_NO_NEW_PRIVS = 1, 38
CLONE_NEWNS = 0x20000
MS_BIND, MS_REC, MS_PRIVATE, MS_NOSUID, MS_NODEV = 0x1000, 0x4000, 0x40000, 2, 4


def prctl(option: int, value: int) -> None:
    # what ctypes itself calls; it tells no errno, and prctl has no reason to refuse these two
    handle = _ctypes.dlopen(None, 0)  # type: ignore[arg-type] # its stub knows no None
    function = _ctypes.dlsym(handle, "prctl")
    if _ctypes.call_function(function, (option, value, 0, 0, 0)) != 0:
        raise OSError(f"prctl {option} was refused")


def die_with(parent: int, number: int = _signal.SIGKILL) -> None:
    """Get a signal when the thread that started us ends; leave now if it already has."""
    prctl(PR_SET_PDEATHSIG, number)
    if os.getppid() != parent:
        os._exit(1)


def closed_ancestor(path: str, uid: int, gid: int) -> str | None:
    """The topmost folder above `path` that (uid, gid) may not pass; None when it may pass all."""
    parts = path.strip("/").split("/")
    for depth in range(1, len(parts)):
        folder = "/" + "/".join(parts[:depth])
        try:
            seen = os.stat(folder)
        except OSError:
            return None
        bit = 0o100 if seen.st_uid == uid else 0o010 if seen.st_gid == gid else 0o001
        if not seen.st_mode & bit:
            return folder
    return None


def reach(paths: list[str], uid: int, gid: int) -> None:
    """Open the way to `paths` for (uid, gid), in a mount namespace of our own."""
    closed = {path: closed_ancestor(path, uid, gid) for path in paths}
    if not any(closed.values()):
        return
    import ctypes  # noqa: PLC0415 - the standard library is still within reach

    libc = ctypes.CDLL(None, use_errno=True)

    def check(result: int, what: str) -> None:
        if result != 0:
            code = ctypes.get_errno()
            raise OSError(code, f"{what}: {os.strerror(code)}")

    check(libc.unshare(CLONE_NEWNS), "unshare")
    check(libc.mount(b"none", b"/", None, MS_REC | MS_PRIVATE, None), "mount /")
    held = {path: os.open(path, os.O_PATH) for path in sorted(paths, key=len) if closed[path]}
    for folder in {folder for folder in closed.values() if folder}:
        flags = MS_NOSUID | MS_NODEV
        target = os.fsencode(folder)
        check(libc.mount(b"tmpfs", target, b"tmpfs", flags, b"mode=755,size=1m"), folder)
    for path, fd in held.items():
        source = f"/proc/self/fd/{fd}"
        if not os.path.lexists(path):
            os.makedirs(os.path.dirname(path), mode=0o755, exist_ok=True)
            if os.path.isdir(source):
                os.mkdir(path)
            else:
                os.close(os.open(path, os.O_CREAT | os.O_WRONLY, 0o644))
        check(
            libc.mount(source.encode(), os.fsencode(path), None, MS_BIND | MS_REC, None),
            path,
        )
        os.close(fd)


def restore_signals() -> None:
    """Undo what Python ignores, or the program would never see a closed pipe or a full file."""
    _signal.signal(_signal.SIGPIPE, _signal.SIG_DFL)
    _signal.signal(_signal.SIGXFSZ, _signal.SIG_DFL)


def execute(argv: list[str], env: dict[str, str]) -> None:
    """Become `argv`, found on the PATH of `env`; `os.execvpe` imports, too late."""
    if "/" in argv[0]:
        os.execve(argv[0], argv, env)
    refused: OSError | None = None
    for folder in env.get("PATH", os.defpath).split(":"):
        try:
            os.execve(f"{folder or '.'}/{argv[0]}", argv, env)
        except (FileNotFoundError, NotADirectoryError):
            continue
        except PermissionError as fault:
            refused = fault
    raise refused or FileNotFoundError(2, "not found on PATH", argv[0])


def become(spec: dict) -> None:  # type: ignore[type-arg]  # `marshal` gives no types
    """Mounts and limits, then the user who may no longer change them."""
    if spec["reach"] and spec["uid"] is not None:
        reach(spec["reach"], spec["uid"], spec["gid"])
    if spec["rlimits"]:
        for number, value in spec["rlimits"].items():
            hard = resource.getrlimit(number)[1]
            most = value if hard == resource.RLIM_INFINITY else min(value, hard)
            resource.setrlimit(number, (most, most))
    if spec["uid"] is not None:
        os.setgroups([])
        os.setresgid(spec["gid"], spec["gid"], spec["gid"])
        os.setresuid(spec["uid"], spec["uid"], spec["uid"])
        os.umask(0o022)
    if spec["no_new_privs"] and LINUX:
        prctl(PR_SET_NO_NEW_PRIVS, 1)


def limit_namespace(info: int, gate: int, tasks: int) -> None:
    """Limit the tasks of bubblewrap's child, then let it go on.

    A user namespace inherits the process limit it was *made* under as its share of the whole
    user's tasks. Lowered only afterwards, the limit counts this namespace alone: fences of one user
    that run side by side do not starve each other.
    """
    content = b""
    while b"}" not in content and (part := os.read(info, 4096)):
        content += part
    if b"}" in content:  # else bubblewrap failed and will say why
        pid = int(content.split(b'"child-pid":')[1].split(b",")[0].split(b"}")[0])
        resource.prlimit(pid, resource.RLIMIT_NPROC, (tasks, tasks))
        os.write(gate, b"1")


def guard(spec: dict) -> None:  # type: ignore[type-arg]  # `marshal` gives no types
    """Return in a child of ours; stay behind as leader of its group, and kill that with `parent`.

    A signal at the parent's death reaches one process only, and bubblewrap passes it on only
    after some milliseconds of setting up: a supervisor killed in that time left the program running
    in 4 of 10 tries. The group holds bubblewrap and its namespace's init from their first moment.
    """
    _signal.signal(_signal.SIGHUP, lambda *_: os.killpg(0, _signal.SIGKILL))
    die_with(spec["parent"], _signal.SIGHUP)
    ours = os.getpid()
    tasks = spec["namespace_tasks"]
    info, told = os.pipe()
    waits, gate = os.pipe()
    child = os.fork()
    if child == 0:
        if tasks is not None:
            os.set_inheritable(told, True)
            os.set_inheritable(waits, True)
            spec["argv"][1:1] = ["--info-fd", str(told), "--block-fd", str(waits)]
        _signal.signal(_signal.SIGHUP, _signal.SIG_DFL)
        die_with(ours)
        return
    for number in (_signal.SIGTERM, _signal.SIGINT):
        _signal.signal(number, _signal.SIG_IGN)  # meant for the program; we end when it has
    os.close(told)
    if tasks is not None:
        limit_namespace(info, gate, tasks)
    os.closerange(0, os.sysconf("SC_OPEN_MAX"))
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        number = os.WTERMSIG(status)
        if number != _signal.SIGKILL:
            _signal.signal(number, _signal.SIG_DFL)
        os.kill(ours, number)
    os._exit(os.waitstatus_to_exitcode(status) & 0xFF)


def detach(report: int) -> None:
    """Go on as a child of init in a session of our own; the starter learns the pid."""
    if os.fork():
        os._exit(0)
    os.setsid()
    tell(report, "pid", str(os.getpid()))


def tell(report: int, kind: str, value: str) -> None:
    """One entry of the report: `step` reached, `pid` gone on as, `fault` that stopped us."""
    os.write(report, marshal.dumps((kind, value)))


def main(spec: dict, report: int) -> None:  # type: ignore[type-arg]  # `marshal` gives no types
    """Become the program of the specification, reporting on a descriptor.

    Keys: argv, env, cwd, parent (pid to die with, or None), uid, gid, rlimits {number: value},
    reach (paths), no_new_privs, detach, namespace_tasks (argv is bubblewrap: tasks inside).
    """
    os.set_inheritable(report, False)
    try:
        if spec["detach"]:
            detach(report)
        tell(report, "step", "become")
        become(spec)
        if spec["parent"] is not None and LINUX:
            guard(spec)
        restore_signals()
        tell(report, "step", "cwd")
        os.chdir(spec["cwd"])
        tell(report, "step", "exec")
        execute(spec["argv"], spec["env"])
    except Exception as fault:  # noqa: BLE001 - nobody else can tell
        tell(report, "fault", str(fault))
    os._exit(127)
