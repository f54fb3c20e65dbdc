"""What a repository holds at a run's base, as its bootstrap documents tell it: folders, extracts.

Read once before a run is recorded and frozen in its spec, so that the documents can be made again
from the store alone. All of it is other people's text: bounded and plain here, fenced where it is
shown. Never reads a file.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from autopack.core.words import plain, visible

FOLDERS_MAX: Final = 40
"""Top-level folders that are told, those with the most files."""
LANGUAGES_MAX: Final = 5
"""Of one folder."""
EXTRACTS_MAX: Final = 8
EXTRACT_CHARACTERS_MAX: Final = 3_000
"""Of one document; a run's record holds them all and is written with each event."""
DOCUMENT_BYTES_MAX: Final = 500_000
"""A larger document is named and not read."""
REPOSITORIES_MAX: Final = 50
PLACES_MAX: Final = 5
"""Where one repository is named, as far as it is told."""
NAME_CHARACTERS_MAX: Final = 200
SUBMODULES: Final = ".gitmodules"

_ARCHITECTURE: Final = re.compile(
    r"(?:docs?/)?(?:architecture|design|overview)(?:/(?:readme|index))?\.(?:md|markdown|rst|txt|adoc)",
    re.IGNORECASE,
)
_CONTEXT: Final = re.compile(
    r"(?:readme|agents|claude|(?:docs?/|\.github/)?contributing)(?:\.(?:md|markdown|rst|txt|adoc))?",
    re.IGNORECASE,
)
_HOSTS: Final = r"github\.com|gitlab\.com|bitbucket\.org|codeberg\.org|git\.sr\.ht"
_PART: Final = r"[A-Za-z0-9~][A-Za-z0-9._~-]{0,99}"
_HOST: Final = r"[A-Za-z0-9.-]{1,200}"
_WORD: Final = re.compile(r"(?:(?:https?|ssh|git)://|\bgit@)[^\s'\"<>`,()\[\]{}|]+")
"""An address in prose, with all that a secret in it may be."""
_SCHEME: Final = re.compile(r"(?:[A-Za-z][A-Za-z0-9+.-]{0,19}:)?//")
_KNOWN: Final = re.compile(rf"(?P<host>{_HOSTS})/(?P<path>{_PART}/{_PART})")
_CLONED: Final = re.compile(
    rf"(?P<host>{_HOST}(?::\d{{1,5}})?)/(?P<path>(?:{_PART}/){{0,8}}{_PART}?\.git)\b"
)
_REMOTE: Final = re.compile(
    rf"(?P<host>{_HOST}(?::\d{{1,5}})?)/(?P<path>(?:{_PART}/){{0,8}}{_PART})/?"
)
_SHORT: Final = re.compile(rf"(?P<host>{_HOST}):/?(?P<path>(?:{_PART}/){{0,8}}{_PART})")
_LOCAL: Final = re.compile(rf"(?:/|(?:\.\.?/){{1,9}})(?:{_PART}/){{0,8}}{_PART}/?")
_SUBMODULE: Final = re.compile(r"^[ \t]*url[ \t]*=[ \t]*(\S{1,300})[ \t]*$", re.MULTILINE)
LANGUAGES: Final[Mapping[str, str]] = {
    ".adoc": "AsciiDoc", ".c": "C", ".cc": "C++", ".cpp": "C++", ".cs": "C#", ".css": "CSS",
    ".ex": "Elixir", ".exs": "Elixir", ".go": "Go", ".h": "C", ".hpp": "C++", ".hs": "Haskell",
    ".html": "HTML", ".java": "Java", ".js": "JavaScript", ".json": "JSON", ".jsx": "JavaScript",
    ".kt": "Kotlin", ".lua": "Lua", ".md": "Markdown", ".php": "PHP", ".pl": "Perl",
    ".py": "Python",
    ".pyi": "Python", ".r": "R", ".rb": "Ruby", ".rs": "Rust", ".rst": "reStructuredText",
    ".scala": "Scala", ".sh": "Shell", ".sql": "SQL", ".swift": "Swift", ".tf": "Terraform",
    ".toml": "TOML", ".ts": "TypeScript", ".tsx": "TypeScript", ".vue": "Vue", ".yaml": "YAML",
    ".yml": "YAML", ".zig": "Zig",
}  # fmt: skip
"""By the end of a file's name, which is all that is looked at."""


class Topic(StrEnum):
    """Which of the documents an extract belongs to."""

    ARCHITECTURE = "architecture"
    CONTEXT = "context"


@dataclass(frozen=True)
class Folder:
    """A top-level folder; empty name: the files beside them. `languages`: files of each."""

    name: str
    files: int
    languages: tuple[tuple[str, int], ...] = ()


@dataclass(frozen=True)
class Extract:
    """The beginning of a document; an empty text: it could not be read, or is too large."""

    path: str
    topic: Topic
    text: str
    characters: int = 0
    """Of the whole document."""


@dataclass(frozen=True)
class Mention:
    """Another repository and where it is named."""

    address: str
    places: tuple[str, ...]


@dataclass(frozen=True)
class Survey:
    """A repository at one commit."""

    files: int = 0
    folders: tuple[Folder, ...] = ()
    folders_left: int = 0
    """Folders beyond those told."""
    extracts: tuple[Extract, ...] = ()
    documents_left: int = 0
    """Documents beyond those that are quoted."""
    mentions: tuple[Mention, ...] = ()
    commit: str = ""
    """Which one; empty in records that did not keep it."""


