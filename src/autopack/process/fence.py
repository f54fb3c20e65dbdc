"""The fence around an untrusted program, as bubblewrap arguments.

Decides what is visible inside and where; it looks at the file system but starts nothing and
changes nothing.
"""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

from autopack.core.errors import OperatorFault

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

HOME: Final = "/home/autopack"
PATH: Final = "/usr/local/bin:/usr/bin:/bin:/usr/local/sbin:/usr/sbin:/sbin"
SYSTEM: Final = (
    "/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32", "/nix/store", "/gnu/store",
)  # fmt: skip
# What programs need of /etc to run at all; nothing that names users, hosts or secrets.
ETC: Final = (
    "alternatives", "ca-certificates", "ca-certificates.conf", "crypto-policies", "debian_version",
    "fonts", "java*", "ld.so.cache", "ld.so.conf", "ld.so.conf.d", "localtime", "magic", "maven",
    "mime.types", "pki/ca-trust", "pki/tls/certs", "pki/java", "protocols", "python3*", "services",
    "ssl/certs", "ssl/openssl.cnf", "terminfo", "timezone", "os-release", "nsswitch.conf",
)  # fmt: skip
ETC_ONLINE: Final = ("hosts", "resolv.conf", "host.conf", "gai.conf")
SCRATCH_BYTES_MAX: Final = 1 << 30  # of each of /tmp, HOME and /dev/shm: they live in memory
MASK_BYTES_MAX: Final = 1 << 16


class MaskRefused(OperatorFault):
    """Agent configuration in the work tree cannot be hidden."""

    code = "mask_refused"


@dataclass(frozen=True)
class Fence:
    """What an untrusted program may see and change.

    `work`: its folder, read-write unless `work_read_only`; also where it starts. It appears at its
    own path, or at `inside` (an absolute path), so that what was built there finds itself again.
    `read_only` and `writable` appear at their own paths, `read_only_at` at another (source,
    absolute place inside). `masked`: paths relative to `work`, hidden where they exist. `env` is
    all it gets beside HOME, PATH, TMPDIR and LANG, and may replace those. /tmp and HOME are empty
    and vanish.
    """

    work: Path
    read_only: tuple[Path, ...] = ()
    read_only_at: tuple[tuple[Path, str], ...] = ()
    writable: tuple[Path, ...] = ()
    masked: tuple[str, ...] = ()
    env: Mapping[str, str] = field(default_factory=dict)
    network: bool = False
    work_read_only: bool = False
    inside: str | None = None
    scratch_bytes_max: int = SCRATCH_BYTES_MAX

    def __post_init__(self) -> None:
        for place in (self.place, *(place for _, place in self.read_only_at)):
            if not place.startswith("/") or ".." in Path(place).parts:
                raise ValueError(f"{place!r} is not an absolute place inside the fence")

    @property
    def place(self) -> str:
        """Where the work folder appears inside."""
        return self.inside if self.inside is not None else os.path.abspath(self.work)

    def sources(self) -> tuple[str, ...]:
        """Every path of the host that the fence binds, links resolved."""
        sources = (
            self.work,
            *self.read_only,
            *self.writable,
            *(s for s, _ in self.read_only_at),
        )
        return tuple(os.path.realpath(source) for source in sources)

    def environment(self, home: str = HOME) -> dict[str, str]:
        """The whole environment inside."""
        given = {"HOME": home, "PATH": PATH, "TMPDIR": "/tmp", "LANG": "C.UTF-8"}
        return given | dict(self.env)


def arguments(fence: Fence, passwd: int, group: int, empty: Sequence[int] = ()) -> list[str]:
    """bubblewrap's options; `passwd` and `group` are descriptors of the two files to show.

    `empty`: a descriptor with nothing to read for each masked path.

    No `--new-session`: the runner has made one already, and the namespace's init must stay in the
    group that the launcher's guard kills.
    """
    given = [
        "--unshare-user", "--unshare-pid", "--unshare-ipc", "--unshare-uts",
        "--unshare-cgroup-try", "--die-with-parent", "--clearenv",
        "--hostname", "autopack",
    ]  # fmt: skip
    if not fence.network:
        given.append("--unshare-net")
    for name, value in fence.environment().items():
        given += ["--setenv", name, value]
    given += [*_open_folders(), *_system(network=fence.network)]
    given += ["--perms", "0644", "--ro-bind-data", str(passwd), "/etc/passwd"]
    given += ["--perms", "0644", "--ro-bind-data", str(group), "/etc/group"]
    for _, options in sorted(_places(fence), key=lambda place: place[0]):
        given += options
    # the folders made on the way to a mount are memory too, and nobody's to write
    given += [*_masks(fence, empty), "--remount-ro", "/dev", "--remount-ro", "/"]
    return [*given, "--chdir", fence.place]


def _open_folders() -> list[str]:
    given: list[str] = []
    for folder in ("/etc", "/etc/ssl", "/etc/pki"):
        if folder == "/etc" or os.path.isdir(folder):
            given += ["--perms", "0755", "--dir", folder]
    return given


def _system(*, network: bool) -> list[str]:
    given: list[str] = []
    for path in SYSTEM:
        if os.path.islink(path):
            given += ["--symlink", os.readlink(path), path]
        elif os.path.isdir(path):
            given += ["--ro-bind", path, path]
    for pattern in (*ETC, *(ETC_ONLINE if network else ())):
        for found in sorted(Path("/etc").glob(pattern)):
            given += ["--ro-bind-try", os.path.realpath(found), str(found)]
    return given


def _places(fence: Fence) -> Iterator[tuple[int, list[str]]]:
    """Mounts with their depth: a place inside another must come after it."""

    def place(option: str, source: Path | str, inside: str) -> tuple[int, list[str]]:
        return len(Path(inside).parts), [option, os.path.realpath(source), inside]

    scratch = str(fence.scratch_bytes_max)
    for folder in ("/tmp", HOME):
        yield len(Path(folder).parts), ["--size", scratch, "--tmpfs", folder]
    yield 2, ["--proc", "/proc"]
    yield 2, ["--dev", "/dev"]
    yield 3, ["--size", scratch, "--tmpfs", "/dev/shm"]
    for path in fence.read_only:
        yield place("--ro-bind", path, os.path.abspath(path))
    for source, inside in fence.read_only_at:
        yield place("--ro-bind", source, inside)
    for path in fence.writable:
        yield place("--bind", path, os.path.abspath(path))
    option = "--ro-bind" if fence.work_read_only else "--bind"
    yield place(option, fence.work, fence.place)


def _masks(fence: Fence, empty: Sequence[int]) -> list[str]:
    given: list[str] = []
    work = os.path.realpath(fence.work)
    for name, nothing in zip(fence.masked, empty, strict=True):
        if Path(name).is_absolute() or ".." in Path(name).parts or not Path(name).parts:
            raise ValueError(f"{name!r} is not a path below the work tree")
        path = Path(work, name)
        if not path.exists():
            continue  # a dangling link hides nothing either
        real = os.path.realpath(path)
        if not real.startswith(work + "/"):
            what = f"{path} is a link to {real}, outside the work tree, and cannot be hidden"
            raise MaskRefused(what, f"remove {name} from the repository")
        inside = os.path.join(fence.place, os.path.relpath(real, work))
        if stat.S_ISDIR(os.stat(real).st_mode):
            given += ["--size", str(MASK_BYTES_MAX), "--tmpfs", inside]
        else:
            # an empty file, not /dev/null: no device can be opened through a bind
            given += ["--perms", "0444", "--ro-bind-data", str(nothing), inside]
    return given
