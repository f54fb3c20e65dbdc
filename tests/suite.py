"""A suite of tests whose files say how each behaves: the CI of our tests of blame.

`tests/*.json` maps names to modes. What runs is told by the folder of the report: the first
execution of a command, a rerun, the parent.
"""

import json
import sys
from pathlib import Path

report, *chosen = sys.argv[1:]
execution = Path(report).parent.name
first = execution.isdigit()
mark = Path("made-here")
if mark.exists():
    sys.exit("the clone is not fresh")
mark.touch()
MESSAGES = {
    "red": "it is red",
    "other": "it is red in another way",
    "slow": "timed out after 3 s",
    "lost": "it is red",
    "worse": "now and then",
    "first": "now and then" if "base4" in execution else "",
    "once": "now and then" if execution.endswith(".parent") else "",
    "flaky": "now and then" if first else "",
    "shaky": "now and then" if first or "base" in execution else "",
    "order": "" if chosen else "somebody left something",
    "needs": "" if Path("src/feature").exists() else "no feature",
}
cases, bad = "", False
for path in sorted(Path("tests").glob("*.json")):
    for name, mode in json.loads(path.read_text()).items():
        if (chosen and name not in chosen) or (chosen and mode == "lost"):
            continue
        message = MESSAGES.get(mode, "")
        body = f"<failure message='{message}'/>" if message else ""
        body = "<skipped/>" if mode == "skip" else body
        bad = bad or bool(message)
        place = f"classname='tests.{path.stem}' name='{name}' file='{path}'"
        cases += f"<testcase {place}>{body}</testcase>"
Path(report).write_text(f"<testsuite name='s'>{cases}</testsuite>")
sys.exit(2 if Path("src/floor").exists() else bad)
