"""Where values come from, and what is refused."""

from __future__ import annotations

import tomllib
from pathlib import Path

import jsonschema
import pytest

from autopack.core.errors import EnvironmentFault, OperatorFault
from autopack.core.project import MACHINE_KEYS, PROJECT_KEYS
from autopack.settings import ENVIRONMENT_ONLY, USER_ONLY, Server, Settings, load, load_for_store
from tests.cli.world import SETTINGS, World, contents

AGENT = '[agents.a]\ncommand = ["a"]\n'


def place(tmp_path: Path) -> tuple[Path, dict[str, str]]:
    """A work tree and an environment with a home."""
    (tmp_path / "repo" / ".git").mkdir(parents=True)
    (tmp_path / "repo" / "deep").mkdir()
    return tmp_path / "repo", {"HOME": str(tmp_path / "home")}


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def test_each_source_wins_over_the_ones_before(tmp_path: Path) -> None:
    repo, env = place(tmp_path)
    user = tmp_path / "home" / ".config" / "autopack" / "autopack.toml"
    agents = "".join(f"[agents.{n}]\ncommand = ['{n}']\n" for n in ("u", "w", "d", "e", "f"))

    def now(**flags: str) -> tuple[str, str]:
        loaded = load(repo / "deep", env, flags)
        return loaded.settings.builder, loaded.origins.get("builder", "default")

    assert now() == ("", "default")
    write(user, f'builder = "u"\n{agents}')
    assert now() == ("u", str(user))
    write(repo / "autopack.toml", 'builder = "w"\n')
    assert now() == ("w", str(repo / "autopack.toml"))
    write(repo / ".env", "AUTOPACK_BUILDER=d\nUNRELATED=1\n")
    assert now() == ("d", str(repo / ".env"))
    env["AUTOPACK_BUILDER"] = "e"
    assert now() == ("e", "environment")
    assert now(builder="f") == ("f", "flag")


def test_agents_are_merged_key_by_key_with_their_own_origins(tmp_path: Path) -> None:
    repo, env = place(tmp_path)
    user = tmp_path / "home" / ".config" / "autopack" / "autopack.toml"
    write(user, AGENT + "wall_seconds_max = 10\nenv = { TOKEN = 'hidden' }\n")
    write(repo / "autopack.toml", "[agents.a]\nnetwork = true\n")
    env["AUTOPACK_AGENTS__A__IDLE_SECONDS_MAX"] = "7"
    loaded = load(repo, env)
    agent = loaded.settings.agents["a"]
    assert (agent.wall_seconds_max, agent.network, agent.idle_seconds_max) == (10, True, 7)
    rows = {key: (value, origin) for key, value, origin in loaded.rows()}
    assert rows["agents.a.wall_seconds_max"] == (10, str(user))
    assert rows["agents.a.network"] == (True, str(repo / "autopack.toml"))
    assert rows["agents.a.idle_seconds_max"] == (7, "environment")
    assert rows["agents.a.processes_max"][1] == "default"
    assert rows["agents.a.env.TOKEN"][0] == "***"


def test_the_names_of_the_seed(tmp_path: Path) -> None:
    repo, env = place(tmp_path)
    write(repo / ".env", "RUN_TOKEN_CAP=5\nRUN_MAX_PHASES=6\n")
    env |= {"RUN_MAX_DURATION_MINUTES": "7", "AUTONOMOUS_RUNS_DIR": "/runs",
            "DATABASE_URL": f"sqlite:///{tmp_path}/own.db", "SOURCE_DATE_EPOCH": "8"}  # fmt: skip
    loaded = load(repo, env)
    settings = loaded.settings
    assert (settings.run_token_cap, settings.run_max_phases) == (5, 6)
    assert (settings.run_max_duration_minutes, settings.source_date_epoch) == (7, 8)
    assert settings.runs_dir == "/runs"
    assert loaded.folders.database == tmp_path / "own.db"
    assert loaded.folders.lock == tmp_path / "own.db.lock"
    env["AUTOPACK_DATABASE_URL"] = "sqlite"
    assert str(load(repo, env).folders.database).endswith("/autopack.db")


