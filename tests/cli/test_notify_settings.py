"""`[notify.*]`: who may say it, what is refused, and that no secret is shown anywhere."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path

import jsonschema
import pytest

from autopack.core.errors import OperatorFault
from autopack.core.notice import TOLD_OF_RUNS
from autopack.settings import Loaded, Settings, load
from autopack.settings.notify import KINDS

OPS = '[notify.ops]\nurl = "https://hooks.example/in/hush?key=hush"\nsecret_file = "key"\n'
USER = "home/.config/autopack/autopack.toml"


def loaded(tmp_path: Path, text: str = "", *, file: str = USER, **variables: str) -> Loaded:
    (tmp_path / "repo" / ".git").mkdir(parents=True, exist_ok=True)
    path = tmp_path / file
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return load(tmp_path / "repo", {"HOME": str(tmp_path / "home"), **variables})


def test_the_users_file_and_the_environment_say_it_together(tmp_path: Path) -> None:
    text = OPS + '[notify.chat]\ncommand = ["say", "it"]\non = ["run.ended"]\n'
    now = loaded(
        tmp_path, text, AUTOPACK_NOTIFY__OPS__SECRET="whsec_hush", AUTOPACK_NOTIFY__OPS__DETAILS="1"
    )
    ops, chat = now.settings.notify["ops"], now.settings.notify["chat"]
    assert ops.secret is not None
    assert ops.secret.get_secret_value() == "whsec_hush"
    assert ops.secret_file == str(tmp_path / "home/.config/autopack/key")
    assert (ops.details, ops.on) == (True, KINDS)
    assert (chat.command, chat.on) == (("say", "it"), ("run.ended",))


def test_a_target_can_be_of_the_environment_alone(tmp_path: Path) -> None:
    now = loaded(
        tmp_path,
        AUTOPACK_NOTIFY__OPS__COMMAND='["say", "it"]',
        AUTOPACK_NOTIFY__OPS__ON='["run.parked"]',
    )
    ops = now.settings.notify["ops"]
    assert (ops.command, ops.on) == (("say", "it"), ("run.parked",))


def test_nothing_shows_a_secret_or_what_follows_the_host(tmp_path: Path) -> None:
    now = loaded(tmp_path, OPS, AUTOPACK_NOTIFY__OPS__SECRET="whsec_hush")
    shown = [repr(now.settings), str(now.settings), json.dumps(now.rows())]
    assert not [text for text in shown if "hush" in text]
    rows = {key: value for key, value, _origin in now.rows()}
    assert rows["notify.ops.url"] == "https://hooks.example/…"
    assert rows["notify.ops.secret"] == "**********"


def test_an_empty_target_is_told_with_its_file_and_line(tmp_path: Path) -> None:
    with pytest.raises(OperatorFault) as raised:
        loaded(tmp_path, "\n[notify.a]\n")
    assert raised.value.what == f"{tmp_path / USER}:2: notify.a: name either a url or a command"


@pytest.mark.parametrize(("file", "where"), [
    ("repo/autopack.toml", ":1: notify.ops: "),
    ("repo/.env", ":1: AUTOPACK_NOTIFY__OPS__COMMAND: "),
])  # fmt: skip
def test_a_repository_cannot_say_who_is_told(tmp_path: Path, file: str, where: str) -> None:
    env = 'AUTOPACK_NOTIFY__OPS__COMMAND=["sh", "-c", "evil"]\n'
    toml = '[notify.ops]\ncommand = ["sh", "-c", "evil"]\n'
    with pytest.raises(OperatorFault, match=f"{where}may not be set in a work tree"):
        loaded(tmp_path, env if file.endswith(".env") else toml, file=file)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('secret = "whsec_hush"\ncommand = ["a"]', ("notify.a.secret", "NOTIFY__A__SECRET")),
        ("details = true", ("notify.a", "either a url or a command")),
        ('url = "https://a.example"\ncommand = ["a"]', ("either a url or a command",)),
        ('url = "http://a.example/"', ("another machine", "allow_http")),
        ('url = "http://10.0.0.7/"', ("another machine",)),
        ('url = "ftp://a.example/"', ("https is spoken",)),
        ('url = "file:///etc/passwd"', ("not a URL",)),
        ('url = "https://me:hush@a.example/"', ("no user, password",)),
        ('url = "https://a.example:port/"', ("not a URL",)),
        ('url = "https://a.example/\\r\\nX: y"', ("not a URL",)),
        ('url = "https://a.example/#b"', ("fragment",)),
        ('command = ["a"]\non = ["everything"]', ("notify.a.on", "run.ended")),
        ('command = ["a"]\nretries = 3', ("notify.a.retries",)),
        ('command = ["a"]\nseconds_max = 0', ("notify.a.seconds_max",)),
    ],
)
def test_refused_with_its_key_and_no_secret(
    tmp_path: Path, text: str, words: tuple[str, ...]
) -> None:
    with pytest.raises(OperatorFault) as raised:
        loaded(tmp_path, f"[notify.a]\n{text}\n")
    for word in words:
        assert word in str(raised.value)
    assert "hush" not in str(raised.value)


@pytest.mark.parametrize(
    "url",
    ["http://127.0.0.1:1/", "http://[::1]:1/", "http://localhost/", "https://a.example"],
)
def test_http_is_spoken_on_this_machine_only(tmp_path: Path, url: str) -> None:
    assert loaded(tmp_path, f'[notify.a]\nurl = "{url}"\n').settings.notify["a"].url == url


def test_http_to_others_must_be_allowed(tmp_path: Path) -> None:
    text = '[notify.a]\nurl = "http://a.example"\nallow_http = true\n'
    assert loaded(tmp_path, text).settings.notify["a"].allow_http


@pytest.mark.parametrize("name", ["A", "a-b", "a__b", "_a", "a" * 33, "ä"])
def test_names_fit_variables(tmp_path: Path, name: str) -> None:
    with pytest.raises(OperatorFault, match="a target's name"):
        loaded(tmp_path, f'[notify."{name}"]\ncommand = ["a"]\n')


def test_settings_and_notices_know_the_same_kinds() -> None:
    assert tuple(kind.value for kind in TOLD_OF_RUNS) == KINDS


def test_the_schema_of_the_file_has_no_secret() -> None:
    schema = Settings.model_json_schema(by_alias=False)
    jsonschema.validate(tomllib.loads(OPS), schema)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(tomllib.loads(OPS + 'secret = "x"'), schema)
