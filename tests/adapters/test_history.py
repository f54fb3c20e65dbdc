"""A real repository's commits, to be replayed: order, patches, odd shapes, and nothing left behind."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from autopack.adapters.agents.replay import ReplayAgent
from autopack.adapters.git.history import backtesting, open_history
from autopack.adapters.git.patch import PATCH_BYTES_MAX
from autopack.adapters.git.wrapper import Git
from autopack.app.backtest import REFS, Ground, Past, Policies, by_name, replay
from autopack.app.ports import Refused
from autopack.core.backtest import BacktestVerdict, Replayed
from autopack.core.errors import OperatorFault
from autopack.core.project import PolicySettings
from autopack.testing import FakeClock
from tests.repos import bare, commit_all, git, refs, user_repository, write

ACCEPT, ASKS, REFUSE = BacktestVerdict
NEVER = threading.Event()


def odd_history(user: Path) -> dict[str, str]:
    """One commit of each odd shape, oldest first: name to commit."""
    made = {"root": user_repository(user, {"a.txt": "a\n" * 50, "crlf.txt": b"1\r\n2\r\n"})}

    def commit(name: str) -> None:
        made[name] = commit_all(user, name)

    git(user, "mv", "a.txt", "b.txt")
    commit("rename")
    (user / "b.txt").chmod(0o755)
    commit("mode")
    (user / "link").symlink_to("b.txt")
    commit("symlink")
    (user / "blob.bin").write_bytes(bytes(range(256)) * 40)
    commit("binary")
    (user / "blob.bin").write_bytes(bytes(range(256)) * 41)
    commit("binary edit")
    (user / "crlf.txt").write_bytes(b"1\r\n2\n3\r\n")
    commit("line ends")
    write(user, {"no-newline": "x", "name with [odd] * ?\t.txt": "1\n", "ünï.txt": "2\n"})
    commit("names")
    write(user, {".gitattributes": "*.txt text eol=crlf\n"})
    commit("attributes")
    git(user, "rm", "-q", "b.txt")
    commit("deletion")
    (user / "link").unlink()
    write(user, {"link/inside": "now a folder\n"})
    commit("link to folder")
    commit("empty")
    git(user, "update-index", "--add", "--cacheinfo", f"160000,{made['root']},sub")
    git(user, "commit", "-q", "-m", "submodule")
    made["submodule"] = git(user, "rev-parse", "HEAD")
    git(user, "update-index", "--cacheinfo", f"160000,{made['mode']},sub")
    git(user, "commit", "-q", "-m", "submodule moved")
    made["submodule moved"] = git(user, "rev-parse", "HEAD")
    return made


def replayed(tmp_path: Path, user: Path, *, in_clones: bool) -> dict[str, Replayed]:
    ours, tip = bare(tmp_path), git(user, "rev-parse", "main")
    with backtesting(ours, str(user), "main", tip) as past:
        pasts = past.last(tip, 100)
        ground = Ground(
            ours,
            ReplayAgent(past, by_name(pasts), in_clones),
            FakeClock(),
            Policies(PolicySettings()),
            "toy",
            "here",
            tmp_path / "scratch",
            tmp_path / "logs",
            in_clones=in_clones,
            workers_max=4,
        )
        found = {each.subject: each for each in replay(pasts, ground, NEVER)}
        assert [ref for ref in refs(ours.folder) if ref.startswith(REFS)]
    assert [ref for ref in refs(ours.folder) if ref.startswith(REFS)] == []
    return found


@pytest.mark.parametrize("in_clones", [False, True], ids=["patch", "clone"])
def test_odd_commits_come_out_byte_for_byte(tmp_path: Path, in_clones: bool) -> None:
    user = tmp_path / "user"
    made = odd_history(user)
    before = refs(user)
    found = replayed(tmp_path, user, in_clones=in_clones)
    assert {each.subject: each.commit for each in found.values()} == {
        ("first" if name == "root" else name): commit for name, commit in made.items()
    }
    told = {name: (r.verdict, [f.rule for f in r.findings]) for name, r in found.items()}
    nothing: list[str] = []
    assert told == {
        "first": (ACCEPT, nothing),
        "rename": (ACCEPT, nothing),
        "mode": (ASKS, ["executable-bit"]),
        "symlink": (ASKS, ["symlink"]),
        "binary": (ACCEPT, nothing),
        "binary edit": (ACCEPT, nothing),
        "line ends": (ACCEPT, nothing),
        "names": (REFUSE, ["file-name"]),
        "attributes": (ASKS, ["gitattributes"]),
        "deletion": (ACCEPT, nothing),
        "link to folder": (ASKS, ["kind-change"]),
        "empty": (REFUSE, ["empty-change"]),
        # a clone has no submodule's files, so that nothing can be left of one there
        "submodule": (REFUSE, ["empty-change" if in_clones else "submodule"]),
        "submodule moved": (
            (REFUSE, ["empty-change"]) if in_clones else (ASKS, ["submodule-moved"])
        ),
    }
    assert {r.identical for r in found.values() if "empty-change" not in told[r.subject][1]} == {
        True
    }
    assert found["first"].parent == ""
    assert refs(user) == before
    git(user, "fsck", "--strict")


def past_names(pasts: list[Past]) -> list[str]:
    return [past.subject for past in pasts]


def test_merged_branches_are_replayed_and_merges_are_not(tmp_path: Path) -> None:
    user = tmp_path / "user"
    first = user_repository(user, {"a": "a\n"})
    git(user, "checkout", "-q", "-b", "side")
    write(user, {"side": "1\n"})
    side = commit_all(user, "on the side")
    git(user, "checkout", "-q", "main")
    write(user, {"main": "1\n"})
    main = commit_all(user, "on main")
    git(user, "merge", "-q", "-m", "a merge", "side")
    tip = git(user, "rev-parse", "main")
    with backtesting(bare(tmp_path), str(user), "main", tip) as past:
        pasts = past.last(tip, 100)
        assert past_names(past.last(tip, 1)) == past_names(pasts)[:1]
        assert past.patch(tip) == past.patch(side)  # a merge is told against its first parent
    assert sorted(past_names(pasts)) == ["first", "on main", "on the side"]
    assert pasts[-1].subject == "first"
    parents = {past.subject: (past.parent, past.base) for past in pasts}
    assert parents["on the side"] == parents["on main"] == (first, first)
    assert parents["first"][0] == ""
    assert {past.commit: past.paths for past in pasts}[main] == (b"main",)


def test_an_odd_subject_is_no_field(tmp_path: Path) -> None:
    user = tmp_path / "user"
    user_repository(user, {"a": "a\n"})
    write(user, {":100644 weird": "1\n", "1" * 40: "2\n"})
    tip = commit_all(user, f"{'1' * 40} {'2' * 40}\n\n:100644 body")
    with backtesting(bare(tmp_path), str(user), "main", tip) as past:
        newest = past.last(tip, 1)[0]
    assert newest.subject == f"{'1' * 40} {'2' * 40}"
    assert set(newest.paths) == {b":100644 weird", b"1" * 40}


def test_two_backtests_of_one_repository_do_not_meet(tmp_path: Path) -> None:
    user = tmp_path / "user"
    tip = user_repository(user, {"a": "a\n"})
    ours = bare(tmp_path)
    with (
        backtesting(ours, str(user), "main", tip),
        pytest.raises(OperatorFault, match="under way"),
        backtesting(ours, str(user), "main", tip),
    ):
        pass
    with backtesting(ours, str(user), "main", tip):
        pass


def test_what_a_killed_backtest_left_goes_with_the_next(tmp_path: Path) -> None:
    user = tmp_path / "user"
    tip = user_repository(user, {"a": "a\n"})
    ours = bare(tmp_path)
    with backtesting(ours, str(user), "main", tip):
        pass
    git(ours.folder, "update-ref", f"{REFS}/left/1", tip)
    git(ours.folder, "update-ref", "refs/autopack/r1/F1/1", tip)
    with backtesting(ours, str(user), "main", tip):
        assert f"{REFS}/left/1" not in refs(ours.folder)
    assert "refs/autopack/r1/F1/1" in refs(ours.folder), "a run's attempts are not ours to remove"


def test_a_patch_past_the_limit_is_refused_as_one(tmp_path: Path) -> None:
    user = tmp_path / "user"
    user_repository(user, {"a": "a\n"})
    (user / "big").write_bytes(b"x" * PATCH_BYTES_MAX)
    tip = commit_all(user, "big")
    ours = bare(tmp_path)
    with backtesting(ours, str(user), "main", tip) as past:
        patch = past.patch(tip)
        assert len(patch) > PATCH_BYTES_MAX
        refused = ours.apply(past.last(tip, 1)[0].base, patch)
    assert isinstance(refused, Refused)
    assert [finding.rule for finding in refused.findings] == ["patch-size"]


def test_the_users_configuration_changes_no_patch(tmp_path: Path) -> None:
    user = tmp_path / "user"
    user_repository(user, {"d/a": "a\n" * 9})
    write(user, {"d/a": "a\n" * 8 + "b\n"})
    commit_all(user, "edit")
    plain = open_history(Git(), user).patch("main")
    for key, value in {
        "diff.noprefix": "true", "diff.mnemonicPrefix": "true", "diff.context": "0",
        "diff.external": "false", "diff.relative": "true", "color.ui": "always",
        "diff.interHunkContext": "9", "diff.algorithm": "patience", "core.abbrev": "4",
    }.items():  # fmt: skip
        git(user, "config", key, value)
    assert open_history(Git(), user / "d").patch("main") == plain
    with pytest.raises(OperatorFault, match="no branch, tag or commit"):
        open_history(Git(), user).patch("-p")