@pytest.mark.parametrize("scheme", ["postgres", "postgresql", "postgresql+psycopg"])
def test_a_server_is_named_and_its_password_is_not_shown(tmp_path: Path, scheme: str) -> None:
    repo, env = place(tmp_path)
    env["DATABASE_URL"] = f"{scheme}://me:hush%40@db.example:5433/runs?sslpassword=quiet"
    loaded = load(repo, env)
    database = loaded.folders.database
    assert isinstance(database, Server)
    assert database.url == "postgresql://me:hush%40@db.example:5433/runs?sslpassword=quiet"
    shown = [str(database), repr(database), repr(loaded.folders), repr(loaded.settings)]
    shown += [str(row) for row in loaded.rows()]
    assert not [each for each in shown if "hush" in each or "quiet" in each]
    assert shown[0] == "postgresql://me:***@db.example:5433/runs?sslpassword=***"


@pytest.mark.parametrize(
    ("file", "text", "words"),
    [
        ("repo/autopack.toml", "bulider = 'x'", ("bulider", "did you mean 'builder'")),
        ("repo/autopack.toml", AGENT + "comand = 'x'", ("agents.a.comand", "'command'")),
        ("repo/autopack.toml", AGENT + "wall_seconds_max = 'soon'", ("agents.a.wall_seconds_max",)),
        ("repo/autopack.toml", "workers_max = 0", ("workers_max", "greater than or equal to 1")),
        ("repo/autopack.toml", "sandbox = 'docker'", ("sandbox", "bubblewrap")),
        ("repo/autopack.toml", "database_url = 'sqlite'", ("database_url", "work tree")),
        ("repo/autopack.toml", "run_token_cap = 5", ("run_token_cap",)),
        ("repo/autopack.toml", "builder = \nx = 1", ("autopack.toml:1: not TOML",)),
        ("repo/autopack.toml", "workers_max = " + "9" * 5_000, ("more than 4,300 digits",)),
        ("home/.config/autopack/autopack.toml", "[ci]\n", ("[ci]", "belongs in a repository")),
        ("repo/.env", "AUTOPACK_BULDER=x", ("AUTOPACK_BULDER", "AUTOPACK_BUILDER")),
        ("repo/.env", "DATABASE_URL=mysql://u:pw@h/d", ("mysql", "AUTOPACK_DATABASE_URL")),
        ("repo/.env", "DATABASE_URL=postgresql+psycopg2://u:pw@h/d", ("psycopg2",)),
        ("repo/.env", "DATABASE_URL=postgres://u:pw@h", ("names no database", "%40")),
        ("repo/.env", "DATABASE_URL=postgres://u:p@w@h/d", ("postgresql://…", "%40")),
        ("repo/.env", "DATABASE_URL=sqlite:///app.db", ("not absolute",)),
        ("repo/.env", "AUTOPACK_AGENTS=nonsense", ("agents",)),
    ],
)  # fmt: skip
def test_refused_with_the_place_and_the_meant_word(
    tmp_path: Path, file: str, text: str, words: tuple[str, ...]
) -> None:
    repo, env = place(tmp_path)
    write(tmp_path / file, text)
    with pytest.raises(OperatorFault) as raised:
        load(repo, env)
    for word in words:
        assert word in str(raised.value)
    assert "pw" not in str(raised.value)


