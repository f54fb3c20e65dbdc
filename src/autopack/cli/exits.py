"""The exit codes, in one table: the program leaves with them, the reference page is made of it."""

from __future__ import annotations

from typing import Final

from autopack.core.errors import AgentFault, EnvironmentFault, OperatorFault, OwnFault

DONE: Final = 0
FAILED: Final = AgentFault.exit_code
USAGE: Final = OperatorFault.exit_code
ENVIRONMENT: Final = EnvironmentFault.exit_code
INVALID: Final = 4
"""Nothing was judged: neither green nor red."""
OWN: Final = OwnFault.exit_code
INTERRUPTED: Final = 130
"""As a shell tells of a program that Ctrl-C ended."""
MEANINGS: Final[dict[int, tuple[str, tuple[str, ...]]]] = {
    DONE: ("done", ()),
    FAILED: (
        "it came out badly: a run failed or is not delivered, a log is damaged, tests are red",
        ("agent",),
    ),
    USAGE: (
        "usage, plan, repository or configuration is wrong; nothing was started",
        ("operator", "usage"),
    ),
    ENVIRONMENT: (
        "the environment refused: sandbox, disk, git, database, a missing tool",
        ("environment",),
    ),
    INVALID: ("nothing could be judged: no test ran, or its report is missing", ()),
    OWN: ("a defect of Autopack; the message names a file with the traceback", ("own",)),
    INTERRUPTED: ("interrupted; a run that was watched goes on", ("interrupted",)),
}
"""What each code says, and the errors (with `--json`) that end with it."""
COMMANDS: Final[dict[str, dict[int, str]]] = {
    "run PLAN": {
        FAILED: "the run failed, its branch is not delivered, or its promotion was refused",
        USAGE: "as above; with `--no-wait` also: as many promotions are open as may be",
    },
    "run watch": {
        FAILED: "the run failed, its branch is not delivered, or its promotion was refused"
    },
    "run retry": {
        FAILED: "the successor failed, its branch is not delivered, or its promotion was refused"
    },
    "run deliver": {FAILED: "your repository refused the branch again"},
    "promote": {
        FAILED: "not eligible (every reason is told), or the forge refused it",
        USAGE: "no such run, or it has not ended",
    },
    "backtest": {
        FAILED: "a commit would be refused",
        INTERRUPTED: "interrupted; what was found until then is told",
    },
    "preflight": {
        DONE: "green; in `normal` also what was red and then green on the same commit",
        FAILED: "red, or flaky where `strict` judges",
        USAGE: "no such commit, changes that are not committed, no profile, a value out of range",
        INTERRUPTED: "interrupted; nothing was judged",
    },
    "notify test": {FAILED: "somebody was not reached, or refused the notice"},
    "salvage": {USAGE: "no such run or phase, or the folder to write is there already"},
    "undo": {
        USAGE: "the run is open or landed nothing; its branch is checked out, or not as it left it",
        ENVIRONMENT: "your repository refused the move",
    },
    "events verify": {FAILED: "a log is damaged"},
    "doctor": {
        FAILED: "nothing is missing, but the base's tests are red (`--tests`)",
        USAGE: "the repository or the configuration would be refused",
        ENVIRONMENT: "the machine lacks something, whatever else is wrong",
    },
}
"""What a code means for one command, where it says more than the table."""
