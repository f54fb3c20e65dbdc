"""Settings out of their sources, each value with its origin, or all that is wrong with its place.

Flag > environment > `.env` > the work tree's autopack.toml > the user's file > default. The project
part of the same file (`core.project`) is known by name and passed over. Never creates a folder and
never starts anything.
"""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from io import StringIO
from pathlib import Path
from typing import Any, Final

from dotenv.parser import parse_stream
from pydantic import AliasChoices, ValidationError
from pydantic_settings import EnvSettingsSource

from autopack.core.errors import OperatorFault
from autopack.core.project import (
    PROJECT_KEYS,
    parse_project,
)
from autopack.core.reader import (
    FILE_NAME,
    line_of,
)
from autopack.core.words import nearest, syntax_fault
from autopack.settings import trees
from autopack.settings.database import without_password
from autopack.settings.folders import Folders, at_home, folders_of, xdg
from autopack.settings.model import (
    BUILT_IN_AGENTS,
    ENVIRONMENT_ONLY,
    GIVEN_TO_AGENTS,
    NEVER_IN_DOTENV,
    USER_ONLY,
    Agent,
    Settings,
)

ENVIRONMENT: Final = "environment"
TABLES: Final = frozenset({"autopack_agents", "autopack_forge", "autopack_notify"})
"""Variables that name what is below them: AUTOPACK_AGENTS__NAME__KEY."""
NOT_HERE: Final = "may not be set in a work tree: it holds for all repositories"


@dataclass(frozen=True)
class Loaded:
    """Settings with the origin of every value that is not a default, and what follows from them."""

    settings: Settings
    origins: Mapping[str, str]
    folders: Folders
    root: Path
    """The work tree, or the folder stood in when there is none."""
    environ: Mapping[str, str]
    warnings: tuple[str, ...] = ()
    """What was passed over by `load_for_store`."""

    def rows(self) -> list[tuple[str, Any, str]]:
        """(key path, value, origin) of every setting; no password, no value of an `env` table."""
        shown = self.settings.model_dump(mode="json")
        shown["database_url"] = without_password(self.settings.database_url)
        for name, target in self.settings.notify.items():
            shown["notify"][name]["url"] = target.shown_url
        return [
            (key, "***" if ".env." in key else value, self.origins.get(key, "default"))
            for key, value in trees.leaves(shown)
        ]


def load(
    start: Path,
    environ: Mapping[str, str],
    flags: Mapping[str, object] | None = None,
    *,
    foreign: bool = False,
) -> Loaded:
    """The settings that hold in `start`; OperatorFault with all that is wrong.

    `foreign`: somebody else's repository is only looked at. Its `.env` and `sandbox` say nothing.
    """
    return _load(start, environ, flags or {}, own_file=True, foreign=foreign)


def load_for_store(start: Path, environ: Mapping[str, str], *, foreign: bool = False) -> Loaded:
    """As `load`, where only the store matters: a work tree's file that is wrong is passed over.

    It cannot say where the store is, so the store is the same. `warnings` tell what is wrong.
    """
    try:
        return load(start, environ, foreign=foreign)
    except OperatorFault as fault:
        loaded = _load(start, environ, {}, own_file=False, foreign=foreign)
        passed = f"{loaded.root / FILE_NAME} is passed over, for it is wrong"
        return replace(loaded, warnings=(passed, *fault.what.splitlines()))


def work_tree(start: Path) -> Path:
    """The nearest folder above (or at) `start` that holds `.git`; `start` when there is none."""
    start = start.absolute()
    return next((each for each in (start, *start.parents) if (each / ".git").exists()), start)


@dataclass
class _Source:
    """One source: what it says (`tree`), its text when it is a file, what is wrong with it.

    `variables`: the names that gave its keys, for a source that is made of variables.
    """

    origin: str
    tree: dict[str, Any] = field(default_factory=dict)
    text: str = ""
    variables: dict[str, str] = field(default_factory=dict)
    problems: list[tuple[int, str]] = field(default_factory=list)

    def wrong(self, key: str, message: str, line: int = 0) -> None:
        """Note a problem, at the line of its key unless another is given."""
        key = self.variables.get(key, key)
        line = line or line_of(self.text.splitlines(), key)
        self.problems.append((line, f"{key}: {message}" if key else message))

    def told(self) -> Iterator[str]:
        """The problems in the order of their lines."""
        for line, message in sorted(self.problems, key=lambda problem: problem[0]):
            yield f"{self.origin}:{line}: {message}" if line else f"{self.origin}: {message}"


