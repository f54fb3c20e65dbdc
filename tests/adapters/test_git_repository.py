"""Preparing, committing, landing, re-applying in the supervisor's repository, with real git."""

from __future__ import annotations

import os
import socket
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from autopack.adapters.git.locks import clear_stale_locks
from autopack.adapters.git.repository import BareRepository
from autopack.adapters.git.wrapper import Git, GitFailed, protocol_of
from autopack.app.ports import Refused
from autopack.core.errors import EnvironmentFault, OperatorFault
from autopack.process.limits import ProgramMissing
from tests.repos import bare, commit_all, git, refs, user_repository, write

BRANCH = "autonomous/r1"
PATCH = b"""\
diff --git a/src/app.py b/src/app.py
--- a/src/app.py
+++ b/src/app.py
@@ -1,2 +1,2 @@
 def one():
-    return 1
+    return 2
"""


def ready(tmp_path: Path) -> tuple[BareRepository, str]:
    base = user_repository(tmp_path / "user")
    repository = bare(tmp_path)
    repository.prepare(str(tmp_path / "user"), "main", base, BRANCH)
    return repository, base


def candidate(repository: BareRepository, parent: str, name: str = "1") -> str:
    tree = repository.apply(parent, PATCH)
    assert isinstance(tree, str)
    return repository.commit(tree, parent, "message\n", 1_000, f"refs/autopack/r1/p/{name}")


def new_file(repository: BareRepository, parent: str, path: str, ref: str) -> str:
    patch = (
        f"diff --git a/{path} b/{path}\nnew file mode 100644\n--- /dev/null\n+++ b/{path}\n"
        "@@ -0,0 +1 @@\n+new\n"
    )
    tree = repository.apply(parent, patch.encode())
    assert isinstance(tree, str), tree
    return repository.commit(tree, parent, "new\n", 1_000, ref)


def test_prepare_fetches_only_the_base_and_is_idempotent(tmp_path: Path) -> None:
    repository, base = ready(tmp_path)
    repository.prepare(str(tmp_path / "user"), "main", base, BRANCH)
    assert refs(repository.folder) == {
        f"refs/source/commits/{base}": base,
        f"refs/heads/{BRANCH}": base,
    }
    assert (repository.folder.stat().st_mode & 0o777) == 0o700
    assert repository.read(base, "README.md") == b"a project\n"
    assert repository.read(base, "nothing") is None
    assert repository.read(base, "src") is None
    assert b"src/deep/er.py" in repository.paths(base)


def test_prepare_refuses_a_branch_that_has_moved_on(tmp_path: Path) -> None:
    repository, base = ready(tmp_path)
    commit = candidate(repository, base)
    repository.land(BRANCH, commit, base, "autonomous/r1/tier-T/phase-p", "m", 5)
    with pytest.raises(EnvironmentFault, match="stands at"):
        repository.prepare(str(tmp_path / "user"), "main", base, BRANCH)
    assert repository.resolve(f"refs/heads/{BRANCH}") == commit


def test_prepare_refuses_a_branch_of_another_history(tmp_path: Path) -> None:
    repository, _ = ready(tmp_path)
    other = user_repository(tmp_path / "other", {"x": "1"})
    with pytest.raises(EnvironmentFault, match="stands at"):
        repository.prepare(str(tmp_path / "other"), "main", other, BRANCH)


def test_prepare_refuses_shallow_partial_and_missing_sources(tmp_path: Path) -> None:
    user_repository(tmp_path / "user")
    head = commit_all(tmp_path / "user", "second")
    url = f"file://{tmp_path / 'user'}"
    git(tmp_path, "clone", "-q", "--depth=1", url, "shallow")
    git(tmp_path, "clone", "-q", "user", "partial")
    git(tmp_path / "partial", "config", "remote.origin.promisor", "true")
    repository = bare(tmp_path)
    for name, why in (("shallow", "shallow"), ("partial", "partial"), ("none", "no folder")):
        with pytest.raises(OperatorFault, match=why):
            repository.prepare(str(tmp_path / name), "main", head, BRANCH)
    with pytest.raises(EnvironmentFault, match="could not be fetched"):
        repository.prepare(str(tmp_path / "user"), "main", "1" * 40, BRANCH)
    assert refs(repository.folder) == {}