def test_all_problems_of_all_places_at_once_by_line(tmp_path: Path) -> None:
    repo, env = place(tmp_path)
    user = tmp_path / "home" / ".config" / "autopack" / "autopack.toml"
    own = (
        "bulider = 'x'\n[agents.a]\ncommand = ['a']\nwall_seconds_max = 'soon'\ncomand = ['b']\n"
        "[ci.normal]\ncomands = []\n[agents.b]\ncommand = 5\n"
    )
    write(user, "\nworkers_max = 0\nnonsense = = 1\n")
    write(repo / "autopack.toml", own)
    write(repo / ".env", "OTHER=1\nAUTOPACK_SANDBX=none\nAUTOPACK_WORKERS_MAX=many\n")
    env["AUTOPACK_BULDER"] = "y"
    with pytest.raises(OperatorFault) as raised:
        load(repo, env)
    said = raised.value.what.splitlines()
    file, dotenv = repo / "autopack.toml", repo / ".env"
    for start in (
        f"{user}:3: not TOML: ",
        f"{file}:1: bulider: unknown key; did you mean 'builder'?",
        f"{file}:4: agents.a.wall_seconds_max: ",
        f"{file}:5: agents.a.comand: unknown key; did you mean 'command'?",
        f"{file}:7: ci.normal.comands: unknown key",
        f"{file}:9: agents.b.command: ",
        f"{dotenv}:2: AUTOPACK_SANDBX: unknown variable; did you mean 'AUTOPACK_SANDBOX'?",
        f"{dotenv}:3: AUTOPACK_WORKERS_MAX: ",
        "environment: AUTOPACK_BULDER: unknown variable",
    ):
        assert any(line.startswith(start) for line in said), (start, said)
    assert [line for line in said if "bulider" in line] == [said[1]]
    assert "config show" not in raised.value.hint


def test_an_empty_variable_is_as_good_as_none(tmp_path: Path) -> None:
    repo, env = place(tmp_path)
    write(repo / "autopack.toml", f'builder = "a"\n{AGENT}')
    write(repo / ".env", "AUTOPACK_WORKERS_MAX=\nRUN_MAX_PHASES=\n")
    names = ("RUN_TOKEN_CAP", "AUTOPACK_BUILDER", "AUTOPACK_AGENTS__A__COMMAND",
             "SOURCE_DATE_EPOCH", "AUTOPACK_BILDER")  # fmt: skip
    loaded = load(repo, {**env, **dict.fromkeys(names, "")})
    assert (loaded.settings.builder, loaded.settings.run_token_cap) == ("a", None)
    assert set(loaded.origins.values()) == {str(repo / "autopack.toml")}
    both = load(repo, {**env, "AUTOPACK_RUN_TOKEN_CAP": "", "RUN_TOKEN_CAP": "7"})
    assert both.settings.run_token_cap == 7


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("AUTOPACK_AGENT__A__TYPE", "did you mean 'AUTOPACK_AGENTS__A__TYPE'?"),
        ("AUTOPACK_WORKERS_MAX__X", "AUTOPACK_WORKERS_MAX has no parts"),
        ("AUTOPACK_BUILDER__X", "AUTOPACK_BUILDER has no parts"),
    ],
)
def test_a_variable_with_parts_that_are_unknown_is_told(
    tmp_path: Path, name: str, told: str
) -> None:
    repo, env = place(tmp_path)
    with pytest.raises(OperatorFault) as caught:
        load(repo, {**env, name: "3"})
    assert f"environment: {name}: unknown variable" in caught.value.what
    assert told in caught.value.what


def test_a_line_of_dotenv_that_is_none_is_told_with_its_place(tmp_path: Path) -> None:
    repo, env = place(tmp_path)
    write(repo / ".env", "A=1\n\nFOO BAR BAZ\nAUTOPACK_WORKERS_MAX=3\nB='unterminated\n")
    with pytest.raises(OperatorFault) as caught:
        load(repo, env)
    told = "not NAME=value: correct it, or make it a comment"
    assert caught.value.what.splitlines() == [f"{repo}/.env:{n}: {told}" for n in (3, 5)]
    write(repo / ".env", "A=1\nBARE\n# AUTOPACK\nexport AUTOPACK_WORKERS_MAX=3\n")
    assert load(repo, env).settings.workers_max == 3


def test_a_variable_means_the_agent_of_that_name_in_whatever_case(tmp_path: Path) -> None:
    repo, env = place(tmp_path)
    write(repo / "autopack.toml", '[agents.Bot]\ncommand = ["a"]\nnetwork = true\n')
    loaded = load(repo, {**env, "AUTOPACK_AGENTS__BOT__COMMAND": '["b"]'})
    assert set(loaded.settings.agents) == {"Bot"}
    assert (loaded.settings.agents["Bot"].command, loaded.settings.agents["Bot"].network) == (
        ("b",),
        True,
    )
    with pytest.raises(OperatorFault, match="AUTOPACK_AGENTS__Bot__WALL_SECONDS_MAX"):
        load(repo, {**env, "AUTOPACK_AGENTS__Bot__WALL_SECONDS_MAX": "soon"})