def survey(files: Mapping[str, int], texts: Mapping[str, str | None], commit: str = "") -> Survey:
    """A commit's files (bytes of each) and what could be read of `documents(files)`."""
    folders = _folders(files)
    wanted = documents(files)
    quoted = [path for path in wanted if _topic(path) is not None]
    return Survey(
        files=len(files),
        folders=folders[:FOLDERS_MAX],
        folders_left=len(folders[FOLDERS_MAX:]),
        extracts=tuple(_extract(path, texts.get(path)) for path in quoted[:EXTRACTS_MAX]),
        documents_left=max(0, sum(_topic(path) is not None for path in files) - EXTRACTS_MAX),
        mentions=mentions({path: text for path in wanted if (text := texts.get(path))}),
        commit=commit,
    )


def documents(files: Iterable[str]) -> tuple[str, ...]:
    """The paths whose text is worth reading, the root's first; of more only the first count."""
    found = [path for path in files if _topic(path) is not None]
    found.sort(key=lambda path: (path.count("/"), path.lower(), path))
    return (*found[: 4 * EXTRACTS_MAX], *(path for path in files if path == SUBMODULES))


def mentions(texts: Mapping[str, str]) -> tuple[Mention, ...]:
    """The repositories that texts name, by the place that each text has; addresses in order.

    Of an address only host and path are told: a name or token before them is nobody's business.
    """
    places: dict[str, list[str]] = {}
    for place, text in texts.items():
        for address in dict.fromkeys(_addresses(place, text)):
            places.setdefault(address, []).append(place)
    return tuple(
        Mention(address, tuple(places[address][:PLACES_MAX]))
        for address in sorted(places)[:REPOSITORIES_MAX]
    )


def merged(first: Iterable[Mention], second: Iterable[Mention]) -> tuple[Mention, ...]:
    """The mentions of both, each repository once."""
    places: dict[str, dict[str, None]] = {}
    for mention in (*first, *second):
        places.setdefault(mention.address, {}).update(dict.fromkeys(mention.places))
    return tuple(Mention(address, tuple(places[address])) for address in sorted(places))


def _addresses(place: str, text: str) -> Iterable[str]:
    if place == SUBMODULES:
        told = (_submodule(found[1].strip('"')) for found in _SUBMODULE.finditer(text))
    else:
        told = (_named(found[0]) for found in _WORD.finditer(text))
    return (_bounded(address) for address in told if address)


def _named(word: str) -> str:
    """The repository that a word of prose is the address of; empty when it is none."""
    scheme = _SCHEME.match(word)
    if scheme is None:
        return _told(_SHORT.match(_public(word)))
    rest = word[scheme.end() :]
    place = _public(rest)
    # `…/owner/name@v1` has a version behind its path: no secret begins with a known host
    return _told(_KNOWN.match(place) or _CLONED.match(place) or _KNOWN.match(rest))


def _submodule(url: str) -> str:
    """The same of all that git takes for an address: a local path, too."""
    scheme = _SCHEME.match(url)
    rest = url[scheme.end() :] if scheme else url
    if _LOCAL.fullmatch(rest):
        return rest
    return _told((_REMOTE if scheme else _SHORT).fullmatch(_public(rest)))


def _public(address: str) -> str:
    """What stands behind the name and the secret, which may hold any character."""
    return address.rpartition("@")[2]


def _told(found: re.Match[str] | None) -> str:
    if found is None:
        return ""
    return f"{found['host'].lower()}/{found['path'].rstrip('.').removesuffix('.git')}"


def _topic(path: str) -> Topic | None:
    if _ARCHITECTURE.fullmatch(path):
        return Topic.ARCHITECTURE
    return Topic.CONTEXT if _CONTEXT.fullmatch(path) else None


def _folders(files: Iterable[str]) -> tuple[Folder, ...]:
    """The files beside the folders, then the folders with the most files."""
    counts: dict[str, Counter[str]] = {}
    for path in files:
        head, slash, _ = path.partition("/")
        language = LANGUAGES.get(f".{path.rpartition('.')[2].lower()}", "")
        counts.setdefault(head if slash else "", Counter())[language] += 1
    ranked = sorted(counts, key=lambda name: (name != "", -counts[name].total(), name))
    return tuple(Folder(_bounded(name), counts[name].total(), _languages(counts[name]))
                 for name in ranked)  # fmt: skip


def _languages(counted: Counter[str]) -> tuple[tuple[str, int], ...]:
    named = [(name, count) for name, count in counted.items() if name]
    return tuple(sorted(named, key=lambda pair: (-pair[1], pair[0]))[:LANGUAGES_MAX])


def _extract(path: str, text: str | None) -> Extract:
    topic = _topic(path) or Topic.CONTEXT
    if text is None:
        return Extract(_bounded(path), topic, "")
    head = text[:EXTRACT_CHARACTERS_MAX]
    return Extract(_bounded(path), topic, plain(head, EXTRACT_CHARACTERS_MAX), len(text))


def _bounded(text: str) -> str:
    """A name as it may be kept: visible, and not longer than a line."""
    shown = visible(text)
    return shown if len(shown) <= NAME_CHARACTERS_MAX else shown[: NAME_CHARACTERS_MAX - 1] + "…"