@pytest.mark.parametrize("url", ["ext::sh -c id", "git://h/x", "--upload-pack=id", "", "a\nb"])
def test_only_known_protocols_are_spoken(tmp_path: Path, url: str) -> None:
    assert protocol_of(url) == ""
    with pytest.raises(OperatorFault, match="no repository address"):
        bare(tmp_path).prepare(url, "main", "1" * 40, BRANCH)


def test_a_fetch_that_hangs_ends_when_told(tmp_path: Path) -> None:
    cancel = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as server, ThreadPoolExecutor(1) as pool:
        server.settimeout(20)
        url = f"http://127.0.0.1:{server.getsockname()[1]}/x"
        told = pool.submit(bare(tmp_path).prepare, url, "main", "1" * 40, BRANCH, cancel)
        with server.accept()[0]:  # and never a word
            cancel.set()
            with pytest.raises(EnvironmentFault, match="could not be fetched"):
                told.result(20)


def test_protocols() -> None:
    known = {"/a/b": "file", "a:b": "ssh", "./a:b": "file", "https://h/x": "https"}
    assert {url: protocol_of(url) for url in known} == known


def test_git_missing_or_too_old_is_said(tmp_path: Path) -> None:
    empty = Git({"PATH": str(tmp_path)})
    with pytest.raises(ProgramMissing, match="git"):
        BareRepository.create(tmp_path / "bare", empty)
    old = tmp_path / "git"
    old.write_text("#!/bin/sh\necho git version 2.30.2\n")
    old.chmod(0o755)
    with pytest.raises(EnvironmentFault, match=r"2\.30\.2; Autopack needs 2\.39\.2"):
        BareRepository.create(tmp_path / "bare", Git({"PATH": f"{tmp_path}:{os.environ['PATH']}"}))


def test_the_same_input_gives_the_same_commit(tmp_path: Path) -> None:
    repository, base = ready(tmp_path)
    first = candidate(repository, base)
    assert candidate(repository, base) == first
    git(repository.folder, "update-ref", "-d", "refs/autopack/r1/p/1")
    assert candidate(repository, base) == first
    assert git(repository.folder, "log", "-1", "--format=%an %ae %at %ct", first) == (
        "Autopack autopack@localhost 1000 1000"
    )
    assert repository.facts(first).message == "message\n"


def test_a_ref_that_exists_keeps_its_commit(tmp_path: Path) -> None:
    repository, base = ready(tmp_path)
    first = candidate(repository, base)
    other = repository.commit(repository.tree(base), base, "x", 9, "refs/autopack/r1/p/1")
    assert other == first


def test_land_moves_branch_and_tag_once(tmp_path: Path) -> None:
    repository, base = ready(tmp_path)
    commit = candidate(repository, base)
    tag = "autonomous/r1/tier-T/phase-p"
    for _ in range(2):
        assert repository.land(BRANCH, commit, base, tag, "landed", 7) == commit
    after = refs(repository.folder)
    assert after[f"refs/heads/{BRANCH}"] == commit
    shown = git(repository.folder, "cat-file", "tag", after[f"refs/tags/{tag}"])
    assert f"object {commit}" in shown
    assert "tagger Autopack <autopack@localhost> 7 +0000" in shown
    later = new_file(repository, commit, "b", "refs/autopack/r1/q/1")
    repository.land(BRANCH, later, commit, "autonomous/r1/tier-T/phase-q", "m", 8)
    assert repository.land(BRANCH, commit, base, tag, "landed", 7) == commit
    assert refs(repository.folder)[f"refs/heads/{BRANCH}"] == later


@pytest.mark.parametrize("half", ["branch", "tag"])
def test_land_completes_what_a_kill_left_half_done(tmp_path: Path, half: str) -> None:
    repository, base = ready(tmp_path)
    commit = candidate(repository, base)
    tag = "autonomous/r1/tier-T/phase-p"
    repository.land(BRANCH, commit, base, tag, "m", 7)
    whole = refs(repository.folder)
    if half == "branch":
        git(repository.folder, "update-ref", "-d", f"refs/tags/{tag}")
    else:
        git(repository.folder, "update-ref", f"refs/heads/{BRANCH}", base)
    assert repository.land(BRANCH, commit, base, tag, "m", 7) == commit
    assert refs(repository.folder) == whole


