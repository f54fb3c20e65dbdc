"""CI on this machine: what is green, what never is, and what a hostile candidate cannot do."""

from __future__ import annotations

import resource
import sys
import threading
from pathlib import Path

import pytest

from autopack.adapters.ci.environment import Environments
from autopack.adapters.ci.junit import ELEMENTS_MAX, ReportRefused, read_report
from autopack.adapters.ci.local import LocalVerifier
from autopack.adapters.ci.registry import VerifierContext, load_verifier
from autopack.app import ports
from autopack.core.errors import EnvironmentFault, OperatorFault
from autopack.core.event import CiVerdict
from autopack.process.workbench import Workbench
from tests.adapters.commits import RUN, Commits, Greens, ci_task

GREEN = "def test_it(): assert 1 + 1 == 2\n"
RED = "def test_it():\n    x = 3\n    assert 1 + 1 == x\n"
PYTEST = 'run = "python -m pytest -q -p no:cacheprovider --junitxml={report}", report = "junit"'
ONE = '<testsuites><testsuite name="s"><testcase classname="c" name="n"/></testsuite></testsuites>'


def toml(*commands: str) -> str:
    listed = ",\n".join(f"{{ {command} }}" for command in commands)
    return f"[ci.normal]\ncommands = [\n{listed}\n]\n"


def python(source: str, *words: str, report: str = "exit-code") -> str:
    argv = ", ".join(f"'''{word}'''" for word in ("python", "-c", source, *words))
    return f'run = [{argv}], report = "{report}"'


class Bed:
    """One verifier over commits; `test` judges the candidate."""

    def __init__(self, folder: Path, bench: Workbench, commits: Commits) -> None:
        self.folder, self.commits, self.greens = folder, commits, Greens()
        self.verifier = LocalVerifier(
            lambda _: commits.port, self.greens, bench, Environments(folder / "cache", bench)
        )
        self.tests = 0

    def test(self, commit: str = "candidate", tree: str = "") -> ports.Tested:
        self.tests += 1
        task = ci_task(self.folder / f"task{self.tests}", commit, tree)
        return self.verifier.test(task, threading.Event())


def bed(folder: Path, bench: Workbench, commands: str, **files: str | Path) -> Bed:
    base = {"autopack.toml": commands}
    candidate = {name.replace("__", "."): content for name, content in files.items()}
    return Bed(folder, bench, Commits(base=base, candidate={**base, **candidate}))


def test_real_pytest_green(tmp_path: Path, bench: Workbench) -> None:
    it = bed(tmp_path, bench, toml(PYTEST), test_a__py=GREEN)
    tested = it.test()
    assert (tested.verdict, tested.tests_run, tested.weak) == (CiVerdict.PASS, 1, False), tested
    log = (tmp_path / "task1/logs/0.log").read_text()
    assert "exit code 0" in log
    assert "1 passed" in log


def test_real_pytest_red_tells_test_message_file_and_line(tmp_path: Path, bench: Workbench) -> None:
    tested = bed(tmp_path, bench, toml(PYTEST), test_a__py=RED).test()
    assert tested.verdict is CiVerdict.FAIL
    assert tested.evidence is not None
    assert "1 of 1 tests failed" in tested.evidence.summary
    (finding,) = tested.evidence.findings
    assert (finding.path, finding.line) == ("test_a.py", 3)
    assert "test_a::test_it" in finding.message
    assert "assert (1 + 1) == 3" in finding.message


@pytest.mark.parametrize(
    "source",
    ["import pytest\n@pytest.mark.skip(reason='x')\ndef test_it(): pass\n", "x = 1\n"],
    ids=["all skipped", "none collected"],
)
def test_no_test_run_is_never_green(tmp_path: Path, bench: Workbench, source: str) -> None:
    tested = bed(tmp_path, bench, toml(PYTEST), test_a__py=source).test()
    assert tested.verdict is CiVerdict.INVALID
    assert tested.evidence is not None
    assert "no test ran" in tested.evidence.summary


def test_an_exit_code_alone_is_weak(tmp_path: Path, bench: Workbench) -> None:
    tested = bed(tmp_path, bench, toml('run = "true"')).test()
    assert (tested.verdict, tested.weak) == (CiVerdict.PASS, True)


def test_the_first_red_command_ends_it(tmp_path: Path, bench: Workbench) -> None:
    commands = toml('run = "true"', python("print('why'); raise SystemExit(3)"), 'run = "true"')
    tested = bed(tmp_path, bench, commands).test()
    assert tested.verdict is CiVerdict.FAIL
    assert tested.evidence is not None
    assert "exit code 3" in tested.evidence.summary
    assert "why" in tested.evidence.summary
    assert not (tmp_path / "task1/logs/2.log").exists()


