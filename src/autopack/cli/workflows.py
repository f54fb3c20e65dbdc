"""What `autopack init --workflows` writes: GitHub's CI with the commands that Autopack itself runs.

Made of what `detect` found. Only text: writes nothing, runs nothing.
"""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

    from autopack.cli.detect import Kind

PATH: Final = ".github/workflows/ci.yml"
REPORT: Final = "test-report.xml"
_HEAD: Final = """\
# Written by `autopack init --workflows`; yours to edit. The preflight jobs judge a commit by the
# autopack.toml that it holds, as a run does: `autopack preflight` says the same on your machine.
name: ci
on:
  push:
    branches: [{branch}]
  pull_request:
permissions:
  contents: read
jobs:
"""
_CHECKOUT: Final = """\
      - uses: actions/checkout@v4
        with:
          fetch-depth: 0
      - uses: actions/setup-python@v5
        with:
          python-version: "3.11"
"""
_PREFLIGHT: Final = """\
  preflight-{profile}:
    runs-on: ubuntu-24.04
    timeout-minutes: 60
    env:
      CI_PROFILE: {profile}
      MAX_ATTEMPTS: "3"
      BACKOFF_SECONDS: "5"
      # what pip installs: a version, an address or a path; set it as a variable of the repository
      AUTOPACK_INSTALL: ${{{{ vars.AUTOPACK_INSTALL }}}}
    steps:
{checkout}\
      - name: What the fence needs
        run: |
          sudo apt-get install --yes bubblewrap
          sudo sysctl -w kernel.apparmor_restrict_unprivileged_userns=0
      - name: Install Autopack
        run: |
          test -n "$AUTOPACK_INSTALL" || {{ echo "set the variable AUTOPACK_INSTALL"; exit 1; }}
          python -m pip install "$AUTOPACK_INSTALL"
      - run: autopack preflight
"""


def ci_workflow(kind: Kind, branch: str) -> str:
    """The whole file: lint and test where commands are known, and both preflights."""
    jobs = [_job("lint", kind, kind.lint) if kind.lint else ""]
    tests = [command.run.replace("{report}", REPORT) for command in kind.normal]
    jobs += [_job("test", kind, tests) if tests else ""]
    jobs += [_PREFLIGHT.format(profile=each, checkout=_CHECKOUT) for each in ("normal", "strict")]
    return _HEAD.format(branch=_quoted(branch)) + "".join(jobs)


def _job(name: str, kind: Kind, commands: Sequence[str]) -> str:
    cache = kind.cache[0] if kind.cache else ""
    steps = [each.replace("{cache}", cache) for each in kind.prepare]
    if kind.language == "python" and cache:
        steps.append(f'echo "$PWD/{cache}/bin" >> "$GITHUB_PATH"')
    prepared = f"      - name: Prepare\n        run: |\n{_block(steps)}" if steps else ""
    head = f"  {name}:\n    runs-on: ubuntu-24.04\n    timeout-minutes: 30\n    steps:\n"
    return f"{head}{_CHECKOUT}{prepared}      - run: |\n{_block(commands)}"


def _block(commands: Sequence[str]) -> str:
    return textwrap.indent("\n".join(commands) + "\n", " " * 10)


def _quoted(branch: str) -> str:
    """A YAML scalar: single quotes hold anything but themselves."""
    return "'" + branch.replace("'", "''") + "'"
