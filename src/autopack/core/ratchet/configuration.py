"""Configuration of builds and tests: asks when a change takes from what is run, or from its word.

A rule has a direction: an ignore list that grows, a floor that sinks, a command that is another.
Versions, dependencies and whatever only adds pass. Parsed where the form is plain, by lines else.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum, auto
from typing import Final

from autopack.core.ratchet.changed import Changed, added, ask, lines_of
from autopack.core.ratchet.settings_read import Flat, NotUnderstoodError, Value, flat
from autopack.core.run import Finding

RULE: Final = "test-configuration"
"""The one rule of this module."""


class Way(Enum):
    """What a change of a key has to be to ask."""

    ANY = auto()
    """Any: what is collected, and how."""
    GROWS = auto()
    """Entries are added: something is left out."""
    SHRINKS = auto()
    """Entries are lost, or the key appears where all was meant before."""
    LOSES = auto()
    """Entries are lost."""
    OFF = auto()
    """A strictness ends: true becomes false, or is gone."""
    ON = auto()
    """An indulgence begins: true appears."""
    SINKS = auto()
    """A floor is lowered, or is gone."""
    COMMAND = auto()
    """A command of tests or checks is another, is gone, or is silenced."""
    OPTIONS = auto()
    """Options of the runner that choose, silence, or are lost."""
    LEVEL = auto()
    """A check is turned off or down to a warning."""


@dataclass(frozen=True)
class Form:
    """A kind of file: how it is read (`text` by lines) and which of its keys or lines count."""

    form: str
    sections: re.Pattern[str]


_ALL: Final = re.compile("")
_TESTS: Final = (
    r"\b(?:unit|integration|e2e|smoke)?_?(?:tests?|specs?|check|verify|lint|types?|typecheck"
    r"|coverage|cov|ci)\b"
)
_PYPROJECT: Final = re.compile(
    r"^tool\.(?:pytest|coverage|mypy|ruff|pyright|basedpyright|pylint|flake8|tox|bandit|ty|pyre"
    r"|importlinter|pytype|hatch\.envs|poe|pdm\.scripts|taskipy|nox)\b"
    r"|^project\.entry-points\.pytest11|^tool\.poetry\.plugins\.pytest11"
)
_SETUP: Final = re.compile(
    r"^(?:tool:pytest|pytest|coverage:|mypy|flake8|pylint|pycodestyle|testenv|aliases"
    r"|options\.entry_points)"
)
_TOX: Final = re.compile(r"^(?:pytest|testenv|flake8|coverage|tox\.|mypy)")
_PACKAGE: Final = re.compile(
    r"^(?:scripts|jest|mocha|ava|nyc|c8|vitest|eslintConfig|eslintIgnore|standard|xo|tap|tsd)\b"
)
_CARGO: Final = re.compile(r"^(?:lib|test|bin|lints|workspace\.lints|profile\.test)\b")
_COMPOSER: Final = re.compile(r"^scripts\b")
_TOOLS: Final = (
    r"pytest|unittest|tox|nox|jest|mocha|vitest|karma|jasmine|rspec|rake|minitest|phpunit|phpstan"
    r"|psalm|mypy|pyright|ruff|flake8|pylint|eslint|tsc|rubocop|golangci|clippy|ctest|gtest"
    r"|surefire|failsafe|jacoco|checkstyle|spotbugs|coverlet|nextest|codecov|fail.under|threshold"
)
_WORDS: Final = re.compile(rf"{_TESTS}|\b(?:{_TOOLS})\b", re.IGNORECASE)
_STRICT_WORDS: Final = re.compile(
    rf"{_WORDS.pattern}|strict|werror|treatwarnings|nowarn|exclude|ignore|skip|level", re.IGNORECASE
)
_FORMS: Final[tuple[tuple[re.Pattern[str], Form], ...]] = tuple(
    (re.compile(rf"(?:^|/)(?:{names})$", re.IGNORECASE), Form(form, sections))
    for names, form, sections in (
        (r"pyproject\.toml", "toml", _PYPROJECT),
        ((r"\.?ruff\.toml|\.?nextest\.toml|\.?bunfig\.toml|\.?clippy\.toml|\.coveragerc\.toml"
         r"|\.?pytest\.toml"), "toml", _ALL),
        (r"Cargo\.toml", "toml", _CARGO),
        (r"setup\.cfg", "ini", _SETUP),
        (r"tox\.ini", "ini", _TOX),
        (r"\.?pytest\.ini|\.coveragerc|\.?mypy\.ini|\.flake8|\.?pylintrc|\.pycodestyle|\.bandit",
         "ini", _ALL),
        (r"package\.json", "json", _PACKAGE),
        (r"composer\.json", "json", _COMPOSER),
        ((r"[tj]sconfig[^/]*\.json|\.?jest[^/]*\.json|\.mocharc(?:\.json)?|\.nycrc(?:\.json)?"
         r"|\.c8rc(?:\.json)?|\.eslintrc(?:\.json)?|\.jshintrc|deno\.jsonc?|biome\.jsonc?"
         r"|karma\.json|jasmine\.json|pyrightconfig\.json|stryker[^/]*\.json|cypress\.json"),
         "json", _ALL),
        ((r"(?:jest|vitest|karma|playwright|cypress|wdio|ava|web-test-runner|stryker|protractor)"
         r"[^/]*\.(?:conf|config)[^/]*\.[cm]?[jt]s|\.(?:mocharc|eslintrc|nycrc|c8rc)"
         r"\.(?:[cm]?js|ya?ml)|eslint\.config\.[cm]?[jt]s|\.rspec|\.rubocop[^/]*\.ya?ml"
         r"|phpunit[^/]*\.xml[^/]*|phpstan[^/]*\.neon[^/]*|psalm[^/]*\.xml[^/]*|\.golangci\.ya?ml"
         r"|\.?codecov\.ya?ml|\.coveralls\.ya?ml|karma[^/]*\.js|nightwatch[^/]*\.js"),
         "text", _STRICT_WORDS),
        ((r"(?:GNU)?Makefile(?:\.\w+)?|[^/]+\.mk|[jJ]ustfile|Taskfile\.ya?ml|Rakefile|noxfile\.py"
         r"|tasks\.py|setup\.py|vite\.config\.[cm]?[jt]s|build\.gradle(?:\.kts)?|pom\.xml"
         r"|CMakeLists\.txt|meson\.build|Directory\.Build\.(?:props|targets)|[^/]+\.csproj"
         r"|[^/]+\.runsettings|Earthfile|magefile\.go|build\.xml|gulpfile\.[cm]?[jt]s|Gruntfile\.js"
         r"|\.eslintignore"), "text", _WORDS),
    )
)  # fmt: skip

_OWN: Final = re.compile(
    r"(?:^|/)(?:\.?pytest\.(?:ini|toml)|\.coveragerc|\.?mypy\.ini|\.flake8|jest[^/]*|vitest\.[^/]*"
    r"|\.mocharc[^/]*|\.?nextest\.toml|\.eslintignore|phpunit[^/]*|\.rspec)$",
    re.IGNORECASE,
)
"""Files that are nothing but a runner's or a check's: a new one takes the place of what ruled."""
_WAYS: Final[tuple[tuple[re.Pattern[str], Way], ...]] = tuple(
    (re.compile(rf"(?:^|[.\]])(?:{names})$", re.IGNORECASE), way)
    for names, way in (
        (r"addopts", Way.OPTIONS),
        ((r"python_(?:files|classes|functions)|usefixtures|pythonpath|testRegex|testMatch|rootDir"
         r"|moduleNameMapper|setupFiles(?:AfterEnv)?|globalSetup|testRunner|runner|reporters?"
         r"|pytest11\.[^.]+|plugins|default-filter|test|doctest|harness|required-features|grep|spec"
         r"|require|follow_imports|extends"), Way.ANY),
        ((r"(?:extend-)?(?:ignore|exclude|omit|disable|skips?)|(?:\w+[-_])?(?:excludes?|ignores?)"
         r"|ignore[-_]\w+|exclude[-_]\w+|norecursedirs|collect_ignore\w*|disable_error_code"
         r"|\w*IgnorePatterns|eslintIgnore(?:\.\w+)?|(?:extend-)?per-file-ignores(?:\..+)?"
         r"|filterwarnings|deselect"), Way.GROWS),
        (r"testpaths|files|include|source|source_pkgs|collectCoverageFrom|roots|projects|packages",
         Way.SHRINKS),
        (r"(?:extend-)?select|enable|enable_error_code|required_plugins", Way.LOSES),
        ((r"strict\w*|disallow_\w+|warn_\w+|check_untyped_defs|no_implicit_\w+|xfail_strict|branch"
         r"|noImplicit\w*|noUnused\w*|noUnchecked\w*|noFallthrough\w*|exactOptional\w*|checkJs"
         r"|alwaysStrict|all|check-coverage|failOnWarning|error_on_\w+|strict_\w+"), Way.OFF),
        ((r"ignore_errors|passWithNoTests|allow-empty|skip_(?:covered|empty)|forceExit|exit[-_]zero|allowEmpty"
         r"|ignore_outcome"), Way.ON),
        (r"fail[-_]under|(?:branches|functions|lines|statements)|threshold", Way.SINKS),
        (r"commands(?:_pre|_post)?|allowlist_externals", Way.COMMAND),
    )
)  # fmt: skip
_SCRIPT: Final = re.compile(
    rf"^(?:scripts|aliases|tool\.(?:poe\.tasks|pdm\.scripts|taskipy\.tasks|hatch\.envs\..*scripts))"
    rf"\.(?P<name>[^.]*{_TESTS}[^.]*)(?:\.|$)",
    re.IGNORECASE,
)
_LINTS: Final = re.compile(
    r"(?:^|\.)(?:rules\.[^.]+|lints\..+|reportMissing\w*|report[A-Z]\w*|typeCheckingMode)$"
)
_OFF: Final = re.compile(r"""^[\["']*(?:off|allow|none|basic|warn|warning|0(?:\.0)?)\b""")
_SILENCE: Final = re.compile(
    r"\|\|\s*(?:true|:|exit\s+0|echo)|;\s*(?:true|exit\s+0)\b|^\s*-\s*\$?\(?\w*pytest|exit\s+0\b"
    r"|--exit-zero|--no-?fail|--passWithNoTests|--deselect|--ignore(?:-glob)?[= ]|continue.on.error"
    r"|--no-cov\b|-k\s*[\"']?not\b|-m\s*[\"']?not\b|--skip\b|allow.?failure|ignoreFailures?\b"
    r"|testFailureIgnore|skipTests?\b|maven\.test\.skip|^\s*(?:@?true|:)\s*$|/dev/null"
    r"|-Dtest=|--testPathIgnore|--exclude\b|-p no:|--collect-only|--co\b|--dry-run|--no-run\b",
    re.IGNORECASE,
)
_HARMLESS: Final = re.compile(
    r"^(?:-[vqsx]+|-r\w*|-l|--tb=\w+|--color=\w+|-n=?\w*|auto|--durations=?\d*|--strict(?:-\w+)?"
    r"|--verbose|--quiet|--showlocals|--dist=\w+|--cov(?:-(?:report|config|branch))?(?:=\S+)?"
    r"|--junitxml=\S+|--import-mode=\w+|--doctest-\w+(?:=\S+)?|--failed-first|--ff)$"
)
_KEPT: Final = re.compile(r"^--(?:strict|cov-fail-under|doctest-(?:modules|glob)|cov-branch)")
_VERSION: Final = re.compile(
    r"(?<=[@=~^<>v-])v?\d+(?:\.\d+)+[\w.+-]*|\bpy\d+\b|(?<=python)\d?\.\d+"
)
_REMARK: Final = re.compile(r"^\s*(?:#|//|/?\*|<!--|;|dnl\b)")


def is_configuration(path: str) -> bool:
    """Whether a file says how the project is built, tested or checked."""
    return _form_of(path) is not None


def loosened(change: Changed) -> Iterator[Finding]:
    """What a changed configuration takes from what is collected, run or reported."""
    form = _form_of(change.path)
    if form is None or change.before == change.after:
        return
    before, after = ("\n".join(lines_of(side)) for side in (change.before, change.after))
    if change.before is None and _OWN.search(change.path):
        yield ask(RULE, change.path, "is new, and rules instead of what ruled the tests before")
        return
    found = list(_told(before, after, form))
    if change.after is None and found:
        yield ask(RULE, change.path, f"is gone; it said {found[0]}")
        return
    for told in found[:3]:
        yield ask(RULE, change.path, told)


def _form_of(path: str) -> Form | None:
    return next((form for names, form in _FORMS if names.search(path)), None)


def _told(before: str, after: str, form: Form) -> Iterator[str]:
    if form.form == "text":
        yield from _lines(before, after, form.sections)
        return
    try:
        was = flat(before, form.form)
    except NotUnderstoodError:
        was = {}  # what was broken ruled nothing
    try:
        now = flat(after, form.form)
    except NotUnderstoodError as problem:
        yield f"can no longer be understood: {problem}"
        return
    yield from _keys(was, now, form.sections)


def _keys(was: Flat, now: Flat, sections: re.Pattern[str]) -> Iterator[str]:
    for key in dict.fromkeys((*was, *now)):
        if sections.search(key) and was.get(key) != now.get(key):
            way = _way_of(key)
            table = key.rpartition(".")[0]
            stricter = way is Way.OFF and _truth(now.get(f"{table}.strict"))
            if way is None or stricter:
                continue
            if told := _judged(way, was.get(key), now.get(key), key in now):
                yield f"{key}: {told}"


def _way_of(key: str) -> Way | None:
    if re.search(r"\bdocs?\b|update", key):
        return None
    if _SCRIPT.search(key):
        return Way.COMMAND
    if _LINTS.search(key):
        return Way.LEVEL
    return next((way for names, way in _WAYS if names.search(key)), None)


def _judged(way: Way, was: Value, now: Value, stays: bool) -> str:  # noqa: FBT001 - of one key
    """What is told of a key whose value is another now; empty when it takes nothing."""
    old, new = _entries(was), _entries(now)
    match way:
        case Way.ANY:
            return f"{_show(was)} becomes {_show(now)}"
        case Way.GROWS:
            return _grown(added(old, new), added(new, old))
        case Way.SHRINKS if was is None:
            return f"only {_show(now)} now"
        case Way.SHRINKS | Way.LOSES:
            return _shrunk(old, new) if stays or way is Way.LOSES else ""
        case Way.OFF:
            return "is switched off" if _truth(was) and not _truth(now) else ""
        case Way.ON:
            return "is switched on" if _truth(now) and not _truth(was) else ""
        case Way.SINKS:
            return _sunk(was, now)
        case Way.COMMAND:
            return _command(old, new)
        case Way.OPTIONS:
            return _options(old, new)
        case Way.LEVEL:
            off = _OFF.search(_show(now)) is not None and _OFF.search(_show(was)) is None
            off &= was is not None or "basic" not in _show(now)
            return f"{_show(was)} becomes {_show(now)}" if off else ""


def _shrunk(old: list[str], new: list[str]) -> str:
    if lost := added(new, old):
        return f"without {', '.join(lost[:3])}"
    return " ".join(each for each in added(old, new) if each.startswith("!"))


def _entries(value: Value) -> list[str]:
    match value:
        case None:
            return []
        case tuple():
            return [" ".join(each.split()) for each in value]
        case str():
            return [part.strip() for part in value.split(",") if part.strip()]
        case _:
            return [str(value)]


def _show(value: Value) -> str:
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        return f"{value:g}"
    return ", ".join(_entries(value))[:120] or "nothing"


def _truth(value: Value) -> bool:
    told = _show(value).lower()
    return told not in {"nothing", "false", "no", "off", "0", "none"}


def _number(value: Value) -> float | None:
    try:
        return float(_show(value))
    except ValueError:
        return None


def _grown(gained: list[str], lost: list[str]) -> str:
    """Warnings that are errors are the other way round: fewer of them are more that is left out."""
    strict = [each for each in lost if each.startswith("error")]
    quiet = [each for each in gained if not each.startswith(("error", "default", "always", "once"))]
    if quiet:
        return f"leaves out {', '.join(quiet[:3])}"
    return f"without {', '.join(strict[:3])}" if strict else ""


def _sunk(was: Value, now: Value) -> str:
    old, new = _number(was), _number(now)
    if old is None or (new is not None and new >= old):
        return ""
    return f"{_show(was)} becomes {_show(now)}"


def _command(old: list[str], new: list[str]) -> str:
    plain = [_plain(each) for each in new]
    lost = [each for each in old if _plain(each) not in plain]
    if lost:
        return f"{lost[0]!r} is run no more as it was"
    gained = [each for each in added(old, new) if _SILENCE.search(each)]
    return f"runs {gained[0]!r}" if gained else ""


def _options(old: list[str], new: list[str]) -> str:
    before, after = (" ".join(side).split() for side in (old, new))
    gained = [each for each in added(before, after) if not _HARMLESS.search(each)]
    lost = [each for each in added(after, before)
            if _KEPT.search(each) or not _HARMLESS.search(each)]  # fmt: skip
    if gained:
        return f"with {' '.join(gained[:4])}"
    return f"without {' '.join(lost[:4])}" if lost else ""


def _plain(line: str) -> str:
    """A line without what a newer version of something changes in it."""
    return " ".join(_VERSION.sub("", line).replace('"', "'").rstrip(",").split())


def _lines(before: str, after: str, words: re.Pattern[str]) -> Iterator[str]:
    """By lines: one of tests that is gone, or one that silences."""
    old, new = (list(_relevant(side, words)) for side in (before, after))
    everywhere = {_plain(line) for line in after.splitlines()}
    for line in added(map(_plain, new), map(_plain, old)):
        if line not in everywhere:
            yield f"without {line!r}"
    known = {_plain(line) for line in before.splitlines()}
    for line in after.splitlines():
        if _SILENCE.search(line) and not _REMARK.search(line) and _plain(line) not in known:
            yield f"with {_plain(line)!r}"


_TARGET: Final = re.compile(r"^(?P<name>[\w.%/ -]+):(?!=)")


def _relevant(text: str, words: re.Pattern[str]) -> Iterator[str]:
    """Lines about tests: they, or the target above them, say so."""
    inside = False
    for line in text.splitlines():
        if target := _TARGET.match(line):
            inside = words.search(target["name"]) is not None
        if line.strip() and not _REMARK.search(line):
            recipe = inside and line.startswith("\t")
            if recipe or words.search(line):
                yield line
