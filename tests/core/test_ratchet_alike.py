"""What looks like a weaker test and is none: reworded messages, neighbours, names, other marks.

Beside each stands what differs from it by little, and asks.
"""

from __future__ import annotations

import pytest

from autopack.core.ratchet import findings
from autopack.core.ratchet.changed import Changed
from autopack.core.run import Severity


def change(path: str, before: str, after: str) -> Changed:
    return Changed(path, before.encode(), after.encode())


def asked(*changes: Changed) -> set[str]:
    return {each.rule for each in findings.of_tests(changes) if each.severity is Severity.ASK}


def noted(*changes: Changed) -> set[str]:
    return {each.rule for each in findings.of_tests(changes) if each.severity is Severity.NOTE}


def python(message: str) -> str:
    return f'def test_port():\n    assert told(parse("x")) == "{message}"\n'


def source(message: str) -> str:
    return f'def parse(text):\n    raise ValueError("{message}")\n'


WAS, NOW = "the port must be a number", "a port must be an integer"


def test_a_message_that_source_and_test_reword_alike_is_told() -> None:
    test, code = (
        change("tests/test_port.py", python(WAS), python(NOW)),
        change("port.py", source(WAS), source(NOW)),
    )
    assert asked(test, code) == set()
    assert noted(test, code) == {"expectation-changed"}


@pytest.mark.parametrize(
    ("was", "now", "code"),
    [
        (WAS, NOW, WAS),  # the source says what it said
        (WAS, "an integer is wanted here", NOW),  # other words than in the source
        ("it costs 12 cents now", "it costs 11 cents now", "it costs 11 cents now"),
        ("yes", "no", "no"),
    ],
)  # fmt: skip
def test_other_words_numbers_and_single_words_ask(was: str, now: str, code: str) -> None:
    test = change("tests/test_port.py", python(was), python(now))
    assert asked(test, change("port.py", source(was), source(code))) == {"expectation-changed"}


def test_a_reworded_message_in_another_language_is_told() -> None:
    def test(message: str) -> str:
        return f"it('parses', () => {{\n  expect(parse('x')).toEqual('{message}')\n}})\n"

    files = change("test/port.test.js", test(WAS), test(NOW))
    assert asked(files) == {"expectation-changed"}
    assert asked(files, change("port.js", f"throw '{WAS}'\n", f"throw '{NOW}'\n")) == set()


TCL = """start_server {tags {"slow"}} {
    test "sets a key" {
        assert_equal OK [r set a 1]
        assert_equal 1 [r get a]
    }
}

proc wanted {key} {
    assert_equal 1 [r get $key]
}
"""
MORE = """
start_server {tags {"external:skip"}} {
    test "gets no key" {
        assert_equal {} [r get b]
    }
}
"""


def test_what_stands_behind_a_test_is_not_its_own() -> None:
    tail = TCL.index("\nproc")
    moved = TCL[:tail] + MORE + TCL[tail:]
    assert asked(change("tests/unit/keys.tcl", TCL, moved)) == set()


def test_a_helper_that_checks_less_asks() -> None:
    less = TCL.replace("    assert_equal 1 [r get $key]\n", "")
    assert asked(change("tests/unit/keys.tcl", TCL, less)) == {"test-emptied"}


def test_a_skip_in_tcl_asks() -> None:
    skipped = TCL.replace("        assert_equal OK", "        skip\n        assert_equal OK")
    assert asked(change("tests/unit/keys.tcl", TCL, skipped)) == {"test-skipped"}


GO = """func TestHelp(t *testing.T) {
\tcheck(t, help(), "sub")
\tcheck(t, help(), "more")
}
"""
SMALL = 'func TestHelp(t *testing.T) {\n\tcheck(t, help(), "none")\n}\n\n'


def test_a_name_that_another_test_took_is_followed() -> None:
    renamed = SMALL + GO.replace("TestHelp", "TestHelpOfSubcommands")
    assert asked(change("help_test.go", GO, renamed)) == set()
    assert asked(change("help_test.go", GO, SMALL)) == {"assertion-removed"}


