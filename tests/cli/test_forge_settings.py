"""`[forge]`: who may say it, and what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from autopack.core.errors import OperatorFault
from autopack.settings import Loaded, load

USER = "home/.config/autopack/autopack.toml"


def loaded(tmp_path: Path, text: str = "", *, file: str = USER, **variables: str) -> Loaded:
    (tmp_path / "repo" / ".git").mkdir(parents=True, exist_ok=True)
    path = tmp_path / file
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return load(tmp_path / "repo", {"HOME": str(tmp_path / "home"), **variables})


def test_the_users_file_and_the_environment_say_it_together(tmp_path: Path) -> None:
    text = '[forge]\nkind = "github"\ntoken_file = "token"\n'
    said = loaded(tmp_path, text, AUTOPACK_FORGE__REPOSITORY="owner/name.js").settings.forge
    assert (said.kind, said.repository, said.client) == ("github", "owner/name.js", "")
    assert said.token_file == str(tmp_path / "home/.config/autopack/token")


def test_pull_requests_are_files_unless_somebody_says_more(tmp_path: Path) -> None:
    said = loaded(tmp_path).settings.forge
    assert (said.kind, said.repository, said.remote) == ("local", "", "")


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("repo/autopack.toml", '[forge]\nkind = "github"\nrepository = "evil/one"\n'),
        ("repo/.env", "AUTOPACK_FORGE__REPOSITORY=evil/one\n"),
    ],
    ids=["autopack.toml", ".env"],
)
def test_a_work_tree_says_nothing_of_it(tmp_path: Path, file: str, text: str) -> None:
    with pytest.raises(OperatorFault, match=r"(?i)forge.*may not be set in a work tree"):
        loaded(tmp_path, text, file=file)


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ('repository = "name"', "owner/name"),
        ('repository = "../.."', "owner/name"),
        ('repository = "owner/name/more"', "owner/name"),
        ('api_url = "http://api.example"', "https is spoken"),
        ('api_url = "https://user:word@api.example"', "no user, password"),
        ('api_url = "https://api.example/?q=1"', "no user, password"),
        ('api_url = "api.example"', "not a URL"),
        ('api_url = "https://[api"', "not a URL"),
        ('remote = "--upload-pack=x"', "no repository address"),
        ('remote = "ext::sh"', "no repository address"),
        ('remote = "http://elsewhere.example/a.git"', "https is spoken"),
        ('client = "curl"', "gh"),
        ("seconds_max = 0", "greater than 0"),
        ("tokens = 1", "tokens"),
    ],
)
def test_what_cannot_be_is_told_with_its_key(tmp_path: Path, line: str, told: str) -> None:
    with pytest.raises(OperatorFault) as caught:
        loaded(tmp_path, f"[forge]\n{line}\n")
    assert told in str(caught.value)
    assert line.partition(" ")[0] in str(caught.value)


@pytest.mark.parametrize(
    "line",
    [
        'remote = "git@git.example:owner/name.git"',
        'remote = "ssh://git@git.example/owner/name.git"',
        'remote = "http://127.0.0.1:8000/owner/name.git"',
        'api_url = "https://git.example/api/v3/"',
    ],
)
def test_other_hosts_and_ways_may_be_named(tmp_path: Path, line: str) -> None:
    said = loaded(tmp_path, f"[forge]\n{line}\n").settings.forge
    assert (said.remote or said.api_url) in line
