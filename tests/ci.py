"""The CI of our tests' projects: judges by what `state/mode` of the tree says, and reports it."""

import os
import signal
import sys
from pathlib import Path

mode = Path("state/mode")
word = mode.read_text().strip() if mode.exists() else "green"
cases = "<testcase classname='lab' name='works'/>"
if word == "red":
    cases = "<testcase classname='lab' name='works'><failure message='it is red'/></testcase>"
elif word == "zero":
    cases = ""
elif word == "killed":
    os.kill(os.getpid(), signal.SIGKILL)
if (debt := Path("src/debt.txt")).exists():  # a test that is skipped as long as it is dirty
    skipped = "" if debt.read_text() == "clean\n" else "<skipped/>"
    cases += f"<testcase classname='lab' name='clean'>{skipped}</testcase>"
if word != "missing":
    Path(sys.argv[1]).write_text(f"<testsuite name='lab'>{cases}</testsuite>")
sys.exit(word == "red")
