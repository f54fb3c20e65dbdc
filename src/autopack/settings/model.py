"""The keys of the machine part, their types and defaults. Only a form: it knows no file."""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal

from pydantic import AliasChoices, BaseModel, ConfigDict, Field
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from autopack.core.project import PROJECT_KEYS
from autopack.settings.database import SQLITE
from autopack.settings.forge import Forge
from autopack.settings.notify import Targets

BUILT_IN_AGENTS: Final = frozenset({"command", "replay", "scripted"})
USER_ONLY: Final = frozenset(
    {
        *("database_url", "data_dir", "state_dir", "cache_dir", "notify", "forge"),
        "verifier",
        *("disk_reserve_bytes", "data_bytes_max", "retention_days", "logs_retention_days"),
        *("quarantine_retention_days", "artefacts_retention_days"),
    }
)
"""Shared by all repositories of a user: never in a work tree."""
NEVER_IN_DOTENV: Final = (USER_ONLY - {"database_url"}) | {"sandbox"}
"""A `.env` may come with a clone, and nobody looks at it: it moves no folder and drops no fence."""
ENVIRONMENT_ONLY: Final = frozenset(
    {
        "run_token_cap",
        "run_max_phases",
        "run_max_duration_minutes",
        "run_promote",
        "source_date_epoch",
    }
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
    repository: str = Field("", description="Repository whose commits are replayed (type replay)")
    commits: dict[str, str] = Field(
        {}, description="By phase id, a commit for each attempt, apart by blanks (type replay)"
    )
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
    workers_max: int = Field(
        8, ge=1, le=256, description="Long commands at once; who only waits is none"
    )
    agents: dict[str, Agent] = Field({}, description="The agents of this machine, by name")
    notify: Targets = Field({}, description="Who is told of what happens to runs, by name")
    verifier: str = Field(
        "local", description="Entry point in the group autopack.verifiers: local or github"
    )
    forge: Forge = Field(Forge(), description="Where pull requests go")
    runs_dir: str = Field(
        "", validation_alias=_seed_name("runs_dir", "AUTONOMOUS_RUNS_DIR"),
        description="Root of the artefacts; default .autonomous_runs in the repository",
    )  # fmt: skip
    database_url: str = Field(
        SQLITE, validation_alias=_seed_name("database_url", "DATABASE_URL"), repr=False,
        description="sqlite (in the data folder), sqlite:////absolute/path or "
        "postgresql://user@host/database",
    )  # fmt: skip
    data_dir: str = Field("", description="SQLite and bare repositories; default XDG")
    state_dir: str = Field("", description="Logs and disposable clones; default XDG")
    cache_dir: str = Field("", description="Prepared environments; default XDG")
    disk_reserve_bytes: int = Field(
        500_000_000, ge=0, description="Left free on the disk, or no attempt starts"
    )
    data_bytes_max: int = Field(
        50_000_000_000,
        ge=0,
        description="Most below data_dir and state_dir, or no attempt starts; 0: no cap",
    )
    retention_days: int = Field(
        30, ge=0, description="An ended run's attempts that your repository has, too"
    )
    logs_retention_days: int = Field(30, ge=0, description="An ended run's logs")
    quarantine_retention_days: int = Field(
        7, ge=0, description="Clones in quarantine whose whole work tree is kept under a ref"
    )
    artefacts_retention_days: int = Field(
        365, ge=0, description="An ended run's folder in runs_dir; the ten last ones stay"
    )
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
    run_promote: Literal["auto", "manual"] | None = Field(
        None, description="As `[run] promote`"
    )  # fmt: skip
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
