"""Packing the supervisor's repository: fewer files, nothing lost, whatever happens beside it."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from autopack.adapters.git.locks import orphans
from autopack.adapters.git.projects import Projects
from autopack.adapters.git.repository import BareRepository
from autopack.adapters.git.upkeep import Upkeep, loose_objects, pack
from autopack.adapters.git.wrapper import Git
from tests.core.walk import phase_spec, run_spec
from tests.lab import until
from tests.repos import bare, git, refs, user_repository

BRANCH = "autonomous/r1"


def ready(tmp_path: Path) -> tuple[BareRepository, str]:
    base = user_repository(tmp_path / "user")
    repository = bare(tmp_path)
    repository.prepare(str(tmp_path / "user"), "main", base, BRANCH)
    return repository, base


def loose(folder: Path) -> int:
    return len([path for path in (folder / "objects").glob("??/*") if path.is_file()])


def contents(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def packs(folder: Path) -> int:
    return len(list((folder / "objects/pack").glob("*.pack")))


def candidate(repository: BareRepository, base: str, name: str) -> str:
    patch = f"--- /dev/null\n+++ b/new-{name}\n@@ -0,0 +1 @@\n+{name}\n".encode()
    tree = repository.apply(base, patch)
    assert isinstance(tree, str)
    return repository.commit(tree, base, f"{name}\n", 1_000, f"refs/autopack/r1/p/{name}")


def test_everything_is_packed_and_what_nothing_refers_to_stays(tmp_path: Path) -> None:
    repository, base = ready(tmp_path)
    made = [candidate(repository, base, str(number)) for number in range(5)]
    lonely = git(repository.folder, "hash-object", "-w", "--stdin", stdin=b"nobody knows me")
    before = refs(repository.folder)
    for round_ in range(3):
        pack(repository._store)
        assert loose(repository.folder) == 0
        made.append(candidate(repository, base, f"again-{round_}"))
    pack(repository._store)
    assert packs(repository.folder) < 4
    assert git(repository.folder, "cat-file", "blob", lonely) == "nobody knows me"
    assert before.items() <= refs(repository.folder).items()
    assert all(repository.facts(commit).parent == base for commit in made)
    git(repository.folder, "fsck", "--strict")


def test_work_goes_on_while_it_packs(tmp_path: Path) -> None:
    repository, base = ready(tmp_path)

    def work(worker: int) -> list[str]:
        made = []
        for number in range(6):
            made.append(candidate(repository, base, f"{worker}-{number}"))
            clone = repository.clone(made[-1], tmp_path / f"clone-{worker}")
            (clone.folder / f"new-{worker}-{number}").write_text("changed")
            tree = repository.capture(clone, ())
            assert isinstance(tree, str)
            repository.diff(made[-1], tree)
            repository.discard(clone.folder)
        return made

    with ThreadPoolExecutor(3) as pool:
        jobs = [pool.submit(work, worker) for worker in range(2)]
        rounds = 0
        while not all(job.done() for job in jobs):
            pack(repository._store)
            rounds += 1
        made = [commit for job in jobs for commit in job.result()]
    assert rounds > 1
    assert len(set(made)) == 12
    git(repository.folder, "fsck", "--strict", "--no-dangling")


def test_it_packs_only_when_there_is_enough_and_says_how_much(tmp_path: Path) -> None:
    repository, _ = ready(tmp_path)
    for number in range(40):
        git(repository.folder, "hash-object", "-w", "--stdin", stdin=b"%d" % number)
    sample = repository.folder / "objects/17"
    sample.mkdir(exist_ok=True)
    known = loose(repository.folder)
    few = len(list(sample.iterdir()))
    assert loose_objects(repository.folder) == 256 * few
    never = Upkeep(repository._store, loose_objects_max=256 * few)
    never.begin()
    never.wait()
    assert loose(repository.folder) == known
    upkeep = Upkeep(repository._store, loose_objects_max=256 * few - 1)
    upkeep.begin()
    upkeep.wait()
    assert loose(repository.folder) == 0


def test_a_repository_that_cannot_be_packed_is_left_for_later_and_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    repository, _ = ready(tmp_path)
    upkeep = Upkeep(repository._store, loose_objects_max=-1)
    (repository.folder / "HEAD").unlink()
    before = contents(repository.folder / "objects")
    upkeep.begin()
    upkeep.wait()
    assert f"{repository.folder} was not packed" in caplog.text
    assert contents(repository.folder / "objects") == before


class Slow:
    """A project whose `git repack` never ends by itself, in the hands of a supervisor."""

    def __init__(self, tmp_path: Path) -> None:
        self.began = tmp_path / "began"
        program = tmp_path / "slow-git"
        program.write_text(
            "#!/bin/sh\n"
            f'case " $* " in *" repack "*) touch {self.began}; exec sleep 600;; esac\n'
            'exec git "$@"\n'
        )
        program.chmod(0o755)
        self.folder = tmp_path / "repo.git"
        self.git = Git(program=str(program))
        self.spec = run_spec(phase_spec("P1"))
        self.projects = self.opened()
        self.repository = self.projects.repository(self.spec)
        self.repository._upkeep = Upkeep(self.repository._store, loose_objects_max=-1)

    def opened(self) -> Projects:
        return Projects(lambda _spec: self.folder, self.git, None, alone=True)

    def pack(self) -> None:
        self.repository.tend()
        until(self.began.exists, "git packs")


def test_packing_is_cut_off_at_a_supervisors_end_and_the_next_one_meets_no_git(
    tmp_path: Path,
) -> None:
    slow = Slow(tmp_path)
    slow.pack()
    assert slow.projects.busy()
    slow.projects.end()
    assert not slow.projects.busy()
    assert list(orphans(slow.folder)) == []
    assert loose_objects(slow.folder) >= 0
    slow.repository.tend()
    assert not slow.projects.busy()
    assert slow.opened().repository(slow.spec).folder == slow.folder


def test_a_repository_that_is_being_opened_holds_up_no_other(tmp_path: Path) -> None:
    began, go_on, program = tmp_path / "began", tmp_path / "go-on", tmp_path / "slow-git"
    program.write_text(
        "#!/bin/sh\n"
        f'case "$*" in *"init "*{tmp_path}/slow*) touch {began};\n'
        f"while [ ! -e {go_on} ]; do sleep 0.05; done;; esac\n"
        'exec git "$@"\n'
    )
    program.chmod(0o755)
    git = Git(program=str(program))
    projects = Projects(lambda spec: tmp_path / spec.project_id, git, None, alone=True)
    spec = run_spec(phase_spec("P1"))
    with ThreadPoolExecutor(1) as pool, ThreadPoolExecutor(1) as other:
        held = pool.submit(projects.repository, replace(spec, project_id="slow"))
        until(began.exists, "the first one is being made")
        try:
            quick = other.submit(projects.repository, replace(spec, project_id="quick")).result(20)
            assert not held.done()
        finally:
            go_on.touch()
        assert held.result(20) is not quick
