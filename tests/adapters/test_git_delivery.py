"""The run's refs pushed into the user's repository: only those, under a lease, said plainly."""

from __future__ import annotations

import re
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from autopack.adapters.git.repository import BareRepository
from tests.lab import until
from tests.repos import bare, commit_all, git, refs, user_repository

BRANCH = "refs/heads/autonomous/r1"
TAG = "refs/tags/autonomous/r1/tier-T/phase-p"


class Landed:
    """A run with one landed snapshot, not delivered."""

    def __init__(self, tmp_path: Path) -> None:
        self.user = tmp_path / "user"
        self.base = user_repository(self.user)
        self.repository: BareRepository = bare(tmp_path)
        self.repository.prepare(str(self.user), "main", self.base, "autonomous/r1")
        self.tip = self.land(self.base, "p")

    def land(self, parent: str, phase: str) -> str:
        patch = f"diff --git a/{phase} b/{phase}\nnew file mode 100644\n--- /dev/null\n"
        tree = self.repository.apply(parent, f"{patch}+++ b/{phase}\n@@ -0,0 +1 @@\n+x\n".encode())
        assert isinstance(tree, str)
        ref = f"refs/autopack/r1/{phase}/1"
        commit = self.repository.commit(tree, parent, "m", 5, ref)
        tag = f"autonomous/r1/tier-T/phase-{phase}"
        return self.repository.land("autonomous/r1", commit, parent, tag, "m", 6)

    def deliver(self, tip: str = "", expected: str = "", target: str = "") -> str:
        return self.repository.deliver(target or str(self.user), "r1", tip or self.tip, expected)


@pytest.fixture
def landed(tmp_path: Path) -> Landed:
    return Landed(tmp_path)


def test_branch_and_tags_arrive_and_nothing_else_moves(landed: Landed) -> None:
    git(landed.repository.folder, "tag", "autonomous/r2/tier-T/phase-x", landed.tip)
    before = refs(landed.user)
    for expected in ("", landed.tip):  # the second finds it done
        assert landed.deliver(expected=expected) == ""
    after = refs(landed.user)
    assert {ref for ref in after if ref not in before} == {BRANCH, TAG}
    assert {ref: after[ref] for ref in before} == before
    assert after[BRANCH] == landed.tip
    assert git(landed.user, "status", "--porcelain") == ""


def test_the_next_snapshot_follows_under_its_lease(landed: Landed) -> None:
    landed.deliver()
    second = landed.land(landed.tip, "q")
    assert landed.deliver(tip=second, expected=landed.tip) == ""
    assert refs(landed.user)[BRANCH] == second
    assert "refs/tags/autonomous/r1/tier-T/phase-q" in refs(landed.user)


def test_a_tag_lost_there_is_made_up_for(landed: Landed) -> None:
    landed.deliver()
    git(landed.user, "update-ref", "-d", TAG)
    assert landed.deliver(expected=landed.tip) == ""
    assert TAG in refs(landed.user)


def test_a_file_url_works_too(landed: Landed) -> None:
    assert landed.deliver(target=f"file://{landed.user}") == ""
    assert refs(landed.user)[BRANCH] == landed.tip


def test_a_foreign_branch_is_never_overwritten(landed: Landed) -> None:
    git(landed.user, "branch", "autonomous/r1", "main")
    before = refs(landed.user)
    reason = landed.deliver()
    assert f"is at {landed.base}, but this run delivered nothing yet" in reason
    assert refs(landed.user) == before


def test_a_branch_that_the_user_moved_is_left(landed: Landed) -> None:
    landed.deliver()
    git(landed.user, "checkout", "-q", "autonomous/r1")
    moved = commit_all(landed.user, "mine")
    git(landed.user, "checkout", "-q", "main")
    second = landed.land(landed.tip, "q")
    reason = landed.deliver(tip=second, expected=landed.tip)
    assert moved in reason
    assert refs(landed.user)[BRANCH] == moved
    git(landed.user, "branch", "-D", "autonomous/r1")
    deleted = landed.deliver(tip=second, expected=landed.tip)
    assert "was deleted there" in deleted
    assert "`autopack run deliver r1` brings it back" in deleted
    assert "`autopack run deliver r1`" in reason
    assert advised(reason) == ["branch", "-f", "autonomous/r1", landed.tip]


