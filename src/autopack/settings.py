"""The machine part of the configuration: what this computer offers, and where it keeps things.

Flag > environment > `.env` > the work tree's autopack.toml > the user's file > default, each value
with its origin. The project part of the same file (`core.project`) is known by name and passed
over. Never creates a folder and never starts anything.
"""

from __future__ import annotations

import hashlib
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Final, Literal, NoReturn

from dotenv import dotenv_values
from pydantic import AliasChoices, BaseModel, ConfigDict, Field, ValidationError
from pydantic_settings import (
    BaseSettings,
    EnvSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)

from autopack.core.errors import EnvironmentFault, OperatorFault
from autopack.core.project import FILE_NAME, PROJECT_KEYS
from autopack.core.words import nearest

SQLITE: Final = "sqlite"
BUILT_IN_AGENTS: Final = frozenset({"command", "scripted"})
USER_ONLY: Final = frozenset({"database_url", "data_dir", "state_dir", "cache_dir"})
"""Shared by all repositories of a user: never in a work tree."""
ENVIRONMENT_ONLY: Final = frozenset(
    {"run_token_cap", "run_max_phases", "run_max_duration_minutes", "source_date_epoch"}
)
"""In a file these are said in `[run]` of the project part, or not at all."""
GIVEN_TO_AGENTS: Final = frozenset({"run_id", "phase_id", "attempt", "prompt_file"})
"""AUTOPACK_… names that agents get; they configure nothing."""


class Agent(BaseModel):
    """`[agents.<name>]`: a coding agent and its limits."""

    model_config = ConfigDict(frozen=True, extra="allow")

    type: str = Field("command", description="Entry point in the group autopack.agents")
    command: str | tuple[str, ...] = Field(
        (), description="argv, or one string of it; {prompt_file} stands for the prompt"
    )
    prompt: Literal["file", "stdin"] = Field("file", description="How the prompt reaches it")
    env: dict[str, str] = Field({}, description="Set inside the fence")
    pass_env: tuple[str, ...] = Field((), description="Copied from the supervisor's environment")
    network: bool = Field(default=False, description="May it reach the network?")
    read_only: tuple[str, ...] = Field((), description="Extra paths the agent may read")
    patches: str = Field("", description="Folder of recorded patches (type scripted)")
    wall_seconds_max: int = Field(3600, gt=0, description="Longest attempt")
    idle_seconds_max: int = Field(900, gt=0, description="Longest time without progress")
    output_bytes_max: int = Field(10_000_000, gt=0, description="Most it may print")
    memory_bytes_max: int = Field(4_000_000_000, gt=0, description="Most memory")
    processes_max: int = Field(512, gt=0, description="Most processes and threads at once")
    file_bytes_max: int = Field(4_000_000_000, gt=0, description="Largest file it may write")


def _seed_name(field: str, name: str) -> AliasChoices:
    """The names of the environment that set a field: ours first, then the seed's."""
    return AliasChoices(f"AUTOPACK_{field.upper()}", name)


def _file_schema(schema: dict[str, Any]) -> None:
    """What an editor may accept in autopack.toml: the project part is checked by its own reader."""
    for key in ENVIRONMENT_ONLY:
        schema["properties"].pop(key, None)
    told = "Read from a run's base commit; see docs/reference/configuration.md"
    for key in sorted(PROJECT_KEYS):
        schema["properties"][key] = {"type": "object", "description": told}


