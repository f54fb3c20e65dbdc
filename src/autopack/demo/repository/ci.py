"""Runs the unit tests and writes a JUnit report: `python ci.py REPORT [TEST ...]`.

`TEST` is the name of a method; without one all run. Standard library only.
"""

import os
import sys
import unittest
from pathlib import Path
from xml.etree import ElementTree


class Report(unittest.TextTestResult):
    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.cases = {}

    def startTest(self, test):
        super().startTest(test)
        group, _, name = test.id().rpartition(".")
        self.cases[test.id()] = ElementTree.Element("testcase", classname=group, name=name)

    def _mark(self, test, kind, error):
        case = self.cases.get(test.id())
        if case is None:
            case = self.cases[test.id()] = ElementTree.Element("testcase", name=test.id())
        message = f"{error[0].__name__}: {error[1]}"
        ElementTree.SubElement(case, kind, message=message).text = self._exc_info_to_string(error, test)

    def addFailure(self, test, err):
        super().addFailure(test, err)
        self._mark(test, "failure", err)

    def addError(self, test, err):
        super().addError(test, err)
        self._mark(test, "error", err)


def flat(tests):
    for test in tests:
        yield from flat(test) if isinstance(test, unittest.TestSuite) else (test,)


report, *names = sys.argv[1:]
if Path(report).parent.name.isdigit():  # the first execution on a commit, not one that looks again
    os.environ["TOOLBOX_COLD"] = "1"
every = flat(unittest.defaultTestLoader.discover("tests", top_level_dir="."))
suite = unittest.TestSuite(
    test for test in every if not names or test.id().rpartition(".")[2] in names
)
result = unittest.TextTestRunner(resultclass=Report).run(suite)
root = ElementTree.Element("testsuite", name="toolbox", tests=str(result.testsRun))
root.extend(result.cases.values())
ElementTree.ElementTree(root).write(report, encoding="utf-8")
sys.exit(not result.wasSuccessful())
