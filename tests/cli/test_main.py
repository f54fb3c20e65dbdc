"""The program itself: what it imports, how it ends."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from cyclopts import App

from autopack.cli import main, render
from autopack.core.errors import AgentFault, EnvironmentFault, Fault, OperatorFault, OwnFault
from autopack.process.limits import Limits
from autopack.process.runner import run
from tests.cli.world import World

HEAVY = ("alembic", "rich", "junitparser", "markdown_it", "tomlkit", "sqlalchemy.orm")


def test_reading_imports_nothing_heavy(world: World) -> None:
    world.toy()
    assert world.autopack("supervise", "--until-idle").ok
    code = (
        "import sys; from autopack.cli.main import perform; perform(['run', 'list', '--json']); "
        f"print([m for m in {HEAVY!r} if m in sys.modules], file=sys.stderr)"
    )
    done = run([sys.executable, "-c", code], env=world.env, cwd=world.repo, limits=Limits(50))
    assert done.stderr.decode().strip() == "[]"
    assert b'"runs": []' in done.stdout


def test_a_background_supervisor_says_in_its_log_what_stops_it(world: World) -> None:
    world.toy()
    env = {**world.env, "AUTOPACK_WORKERS_MAX": "many"}
    argv = [sys.executable, "-m", "autopack.cli.hosting"]
    done = run(argv, env=env, cwd=world.repo, limits=Limits(50))
    assert done.exit_code == OperatorFault.exit_code
    assert b"AUTOPACK_WORKERS_MAX" in done.stderr
    assert b"Traceback" not in done.stderr


def test_help_lists_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert main.perform(["--help"]) == 0
    shown = capsys.readouterr().out
    for name in main.COMMANDS:
        assert name in shown


def test_a_defect_keeps_its_traceback_in_a_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def defect() -> None:
        raise RuntimeError("impossible")

    monkeypatch.setenv("AUTOPACK_STATE_DIR", str(tmp_path / "state"))
    monkeypatch.chdir(tmp_path)
    app = App(result_action="return_value", exit_on_error=False, print_error=False)
    app.command(defect)
    assert main.perform(["defect"], app) == OwnFault.exit_code
    said = capsys.readouterr().err
    (log,) = (tmp_path / "state" / "logs").iterdir()
    assert str(log) in said
    assert "Traceback" not in said
    assert "impossible" in log.read_text()
    assert "Traceback" in log.read_text()


def test_a_defect_on_a_machine_where_nothing_can_be_written_is_told_in_words(
    tmp_path: Path,
) -> None:
    program = (
        "import resource, sys; from cyclopts import App; from autopack.cli import main\n"
        "app = App(result_action='return_value', exit_on_error=False, print_error=False)\n"
        "def defect():\n    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))\n"
        "    raise RuntimeError('impossible')\n"
        "app.command(defect); sys.exit(main.perform(['defect'], app))"
    )
    env = {"PATH": os.environ["PATH"], "AUTOPACK_STATE_DIR": str(tmp_path / "state")}
    done = run([sys.executable, "-c", program], env=env, cwd=tmp_path, limits=Limits(50))
    assert done.exit_code == OwnFault.exit_code
    said = done.stderr.decode()
    assert "RuntimeError: impossible" in said
    assert "its traceback could not be kept: " in said
    assert "Traceback" not in said


@pytest.mark.parametrize("fault", [OperatorFault, AgentFault, EnvironmentFault, OwnFault])
def test_each_fault_has_its_exit_code(
    capsys: pytest.CaptureFixture[str], fault: type[Fault]
) -> None:
    def fails() -> None:
        raise fault("what\nhappened", "do this")

    app = App(result_action="return_value", exit_on_error=False, print_error=False)
    app.command(fails)
    assert main.perform(["fails"], app) == fault.exit_code
    assert capsys.readouterr().err == "autopack: what\n  happened\n  hint: do this\n"


def test_a_reader_that_leaves_is_no_error(world: World) -> None:
    world.toy()
    reader, writer = os.pipe()
    os.close(reader)
    code = f"import os, sys; os.dup2({writer}, 1); from autopack.cli.main import main; sys.argv = ['autopack', 'config', 'show']; main()"
    from autopack.process.limits import Extra

    done = run(
        [sys.executable, "-c", code], env=world.env, cwd=world.repo, limits=Limits(50),
        extra=Extra(pass_fds=(writer,)),
    )  # fmt: skip
    os.close(writer)
    assert done.exit_code == 0
    assert b"BrokenPipe" not in done.stderr


@pytest.mark.parametrize("lines", [1, 10_000])
def test_the_result_counts_though_the_reader_has_left(tmp_path: Path, lines: int) -> None:
    program = (
        "import sys; from cyclopts import App; from autopack.cli import main, render\n"
        "app = App(result_action='return_value', exit_on_error=False, print_error=False)\n"
        f"def fails():\n    render.out(*['a line'] * {lines})\n"
        "    render.data({})\n    print('told', file=sys.stderr)\n    return 1\n"
        "app.command(fails); sys.exit(main.perform(['fails'], app))"
    )
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "wb") as closed:
        done = subprocess.run(
            [sys.executable, "-c", program], stdout=closed, stderr=subprocess.PIPE, check=False
        )
    assert (done.returncode, done.stderr) == (1, b"told\n")


def test_words_of_others_do_not_drive_the_terminal() -> None:
    assert render.table(("A", "B"), [("x\x07", "y"), ("long", "")]) == [
        "A      B", "x\\x07  y", "long",
    ]  # fmt: skip
