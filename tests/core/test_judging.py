"""Which files run when a candidate is judged."""

from __future__ import annotations

import pytest

from autopack.core.judging import called_paths, is_caller, named_paths
from autopack.core.project import Project, parse_project


def test_what_a_command_may_name() -> None:
    text = """
[ci.normal]
commands = [
  { run = ["sh", "./test.sh", "-x", "--config=ci/a.toml", "/etc/passwd", "../up", "."] },
  { run = ["sh", "-c", "set -e; ./run.sh 'tools/b c.py' && pytest tests"] },
]
[ci.strict]
commands = [{ run = "sh strict.sh" }]
"""
    project = parse_project(text, "toy")
    assert isinstance(project, Project)
    named = set(named_paths(project))
    assert {"test.sh", "ci/a.toml", "run.sh", "strict.sh", "tests"} <= named
    assert not named & {"/etc/passwd", "../up", ".", "-x"}


def test_what_a_command_of_the_gate_may_name() -> None:
    text = """
[ci.normal]
commands = [{ run = "python3 -m tools.suite -q" }]
[gate]
commands = [{ run = "python3 lint.py src" }, { run = ["sh", "-c", "python3 -mtools.check"] }]
"""
    project = parse_project(text, "toy")
    assert isinstance(project, Project)
    named = set(named_paths(project))
    assert {"lint.py", "tools/suite.py", "tools/check/__main__.py", "src/tools/check.py"} <= named
    assert {"tools/__init__.py", "tools/check/__init__.py"} <= named


MAKEFILE = """
OBJECTS = a.o \\
\tsrc/b.h
all: src/main.c
\t@sh ./tools/lint.sh && scripts/types --all
\t$(PY) -u tools/check.py $(FILES)
\t-python3 -m tools.style
\tcc -o main src/main.c
"""
WORKFLOW = """
    steps:
      - run: "ci/test-complete"
      - run: |
          cd web
          node tools/lint.mjs; bash ci/deploy
      - uses: actions/checkout@v4
"""


@pytest.mark.parametrize(
    ("caller", "text", "called", "not_called"),
    [
        ("Makefile", MAKEFILE,
         {"tools/lint.sh", "scripts/types", "tools/check.py", "tools/style.py"},
         {"src/b.h", "src/main.c", "FILES"}),
        (".github/workflows/ci.yml", WORKFLOW,
         {"ci/test-complete", "tools/lint.mjs", "ci/deploy"}, {"actions/checkout"}),
        ("web/package.json",
         '{"main": "lib/index.js", "scripts": {"lint": "node tools/lint.js && ./ci/types"}}',
         {"web/tools/lint.js", "web/ci/types"}, {"lib/index.js", "web/lib/index.js"}),
        ("package.json", "{", set(), set()),
    ],
)  # fmt: skip
def test_what_make_npm_and_workflows_start(
    caller: str, text: str, called: set[str], not_called: set[str]
) -> None:
    assert is_caller(caller)
    found = set(called_paths(caller, text))
    assert called <= found
    assert not found & not_called


def test_other_files_start_nothing() -> None:
    assert not any(map(is_caller, ("README.md", "docs/Makefile.rst", "src/workflows/ci.yml")))
