"""Environments: built once, kept by digest, never half, mounted read-only at one stable place."""

from __future__ import annotations

import os
import stat
import threading
from pathlib import Path

import pytest

from autopack.adapters.ci.environment import Environments, PrepareCancelled, PrepareFailed
from autopack.adapters.ci.eviction import evict
from autopack.adapters.ci.local import LocalVerifier
from autopack.app.ports import Clone
from autopack.core.event import CiVerdict
from autopack.core.project import EnvironmentSpec, Project, parse_project
from autopack.process.limits import Limits, ProgramMissing
from autopack.process.workbench import Job, PlaceTaken, Prepared, Workbench
from tests.adapters.commits import RUN, Commits, Greens, ci_task

NEVER = threading.Event()
LIMITS = Limits(60.0)
COUNT = (
    "import pathlib, sys; kept = pathlib.Path(sys.argv[1]); "
    "(kept / 'made').write_text(pathlib.Path('lock').read_text()); (kept / 'bin').mkdir(); "
    "tool = kept / 'bin/tool'; tool.write_text('#!/bin/sh\\necho from-' + str(kept)); tool.chmod(0o755)"
)
SPEC = EnvironmentSpec((("python", "-c", COUNT, "{cache}"),), (".venv",), ("lock",))


def environments(folder: Path, bench: Workbench, **env: str) -> Environments:
    return Environments(folder / "cache", bench, env)


def spec(*argv: str) -> EnvironmentSpec:
    return EnvironmentSpec((argv,), (".venv",), ("lock",))


def test_it_is_built_once_for_each_content_of_its_inputs(tmp_path: Path, bench: Workbench) -> None:
    commits = Commits(a={"lock": "1"}, same={"lock": "1", "src": "x"}, b={"lock": "2"})
    built = environments(tmp_path, bench)
    first = built.build(commits.port, SPEC, "a", NEVER)
    again = built.build(commits.port, SPEC, "same", NEVER)
    other = built.build(commits.port, SPEC, "b", NEVER)
    assert first == again == built.find(first.digest)
    assert first.digest != other.digest
    assert commits.clones == ["a", "b"]
    assert first.folder is not None
    assert (first.folder / ".venv/made").read_text() == "1"
    assert [path.name for path in first.folder.iterdir()] == [".venv"]


def test_without_environment_there_is_nothing_to_build(tmp_path: Path, bench: Workbench) -> None:
    commits = Commits(a={}, b={})
    built = environments(tmp_path, bench)
    prepared = built.build(commits.port, None, "a", NEVER)
    assert prepared == Prepared(built.key(commits.port, None, "b"))
    assert commits.clones == []


def test_what_a_crash_left_is_thrown_away(tmp_path: Path, bench: Workbench) -> None:
    commits = Commits(a={"lock": "1"})
    built = environments(tmp_path, bench)
    half = tmp_path / "cache" / built.key(commits.port, SPEC, "a")
    (half / "work/.venv/bin").mkdir(parents=True)
    (half / "work/.venv/half").write_text("x")
    (half / "complete.json.partial").write_text('{"kept": [".venv"]}')
    assert built.find(half.name) is None
    prepared = built.build(commits.port, SPEC, "a", NEVER)
    assert prepared.folder is not None
    assert not (prepared.folder / ".venv/half").exists()
    assert (prepared.folder / ".venv/made").exists()


@pytest.mark.parametrize(
    "damaged",
    [
        b"",
        b"\0" * 20,
        b"[]",
        b"{}",
        b'{"kept": 1}',
        b'{"kept": [1]}',
        b'{"kept": ["gone"]}',
        b"\xff",
    ],
)
def test_a_damaged_marker_is_none_and_the_environment_is_built_again(
    tmp_path: Path, bench: Workbench, damaged: bytes
) -> None:
    commits = Commits(a={"lock": "1"})
    built = environments(tmp_path, bench)
    first = built.build(commits.port, SPEC, "a", NEVER)
    (tmp_path / "cache" / first.digest / "complete.json").write_bytes(damaged)
    assert built.find(first.digest) is None
    again = built.build(commits.port, SPEC, "a", NEVER)
    assert again == first == built.find(first.digest)
    assert commits.clones == ["a", "a"]


