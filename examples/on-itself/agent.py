"""A coding agent of forty lines: reads its phase from the environment and edits its clone."""

import json
import os
from pathlib import Path

FUNCTION = '''

def shortened(text: str, characters_max: int) -> str:
    """The text, cut with an ellipsis when it is longer than `characters_max`."""
    return text if len(text) <= characters_max else text[: characters_max - 1] + "…"
'''
TEST = '''"""Shortened words."""

from autopack.core.words import shortened


def test_a_short_text_stays() -> None:
    assert shortened("abc", 3) == "abc"


def test_a_long_text_is_cut() -> None:
    assert shortened("abcdef", 4) == "abc…"
'''


def main() -> None:
    """Do the phase, and say what it cost."""
    if os.environ["AUTOPACK_PHASE_ID"] == "F1":
        words = Path("src/autopack/core/words.py")
        words.write_text(words.read_text(encoding="utf-8") + FUNCTION, encoding="utf-8")
        Path("tests/core/test_shortened.py").write_text(TEST, encoding="utf-8")
    else:
        page = Path("docs/quickstart.md")
        line = "\nWritten by an agent in a fence.\n"
        page.write_text(page.read_text(encoding="utf-8") + line, encoding="utf-8")
    Path(os.environ["AUTOPACK_USAGE_FILE"]).write_text(json.dumps({"tokens": 1234}))


main()