def test_land_onto_a_moved_branch_changes_nothing(tmp_path: Path) -> None:
    repository, base = ready(tmp_path)
    first = candidate(repository, base)
    second = new_file(repository, base, "b", "refs/autopack/r1/q/1")
    repository.land(BRANCH, first, base, "autonomous/r1/tier-T/phase-p", "m", 7)
    before = refs(repository.folder)
    assert repository.land(BRANCH, second, base, "autonomous/r1/tier-T/phase-q", "m", 7) == first
    assert refs(repository.folder) == before


def test_land_refuses_a_tag_of_somebody_else(tmp_path: Path) -> None:
    repository, base = ready(tmp_path)
    commit = candidate(repository, base)
    git(repository.folder, "tag", "autonomous/r1/tier-T/phase-p", base)
    with pytest.raises(EnvironmentFault, match="exists already"):
        repository.land(BRANCH, commit, base, "autonomous/r1/tier-T/phase-p", "m", 7)


def test_a_lock_blocks_with_an_error_and_is_cleared_at_start(tmp_path: Path) -> None:
    repository, base = ready(tmp_path)
    commit = candidate(repository, base)
    tag = "autonomous/r1/tier-T/phase-p"
    lock = repository.folder / "refs" / "heads" / f"{BRANCH}.lock"
    lock.touch()
    leftover = repository.folder / "objects" / "tmp_obj_x"
    leftover.touch()
    write(repository.folder / "autopack-scratch" / "dead", {"index.lock": "", "a/b": ""})
    with pytest.raises(GitFailed, match="landing"):
        repository.land(BRANCH, commit, base, tag, "m", 7)
    assert refs(repository.folder)[f"refs/heads/{BRANCH}"] == base
    assert clear_stale_locks(repository.folder) == [lock]
    assert not leftover.exists()
    assert not list((repository.folder / "autopack-scratch").iterdir())
    assert repository.land(BRANCH, commit, base, tag, "m", 7) == commit


def test_a_creation_that_was_killed_starts_again(tmp_path: Path) -> None:
    repository, base = ready(tmp_path)
    (repository.folder / "autopack-ready").unlink()
    (repository.folder / "info" / "attributes").unlink()
    again = bare(tmp_path)
    assert "-filter" in (again.folder / "info" / "attributes").read_text()
    assert again.resolve(f"refs/heads/{BRANCH}") == base


def test_reapply_clean_and_conflicting(tmp_path: Path) -> None:
    repository, base = ready(tmp_path)
    first = candidate(repository, base)
    second = new_file(repository, base, "b", "refs/autopack/r1/q/1")
    tree = repository.reapply(second, first)
    assert isinstance(tree, str)
    again = repository.commit(tree, first, "m", 9, "refs/autopack/r1/q/1.r1")
    assert repository.read(again, "b") == b"new\n"
    assert repository.read(again, "src/app.py") == b"def one():\n    return 2\n"
    other = repository.apply(base, PATCH.replace(b"return 2", b"return 3"))
    assert isinstance(other, str)
    third = repository.commit(other, base, "m", 9, "refs/autopack/r1/s/1")
    refused = repository.reapply(third, first)
    assert isinstance(refused, Refused)
    assert [(f.rule, f.path) for f in refused.findings] == [("conflict", "src/app.py")]


def test_hooks_of_the_repository_never_run(tmp_path: Path) -> None:
    repository, base = ready(tmp_path)
    canary = tmp_path / "canary"
    for name in ("reference-transaction", "update", "post-checkout", "pre-push", "pre-receive"):
        hook = repository.folder / "hooks" / name
        hook.parent.mkdir(exist_ok=True)
        hook.write_text(f"#!/bin/sh\ntouch {canary}\n")
        hook.chmod(0o755)
    commit = candidate(repository, base)
    repository.land(BRANCH, commit, base, "autonomous/r1/tier-T/phase-p", "m", 7)
    repository.clone(commit, tmp_path / "clone")
    assert repository.deliver(str(tmp_path / "user"), "r1", commit, "") == ""
    assert not canary.exists()