@pytest.mark.parametrize(
    ("path", "was", "now"),
    [
        ("tests/a.rs", "    run(Kind::Quiet);", "    run(Kind::QuietWithMatch);"),
        ("tests/a.rs", "    sleep(from_millis(100));", "    sleep(from_millis(200));"),
    ],
)
def test_a_name_or_a_wait_is_no_value(path: str, was: str, now: str) -> None:
    def test(line: str) -> str:
        return f"#[test]\nfn works() {{\n{line}\n    assert_eq!(7, value());\n}}\n"

    assert asked(change(path, test(was), test(now))) == set()
    assert asked(change(path, test("    run(100);"), test("    run(200);"))) == {
        "expectation-changed"
    }


def test_a_node_import_is_no_value() -> None:
    def test(line: str) -> str:
        return f"it('parses', () => {{\n  const url = require('{line}')\n  assert(url.parse('x'))\n}})\n"

    assert asked(change("test/a.test.js", test("url"), test("node:url"))) == set()


def test_the_kind_of_a_thing_said_otherwise_is_as_much() -> None:
    def test(line: str) -> str:
        return f"def test_kind\n  {line}\n  assert_equal 1, page.size\nend\n"

    path, kind = "test/test_page.rb", "assert_kind_of Page, page"
    assert asked(change(path, test("assert page.is_a?(Page)"), test(kind))) == set()
    assert asked(change(path, test("assert_equal Page.new(1), page"), test(kind))) == {
        "assertion-weakened"
    }


def handler(kind: str, times: int = 1) -> str:
    one = f"    try:\n        run()\n    except{kind}:\n        pass\n"
    return "def work():\n" + one * times


@pytest.mark.parametrize(
    ("before", "after", "asks"),
    [
        (handler(""), handler(" Exception"), False),
        (handler(" BaseException"), handler(" Exception"), False),
        (handler(" Exception"), handler(""), True),
        (handler(" Exception"), handler(" BaseException"), True),
        (handler(" Exception"), handler(" Exception", 2), True),
    ],
)
def test_a_handler_that_catches_less_than_before_passes(
    before: str, after: str, asks: bool
) -> None:
    assert ("failure-swallowed" in asked(change("shop/work.py", before, after))) is asks


def test_one_named_rule_of_gosec_is_told() -> None:
    silent = "return matches[0] // #nosec G602\n"
    assert noted(change("command.go", "return matches[0]\n", silent)) == {"suppression-added"}
    assert asked(change("command.go", "return matches[0]\n", "return matches[0] // #nosec\n")) == {
        "suppression-added"
    }


def test_a_test_of_what_is_expected_is_no_golden_file() -> None:
    path = "src/test/java/rules/ExpectedExceptionTest.java"
    assert asked(change(path, "import a.B;\n", "import a.C;\n")) == set()
    assert asked(change("tests/expected_output.txt", "a\n", "b\n")) == {"expectation-changed"}


def test_a_remark_about_the_end_of_a_process_ends_none() -> None:
    plain = "def serve\n  run\nend\n"
    assert (
        asked(change("lib/serve.rb", plain, plain.replace("  run", "  # no at_exit here\n  run")))
        == set()
    )
    assert asked(
        change("lib/serve.rb", plain, plain.replace("  run", "  at_exit { exit! 0 }\n  run"))
    ) == {"process-ended"}


def test_each_of_many_values_of_one_thing_is_followed_to_its_own() -> None:
    def messages(last: str) -> str:
        checks = "".join(f'    with raises(E) as said:\n        get({n})\n    assert str(said.value) == "{word} {last}"\n'
                         for n, word in ((1, "one"), (2, "two")))  # fmt: skip
        return "def test_messages():\n" + checks

    was, now = "port is out of range", "port is beyond its range"
    test = change("tests/test_port.py", messages(was), messages(now))
    assert asked(test, change("port.py", source(was), source(now))) == set()
    assert asked(test) == {"expectation-changed"}


def test_an_early_return_before_the_tests_of_a_loop_asks() -> None:
    def suite(first: str) -> str:
        return f"methods.forEach(function (method) {{\n{first}  it('works', () => {{\n    expect(method()).toBe(1)\n  }})\n}})\nit('else', () => {{ expect(1).toBe(one) }})\nmore.forEach(function (method) {{\n{first}  it('works too', () => {{\n    expect(method()).toBe(1)\n  }})\n}})\n"

    assert asked(
        change("test/a.test.js", suite(""), suite("  if (method === 'query') return\n"))
    ) == {"assertion-conditional"}
