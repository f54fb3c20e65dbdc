"""What is kept of a repository for its documents: bounded, plain, and nobody's token."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from autopack.core import survey
from autopack.core.survey import Folder, Mention, Topic


def test_folders_count_files_and_languages() -> None:
    found = survey.survey(
        dict.fromkeys(("a.py", "src/a.py", "src/b.py", "src/c.go", "doc/x"), 1), {}
    )
    assert found.files == 5
    assert found.folders == (
        Folder("", 1, (("Python", 1),)),
        Folder("src", 3, (("Python", 2), ("Go", 1))),
        Folder("doc", 1),
    )


def test_documents_are_sorted_by_what_they_are_about() -> None:
    texts = {
        "README.md": "read me",
        "docs/architecture.md": "the map",
        "docs/contributing.md": "how",
        "src/README.md": "not this one",
    }
    found = survey.survey(dict.fromkeys(texts, 1), texts)
    assert [(each.path, each.topic) for each in found.extracts] == [
        ("README.md", Topic.CONTEXT),
        ("docs/architecture.md", Topic.ARCHITECTURE),
        ("docs/contributing.md", Topic.CONTEXT),
    ]


def test_everything_is_bounded() -> None:
    names = [f"d{n}/f.py" for n in range(200)] + ["x" * 5000 + "/f", "README.md"]
    names += [f"docs/{'D' if n % 2 else 'd'}esign.{end}" for n in range(2)
              for end in ("md", "rst", "txt", "adoc", "markdown")]  # fmt: skip
    texts = {name: f"{'x' * 100_000} https://github.com/a/b{name[-3:]}" for name in names}
    found = survey.survey(dict.fromkeys(names, 1), texts)
    assert len(found.folders) == survey.FOLDERS_MAX
    assert found.folders_left == 203 - survey.FOLDERS_MAX
    assert len(found.extracts) == survey.EXTRACTS_MAX
    assert found.documents_left == 11 - survey.EXTRACTS_MAX
    assert all(len(each.text) <= survey.EXTRACT_CHARACTERS_MAX for each in found.extracts)
    assert all(len(each.name) <= survey.NAME_CHARACTERS_MAX for each in found.folders)


def test_repositories_are_told_once_and_without_what_stands_before_their_host() -> None:
    texts = {
        "README.md": "see https://github.com/owner/one and https://me:token@github.com/owner/one.git."
                     " Not https://example.org/page, nor https://github.com/about",
        "docs/design.md": "git@host.example:team/two.git, ssh://git@host.example/deep/er/three.git",
        ".gitmodules": '[submodule "x"]\n\turl = ../beside.git\n\tpath = x\n'
                       "\turl = https://github.com/owner/one\n\turl = //u:pw@h/x\n",
    }  # fmt: skip
    assert survey.mentions(texts) == (
        Mention("../beside.git", (".gitmodules",)),
        Mention("github.com/owner/one", ("README.md", ".gitmodules")),
        Mention("h/x", (".gitmodules",)),
        Mention("host.example/deep/er/three", ("docs/design.md",)),
        Mention("host.example/team/two", ("docs/design.md",)),
    )


@pytest.mark.parametrize(
    ("address", "told"),
    [
        ("user:secret@host.example:team/repo", ["host.example/team/repo"]),
        ("git@host.example:to/secret@other.example:team/repo", ["other.example/team/repo"]),
        ("https://user:se/cret@host.example/team/repo.git", ["host.example/team/repo"]),
        ("https://user:p@secret@host.example/team/repo.git", ["host.example/team/repo"]),
        ("https://secret/x.git@host.example/team/repo.git", ["host.example/team/repo"]),
        ("https://user:se/cret@github.com/team/repo", ["github.com/team/repo"]),
        ("//user:se/cret@host.example/team/repo", ["host.example/team/repo"]),
        ("https://user:secret@", []),
        ("https://host.example/repo?token=secret", []),
        ("https://user:secret", []),
        ("../secret@host", []),
        ("ssh://git@host.example:22/team/repo.git", ["host.example:22/team/repo"]),
        ('"https://host.example/team/repo/"', ["host.example/team/repo"]),
        ("host.example:team/repo", ["host.example/team/repo"]),
        ("../../beside.git", ["../../beside.git"]),
        ("file:///srv/repo.git", ["/srv/repo.git"]),
    ],
)
def test_of_a_submodules_address_only_host_and_path_are_told(address: str, told: list[str]) -> None:
    found = survey.mentions({survey.SUBMODULES: f'[submodule "x"]\n\turl = {address}\n'})
    assert [mention.address for mention in found] == told


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ("clone https://x:se/cret@github.com/a/b.git", ["github.com/a/b"]),
        ("clone https://oauth2:se@cret@gitlab.com/g/r.git.", ["gitlab.com/g/r"]),
        ("(https://user:se/cret@host.example/g/r.git), then", ["host.example/g/r"]),
        ("https://host.example/user:secret@x.example/y.git", ["x.example/y"]),
        ("git@host.example:to/secret@x.example:team/repo", ["x.example/team/repo"]),
        ("https://user:se/cret.git@host.example/page", []),
        ("git+https://github.com/a/b.git@v1.2", ["github.com/a/b"]),
        ("https://github.com/a/b,https://github.com/c/d", ["github.com/a/b", "github.com/c/d"]),
        ("[b](https://github.com/a/b)[c](git@h.example:c/d.git)", ["github.com/a/b", "h.example/c/d"]),
    ],
)  # fmt: skip
def test_of_an_address_in_prose_only_host_and_path_are_told(words: str, told: list[str]) -> None:
    assert [each.address for each in survey.mentions({"README.md": words})] == told


@given(st.text(alphabet="Z:/@.x", min_size=1, max_size=20), st.sampled_from(("https://", "ssh://")))
def test_no_secret_before_a_host_is_told(secret: str, scheme: str) -> None:
    address = f"{scheme}user:{secret}@host.example/team/repo.git"
    for place, text in (("README.md", address), (survey.SUBMODULES, f"url = {address}")):
        (found,) = survey.mentions({place: text})
        assert found.address == "host.example/team/repo"


def test_all_documents_that_are_not_quoted_are_counted() -> None:
    names = [f"{folder}{name}.{end}" for folder in ("", "doc/", "docs/")
             for name in ("architecture", "design", "overview")
             for end in ("adoc", "markdown", "md", "rst", "txt")]  # fmt: skip
    found = survey.survey(dict.fromkeys(names, 1), {})
    assert len(names) > 4 * survey.EXTRACTS_MAX
    assert found.documents_left == len(names) - survey.EXTRACTS_MAX


@given(st.dictionaries(st.text(max_size=30), st.text(max_size=300), max_size=6))
def test_nothing_of_a_repository_drives_a_terminal(files: dict[str, str]) -> None:
    named = {f"docs/design.md/{name}": text for name, text in files.items()}
    texts = {
        **named,
        "README.md": "".join(files.values()),
        ".gitmodules": "url = " + "".join(files),
    }
    found = survey.survey(dict.fromkeys(texts, 1), texts)
    assert survey.survey(dict.fromkeys(texts, 1), texts) == found
    assert all(char >= " " or char in "\n\t" for char in repr(found))
    assert "\x1b" not in str(found)


@example("\n" * 400_000)
@example(" " * 400_000)
@example(" \t" * 200_000)
@example("\n url =" * 50_000)
@example("url = " * 50_000)
@example("url = x\n" * 50_000)
@example("git@" * 100_000)
@example("https://" * 50_000)
@example("https://" + "a/" * 200_000)
@given(st.text(alphabet="htps:/@.git ab-~url=\n", max_size=2000))
def test_looking_for_repositories_ends(text: str) -> None:
    for mention in survey.mentions({"README.md": text, survey.SUBMODULES: text}):
        assert "@" not in mention.address