WRITE = "import sys; open(sys.argv[1], 'w').write(sys.argv[2]); sys.exit(int(sys.argv[3]))"
FAILED = ONE.replace('name="n"/>', 'name="n"><failure message="m"/></testcase>')
BOTH = ONE.replace('name="n"/>', 'name="n"><skipped/><failure message="m"/></testcase>')
SET_UP = ONE.replace('name="s"', 'name="s" errors="1"')
BOMB = '<!DOCTYPE x [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;">]>' + ONE.replace("c", "&b;", 1)


@pytest.mark.parametrize(
    ("report", "code", "verdict"),
    [
        (ONE, 0, CiVerdict.PASS),
        (ONE, 1, CiVerdict.FAIL),
        (FAILED, 0, CiVerdict.FAIL),
        (BOTH, 0, CiVerdict.FAIL),
        (SET_UP, 0, CiVerdict.FAIL),
        ("<testsuites/>", 0, CiVerdict.INVALID),
        ("", 0, CiVerdict.INVALID),
        ("not xml", 0, CiVerdict.INVALID),
        ("<html/>", 0, CiVerdict.INVALID),
        (BOMB, 0, CiVerdict.INVALID),
    ],
)
def test_report_and_exit_code_must_agree(
    tmp_path: Path, bench: Workbench, report: str, code: int, verdict: CiVerdict
) -> None:
    command = python(WRITE, "{report}", report, str(code), report="junit")
    assert bed(tmp_path, bench, toml(command)).test().verdict is verdict


@pytest.mark.parametrize(
    "source",
    [
        "pass",
        "import os, sys; os.symlink('/autopack/work/good.xml', sys.argv[1])",
        "import os, sys; os.mkfifo(sys.argv[1])",
        "import os, sys; os.mkdir(sys.argv[1])",
    ],
    ids=["missing", "symlink", "fifo", "folder"],
)
def test_a_report_that_is_no_file_of_its_own_is_invalid(
    tmp_path: Path, bench: Workbench, source: str
) -> None:
    command = python(source, "{report}", report="junit")
    assert bed(tmp_path, bench, toml(command), good__xml=ONE).test().verdict is CiVerdict.INVALID


def test_a_report_of_one_command_does_not_serve_another(tmp_path: Path, bench: Workbench) -> None:
    write = python(WRITE, "{report}", ONE, "0", report="junit")
    plant = python(
        "import pathlib, sys; other = pathlib.Path(sys.argv[1]).parents[1] / '1'\n"
        "try: other.mkdir(); (other / 'report.xml').write_text(sys.argv[2])\n"
        "except OSError: pass\n"
        "open(sys.argv[1], 'w').write(sys.argv[2])",
        "{report}", ONE, report="junit",
    )  # fmt: skip
    silent = python("pass", "{report}", report="junit")
    assert bed(tmp_path, bench, toml(write, silent)).test().verdict is CiVerdict.INVALID
    second = bed(tmp_path / "second", bench, toml(plant, silent))
    assert second.test().verdict is CiVerdict.INVALID


def test_a_killed_command_is_never_green(tmp_path: Path, bench: Workbench) -> None:
    source = "import os, sys; open(sys.argv[1], 'w').write(sys.argv[2]); os.kill(os.getpid(), 9)"
    command = python(source, "{report}", ONE, report="junit")
    assert bed(tmp_path, bench, toml(command)).test().verdict is not CiVerdict.PASS


def test_a_command_out_of_time_is_red(tmp_path: Path, bench: Workbench) -> None:
    tested = bed(tmp_path, bench, toml('run = "sleep 100", seconds_max = 1')).test()
    assert tested.verdict is CiVerdict.FAIL
    assert tested.evidence is not None
    assert "not done after 1 s" in tested.evidence.summary


def test_a_missing_tool_is_ours_and_a_missing_script_is_theirs(
    tmp_path: Path, bench: Workbench
) -> None:
    missing = bed(tmp_path / "a", bench, toml('run = "no-such-tool"')).test()
    assert missing.verdict is CiVerdict.INFRA
    assert "no-such-tool" in missing.error
    script = bed(tmp_path / "b", bench, toml('run = "./check.sh"')).test()
    assert script.verdict is CiVerdict.FAIL


def test_a_cancelled_test_says_so(tmp_path: Path, bench: Workbench) -> None:
    it = bed(tmp_path, bench, toml('run = "sleep 100"'))
    cancel = threading.Event()
    cancel.set()
    tested = it.verifier.test(ci_task(tmp_path / "task"), cancel)
    assert tested.verdict is CiVerdict.CANCELLED