def test_a_failed_build_leaves_nothing_and_says_why(tmp_path: Path, bench: Workbench) -> None:
    commits = Commits(a={"lock": "1"})
    built = environments(tmp_path, bench)
    wrong = spec("python", "-c", "print('the reason'); raise SystemExit(4)")
    with pytest.raises(PrepareFailed, match=r"(?s)exit code 4.*the reason"):
        built.build(commits.port, wrong, "a", NEVER)
    with pytest.raises(ProgramMissing, match="no-such-tool"):
        built.build(commits.port, spec("no-such-tool"), "a", NEVER)
    with pytest.raises(PrepareFailed, match="left no folder"):
        built.build(commits.port, spec("rmdir", ".venv"), "a", NEVER)
    assert [path for path in (tmp_path / "cache").iterdir() if path.is_dir()] == []


def test_a_link_left_in_the_way_leads_nowhere(tmp_path: Path, bench: Workbench) -> None:
    outside = tmp_path / "outside"
    (outside / ".venv").mkdir(parents=True)
    (outside / "precious").write_text("x")
    swap = (
        f"import os; os.rmdir('deep/.venv'); os.rmdir('deep'); os.symlink({str(outside)!r}, 'deep')"
    )
    deep = EnvironmentSpec((("python", "-c", swap),), ("deep/.venv",))
    with pytest.raises(PrepareFailed, match="left no folder"):
        environments(tmp_path, bench).build(Commits(a={}).port, deep, "a", NEVER)
    assert (outside / "precious").read_text() == "x"


def test_a_candidate_brings_its_inputs_and_nothing_else(tmp_path: Path, bench: Workbench) -> None:
    commits = Commits(a={"lock": "1", "tool.py": "base"}, b={"lock": "2", "tool.py": "evil"})
    look = spec("sh", "-c", "cat lock tool.py > .venv/seen")
    prepared = environments(tmp_path, bench).build(commits.port, look, "a", NEVER, "b")
    assert prepared.folder is not None
    assert (prepared.folder / ".venv/seen").read_text() == "2base"


def test_cancelled_while_building_or_waiting(tmp_path: Path, bench: Workbench) -> None:
    commits = Commits(a={"lock": "1"})
    cancel = threading.Event()
    cancel.set()
    with pytest.raises(PrepareCancelled):
        environments(tmp_path, bench).build(commits.port, SPEC, "a", cancel)


