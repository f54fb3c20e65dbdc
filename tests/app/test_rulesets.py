"""Which ruleset holds: the file's, the last good one, the built-in, or a refusal."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from autopack.adapters.files.ruleset_file import read_ruleset, ruleset_path
from autopack.app.rulesets import BUILT_IN_CURRENT, RulesetFile, current, from_file, tolerated
from autopack.core.builtin import BUILT_IN
from autopack.core.errors import OperatorFault
from autopack.core.ruleset_data import BYTES_MAX
from autopack.testing.rulesets import MemoryRulesets

GOOD = '{"version": 4, "run_token_cap": 77}'


def file(text: str | None) -> RulesetFile:
    return RulesetFile("the-file.json", lambda: text)


def kept(text: str) -> MemoryRulesets:
    found = MemoryRulesets()
    found.keep("lab", "/repo", "d", text, 1)
    return found


def test_without_a_file_the_built_in_ruleset_holds_even_after_a_good_one() -> None:
    assert current(file(None), "lab", "/repo", kept(GOOD)) is BUILT_IN_CURRENT
    assert BUILT_IN_CURRENT.label == ""


def test_a_good_file_holds_and_is_what_a_run_keeps() -> None:
    found = current(file(GOOD), "lab", "/repo", None)
    assert (found.ruleset.run_token_cap, found.text, found.warnings) == (77, GOOD, ())
    assert found.label.startswith("4@")


def test_a_wrong_file_gives_way_to_the_last_good_one_and_says_so() -> None:
    found = current(file('{"version": 5, "run_token_cap": -1}'), "lab", "/repo", kept(GOOD))
    first, second = found.warnings
    assert first.startswith("the-file.json is wrong; the last good ruleset, 4@")
    assert second.startswith("the-file.json:1: run_token_cap: must be a whole number")
    assert (found.ruleset.run_token_cap, found.text) == (77, "")


@pytest.mark.parametrize("last", [None, '{"version": 0}', '{"version": 1, "project_id": "x"}'])
def test_a_wrong_file_without_a_last_good_one_is_refused(last: str | None) -> None:
    memory = kept(last) if last else None
    with pytest.raises(OperatorFault) as told:
        current(file('{"version": 0, "x": 1}'), "lab", "/repo", memory)
    assert "version: must be" in told.value.what
    assert "x: unknown key" in told.value.what


def test_who_only_reads_goes_on_with_the_built_in_one_and_is_told() -> None:
    wrong = file('{"version": 0, "x": 1}')
    found = tolerated(wrong, "lab", "/repo", None)
    assert (found.ruleset, found.text, found.label) == (BUILT_IN, "", "")
    assert found.warnings[0].startswith("the-file.json is wrong and was never good; the built-in")
    assert any("x: unknown key" in warning for warning in found.warnings)
    assert tolerated(wrong, "lab", "/repo", kept(GOOD)).ruleset.run_token_cap == 77
    assert tolerated(file(None), "lab", "/repo", None) is BUILT_IN_CURRENT


def test_a_named_file_has_no_last_good_one() -> None:
    for text in (None, "{"):
        with pytest.raises(OperatorFault, match=r"the-file\.json") as told:
            from_file(file(text), "lab")
        assert "built-in" not in (told.value.hint or "")
    assert from_file(file(GOOD), "lab").ruleset.version == 4


def test_where_a_projects_file_is(tmp_path: Path) -> None:
    name = "project_ruleset_lab.json"
    assert ruleset_path(tmp_path, None, "lab") == tmp_path / ".autonomous_runs" / name
    assert ruleset_path(tmp_path, Path("../runs"), "lab") == tmp_path.parent / "runs" / name
    assert ruleset_path(tmp_path, Path("/runs"), "lab") == Path("/runs") / name


def test_what_is_no_text_file(tmp_path: Path) -> None:
    path = tmp_path / "r.json"
    assert read_ruleset(path) is None
    assert read_ruleset(path / "below") is None
    path.write_bytes(b"\xef\xbb\xbf{}")
    assert read_ruleset(path) == "{}"
    path.write_bytes(b"{\n\xff}")
    with pytest.raises(OperatorFault, match=":2: not UTF-8"):
        read_ruleset(path)
    path.write_bytes(b" " * (BYTES_MAX + 1))
    with pytest.raises(OperatorFault, match="at most 256,000 bytes"):
        read_ruleset(path)
    with pytest.raises(OperatorFault, match=r"cannot read|none"):
        read_ruleset(tmp_path)
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with pytest.raises(OperatorFault, match="a regular file"):
        read_ruleset(pipe)
    dangling = tmp_path / "dangling"
    dangling.symlink_to(tmp_path / "nowhere")
    for path in (dangling, dangling / "r.json"):
        with pytest.raises(OperatorFault, match="dangling is a link to nothing"):
            read_ruleset(path)
    linked = tmp_path / "linked"
    (tmp_path / "folder").mkdir()
    linked.symlink_to(tmp_path / "folder")
    assert read_ruleset(linked / "r.json") is None
    loop = tmp_path / "loop"
    loop.symlink_to(loop)
    with pytest.raises(OperatorFault, match="cannot read"):
        read_ruleset(loop)
