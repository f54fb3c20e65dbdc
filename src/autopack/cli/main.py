"""The program `autopack`: its commands by name, and how it ends when one of them fails.

Commands are import strings, so that one is imported only when it is used. Data goes to standard
output, all else to standard error. Never shows a traceback for a fault that names its culprit.
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Sequence
from typing import Final, NoReturn

from cyclopts import App, CycloptsError

from autopack import __version__
from autopack.cli import render
from autopack.cli.ending import answer
from autopack.cli.exits import DONE, USAGE

app = App(
    name="autopack",
    help="Land coding agents' work unattended: a plan goes in, one tested branch comes out.",
    version=__version__,
    result_action="return_value",
    exit_on_error=False,
    print_error=False,
)
COMMANDS: Final = {
    "run": ("autopack.cli.run:app", "Start a run of PLAN, or look after runs."),
    "events": ("autopack.cli.events:app", "The log of a run, and whether it is sound."),
    "demo": ("autopack.cli.demo:demo", "A real run on a toy project, with scripted agents."),
    "init": ("autopack.cli.init:init", "Write an autopack.toml that fits this repository."),
    "doctor": ("autopack.cli.doctor:doctor", "See what is missing here, and how to mend it."),
    "backtest": ("autopack.cli.backtest:backtest", "Judge a repository's own last commits."),
    "preflight": ("autopack.cli.preflight:preflight", "CI of one commit, as a run would judge it."),
    "clean": ("autopack.cli.clean:clean", "Delete what ended runs left and nobody can miss."),
    "salvage": ("autopack.cli.salvage:salvage", "The work of a run that did not land."),
    "issues": ("autopack.cli.issues:app", "What is known to be wrong, over all runs."),
    "report": ("autopack.cli.report:app", "What runs cost, and what a plan will cost."),
    "promote": ("autopack.cli.promote:promote", "A run that ended well, as one pull request."),
    "undo": ("autopack.cli.undo:undo", "Move a run's branch back to an earlier snapshot."),
    "strategy": ("autopack.cli.strategy:app", "The project's ruleset and what it makes of runs."),
    "config": ("autopack.cli.config:app", "Which settings hold here, and where they come from."),
    "notify": ("autopack.cli.notify:app", "Who is told of what happens to runs."),
    "supervise": ("autopack.cli.supervise:supervise", "Host the runs of the store, alone."),
}
for _name, (_where, _help) in COMMANDS.items():
    app.command(_where, name=_name, help=_help)


def main() -> NoReturn:
    """Run the command of this process and leave with its exit code."""
    # Python warns of strangers' literals when the gate parses them; that is no word to our user.
    warnings.filterwarnings("ignore", r"invalid (escape|octal|decimal|hexadecimal|imaginary)")
    sys.exit(perform(sys.argv[1:]))


def perform(arguments: Sequence[str], program: App = app) -> int:
    """Run one command; its exit code, as `cli.exits` lists them."""
    as_json = "--json" in arguments
    try:
        result = program(list(arguments))
        render.end()
    except BrokenPipeError:  # of the help, or of what a watcher shows
        render.unheard()
        return DONE
    except CycloptsError as fault:
        hint = "`autopack --help` and `autopack COMMAND --help` name every option"
        render.fault("usage", str(fault), hint, as_json=as_json)
        return USAGE
    except (Exception, KeyboardInterrupt) as fault:  # noqa: BLE001  the last place to answer
        return answer(fault, as_json=as_json)
    return result if isinstance(result, int) else DONE


if __name__ == "__main__":
    main()