def _load(
    start: Path,
    environ: Mapping[str, str],
    flags: Mapping[str, object],
    *,
    own_file: bool,
    foreign: bool,
) -> Loaded:
    root = work_tree(start)
    given = {key: value for key, value in flags.items() if value is not None}
    home = partial(at_home, environ=environ)
    own = _file(root / FILE_NAME, home, user=False) if own_file else _Source(str(root / FILE_NAME))
    if foreign:
        own.tree.pop("sandbox", None)
    sources = [
        _file(xdg(environ, "XDG_CONFIG_HOME", ".config") / FILE_NAME, home, user=True),
        own,
        _Source(str(root / ".env")) if foreign else _dotenv(root / ".env"),
        _variables(_Source(ENVIRONMENT), environ),
        _Source("flag", given),
    ]
    merged: dict[str, Any] = {}
    origins: dict[str, str] = {}
    for source in sources:
        if source.variables:
            _as_named(source, merged)
        trees.merge(merged, source.tree)
        origins |= dict.fromkeys(trees.keys(source.tree), source.origin)
    settings = _checked(merged, origins, {source.origin: source for source in sources})
    if own.problems:
        _add_project(own)
    problems = [line for source in sources for line in source.told()]
    if problems or settings is None:
        raise OperatorFault("\n".join(problems), "correct what is named there; nothing was done")
    return Loaded(settings, origins, folders_of(settings, environ, origins), root, environ)


def _file(path: Path, home: Callable[[str], Path], *, user: bool) -> _Source:
    source = _Source(str(path))
    try:
        source.text = path.read_text(encoding="utf-8")
        table = tomllib.loads(source.text)
    except (FileNotFoundError, NotADirectoryError):
        return source
    except (OSError, UnicodeDecodeError) as fault:
        source.wrong("", f"{fault}: make it readable UTF-8, or remove it")
        return source
    except RecursionError:
        source.wrong("", "its values are nested too deeply")
        return source
    except ValueError as fault:
        line, message = syntax_fault(source.text, str(fault))
        source.wrong("", f"not TOML: {message}", line)
        return source
    known = set(Settings.model_fields) - ENVIRONMENT_ONLY
    for key in table:
        if key in PROJECT_KEYS:
            if user:
                source.wrong(key, f"[{key}] belongs in a repository's {FILE_NAME}")
        elif key in USER_ONLY and not user:
            for each in trees.named(key, table[key]):
                source.wrong(each, NOT_HERE)
        elif key not in known:
            source.wrong(key, f"unknown key{_meant(key, known | PROJECT_KEYS)}")
        else:
            source.tree[key] = table[key]
    _place(source, path.parent, home)
    _refuse_secrets(source)
    return source


def _refuse_secrets(source: _Source) -> None:
    """A file that people show, copy and commit holds no secret."""
    targets = source.tree.get("notify")
    for name, target in targets.items() if isinstance(targets, dict) else ():
        if isinstance(target, dict) and target.pop("secret", None) is not None:
            variable = f"AUTOPACK_NOTIFY__{str(name).upper()}__SECRET"
            key = f"notify.{name}.secret"
            source.wrong(key, f"never in this file: set {variable}, or name a secret_file")


def _add_project(source: _Source) -> None:
    """What is wrong in the project part of a file that must be corrected anyway."""
    project = parse_project(source.text, "project")
    for problem in project if isinstance(project, tuple) else ():
        section = problem.key.partition(".")[0]
        if section in PROJECT_KEYS and section in tomllib.loads(source.text):
            source.wrong(problem.key, problem.message, problem.line)


def _place(source: _Source, folder: Path, home: Callable[[str], Path]) -> None:
    """Paths of a file are relative to it, `~` is the user's home."""

    def placed(key: str, path: object) -> str:
        try:
            return str(folder / home(str(path)))
        except ValueError as fault:
            source.wrong(key, f"{fault}: write the whole path")
            return str(path)

    tree = source.tree
    for key in ("runs_dir", "data_dir", "state_dir", "cache_dir"):
        if isinstance(tree.get(key), str) and tree[key]:
            tree[key] = placed(key, tree[key])
    for name, agent in trees.tables(tree, "agents"):
        if isinstance(agent.get("patches"), str):
            agent["patches"] = placed(f"agents.{name}.patches", agent["patches"])
        if isinstance(agent.get("read_only"), list):
            key = f"agents.{name}.read_only"
            agent["read_only"] = [placed(key, path) for path in agent["read_only"]]
    forge = tree.get("forge")
    if isinstance(forge, dict) and isinstance(forge.get("token_file"), str):
        forge["token_file"] = placed("forge.token_file", forge["token_file"])
    for name, target in trees.tables(tree, "notify"):
        if isinstance(target.get("secret_file"), str):
            target["secret_file"] = placed(f"notify.{name}.secret_file", target["secret_file"])


