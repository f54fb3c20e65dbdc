"""A run's files: complete, atomic, harmless, and only where they belong."""

from __future__ import annotations

import dataclasses
import os
import stat
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from autopack.adapters.files.artefacts import FileArtefacts
from autopack.adapters.files.escape import block, file_part, inline
from autopack.adapters.files.exclude import exclude
from autopack.adapters.files.folder import TEMPORARY, anchored
from autopack.app.ports import Recorded
from autopack.core import event as ev
from autopack.core import promotion
from autopack.core.errors import EnvironmentFault
from autopack.core.run import (
    Cause,
    Evidence,
    Failure,
    Finding,
    Phase,
    Promotion,
    Run,
    Snapshot,
    Stage,
    Step,
)
from autopack.core.spec import (
    CiProfile,
    Complexity,
    PhaseSpec,
    RunSpec,
    TierSpec,
)

HOSTILE = "\x1b[31m<script>alert(1)</script>\n# Owned\n[x](javascript:y) ![i](http://e) `\u202e|"


def run_in(repository: Path, *, name: str = "A name", stage: Stage = Stage.WORKING) -> Run:
    phases = tuple(
        PhaseSpec(
            phase_id=phase_id,
            tier_id="T1",
            phase_index=index,
            name=name,
            task=f"Do {phase_id}.\n{HOSTILE}\n```\nfence",
            task_category="docs",
            complexity=Complexity.LOW,
            builder_mode="tweak_light",
            scope=("src/**",),
            needs=(),
            packs=(),
            deliver=(),
            ci_profile=CiProfile.NORMAL,
            auto_apply=True,
            auditor_profile="",
            builder_attempts_max=2,
            auditor_attempts_max=1,
            incident_token_cap=200_000,
            files_max=2,
            changed_lines_max=150,
        )
        for index, phase_id in enumerate(("F1.1", "F1.2"), 1)
    )
    spec = RunSpec(
        run_id="nightly",
        project_id="toy",
        repository=str(repository),
        base_ref="main",
        base_commit="b" * 40,
        tiers=(TierSpec("T1", 1, name, 600_000, 4),),
        phases=phases,
        builder="scripted",
        auditor="",
        sandbox="none",
    )
    states = (Phase(phases[0], Step.COMPLETE, 1), Phase(phases[1], Step.TESTING, 1))
    snapshot = Snapshot("F1.1", "c" * 40, "autonomous/nightly/tier-T1/phase-F1.1")
    return Run(spec, stage, states, snapshots=(snapshot,))


def failed(run: Run) -> Run:
    failure = Failure(Cause.REQUIRES_HUMAN_REVIEW, f"CI stayed red {HOSTILE}", "F1.2")
    return dataclasses.replace(run, stage=Stage.DONE, failure=failure)


def log() -> list[Recorded]:
    red = Evidence("ci", HOSTILE, (Finding("test", HOSTILE, HOSTILE, 3),))
    events: list[ev.Event] = [
        ev.AttemptEnded("F1.2", 1, ev.Outcome.FAILED, 70, None, red),
        ev.CandidateTested("F1.2", ev.CiVerdict.FAIL, red, 4),
    ]
    return [
        Recorded("nightly", n, ev.Happened(e, 1_700_000_000), "") for n, e in enumerate(events, 1)
    ]


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    folder = tmp_path / "toy"
    (folder / ".git" / "info").mkdir(parents=True)
    (folder / ".git" / "HEAD").write_text("ref: refs/heads/main\n")
    return folder


def files(folder: Path) -> list[str]:
    return sorted(str(p.relative_to(folder)) for p in folder.rglob("*") if not p.is_dir())


def test_files_of_a_run(repository: Path) -> None:
    run = run_in(repository, name="Ground work/first")
    FileArtefacts(repository).render(run, iter(log()))
    top = repository / ".autonomous_runs" / "nightly"
    assert files(top) == [
        "architecture.md",
        "comprehensive_plan.md",
        "context.md",
        "issues/phase_01_F1.1_issues.json",
        "issues/run_issue_index.json",
        "phases/phase_01_F1.1.md",
        "phases/phase_02_F1.2.md",
        "project_implementation_strategy_v1.json",
        "reference_repos.md",
        "run_summary.md",
        "spec.md",
        "tiers/tier_01_Ground_work_first.md",
    ]
    summary = (top / "run_summary.md").read_text()
    assert "run nightly is under way: 1 of 2 phases landed; phase F1.2 waits for CI" in summary
    assert "| tokens | 0 | 5,000,000 | tokens |" in summary
    assert "attempt 1 failed, 70 tokens" in (top / "phases/phase_02_F1.2.md").read_text()
    assert (repository / ".git/info/exclude").read_text() == "/.autonomous_runs/\n"