def test_home_is_that_of_the_environment_and_nobodys_is_told(tmp_path: Path) -> None:
    repo, env = place(tmp_path)
    user = tmp_path / "home" / ".config" / "autopack" / "autopack.toml"
    write(user, 'data_dir = "~/x"\n')
    assert load(repo, env).folders.data == tmp_path / "home" / "x"
    assert load(repo, {**env, "AUTOPACK_DATA_DIR": "~/y"}).folders.data == tmp_path / "home" / "y"
    with pytest.raises(OperatorFault, match=r"data_dir \(from environment\).*nobody's home"):
        load(repo, {**env, "AUTOPACK_DATA_DIR": "~no-such-user/x"})
    write(user, f'data_dir = "~no-such-user/x"\n{AGENT}read_only = ["~no-such-user/y"]\n')
    with pytest.raises(OperatorFault) as caught:
        load(repo, env)
    told = [line.split(": ")[1] for line in caught.value.what.splitlines()]
    assert told == ["data_dir", "agents.a.read_only"]


def test_a_broken_file_of_the_work_tree_hides_no_store(tmp_path: Path) -> None:
    repo, env = place(tmp_path)
    env = {**env, "AUTOPACK_DATA_DIR": f"{tmp_path}/own"}
    write(repo / "autopack.toml", "builder = \n")
    loaded = load_for_store(repo, env)
    assert loaded.folders.data == tmp_path / "own"
    first, second = loaded.warnings
    assert f"{repo}/autopack.toml is passed over" in first
    assert "autopack.toml:1: not TOML" in second
    write(repo / "autopack.toml", "builder = ''\n")
    assert load_for_store(repo, env).warnings == ()
    write(repo / ".env", "DATABASE_URL=mysql://u:pw@h/d\n")
    with pytest.raises(OperatorFault, match="mysql"):
        load_for_store(repo, env)


@pytest.mark.parametrize("name", ["AUTOPACK_DATA_DIR", "AUTOPACK_STATE_DIR",
                                  "AUTOPACK_CACHE_DIR", "AUTOPACK_DATABASE_URL"])  # fmt: skip
def test_folders_in_the_work_tree_that_is_run_are_refused(world: World, name: str) -> None:
    world.toy()
    inside = world.repo / "deep" / "folder"
    world.env[name] = f"sqlite:///{inside}/x.db" if name.endswith("URL") else str(inside)
    before = contents(world.root)
    for command in (("run", str(world.plan)), ("run", str(world.plan), "--dry-run")):
        done = world.autopack(*command)
        assert done.exit_code == OperatorFault.exit_code
        said = done.stderr.decode()
        assert str(inside) in said
        assert name in said
    assert contents(world.root) == before
    assert "inside the work tree" in world.autopack("doctor").stdout.decode()


def test_a_link_into_the_work_tree_is_inside_of_it(tmp_path: Path) -> None:
    repo, env = place(tmp_path)
    (tmp_path / "link").symlink_to(repo / "deep")
    env |= {"AUTOPACK_DATA_DIR": str(tmp_path / "link" / "data")}
    folders = load(repo, env).folders
    with pytest.raises(OperatorFault, match="data_dir"):
        folders.check_outside(repo)
    folders.check_outside(tmp_path / "elsewhere")


def test_what_agents_are_given_is_no_misspelt_setting(tmp_path: Path) -> None:
    repo, env = place(tmp_path)
    env |= {"AUTOPACK_RUN_ID": "r", "AUTOPACK_ATTEMPT": "1", "AUTOPACK_PROMPT_FILE": "/p"}
    assert load(repo, env).settings.builder == ""


def test_paths_of_a_file_are_relative_to_it(tmp_path: Path) -> None:
    repo, env = place(tmp_path)
    write(
        repo / "autopack.toml", 'runs_dir = "out"\n[agents.a]\ntype = "scripted"\npatches = "p"\n'
    )
    settings = load(repo / "deep", env).settings
    assert settings.runs_dir == str(repo / "out")
    assert settings.agents["a"].patches == str(repo / "p")