class Settings(BaseSettings):
    """The machine part of autopack.toml."""

    model_config = SettingsConfigDict(
        env_prefix="AUTOPACK_", env_nested_delimiter="__", env_ignore_empty=True,
        extra="forbid", frozen=True, populate_by_name=True, json_schema_extra=_file_schema,
    )  # fmt: skip

    builder: str = Field("", description="Name of the [agents.*] that builds")
    auditor: str = Field("", description="Name of the [agents.*] that audits; may be absent")
    sandbox: Literal["bubblewrap", "none"] = Field(
        "bubblewrap", description="The fence around agents and CI; none: they are you"
    )
    workers_max: int = Field(8, ge=1, le=256, description="Long commands at once")
    agents: dict[str, Agent] = Field({}, description="The agents of this machine, by name")
    runs_dir: str = Field(
        "", validation_alias=_seed_name("runs_dir", "AUTONOMOUS_RUNS_DIR"),
        description="Root of the artefacts; default .autonomous_runs in the repository",
    )  # fmt: skip
    database_url: str = Field(
        SQLITE, validation_alias=_seed_name("database_url", "DATABASE_URL"),
        description="sqlite (in the data folder) or sqlite:////absolute/path",
    )  # fmt: skip
    data_dir: str = Field("", description="Database and bare repositories; default XDG")
    state_dir: str = Field("", description="Logs and disposable clones; default XDG")
    cache_dir: str = Field("", description="Prepared environments; default XDG")
    run_token_cap: Annotated[int, Field(ge=1)] | None = Field(
        None, validation_alias=_seed_name("run_token_cap", "RUN_TOKEN_CAP"),
        description="As `[run] token_cap`",
    )  # fmt: skip
    run_max_phases: Annotated[int, Field(ge=1)] | None = Field(
        None, validation_alias=_seed_name("run_max_phases", "RUN_MAX_PHASES"),
        description="As `[run] max_phases`",
    )  # fmt: skip
    run_max_duration_minutes: Annotated[int, Field(ge=1)] | None = Field(
        None,
        validation_alias=_seed_name("run_max_duration_minutes", "RUN_MAX_DURATION_MINUTES"),
        description="As `[run] max_duration_minutes`",
    )
    source_date_epoch: Annotated[int, Field(ge=0)] | None = Field(
        None, validation_alias=_seed_name("source_date_epoch", "SOURCE_DATE_EPOCH"),
        description="The clock stands at this Unix second: reproducible commits",
    )  # fmt: skip

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],  # noqa: ARG003  the signature is the library's
        init_settings: PydanticBaseSettingsSource,
        *_others: PydanticBaseSettingsSource,
        **_more: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Only what `load` merged: it must know every value's origin."""
        return (init_settings,)


class _Variables(EnvSettingsSource):
    """The environment's values for Settings, from a mapping instead of the process."""

    def __init__(self, variables: Mapping[str, str]) -> None:
        self._given = {name.lower(): value for name, value in variables.items()}
        super().__init__(Settings)

    def _load_env_vars(self) -> Mapping[str, str | None]:
        return self._given


@dataclass(frozen=True)
class Folders:
    """Where things live; all absolute, none made yet."""

    data: Path
    state: Path
    cache: Path
    database: Path

    @property
    def logs(self) -> Path:
        return self.state / "logs"

    @property
    def clones(self) -> Path:
        """Disposable checkouts of agents and CI."""
        return self.state / "clones"

    @property
    def environments(self) -> Path:
        return self.cache / "environments"

    @property
    def lock(self) -> Path:
        """Held by the one supervisor of the store, so it lies beside the store."""
        return self.database.with_name(self.database.name + ".lock")

    def repository(self, project_id: str, source: str) -> Path:
        """The supervisor's bare repository for `source`; two projects may have one name."""
        which = hashlib.sha256(source.encode(errors="surrogateescape")).hexdigest()[:8]
        return self.data / "projects" / f"{project_id}-{which}" / "repo.git"

    def make(self) -> None:
        """Create them, closed to others."""
        for folder in (self.data, self.state, self.cache, self.database.parent, self.logs,
                       self.clones, self.environments):  # fmt: skip
            try:
                folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            except OSError as fault:
                what = f"the folder {folder} cannot be made: {fault.strerror}"
                hint = "name others: AUTOPACK_DATA_DIR, AUTOPACK_STATE_DIR, AUTOPACK_CACHE_DIR"
                raise EnvironmentFault(what, hint) from fault