def test_several_at_once_build_one(tmp_path: Path, bench: Workbench) -> None:
    commits = Commits(a={"lock": "1"})
    built = environments(tmp_path, bench)
    found: list[Prepared] = []

    def build() -> None:
        found.append(built.build(commits.port, SPEC, "a", threading.Event()))

    threads = [threading.Thread(target=build) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 3
    assert len(set(found)) == 1
    assert commits.clones == ["a"]


def test_a_candidates_build_sees_no_credentials(tmp_path: Path, bench: Workbench) -> None:
    secret = "https://user:s3cret@mirror.invalid/"
    built = environments(tmp_path, bench, INDEX=secret, PROXY="http://proxy.invalid:1")
    tell = spec(
        "python", "-c", "import os; open('.venv/env', 'w').write(os.environ.get('INDEX', '') + "
        "os.environ['PROXY'])",
    )  # fmt: skip
    seen = []
    commits = Commits(a={"lock": "1"}, b={"lock": "2"})
    for changed_by in ("", "b"):
        prepared = built.build(commits.port, tell, "a", NEVER, changed_by)
        assert prepared.folder is not None
        seen.append((prepared.folder / ".venv/env").read_text())
    assert seen == [secret + "http://proxy.invalid:1", "http://proxy.invalid:1"]


def test_a_clone_sees_it_read_only_at_the_stable_place(tmp_path: Path, bench: Workbench) -> None:
    commits = Commits(a={"lock": "1"})
    prepared = environments(tmp_path, bench).build(commits.port, SPEC, "a", NEVER)
    clone = commits.clone("a", tmp_path / "clone").folder
    bench.lend(clone)
    job = Job(["sh", "-c", "tool; touch .venv/x"], clone, LIMITS, prepared=prepared)
    finished = bench.run(job)
    assert finished.stdout == b"from-/autopack/work/.venv\n"
    assert b"Read-only" in finished.stderr
    read_only = bench.run(Job(["tool"], clone, LIMITS, prepared=prepared, work_read_only=True))
    assert read_only.ok


def test_a_real_virtualenv_with_an_editable_install(tmp_path: Path, bench: Workbench) -> None:
    """A `.pth` line is what an editable install comes down to; it must find the clone at hand."""
    add = "import site, os; open(site.getsitepackages()[0] + '/it.pth', 'w').write(os.getcwd() + '/src')"
    venv = EnvironmentSpec(
        (
            ("python", "-m", "venv", "--without-pip", "{cache}"),
            (".venv/bin/python", "-c", add),
        ),
        (".venv",),
    )
    commits = Commits(a={"src/it.py": "x = 'base'"}, b={"src/it.py": "x = 'candidate'"})
    prepared = environments(tmp_path, bench).build(commits.port, venv, "a", NEVER)
    clone = commits.clone("b", tmp_path / "clone").folder
    bench.lend(clone)
    code = "import it, sys; print(it.x, sys.prefix)"
    finished = bench.run(Job(["python", "-c", code], clone, LIMITS, prepared=prepared))
    assert finished.stdout == b"candidate /autopack/work/.venv\n", finished


@pytest.mark.parametrize("name", [".venv", "deep"])
def test_a_candidate_cannot_put_a_link_where_it_belongs(
    tmp_path: Path, bench: Workbench, name: str
) -> None:
    (tmp_path / "kept/deep/.venv").mkdir(parents=True)
    (tmp_path / "kept/.venv").mkdir()
    path = ".venv" if name == ".venv" else "deep/.venv"
    clone = Commits(a={name: Path("/etc")}).clone("a", tmp_path / "clone").folder
    job = Job(["true"], clone, LIMITS, prepared=Prepared("d", tmp_path / "kept", (path,)))
    with pytest.raises(PlaceTaken, match=r"file or link at"):
        bench.run(job)


def test_without_a_fence_it_is_linked_and_the_link_is_gone(
    tmp_path: Path, unfenced: Workbench
) -> None:
    commits = Commits(a={"lock": "1"})
    prepared = environments(tmp_path, unfenced).build(commits.port, SPEC, "a", NEVER)
    clone = commits.clone("a", tmp_path / "clone").folder
    unfenced.lend(clone)
    finished = unfenced.run(Job(["tool"], clone, LIMITS, prepared=prepared))
    assert prepared.folder is not None
    assert finished.stdout.decode().strip() == f"from-{prepared.folder}/.venv"
    assert not os.path.lexists(clone / ".venv")


def test_what_is_kept_belongs_to_us_again(tmp_path: Path, bench: Workbench) -> None:
    commits = Commits(a={"lock": "1"})
    prepared = environments(tmp_path, bench).build(commits.port, SPEC, "a", NEVER)
    assert prepared.folder is not None
    owners = {path.stat().st_uid for path in prepared.folder.rglob("*")}
    assert owners == {os.geteuid()}
    assert stat.S_ISDIR((prepared.folder / ".venv").lstat().st_mode)


TOML = """\
[ci.normal]
commands = [{ run = "tool" }]
[environment]
prepare = [["python", "-c", '''%s''', "{cache}"]]
inputs = ["lock"]
cache = [".venv"]
"""
BUILD = (
    COUNT.replace("\\n", "\\\\n").replace("\\\\n", "\\n")
    + "; assert 'bad' not in open('lock').read()"
)


def test_a_phase_that_changes_the_inputs_gets_its_own(tmp_path: Path, bench: Workbench) -> None:
    text = TOML % BUILD
    assert isinstance(parse_project(text, "x"), Project)
    commits = Commits(
        base={"autopack.toml": text, "lock": "1"},
        same={"autopack.toml": text, "lock": "1", "src": "x"},
        own={"autopack.toml": text, "lock": "2"},
        broken={"autopack.toml": text, "lock": "bad"},
    )
    built = environments(tmp_path, bench)
    verifier = LocalVerifier(lambda _: commits.port, Greens(), bench, built)
    digest = verifier.prepare(RUN, NEVER)
    assert built.find(digest) is not None

    def test(commit: str) -> CiVerdict:
        return verifier.test(ci_task(tmp_path / commit, commit), NEVER).verdict

    assert test("same") is CiVerdict.PASS
    assert commits.clones == ["base", "same"]
    assert test("own") is CiVerdict.PASS
    assert commits.clones == ["base", "same", "base", "own"]
    assert test("broken") is CiVerdict.FAIL


def only(number: int) -> tuple[str, dict[str, str]]:
    return f"c{number}", {"lock": str(number)}


class Aging:
    """An environment cache of three, whose marks of use are a second apart."""

    def __init__(self, folder: Path, bench: Workbench) -> None:
        self.commits = Commits(**dict(only(number) for number in range(9)))
        self.root = folder / "cache"
        self.in_use: set[str] = set()
        self.built = Environments(self.root, bench, in_use=lambda: self.in_use, environments_max=3)
        self.now = 1_000

    def use(self, number: int) -> str:
        prepared = self.built.build(self.commits.port, SPEC, f"c{number}", NEVER)
        self.now += 1
        os.utime(self.root / prepared.digest / "complete.json", (self.now, self.now))
        return prepared.digest

    def left(self) -> set[str]:
        return {path.name for path in self.root.iterdir() if path.is_dir()}


def test_the_cache_is_bounded_and_the_least_recently_used_goes(
    tmp_path: Path, unfenced: Workbench
) -> None:
    aging = Aging(tmp_path, unfenced)
    first, second, third = (aging.use(number) for number in range(3))
    assert aging.use(0) == first
    fourth = aging.use(3)
    assert aging.left() == {first, third, fourth}
    assert aging.built.find(second) is None
    assert aging.use(1) == second
    assert aging.left() == {first, second, fourth}


def test_finding_an_environment_is_using_it(tmp_path: Path, unfenced: Workbench) -> None:
    aging = Aging(tmp_path, unfenced)
    first, second, third = (aging.use(number) for number in range(3))
    assert aging.built.find(first) is not None
    fourth = aging.use(3)
    assert aging.left() == {first, third, fourth}
    assert second not in aging.left()


def test_what_an_open_run_needs_or_a_test_holds_is_never_evicted(
    tmp_path: Path, unfenced: Workbench
) -> None:
    aging = Aging(tmp_path, unfenced)
    needed, held, other = (aging.use(number) for number in range(3))
    aging.in_use = {needed}
    with aging.built.held(held):
        more = [aging.use(number) for number in range(3, 6)]
        assert {needed, held, more[-1]} <= aging.left()
        assert other not in aging.left()
    aging.in_use = set()
    last = aging.use(6)
    assert needed not in aging.left()
    assert held not in aging.left()
    assert last in aging.left()
    assert len(aging.left()) == 3


def test_a_deletion_that_a_crash_cut_short_is_finished(tmp_path: Path, unfenced: Workbench) -> None:
    aging = Aging(tmp_path, unfenced)
    (aging.root / "dead.gone" / "work").mkdir(parents=True)
    kept = aging.use(0)
    assert aging.left() == {kept}


class Greedy(Commits):
    """Somebody evicts all that may be evicted when a candidate's clone is made."""

    def __init__(self, root: Path, **commits: dict[str, str | Path]) -> None:
        super().__init__(**commits)
        self.root = root
        self.evicted: list[str] = []

    def clone(self, commit: str, folder: Path) -> Clone:
        if commit == "candidate":
            self.evicted += evict(self.root, "complete.json", 0, ())
        return super().clone(commit, folder)


def test_an_environment_is_held_while_its_candidate_is_tested(
    tmp_path: Path, unfenced: Workbench
) -> None:
    text = """
[project]
id = "toy"
[environment]
prepare = ["cp lock {cache}/lock"]
cache = [".venv"]
inputs = ["lock"]
[ci.normal]
commands = [{ run = "cat .venv/lock", report = "exit-code", seconds_max = 30 }]
"""
    files: dict[str, str | Path] = {"autopack.toml": text, "lock": "1"}
    commits = Greedy(tmp_path / "cache", base=files, candidate={**files, "lock": "2"})
    built = environments(tmp_path, unfenced)
    verifier = LocalVerifier(lambda _: commits.port, Greens(), unfenced, built)
    unused = verifier.prepare(RUN, NEVER)
    tested = verifier.test(ci_task(tmp_path / "ci"), NEVER)
    assert tested.verdict is CiVerdict.PASS, tested
    assert commits.evicted == [unused]