def test_ci_is_offline_and_sees_nothing_of_the_supervisor(
    tmp_path: Path, bench: Workbench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AUTOPACK_TEST_SECRET", "s3cret")
    source = (
        "import os, pathlib, socket\n"
        "assert os.getcwd() == '/autopack/work'\n"
        "assert 'AUTOPACK_TEST_SECRET' not in os.environ\n"
        "assert [n for _, n in socket.if_nameindex()] in ([], ['lo'])\n"
        "assert os.getuid() != 0\n"
        "assert not list(pathlib.Path.home().iterdir())\n"
        f"assert not os.path.exists({str(tmp_path / 'secret')!r})\n"
    )
    (tmp_path / "secret").write_text("x")
    tested = bed(tmp_path, bench, toml(python(source))).test()
    assert tested.verdict is CiVerdict.PASS, tested


def test_the_interpreter_that_runs_us_is_there(tmp_path: Path, bench: Workbench) -> None:
    source = f"import sys, pytest; assert sys.prefix == {sys.prefix!r}, sys.prefix"
    tested = bed(tmp_path, bench, toml(python(source))).test()
    assert tested.verdict is CiVerdict.PASS, tested


def test_commands_are_the_bases_not_the_candidates(tmp_path: Path, bench: Workbench) -> None:
    commits = Commits(
        base={"autopack.toml": toml('run = "false"')},
        candidate={"autopack.toml": toml('run = "true"')},
    )
    assert Bed(tmp_path, bench, commits).test().verdict is CiVerdict.FAIL


def test_green_is_remembered_by_what_was_judged(tmp_path: Path, bench: Workbench) -> None:
    it = bed(tmp_path, bench, toml('run = "true"'))
    first, again = it.test(tree="t"), it.test(tree="t")
    assert (first.cached, again.cached, again.verdict) == (False, True, CiVerdict.PASS)
    assert it.commits.clones == ["candidate"]
    assert it.test(tree="other").cached is False
    it.commits.commits["base"] = {"autopack.toml": toml('run = "test 1"')}
    assert it.test(tree="t").cached is False


def test_red_is_not_remembered(tmp_path: Path, bench: Workbench) -> None:
    it = bed(tmp_path, bench, toml('run = "false"'))
    assert it.test().verdict is CiVerdict.FAIL
    assert it.greens.kept == {}


def test_a_repeated_test_starts_from_nothing(tmp_path: Path, bench: Workbench) -> None:
    it = bed(tmp_path, bench, toml(python("import os; assert not os.path.exists('left')")))
    left = tmp_path / "task1/clone/deep"
    left.mkdir(parents=True)
    (tmp_path / "task1/clone/left").write_text("x")
    left.chmod(0)
    assert it.test().verdict is CiVerdict.PASS


@pytest.mark.parametrize("content", [None, "[ci.normal]\ncommads = []"])
def test_a_base_that_does_not_say_how_to_judge(
    tmp_path: Path, bench: Workbench, content: str | None
) -> None:
    files = {} if content is None else {"autopack.toml": content}
    it = Bed(tmp_path, bench, Commits(base=files, candidate=files))
    with pytest.raises(OperatorFault, match=r"autopack\.toml"):
        it.verifier.prepare(RUN, threading.Event())
    assert it.test().verdict is CiVerdict.INFRA


def test_an_oversized_or_bottomless_report_is_refused(tmp_path: Path) -> None:
    deep = tmp_path / "deep.xml"
    deep.write_text("<a>" * 100_000)
    with pytest.raises(ReportRefused, match="nested"):
        read_report(deep)
    wide = tmp_path / "wide.xml"
    wide.write_text("<a>" + "<b/>" * (ELEMENTS_MAX + 1) + "</a>")
    with pytest.raises(ReportRefused, match="many"):
        read_report(wide)
    big = tmp_path / "big.xml"
    with big.open("wb") as file:
        file.truncate(1 << 32)
    with pytest.raises(ReportRefused, match="larger"):
        read_report(big)


def test_a_report_that_the_machine_does_not_let_us_read_is_the_machine_s_failure(
    tmp_path: Path,
) -> None:
    path = tmp_path / "report.xml"
    path.write_text("<testsuite><testcase name='x'/></testsuite>")
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (3, hard))  # no file can be opened any more
    try:
        with pytest.raises(EnvironmentFault, match="Too many open files"):
            read_report(path)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert read_report(path).run == 1


def test_findings_are_bounded_and_plain(tmp_path: Path) -> None:
    case = '<testcase classname="c" name="n"><failure message="{}">{}</failure></testcase>'
    cases = case.format("a&#x202e;b" + "x" * 9_000, "src/a.py:7: AssertionError") * 50
    report = tmp_path / "report.xml"
    report.write_text(f"<testsuite name='s'>{cases}</testsuite>")
    counts = read_report(report)
    assert (counts.failed, len(counts.findings)) == (50, 20)
    assert {(f.path, f.line) for f in counts.findings} == {("src/a.py", 7)}
    assert all(len(f.message) < 2_500 and "\u202e" not in f.message for f in counts.findings)


def test_the_verifier_is_found_by_its_entry_point(tmp_path: Path, unfenced: Workbench) -> None:
    context = VerifierContext(lambda _: Commits().port, Greens(), unfenced, tmp_path)
    assert isinstance(load_verifier("local", context), LocalVerifier)
    with pytest.raises(OperatorFault, match="did you mean 'local'"):
        load_verifier("locl", context)