@pytest.mark.parametrize("spoil", ["moved", "foreign"])
def test_what_a_refusal_advises_works(landed: Landed, spoil: str) -> None:
    if spoil == "foreign":
        git(landed.user, "branch", "autonomous/r1", "main")
    else:
        landed.deliver()
    if spoil == "moved":
        git(landed.user, "branch", "-f", "autonomous/r1", "main")
    before = "" if spoil == "foreign" else landed.tip
    second = landed.land(landed.tip, "q")
    git(landed.user, *advised(landed.deliver(tip=second, expected=before)))
    assert landed.deliver(tip=second, expected=before) == ""
    assert refs(landed.user)[BRANCH] == second


def advised(reason: str) -> list[str]:
    """The git command in a refusal, with a name where it leaves one open."""
    found = re.search(r"`git ([^`]*)`", reason)
    assert found, reason
    return found[1].replace("NAME", "mine").split()


def test_a_checked_out_branch_is_refused_with_the_reason(landed: Landed) -> None:
    landed.deliver()
    git(landed.user, "checkout", "-q", "autonomous/r1")
    git(landed.user, "config", "receive.denyCurrentBranch", "updateInstead")
    second = landed.land(landed.tip, "q")
    reason = landed.deliver(tip=second, expected=landed.tip)
    assert "refused refs/heads/autonomous/r1" in reason
    assert "checked out" in reason
    assert "switch to another branch, then `autopack run deliver r1`" in reason
    assert refs(landed.user)[BRANCH] == landed.tip
    assert "refs/tags/autonomous/r1/tier-T/phase-q" not in refs(landed.user)
    assert git(landed.user, "status", "--porcelain") == ""


def test_a_delivery_that_hangs_ends_when_told_and_leaves_no_lock(landed: Landed) -> None:
    began = landed.user / "began"
    hook = landed.user / ".git" / "hooks" / "pre-receive"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text(f"#!/bin/sh\ntouch {began}\nexec sleep 600\n")
    hook.chmod(0o755)
    cancel = threading.Event()
    with ThreadPoolExecutor(1) as pool:
        told = pool.submit(
            landed.repository.deliver, str(landed.user), "r1", landed.tip, "", cancel
        )
        until(began.exists, "the hook runs")
        cancel.set()
        assert told.result(20) != ""
    assert not list((landed.user / ".git").rglob("*.lock"))
    hook.unlink()
    assert landed.deliver() == ""


def test_a_branch_named_like_our_folder_is_in_the_way(landed: Landed) -> None:
    git(landed.user, "branch", "autonomous")
    before = refs(landed.user)
    assert "cannot lock ref" in landed.deliver()
    assert refs(landed.user) == before


def test_the_targets_own_guard_is_obeyed(landed: Landed) -> None:
    hook = landed.user / ".git" / "hooks" / "update"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text("#!/bin/sh\necho no entry >&2\nexit 1\n")
    hook.chmod(0o755)
    assert "refused" in landed.deliver()
    assert BRANCH not in refs(landed.user)


def test_a_foreign_tag_of_our_name_is_refused(landed: Landed) -> None:
    git(landed.user, "update-ref", TAG, landed.base)
    before = refs(landed.user)
    assert "exists there with another content" in landed.deliver()
    assert refs(landed.user) == before


def test_a_target_that_is_gone_or_no_address_is_a_reason(landed: Landed, tmp_path: Path) -> None:
    assert "cannot be read" in landed.deliver(target=str(tmp_path / "nope"))
    assert "no repository address" in landed.deliver(target="ext::sh -c id")


def test_a_race_is_lost_to_the_lease(landed: Landed, tmp_path: Path) -> None:
    """The branch appears between looking and pushing: a hook of the target makes it."""
    marker = tmp_path / "once"
    hook = landed.user / ".git" / "hooks" / "pre-receive"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text(
        f"#!/bin/sh\n[ -e {marker} ] && exit 0\ntouch {marker}\n"
        "unset GIT_QUARANTINE_PATH GIT_OBJECT_DIRECTORY GIT_ALTERNATE_OBJECT_DIRECTORIES\n"
        f"git update-ref {BRANCH} {landed.base}\n"
    )
    hook.chmod(0o755)
    assert landed.deliver() != ""
    assert marker.exists()
    assert refs(landed.user)[BRANCH] == landed.base
