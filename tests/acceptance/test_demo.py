"""`autopack demo` end to end: what the README promises, looked at from outside."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.lab import Done, Lab, until
from tests.repos import git, refs

TAGS = (
    "tier-T1/phase-F1.1", "tier-T1/phase-F1.2", "tier-T2/phase-F2.1", "tier-T2/phase-F2.2",
    "tier-T2/phase-F2.3",
)  # fmt: skip


class Demo:
    """One demo that has run, in a folder of its own."""

    def __init__(self, root: Path) -> None:
        self.folder = root / "demo"
        self.lab = Lab(root)
        (root / "home").mkdir()
        self.done: Done = self.lab.cli("demo", "--folder", self.folder, cwd=root)
        self.repository = self.folder / "toolbox"

    def ask(self, *arguments: str) -> Done:
        """A command in the demo's repository, with what its file `environment` sets."""
        stored = Lab(self.lab.root)
        stored.variables = {
            f"AUTOPACK_{kind.upper()}_DIR": str(self.folder / kind)
            for kind in ("data", "state", "cache")
        }
        return stored.cli(*arguments, cwd=self.repository)

    def trees(self) -> dict[str, str]:
        return {name: git(self.repository, "rev-parse", f"{name}^{{tree}}") for name in
                (*(f"autonomous/demo/{tag}" for tag in TAGS), "autonomous/demo")}  # fmt: skip


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Demo:
    return Demo(tmp_path_factory.mktemp("demo"))


def test_it_ends_well_and_says_so_in_five_lines(demo: Demo) -> None:
    assert demo.done.code == 0, demo.done.err
    summary = demo.done.out.strip().split("\n\n")[-1].splitlines()
    assert len(summary) == 6, summary
    assert summary[0].startswith("DONE_SUCCESS: 5 of 5 phases landed")
    assert "F1.1" in summary[1]
    assert "toolbox/words.py (scope)" in summary[1]
    assert "F1.2: " in summary[2]
    assert "made again on the phase ahead of it" in summary[3]
    assert "5 snapshot tags" in summary[4]
    assert "main untouched" in summary[4]
    assert summary[5].startswith(f"next: (. {demo.folder}/environment; cd ")
    told = (demo.folder / "environment").read_text()
    assert f"export AUTOPACK_DATA_DIR={demo.folder}/data\n" in told


def test_branch_and_tags_are_delivered_and_main_is_untouched(demo: Demo) -> None:
    found = refs(demo.repository)
    tags = {ref for ref in found if ref.startswith("refs/tags/")}
    assert tags == {f"refs/tags/autonomous/demo/{tag}" for tag in TAGS}
    assert set(found) - tags == {"refs/heads/main", "refs/heads/autonomous/demo"}
    assert all(git(demo.repository, "cat-file", "-t", tag) == "tag" for tag in tags)
    assert git(demo.repository, "rev-list", "--count", "main") == "1"
    assert git(demo.repository, "rev-list", "--count", "main..autonomous/demo") == "5"
    assert git(demo.repository, "merge-base", "main", "autonomous/demo") == found["refs/heads/main"]
    assert git(demo.repository, "symbolic-ref", "HEAD") == "refs/heads/main"
    assert git(demo.repository, "status", "--porcelain") == ""
    git(demo.repository, "fsck", "--strict", "--no-dangling")


def test_the_log_tells_of_refusal_red_and_reapplication(demo: Demo) -> None:
    events = [each["event"] for each in demo.ask("events", "list", "demo", "--json").data["events"]]
    gates = [e for e in events if e["kind"] == "candidate_checked" and e["verdict"] == "fail"]
    assert [gate["phase_id"] for gate in gates] == ["F1.1"]
    reds = [e for e in events if e["kind"] == "candidate_tested" and e["verdict"] == "fail"]
    assert [red["phase_id"] for red in reds] == ["F1.2"]
    again = [e["phase_id"] for e in events if e["kind"] == "candidate_reapplied"]
    assert again in (["F2.1"], ["F2.2"])
    assert all(e["tests_run"] > 0 for e in events if e["kind"] == "candidate_tested")
    verified = demo.ask("events", "verify", "--json")
    assert (verified.code, verified.data["problems"]) == (0, {})


def test_what_reads_speaks_json(demo: Demo) -> None:
    (row,) = demo.ask("run", "list", "--json").data["runs"]
    assert (row["run_id"], row["state"]) == ("demo", "DONE_SUCCESS")
    for command in ("view", "watch"):
        told = demo.ask("run", command, "demo", "--json")
        assert told.code == 0
        assert told.data["run"]["delivered"] == told.data["run"]["tip"]
    folders = demo.ask("config", "show", "--json").data["folders"]
    assert folders["data"] == str(demo.folder / "data")


def test_the_artefacts_are_there_and_out_of_gits_sight(demo: Demo) -> None:
    folder = demo.repository / ".autonomous_runs" / "demo"
    until((folder / "run_summary.md").exists, "the summary")
    assert "DONE_SUCCESS" in (folder / "run_summary.md").read_text()
    assert len(list((folder / "tiers").glob("tier_*.md"))) == 2
    assert len(list((folder / "phases").glob("phase_*.md"))) == 5
    assert git(demo.repository, "status", "--porcelain") == ""


def test_nothing_is_left_running(demo: Demo) -> None:
    until(demo.lab.idle, "the supervisor ends when idle")


def test_again_it_makes_the_same(demo: Demo, tmp_path: Path) -> None:
    again = Demo(tmp_path)
    assert again.done.code == 0, again.done.err
    assert again.trees() == demo.trees()
    for tag in TAGS[:2]:  # the first tier's order is fixed; the second's phases race
        name = f"refs/tags/autonomous/demo/{tag}"
        assert refs(again.repository)[name] == refs(demo.repository)[name]
    again.lab.close()


def test_a_sandbox_that_is_none_leaves_no_folder(tmp_path: Path) -> None:
    lab = Lab(tmp_path)
    done = lab.cli("demo", "--folder", tmp_path / "demo", "--sandbox", "foo", cwd=tmp_path)
    assert done.code == 2
    assert "must be one of bubblewrap, none" in done.err
    assert list(tmp_path.iterdir()) == []
