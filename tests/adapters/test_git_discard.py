"""Clones put away in the background, and what a killed supervisor left of them."""

from __future__ import annotations

from pathlib import Path

from autopack.adapters.git.discard import GONE, PENDING_MAX, Discards, sweep
from autopack.adapters.git.known import ANSWERS_MAX, BYTES_MAX, Known

COMMIT = "a" * 40


def a_clone(folder: Path) -> Path:
    (folder / "deep").mkdir(parents=True)
    (folder / "deep" / "file").write_text("x")
    folder.with_name(f"{folder.name}.index").write_text("index")
    return folder


def test_a_discarded_clones_name_is_free_at_once_and_nothing_of_it_stays(tmp_path: Path) -> None:
    discards = Discards()
    for _ in range(3 * PENDING_MAX):
        clone = a_clone(tmp_path / "clone")
        discards.discard(clone)
        assert not clone.exists()
        assert not clone.with_name("clone.index").exists()
    discards.wait()
    assert not list(tmp_path.iterdir())


def test_an_absent_clone_is_fine_and_a_file_or_link_in_its_place_goes(tmp_path: Path) -> None:
    kept = a_clone(tmp_path / "kept")
    discards = Discards()
    discards.discard(tmp_path / "clone")
    (tmp_path / "clone").symlink_to(kept)
    discards.discard(tmp_path / "clone")
    (tmp_path / "clone").write_text("a file")
    discards.discard(tmp_path / "clone")
    discards.wait()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["kept", "kept.index"]
    assert (kept / "deep" / "file").exists()


def test_a_leftover_of_a_killed_deletion_is_swept_and_living_clones_are_not(tmp_path: Path) -> None:
    living = a_clone(tmp_path / "run" / "F1.1" / "attempt-2")
    dead = a_clone(tmp_path / "run" / "F1.1" / f"attempt-1{GONE}")
    (dead / "deep").chmod(0o500)
    sweep(tmp_path)
    assert not dead.exists()
    assert living.exists()


def test_a_leftover_does_not_stop_the_next_discard_of_the_name(tmp_path: Path) -> None:
    a_clone(tmp_path / f"clone{GONE}")
    discards = Discards()
    discards.discard(a_clone(tmp_path / "clone"))
    discards.wait()
    assert not (tmp_path / "clone").exists()
    assert not (tmp_path / f"clone{GONE}").exists()


def test_an_answer_about_a_full_id_is_asked_for_once_and_one_about_a_ref_each_time() -> None:
    known, asked = Known(), []

    def ask() -> str:
        asked.append(1)
        return "tree"

    for _ in range(3):
        assert known.of(("tree", COMMIT, ""), ask) == "tree"
    assert len(asked) == 1
    for _ in range(3):
        known.of(("tree", "refs/heads/main", ""), ask)
    assert len(asked) == 4


def test_an_absent_file_is_known_a_long_one_is_not_and_old_answers_go() -> None:
    known, asked = Known(), []

    def ask(answer: bytes | None) -> bytes | None:
        asked.append(answer)
        return answer

    for _ in range(2):
        assert known.of(("read", COMMIT, "none"), lambda: ask(None)) is None
        known.of(("read", COMMIT, "long"), lambda: ask(b"x" * (BYTES_MAX + 1)))
    assert len(asked) == 3
    for number in range(ANSWERS_MAX):
        known.of(("read", COMMIT, str(number)), lambda: ask(b""))
    known.of(("read", COMMIT, "none"), lambda: ask(None))
    assert len(asked) == 4 + ANSWERS_MAX