def test_folders_are_xdg_and_closed(tmp_path: Path) -> None:
    repo, env = place(tmp_path)
    env |= {"XDG_DATA_HOME": str(tmp_path / "xdg"), "XDG_STATE_HOME": "relative/is/ignored"}
    folders = load(repo, env).folders
    assert folders.data == tmp_path / "xdg" / "autopack"
    assert folders.state == tmp_path / "home" / ".local" / "state" / "autopack"
    folders.make()
    for folder in (folders.data, folders.state, folders.cache, folders.clones, folders.logs):
        assert folder.stat().st_mode & 0o777 == 0o700


def test_the_two_readers_know_each_others_keys() -> None:
    of_the_file = set(Settings.model_fields) - USER_ONLY - ENVIRONMENT_ONLY
    assert of_the_file <= MACHINE_KEYS
    assert not PROJECT_KEYS & set(Settings.model_fields)


def test_the_schema_accepts_a_whole_file() -> None:
    schema = Settings.model_json_schema(by_alias=False)
    jsonschema.validate(tomllib.loads(SETTINGS), schema)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({"bulider": "x"}, schema)


def test_config_show(world: World) -> None:
    world.toy()
    shown = world.read("config", "show")
    rows = {row["key"]: row for row in shown["settings"]}
    assert rows["builder"] == {
        "key": "builder", "value": "recorded", "origin": str(world.repo / "autopack.toml"),
    }  # fmt: skip
    assert rows["data_dir"]["origin"] == "environment"
    assert shown["folders"]["data"] == str(world.root / "data")
    assert not (world.root / "data").exists()


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    """A data folder below a plain file: the environment's fault, with the names to change."""
    write(tmp_path / "file", "")
    loaded = load(tmp_path, {"HOME": str(tmp_path), "AUTOPACK_DATA_DIR": str(tmp_path / "file/x")})
    with pytest.raises(EnvironmentFault, match="cannot be made") as raised:
        loaded.folders.make()
    assert "AUTOPACK_DATA_DIR" in raised.value.hint


def test_a_relative_folder_of_the_environment_is_refused_with_the_whole_path(world: World) -> None:
    world.env["AUTOPACK_DATA_DIR"] = "some/data"
    done = world.autopack("run", "list")
    assert done.exit_code == 2
    said = done.stderr.decode()
    assert "data_dir" in said
    assert "'some/data' is relative" in said
    assert str(world.repo / "some/data") in said


@pytest.mark.parametrize(
    "line",
    [
        "AUTOPACK_STATE_DIR=/tmp/theirs", "AUTOPACK_DATA_DIR=/tmp/theirs",
        "AUTOPACK_CACHE_DIR=/tmp/theirs", "AUTOPACK_RETENTION_DAYS=0", "AUTOPACK_SANDBOX=none",
        "AUTOPACK_DISK_RESERVE_BYTES=0",
    ],
    ids=lambda line: line.partition("=")[0],
)  # fmt: skip
def test_a_dotenv_that_came_with_a_clone_takes_nothing_over(tmp_path: Path, line: str) -> None:
    repo, env = place(tmp_path)
    write(repo / ".env", f"RUN_MAX_PHASES=3\n{line}\n")
    with pytest.raises(OperatorFault, match=r"may not be set in a work tree's \.env") as refused:
        load(repo, env)
    assert str(repo / ".env") in str(refused.value)
    name = line.partition("__")[0].partition("=")[0].removeprefix("AUTOPACK_")
    assert name in str(refused.value).upper()


def test_a_repository_that_is_only_looked_at_sets_neither_fence_nor_store(tmp_path: Path) -> None:
    repo, env = place(tmp_path)
    write(repo / ".env", "AUTOPACK_SANDBOX=none\nDATABASE_URL=postgresql://theirs/d\n")
    write(repo / "autopack.toml", 'sandbox = "none"\nworkers_max = 3\n')
    for read in (load, load_for_store):
        settings = read(repo, env, foreign=True).settings
        assert (settings.sandbox, settings.database_url) == ("bubblewrap", "sqlite")
        assert settings.workers_max == 3