def test_incident_of_a_failed_run(repository: Path, tmp_path: Path) -> None:
    logs = tmp_path / "logs"
    (logs / "nightly/F1.2/attempt-1").mkdir(parents=True)
    (logs / "nightly/F1.2/attempt-1/output.log").write_text("12345")
    (logs / "nightly/F1.2/attempt-1/secret").symlink_to("/etc/passwd")
    FileArtefacts(repository, logs=logs).render(failed(run_in(repository)), log())
    text = (repository / ".autonomous_runs/nightly/incident/incident.md").read_text()
    assert "Cause: REQUIRES_HUMAN_REVIEW in phase F1.2" in text
    assert "last good snapshot: " + "c" * 40 in text
    assert "output.log (5 bytes)" in text
    assert "secret" not in text
    assert "| attempts of F1.2 | 1 | 2 | attempts |" in text
    assert "autopack run retry nightly" in text


def test_root_elsewhere(repository: Path, tmp_path: Path) -> None:
    FileArtefacts(repository, tmp_path / "out" / "deep").render(run_in(repository), [])
    assert (tmp_path / "out/deep/nightly/run_summary.md").is_file()
    assert not (repository / ".autonomous_runs").exists()
    assert not (repository / ".git/info/exclude").exists()


def test_root_named_within_the_repository(repository: Path) -> None:
    FileArtefacts(repository, Path("out/runs")).render(run_in(repository), [])
    assert (repository / "out/runs/nightly/run_summary.md").is_file()
    assert (repository / ".git/info/exclude").read_text() == "/out/runs/\n"


def test_the_same_content_is_not_written_again(repository: Path) -> None:
    artefacts, run = FileArtefacts(repository), run_in(repository)
    artefacts.render(run, log())
    top = artefacts.folder("nightly")
    before = {name: (top / name).stat().st_ino for name in files(top)}
    artefacts.render(run, log())
    assert {name: (top / name).stat().st_ino for name in files(top)} == before
    artefacts.render(failed(run), log())
    assert (top / "run_summary.md").stat().st_ino != before["run_summary.md"]
    assert (top / "phases/phase_01_F1.1.md").stat().st_ino == before["phases/phase_01_F1.1.md"]


def test_damaged_files_are_made_again(repository: Path) -> None:
    artefacts, run = FileArtefacts(repository), run_in(repository)
    artefacts.render(run, log())
    summary = artefacts.folder("nightly") / "run_summary.md"
    whole = summary.read_bytes()
    summary.write_bytes(whole[:20])
    (summary.parent / "tiers/tier_01_A_name.md").unlink()
    artefacts.render(run, log())
    assert summary.read_bytes() == whole
    assert (summary.parent / "tiers/tier_01_A_name.md").is_file()


def test_permissions_are_kept(repository: Path) -> None:
    artefacts, run = FileArtefacts(repository), run_in(repository)
    artefacts.render(run, log())
    summary = artefacts.folder("nightly") / "run_summary.md"
    summary.chmod(0o4600)
    artefacts.render(failed(run), log())
    assert stat.S_IMODE(summary.stat().st_mode) == 0o600


def test_leftovers_of_a_killed_writer_go(repository: Path) -> None:
    artefacts, run = FileArtefacts(repository), run_in(repository)
    artefacts.render(run, log())
    top = artefacts.folder("nightly")
    (top / f".1-2{TEMPORARY}").write_text("half")
    (top / "phases" / f".1-2{TEMPORARY}").symlink_to(top / "run_summary.md")
    (top / "mine.md").write_text("the user's own")
    artefacts.render(run, log())
    assert not [name for name in files(top) if TEMPORARY in name]
    assert (top / "mine.md").read_text() == "the user's own"
    assert (top / "run_summary.md").is_file()


