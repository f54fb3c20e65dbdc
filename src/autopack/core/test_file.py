"""Which files hold tests or serve them, by name and folder: one definition for gate and CI.

Never reads a file.
"""

from __future__ import annotations

import re
from typing import Final

_FOLDER: Final = re.compile(
    r"tests?|specs?|__tests__|testing|testdata|__snapshots__|e2e|cypress|.*[_-]tests|.*Tests?"
)
_MODULE: Final = re.compile(
    r"(?:test_.*|.*_test|tests?)\.pyi?|.*_test\.(?:go|rb|exs|cc|cpp|dart)"
    r"|.*[._-](?:test|spec|e2e|cy)\.[cm]?[jt]sx?|.*_spec\.rb"
    r"|(?:Test[^/]*|.*Tests?|.*Spec|.*IT)\.(?:java|kt|kts|scala|groovy|cs|fs|swift|php)"
)
_SUPPORT: Final = frozenset({"conftest.py"})


def is_folder(name: str) -> bool:
    """In a folder of this name everything is a test or serves tests."""
    return bool(_FOLDER.fullmatch(name))


def is_module(path: str) -> bool:
    """The file holds tests, as its name says."""
    return bool(_MODULE.fullmatch(path.rpartition("/")[2]))


def is_test_file(path: str) -> bool:
    """The file holds tests or serves them: data, fixtures, what they share."""
    *folders, name = path.split("/")
    return is_module(path) or name in _SUPPORT or any(map(is_folder, folders))