def _dotenv(path: Path) -> _Source:
    source = _Source(str(path))
    if not path.is_file():
        return source
    try:
        source.text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as fault:
        source.wrong("", f"{fault}: make it readable UTF-8, or remove it")
        return source
    given = {}
    for binding in parse_stream(StringIO(source.text)):
        if binding.error:
            text = binding.original.string
            line = binding.original.line + text[: len(text) - len(text.lstrip())].count("\n")
            source.wrong("", "not NAME=value: correct it, or make it a comment", line)
        elif binding.key is not None and binding.value is not None:
            given[binding.key] = binding.value
    source = _variables(source, given)
    if source.tree.pop("notify", None) is not None:  # this file, too, may be a repository's
        for key in [key for key in source.variables if key.startswith("notify.")]:
            source.wrong(key, NOT_HERE)
    for key in sorted(NEVER_IN_DOTENV & source.tree.keys()):
        del source.tree[key]
        place = "set it in the environment or in your own autopack.toml"
        source.wrong(key, f"may not be set in a work tree's .env: {place}")
    return source


class _Variables(EnvSettingsSource):
    """The environment's values for Settings, from a mapping instead of the process."""

    def __init__(self, variables: Mapping[str, str]) -> None:
        self._given = {name.lower(): value for name, value in variables.items()}
        super().__init__(Settings)

    def _load_env_vars(self) -> Mapping[str, str | None]:
        return self._given


def _variables(source: _Source, variables: Mapping[str, str]) -> _Source:
    """Values by field name; a name of ours that is nearly a setting's is refused.

    An empty variable is as good as none.
    """
    variables = {name: value for name, value in variables.items() if value}
    names = {f"autopack_{field}" for field in Settings.model_fields}
    for name in variables:
        lower = name.lower()
        ours = lower.startswith("autopack_") and lower.removeprefix("autopack_")
        head, parts, rest = lower.partition("__")
        if not ours or ours in GIVEN_TO_AGENTS:
            continue
        if head in names:
            if parts and head not in TABLES:
                source.wrong(name, f"unknown variable; {head.upper()} has no parts")
        elif meant := nearest(head, names):
            source.wrong(
                name, f"unknown variable; did you mean {f'{meant}{parts}{rest}'.upper()!r}?"
            )
    fields = {
        str(alias).lower(): field
        for field, info in Settings.model_fields.items()
        if isinstance(info.validation_alias, AliasChoices)
        for alias in info.validation_alias.choices
    }
    try:
        values = _Variables(variables)()
    except ValueError as fault:  # a JSON value that is none; pydantic-settings' SettingsError
        source.wrong("", f"{fault}: write JSON, or use the file")
        return source
    source.tree = {fields.get(key.lower(), key): value for key, value in values.items()}
    for name in variables:
        key = name.lower().removeprefix("autopack_").replace("__", ".")
        source.variables[fields.get(name.lower(), key)] = name
    return source


def _as_named(source: _Source, merged: Mapping[str, Any]) -> None:
    """Variables have no case: below `agents` they mean the name that a file writes, in its case."""
    for key in ("agents", "notify"):
        written = {name.lower(): name for name, _ in trees.tables(merged, key)}
        given = source.tree.get(key)
        for name in list(given) if isinstance(given, dict) else ():
            meant = written.get(name, name)
            if isinstance(given, dict) and meant != name and meant not in given:
                given[meant] = given.pop(name)
                for path in [
                    path for path in source.variables if path.startswith(f"{key}.{name}.")
                ]:
                    rest = path.removeprefix(f"{key}.{name}")
                    source.variables[f"{key}.{meant}{rest}"] = source.variables.pop(path)


def _checked(
    merged: dict[str, Any], origins: Mapping[str, str], sources: Mapping[str, _Source]
) -> Settings | None:
    """The settings; None, and the problems noted at their sources, when they are wrong."""
    found: dict[tuple[str, str], str] = {}
    for key, message in _agent_keys(merged.get("agents", {})):
        found[key, message] = message
    settings = None
    try:
        settings = Settings(**merged)
    except ValidationError as fault:
        for error in fault.errors(include_url=False):
            loc = [str(part) for part in error["loc"]]
            keys = [".".join(loc[:depth]) for depth in range(len(loc), 0, -1)]
            known = [each for each in keys if any(f"{o}.".startswith(f"{each}.") for o in origins)]
            key = known[0] if known else keys[-1]
            found[key, error["msg"]] = error["msg"]
    for (key, _), message in found.items():
        origin = origins.get(key) or next(
            (origins[each] for each in origins if each.startswith(f"{key}.")), "flag"
        )
        sources[origin].wrong(key, message)
    return settings


def _agent_keys(agents: object) -> Iterator[tuple[str, str]]:
    """Misspelt keys of agents whose adapter is ours; others' adapters know their own keys."""
    known = set(Agent.model_fields)
    for name, agent in agents.items() if isinstance(agents, dict) else ():
        if isinstance(agent, dict) and agent.get("type", "command") in BUILT_IN_AGENTS:
            for key in sorted(agent.keys() - known):
                yield f"agents.{name}.{key}", f"unknown key{_meant(key, known)}"


def _meant(word: str, known: set[str]) -> str:
    meant = nearest(word, known)
    return f"; did you mean {meant!r}?" if meant else f"; known are {', '.join(sorted(known))}"