# --- hostile folders ----------------------------------------------------------------------------


def test_a_symlink_at_a_file_is_replaced_not_followed(repository: Path, tmp_path: Path) -> None:
    artefacts, victim = FileArtefacts(repository), tmp_path / "victim"
    victim.write_text("precious")
    top = artefacts.folder("nightly")
    (top / "phases").mkdir(parents=True)
    (top / "run_summary.md").symlink_to(victim)
    os.mkfifo(top / "phases" / "phase_01_F1.1.md")
    artefacts.render(run_in(repository), log())
    assert victim.read_text() == "precious"
    assert not (top / "run_summary.md").is_symlink()
    assert (top / "phases" / "phase_01_F1.1.md").is_file()


@pytest.mark.parametrize("place", [".autonomous_runs", ".autonomous_runs/nightly",
                                   ".autonomous_runs/nightly/phases"])  # fmt: skip
def test_a_symlink_at_a_folder_is_refused(repository: Path, tmp_path: Path, place: str) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (repository / place).parent.mkdir(parents=True, exist_ok=True)
    (repository / place).symlink_to(outside)
    with pytest.raises(EnvironmentFault, match="is a symlink or a file"):
        FileArtefacts(repository).render(run_in(repository), log())
    assert files(outside) == []


def test_a_folder_at_a_file_is_a_clear_error(repository: Path) -> None:
    artefacts = FileArtefacts(repository)
    (artefacts.folder("nightly") / "run_summary.md").mkdir(parents=True)
    with pytest.raises(EnvironmentFault, match="cannot write the files of run nightly"):
        artefacts.render(run_in(repository), log())
    assert not [name for name in files(repository) if TEMPORARY in name]


@pytest.mark.parametrize(
    "name", ["../../../evil", "..", "a\0b", "x" * 400, "\x1b[2J", "CON|<>", " "]
)
def test_hostile_names_stay_in_the_folder(repository: Path, name: str) -> None:
    FileArtefacts(repository).render(run_in(repository, name=name), [])
    assert all(
        each.startswith((".git/", ".autonomous_runs/nightly/")) for each in files(repository)
    )
    (tier,) = (repository / ".autonomous_runs/nightly/tiers").iterdir()
    assert tier.name.isprintable()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_root_gives_the_files_to_the_repositorys_owner(repository: Path) -> None:
    os.chown(repository, 1234, 1235)
    FileArtefacts(repository).render(run_in(repository), log())
    made = (repository / ".autonomous_runs").rglob("*")
    owners = {(p.stat().st_uid, p.stat().st_gid) for p in [repository / ".autonomous_runs", *made]}
    assert owners == {(1234, 1235)}


# --- hostile texts ------------------------------------------------------------------------------


def test_hostile_texts_are_only_text(repository: Path) -> None:
    run = failed(run_in(repository, name=HOSTILE))
    FileArtefacts(repository).render(run, log())
    for path in (repository / ".autonomous_runs/nightly").rglob("*.md"):
        text = path.read_text(encoding="utf-8")
        assert "\x1b" not in text
        assert "\u202e" not in text
        if path.name == "comprehensive_plan.md":  # a task stands there as it was written
            continue
        text = text.removeprefix(promotion.marker(run.spec))  # the one comment, ours
        tokens = MarkdownIt("gfm-like", {"linkify": False}).parse(text)
        kinds = {t.type for t in tokens} | {c.type for t in tokens for c in t.children or ()}
        assert not kinds & {"html_block", "html_inline", "link_open", "image"}
        headings = [tokens[i + 1].content for i, t in enumerate(tokens) if t.type == "heading_open"]
        assert not [each for each in headings if each.startswith("Owned")]


@given(st.text())
def test_no_text_leaves_its_code_block(text: str) -> None:
    tokens = MarkdownIt("commonmark").parse("before\n\n" + block(text) + "\n\nafter")
    assert [token.type for token in tokens] == [
        *("paragraph_open", "inline", "paragraph_close"),
        "fence",
        *("paragraph_open", "inline", "paragraph_close"),
    ]


