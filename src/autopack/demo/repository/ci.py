"""Runs the unit tests and writes a JUnit report: `python ci.py REPORT`. Standard library only."""

import sys
import unittest
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


suite = unittest.defaultTestLoader.discover("tests", top_level_dir=".")
result = unittest.TextTestRunner(resultclass=Report).run(suite)
root = ElementTree.Element("testsuite", name="toolbox", tests=str(result.testsRun))
root.extend(result.cases.values())
ElementTree.ElementTree(root).write(sys.argv[1], encoding="utf-8")
sys.exit(not result.wasSuccessful())