@dataclass(frozen=True)
class Loaded:
    """Settings with the origin of every value that is not a default, and what follows from them."""

    settings: Settings
    origins: Mapping[str, str]
    folders: Folders
    root: Path
    """The work tree, or the folder stood in when there is none."""
    environ: Mapping[str, str]

    def rows(self) -> list[tuple[str, Any, str]]:
        """(key path, value, origin) of every setting; values of `env` tables are not shown."""
        shown = self.settings.model_dump(mode="json")
        return [
            (key, "***" if ".env." in key else value, self.origins.get(key, "default"))
            for key, value in _leaves(shown)
        ]


def load(
    start: Path, environ: Mapping[str, str], flags: Mapping[str, object] | None = None
) -> Loaded:
    """The settings that hold in `start`; OperatorFault with all that is wrong."""
    root = work_tree(start)
    user_file = _xdg(environ, "XDG_CONFIG_HOME", ".config") / FILE_NAME
    sources = [
        (str(user_file), _file(user_file, user=True)),
        (str(root / FILE_NAME), _file(root / FILE_NAME, user=False)),
        (str(root / ".env"), _variables(_dotenv(root / ".env"))),
        ("environment", _variables(environ)),
        ("flag", {key: value for key, value in (flags or {}).items() if value is not None}),
    ]
    merged: dict[str, Any] = {}
    origins: dict[str, str] = {}
    for origin, tree in sources:
        _merge(merged, tree)
        for key, _value in _leaves(tree):
            origins[key] = origin
    settings = _checked(merged, origins)
    return Loaded(settings, origins, _folders(settings, environ, origins), root, environ)


def work_tree(start: Path) -> Path:
    """The nearest folder above (or at) `start` that holds `.git`; `start` when there is none."""
    start = start.absolute()
    return next((each for each in (start, *start.parents) if (each / ".git").exists()), start)


def _file(path: Path, *, user: bool) -> dict[str, Any]:
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except (OSError, UnicodeDecodeError) as fault:
        raise OperatorFault(f"{path}: {fault}", "make it readable UTF-8, or remove it") from fault
    except tomllib.TOMLDecodeError as fault:
        raise OperatorFault(f"{path}: not TOML: {fault}", "correct that line") from fault
    known = set(Settings.model_fields) - ENVIRONMENT_ONLY
    problems = []
    for key in table:
        if key in PROJECT_KEYS:
            if user:
                problems.append(f"[{key}] belongs in a repository's {FILE_NAME}")
        elif key in USER_ONLY and not user:
            problems.append(f"{key}: may not be set in a work tree: it holds for all repositories")
        elif key not in known:
            problems.append(f"{key}: unknown key{_meant(key, known | PROJECT_KEYS)}")
    if problems:
        _refuse([f"{path}: {problem}" for problem in problems])
    tree = {key: value for key, value in table.items() if key not in PROJECT_KEYS}
    return _placed(tree, path.parent)


