"""Work that did not land is listed, written out whole or not at all, and applies on its parent."""

from __future__ import annotations

from pathlib import Path

import pytest

from autopack.core.run import RunState
from tests.lab import Lab, phase
from tests.repos import git, user_repository, write

MOVED = ("do: noise src/blob.bin 70000", "do: write state/mode red")
RED = phase("F1", *MOVED)
GOOD = phase("F2", "do: write src/two.txt two")


def made(lab: Lab) -> Lab:
    """F1 is red twice, F2 lands."""
    done = lab.make().run((RED, GOOD))
    assert done.code == 1, done.err
    return lab


def test_what_did_not_land_is_listed_with_place_files_and_reason(lab: Lab) -> None:
    made(lab)
    shown = lab.cli("salvage", "r", "--json")
    assert shown.code == 0, shown.err
    works = shown.data["works"]
    assert {work["ref"]: work["commit"] for work in works} == {
        f"refs/autopack/r/{name}": commit
        for name, commit in lab.kept().items() if name.startswith("F1/")
    }  # fmt: skip
    for work in works:
        assert work["parent"] == lab.base
        assert work["files"] == ["src/blob.bin", "state/mode"]
        assert work["why"].startswith("CI: fail")
        assert work["patch"] is None
    text = lab.cli("salvage", "r")
    assert "F1 1: CI: fail" in text.out
    assert "src/blob.bin" in text.out
    assert "F2" not in text.out
    assert "autopack salvage r --export DIR" in text.err
    assert lab.cli("salvage", "r", "--phase", "F2", "--json").data["works"] == []
    assert lab.cli("salvage", "r", "--phase", "F9").code == 2
    assert lab.cli("salvage", "nobody").code == 2


@pytest.mark.slow
def test_patches_apply_on_their_parent_and_bundles_hold_the_commits(lab: Lab) -> None:
    made(lab)
    out = lab.root / "out"
    exported = lab.cli("salvage", "r", "--export", out, "--json")
    assert exported.code == 0, exported.err
    works = exported.data["works"]
    assert sorted(str(path.relative_to(out)) for path in out.rglob("*") if path.is_file()) == [
        "F1/1.patch", "F1/2.patch", "F1/work.bundle",
    ]  # fmt: skip
    for number, work in enumerate(works):
        tree = git(lab.bare, "rev-parse", f"{work['commit']}^{{tree}}")
        for how in (("am", "-q"), ("apply", "--index")):
            place = lab.root / f"{how[0]}-{number}"
            git(lab.root, "clone", "-q", str(lab.project), str(place))
            git(place, "checkout", "-q", work["parent"])
            git(place, *how, work["patch"])
            assert git(place, "write-tree") == tree
        fetched = lab.root / f"fetched-{number}"
        git(lab.root, "clone", "-q", str(lab.project), str(fetched))
        git(fetched, "fetch", "-q", str(out / "F1" / "work.bundle"), f"{work['ref']}:refs/heads/it")
        assert git(fetched, "rev-parse", "it") == work["commit"]


@pytest.mark.slow
def test_an_export_overwrites_nothing_and_leaves_nothing_half_written(lab: Lab) -> None:
    made(lab)
    out = lab.root / "out"
    write(out, {"mine": "mine\n"})
    refused = lab.cli("salvage", "r", "--export", out)
    assert refused.code == 2
    assert f"{out} is there already" in refused.err
    assert [path.name for path in out.iterdir()] == ["mine"]
    link = lab.root / "link"
    (lab.root / "empty").mkdir()
    link.symlink_to(lab.root / "empty")
    assert lab.cli("salvage", "r", "--export", link).code == 2
    assert lab.cli("salvage", "r", "--export", out / "mine" / "below").code == 3
    assert not list(lab.root.rglob("*.autopack-tmp"))
    empty = lab.cli("salvage", "r", "--export", lab.root / "empty")
    assert empty.code == 0, empty.err
    assert (lab.root / "empty" / "F1" / "1.patch").is_file()


@pytest.mark.slow
def test_a_patch_that_did_not_apply_is_written_as_it_came(lab: Lab) -> None:
    patch = b"--- a/src/app.txt\n+++ b/src/app.txt\n@@ -1 +1 @@\n-nothing like it\n+x\n"
    worker = f'type = "scripted"\npatches = "{lab.root}/patches"'
    write(lab.root / "patches" / "F1", {"1.patch": patch, "2.patch": patch})
    done = lab.make(worker=worker).run(phase("F1", "anything"))
    assert done.code == 1
    assert lab.load().state is RunState.DONE_FAILED_POLICY_VIOLATION
    out = lab.root / "out"
    shown = lab.cli("salvage", "r", "--export", out, "--json").data["works"]
    assert [work["name"] for work in shown] == ["1", "2"]
    assert "left what cannot become a candidate" in shown[0]["why"]
    assert (out / "F1" / "1.rejected").read_bytes() == patch
    place = lab.root / "place"
    git(lab.root, "clone", "-q", str(lab.project), str(place))
    git(place, "apply", "--index", shown[0]["patch"])
    assert (place / "autopack-rejected.patch").read_bytes() == patch


@pytest.mark.slow
def test_an_attempt_made_again_and_landed_is_no_salvage(lab: Lab) -> None:
    """Parallel phases: the second is made again on the first, and lands as that."""
    one, two = phase("F1", "do: write src/1.txt 1"), phase("F2", "do: write src/2.txt 2")
    assert lab.make(project="[run]\nparallel_max = 2").run((one, two)).code == 0
    assert any(".r" in name for name in lab.kept())
    assert lab.cli("salvage", "r", "--json").data["works"] == []


@pytest.mark.slow
def test_nothing_to_salvage_is_no_error(lab: Lab, tmp_path: Path) -> None:
    assert lab.make().run(GOOD).code == 0
    done = lab.cli("salvage", "r", "--export", tmp_path / "out")
    assert done.code == 0
    assert "0 things of r" in done.out
    assert not (tmp_path / "out").exists()
    user_repository(tmp_path / "elsewhere")
    assert lab.cli("salvage", "r", cwd=tmp_path / "elsewhere").code == 0