@given(st.text(st.characters(codec="utf-8") | st.sampled_from("`*_[]()<>!#|~\\&-+=\n\r\u2028")))
def test_inline_text_is_one_plain_line(text: str) -> None:
    parser = MarkdownIt("gfm-like", {"linkify": False})
    tokens = parser.parse("- name: " + inline(text) + " end")
    children = [child.type for token in tokens for child in token.children or ()]
    assert set(children) <= {"text", "text_special"}
    assert [token.type for token in tokens if token.type.endswith("_open")] == [
        "bullet_list_open",
        "list_item_open",
        "paragraph_open",
    ]


@given(st.text())
def test_file_parts_are_parts(text: str) -> None:
    part = file_part(text)
    assert not set(part) & set("/\\\0\n ")
    assert len(part.encode()) <= 120


def test_long_texts_are_cut() -> None:
    assert "5,000 characters more" in block("x" * 25_000)
    assert inline("x" * 25_000) == "x" * 2000 + "…"


# --- exclude ------------------------------------------------------------------------------------


def test_exclude_keeps_what_is_there(repository: Path) -> None:
    path = repository / ".git/info/exclude"
    path.write_bytes(b"# mine\r\n*.log\xff")
    path.chmod(0o640)
    assert exclude(repository / ".autonomous_runs")
    assert path.read_bytes() == b"# mine\r\n*.log\xff\n/.autonomous_runs/\n"
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    assert not exclude(repository / ".autonomous_runs")


def test_exclude_makes_the_info_folder_and_escapes(repository: Path) -> None:
    (repository / ".git/info").rmdir()
    exclude(repository / "a [b]*" / "runs")
    assert (repository / ".git/info/exclude").read_text() == "/a \\[b]\\*/runs/\n"


def test_exclude_of_a_linked_work_tree(repository: Path, tmp_path: Path) -> None:
    git = repository / ".git" / "worktrees" / "side"
    git.mkdir(parents=True)
    (git / "HEAD").write_text("ref: refs/heads/side\n")
    (git / "commondir").write_text("../..\n")
    side = tmp_path / "side"
    side.mkdir()
    (side / ".git").write_text(f"gitdir: {git}\n")
    assert exclude(side / ".autonomous_runs")
    assert (repository / ".git/info/exclude").read_text() == "/.autonomous_runs/\n"
    assert not (git / "info").exists()


def test_exclude_of_a_submodule(tmp_path: Path) -> None:
    git = tmp_path / ".git" / "modules" / "sub"
    git.mkdir(parents=True)
    (git / "HEAD").write_text("x\n")
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / ".git").write_text("gitdir: ../.git/modules/sub\n")
    assert exclude(tmp_path / "sub" / ".autonomous_runs")
    assert (git / "info/exclude").is_file()


def test_exclude_follows_no_symlink_and_needs_a_repository(
    repository: Path, tmp_path: Path
) -> None:
    victim = tmp_path / "victim"
    victim.write_text("precious")
    (repository / ".git/info/exclude").symlink_to(victim)
    assert not exclude(repository / ".autonomous_runs")
    assert victim.read_text() == "precious"
    (tmp_path / "lost").mkdir()
    (tmp_path / "lost/.git").write_text("gitdir: /nowhere/at/all\n")
    assert not exclude(tmp_path / "lost" / ".autonomous_runs")


def test_a_write_that_fails_leaves_the_old_file(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("old")
    (tmp_path / "taken").mkdir()
    with anchored(tmp_path) as folder:
        with pytest.raises(OSError, match="directory"):
            folder.write("taken", b"new")
        assert folder.write("file", b"new")
        assert not folder.write("file", b"new")
    assert files(tmp_path) == ["file"]


def test_what_was_merged_from_a_promotion_is_not_made_again(repository: Path) -> None:
    run = run_in(repository)
    promoted = dataclasses.replace(run, promotion=Promotion(number=1))
    tracked = frozenset({"run_summary.md", "phases/phase_01_F1.md"})
    FileArtefacts(repository, tracked=lambda _folder: tracked).render(promoted, log())
    folder = repository / ".autonomous_runs/nightly"
    made = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
    assert "project_implementation_strategy_v1.json" in made
    assert not made & tracked
    FileArtefacts(repository, tracked=lambda _folder: tracked).render(run, log())
    assert (folder / "run_summary.md").exists(), "no promotion of it can have been merged"
