"""How many kinds of cheats the gate names: each judged as a candidate, over real git.

python -m bench.cheats
"""

from __future__ import annotations

import tempfile
from collections import Counter
from pathlib import Path

from autopack.core.event import GateVerdict
from bench.measure import progress, table
from tests.hostile.cheating import Court, cheats

NAMED_GOAL = 0.95


def main() -> None:
    """Print the score, and by rule how many kinds there are."""
    kinds = cheats()
    progress(f"cheats: {len(kinds)} kinds")
    silent: list[str] = []
    unnamed: list[str] = []
    rules: Counter[str] = Counter()
    with tempfile.TemporaryDirectory(prefix="autopack-bench-") as place:
        court = Court(Path(place))
        for cheat in kinds:
            checked = court.judge(cheat)
            rules[cheat.rule] += 1
            if checked.verdict is GateVerdict.PASS:
                silent.append(cheat.name)
            if cheat.rule not in {each.rule for each in checked.findings}:
                unnamed.append(cheat.name)
    named = 1 - len(unnamed) / len(kinds)
    met = "met" if named >= NAMED_GOAL and not silent else "**missed**"
    print(
        f"{len(kinds)} kinds: {len(silent)} accepted silently (goal 0), {100 * named:.1f} % named "
        f"by the right rule (goal {100 * NAMED_GOAL:.0f} %): {met}."
    )
    if silent or unnamed:
        print(
            f"\nSilent: {', '.join(silent) or 'none'}. Not named: {', '.join(unnamed) or 'none'}."
        )
    print()
    print(table(("rule", "kinds"), ((f"`{rule}`", str(n)) for rule, n in rules.most_common())))


if __name__ == "__main__":
    main()