def _placed(tree: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Paths of a file are relative to it."""
    for key in ("runs_dir", "data_dir", "state_dir", "cache_dir"):
        if isinstance(tree.get(key), str) and tree[key]:
            tree[key] = str(folder / Path(tree[key]).expanduser())
    agents = tree.get("agents")
    for agent in agents.values() if isinstance(agents, dict) else ():
        if isinstance(agent, dict) and isinstance(agent.get("patches"), str):
            agent["patches"] = str(folder / Path(agent["patches"]).expanduser())
        if isinstance(agent, dict) and isinstance(agent.get("read_only"), list):
            paths = agent["read_only"]
            agent["read_only"] = [str(folder / Path(str(path)).expanduser()) for path in paths]
    return tree


def _dotenv(path: Path) -> dict[str, str]:
    if not path.is_file():
        return {}
    try:
        values = dotenv_values(path, interpolate=False, encoding="utf-8")
    except (OSError, UnicodeDecodeError) as fault:
        raise OperatorFault(f"{path}: {fault}", "make it readable UTF-8, or remove it") from fault
    return {name: value for name, value in values.items() if value is not None}


def _variables(variables: Mapping[str, str]) -> dict[str, Any]:
    """Values by field name; a name of ours that is nearly a setting's is refused."""
    names = {f"autopack_{field}" for field in Settings.model_fields}
    for name in variables:
        lower = name.lower()
        ours = lower.startswith("autopack_") and lower.removeprefix("autopack_")
        if ours and ours not in GIVEN_TO_AGENTS and lower.partition("__")[0] not in names:
            meant = nearest(lower, names)
            if meant:
                _refuse([f"environment: {name}: unknown; did you mean {meant.upper()!r}?"])
    fields = {
        str(alias).lower(): field
        for field, info in Settings.model_fields.items()
        if isinstance(info.validation_alias, AliasChoices)
        for alias in info.validation_alias.choices
    }
    try:
        values = _Variables(variables)()
    except ValueError as fault:  # a JSON value that is none; pydantic-settings' SettingsError
        raise OperatorFault(f"environment: {fault}", "write JSON, or use the file") from fault
    return {fields.get(key.lower(), key): value for key, value in values.items()}


def _checked(merged: dict[str, Any], origins: Mapping[str, str]) -> Settings:
    problems = list(_agent_keys(merged.get("agents", {})))
    try:
        settings = Settings(**merged)
    except ValidationError as fault:
        for error in fault.errors(include_url=False):
            key = ".".join(str(part) for part in error["loc"])
            where = origins.get(key, origins.get(key.rpartition(".")[0], "settings"))
            problems.append(f"{where}: {key}: {error['msg']}")
        _refuse(problems)
    if problems:
        _refuse(problems)
    return settings


def _agent_keys(agents: object) -> Iterator[str]:
    """Misspelt keys of agents whose adapter is ours; others' adapters know their own keys."""
    known = set(Agent.model_fields)
    for name, agent in agents.items() if isinstance(agents, dict) else ():
        if isinstance(agent, dict) and agent.get("type", "command") in BUILT_IN_AGENTS:
            for key in sorted(agent.keys() - known):
                yield f"agents.{name}.{key}: unknown key{_meant(key, known)}"


def _folders(settings: Settings, environ: Mapping[str, str], origins: Mapping[str, str]) -> Folders:
    def folder(given: str, variable: str, default: str) -> Path:
        where = Path(given).expanduser() if given else _xdg(environ, variable, default)
        return where.absolute()

    data = folder(settings.data_dir, "XDG_DATA_HOME", ".local/share")
    state = folder(settings.state_dir, "XDG_STATE_HOME", ".local/state")
    cache = folder(settings.cache_dir, "XDG_CACHE_HOME", ".cache")
    return Folders(data, state, cache, _database(settings.database_url, data, origins))


def _database(url: str, data: Path, origins: Mapping[str, str]) -> Path:
    if url == SQLITE:
        return data / "autopack.db"
    where = f"database_url (from {origins.get('database_url', 'default')})"
    own = "AUTOPACK_DATABASE_URL=sqlite names Autopack's own and wins over DATABASE_URL"
    scheme, _, rest = url.partition("://")
    if scheme != SQLITE:
        raise OperatorFault(f"{where}: {scheme!r} is no database Autopack can use yet", own)
    if not rest.startswith("//"):
        raise OperatorFault(f"{where}: the path is not absolute", f"sqlite:////path/x.db; or {own}")
    return Path(rest[1:])


def _xdg(environ: Mapping[str, str], variable: str, default: str) -> Path:
    """Our folder below an XDG one; a relative value is ignored, as the specification says."""
    given = environ.get(variable, "")
    home = Path(environ.get("HOME") or "~").expanduser()
    return (Path(given) if given.startswith("/") else home / default) / "autopack"


def _merge(into: dict[str, Any], tree: Mapping[str, Any]) -> None:
    for key, value in tree.items():
        if isinstance(value, Mapping) and isinstance(into.get(key), dict):
            _merge(into[key], value)
        else:
            into[key] = dict(value) if isinstance(value, Mapping) else value


def _leaves(tree: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in tree.items():
        if isinstance(value, Mapping):
            yield from _leaves(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def _meant(word: str, known: set[str]) -> str:
    meant = nearest(word, known)
    return f"; did you mean {meant!r}?" if meant else ""


def _refuse(problems: list[str]) -> NoReturn:
    raise OperatorFault("\n".join(problems), "`autopack config show` names every key and origin")
