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


def test_checks_that_a_new_helper_makes_for_the_test_are_told() -> None:
    body = '\tcheck(t, help(), "sub")\n\tcheck(t, help(), "more")\n}\n'
    split = "func TestHelp(t *testing.T) {\n\thelped(t)\n}\n\nfunc helped(t *testing.T) {\n" + body
    whole = change("help_test.go", GO, split)
    assert (asked(whole), noted(whole)) == (set(), {"test-emptied"})
    assert asked(change("help_test.go", GO, split.replace("\thelped(t)", "\tother(t)")))
    assert asked(change("help_test.go", GO, split.replace('"more")', '"less")')))


def test_pieces_that_only_stand_elsewhere_say_nothing() -> None:
    one, two = "\nfunc one() int {\n\treturn 1\n}\n", "\nfunc one() int {\n\treturn 2\n}\n"
    assert asked(change("help_test.go", GO + one + two, GO + two + one)) == set()


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


def handler(name: str, kind: str) -> str:
    return f"def {name}():\n    try:\n        run()\n    except{kind}:\n        pass\n"


IDLE = "\n\ndef idle():\n    run()\n"


HANDLERS = {
    "everything, then Exception": (handler("work", ""), handler("work", " Exception"), False),
    "Exception, then everything": (handler("work", " Exception"), handler("work", ""), True),
    "one more kind": (
        handler("work", " Exception"), handler("work", " (Exception, KeyboardInterrupt)"), True,
    ),
    "in another function": (
        handler("work", "") + IDLE, "def work():\n    run()\n\n\n" + handler("idle", " Exception"), True,
    ),
    "one more handler": (
        handler("work", ""), handler("work", " Exception") + handler("more", " Exception"), True,
    ),
}  # fmt: skip


@pytest.mark.parametrize(("before", "after", "asks"), HANDLERS.values(), ids=HANDLERS)
def test_a_handler_that_catches_less_where_it_is_passes(
    before: str, after: str, asks: bool
) -> None:
    assert ("failure-swallowed" in asked(change("shop/work.py", before, after))) is asks


IGNORED = "  # type" + ": ignore"


def test_a_new_line_that_is_not_typed_is_told_and_an_old_one_asks() -> None:
    new = change("shop/work.py", "x = 1\n", f"x = 1\ny = told(x){IGNORED}\n")
    assert (asked(new), noted(new)) == (set(), {"suppression-added"})
    assert asked(change("shop/work.py", "x = 1\n", f"x = 1{IGNORED}\n")) == {"suppression-added"}
    many = "".join(f"y{n} = told(x){IGNORED}\n" for n in range(3))
    assert asked(change("shop/work.py", "x = 1\n", f"x = 1\n{many}")) == {"suppression-added"}


def test_a_wait_for_something_named_checks_and_one_for_any_condition_does_not() -> None:
    line = "        assert_equal 1 [r get a]\n"
    named = TCL.replace(line, "        wait_for_blocked_client\n", 1)
    free = TCL.replace(line, "        wait_for_condition 1 1 {1} else {}\n", 1)
    assert asked(change("tests/unit/keys.tcl", TCL, named)) == set()
    assert asked(change("tests/unit/keys.tcl", TCL, free)) == {"assertion-removed"}


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


GO_TEST = (
    "func TestA(t *testing.T) {\n\tverify(t, f(1))\n}\n\nfunc verify(t *testing.T, got int) {\n"
)
GO_REST = "\tif got != want {\n\t\tt.Fatal(got)\n\t}\n}\n"
ENUM = "#[test]\nfn works() {\n    assert_eq!(f(), Status::Refused);\n}\n"
JAVA = """class ATest {
  @Test
  public void testA() { assertEquals(1, a()); }

  @Ignore
  @Test
  public void testB() { assertEquals(2, b()); }

  @Test
  public void testC() { assertEquals(3, c()); }

  private static final int WANT = 3;
}
"""
USUAL = (
    "it('a', () => {\n  expect(f(1)).toBe(2)\n})\n\nfunction usual(v) {\n  expect(v).toBe(1)\n}\n"
)
HEREDOC = '@test "a" {\n  cat >x.py <<E\ndef f(): pass\nE\n  want=3\n  [ "$(f x.py)" = $want ]\n}\n'
SUITES = "it('x', () => {\n  expect(1).toBe(y)\n})\ndescribe.skip('b', () => {\n  it('b', () => {\n    expect(b()).toBe(1)\n  })\n})\ndescribe('c', () => {\n  it('c', () => {\n    expect(c()).toBe(1)\n  })\n})\n"
WEAKER = {
    "another name is demanded": ("tests/a.rs", ENUM, ENUM.replace("Refused", "Accepted")),
    "a helper wants another value": (
        "a_test.go", f"{GO_TEST}\twant := 2\n{GO_REST}", f"{GO_TEST}\twant := 3\n{GO_REST}",
    ),
    "a constant between tests": ("src/test/java/ATest.java", JAVA, JAVA.replace("= 3;", "= 4;")),
    "one skip moves to another test": (
        "src/test/java/ATest.java", JAVA,
        JAVA.replace("  @Ignore\n", "").replace("  @Test\n  public void testC", "  @Ignore\n  @Test\n  public void testC"),
    ),
    "one skip moves to another suite": (
        "test/a.test.js", SUITES, SUITES.replace("describe.skip", "describe").replace("describe('c'", "describe.skip('c'"),
    ),
    "a helper is named, not called": (
        "test/a.test.js", USUAL, USUAL.replace("expect(f(1)).toBe(2)", "log('as usual')"),
    ),
    "a value behind text that looks like an end": (
        "test/a.bats", HEREDOC, HEREDOC.replace("want=3", "want=4"),
    ),
    "another file is read": (
        "test/a.test.js",
        "it('a', () => {\n  const want = require('./a.json')\n  expect(f()).toEqual(want)\n})\n",
        "it('a', () => {\n  const want = require('./b.json')\n  expect(f()).toEqual(want)\n})\n",
    ),
    "a name that looks like a word of imports": (
        "a_test.go",
        "func TestA(t *testing.T) {\n\tfrom := 1\n\tassert.Equal(t, 2, f(from))\n}\n",
        "func TestA(t *testing.T) {\n\tfrom := 2\n\tassert.Equal(t, 2, f(from))\n}\n",
    ),
    "a test within another one": (
        "test/a_test.rb",
        "def test_a\n  x = make\n  x.go\n  assert x.ok\nend\n",
        "def test_b\n  x = make\n  x.go\n  y = stub\n  y.go\n  y.more\n  x = y\n  z = 1\n  assert x.ok\nend\n",
    ),
    "another test ends alike": (
        "test/a.test.js",
        "it('a', () => { expect(f(1)).toBe(2)\n})\n",
        "it('a', () => { expect(f(1)).toBe(3)\n})\nit('b', () => { expect(g).toBeX()\n})\n",
    ),
    "the old body stands in a test that is skipped": (
        "test/a.test.js",
        "it('a', () => {\n  const x = f(1)\n  expect(x).toBe(2)\n})\n",
        "it('a', () => {\n  const x = f(1)\n  expect(x).toBe(3)\n})\nit.skip('b', () => {\n  const x = f(1)\n  expect(x).toBe(2)\n})\n",
    ),
    "a helper checks, and the test leaves before": (
        "help_test.go", GO,
        "func TestHelp(t *testing.T) {\n\tt.Skip()\n\thelped(t)\n}\n\nfunc helped(t *testing.T) {\n"
        + GO.partition("\n")[2],
    ),
    "a file explains itself": (
        "src/lib.rs", ENUM.replace("Status::Refused", '"the door is locked"'),
        ENUM.replace("Status::Refused", '"the door is open"'),
    ),
}  # fmt: skip


@pytest.mark.parametrize(("path", "before", "after"), WEAKER.values(), ids=WEAKER)
def test_what_only_seems_honest_asks(path: str, before: str, after: str) -> None:
    assert asked(change(path, before, after))


def test_a_moved_helper_that_wants_another_value_asks() -> None:
    old = f"{GO_TEST}\twant := 2\n{GO_REST}"
    new = old.replace("want := 2", "want := 3")
    moved = (Changed("a_test.go", old.encode(), None), Changed("b_test.go", None, new.encode()))
    assert asked(*moved) == {"expectation-changed"}


DOOR = "def test_door():\n    assert state() == 'the door is {}'\n"


@pytest.mark.parametrize(
    ("was", "now", "before", "after"),
    [
        ("locked", "open", '# was "locked"\nx = 1\n', '# now "open"\nx = 1\n'),
        ("locked", "open", "# 'the door is locked'\nx = 1\n", "# 'the door is open'\nx = 1\n"),
        ("locked", "open", "A = 'the door is locked'\nB = 'the door is open'\n",
         "A =  'the door is locked'\nB =  'the door is open'\n"),
        ("locked", "open", "x('locked')\n", "x('open')\n"),
        ("locked", "not locked", "A = 'the door is locked'\n", "A = 'the door is not locked'\n"),
        ("locked", "unlocked", "A = 'the door is locked'\n", "A = 'the door is unlocked'\n"),
        ("locked", "open, isn\\'t it", "A = 'the door is locked'\n",
         "A = 'the door is open, isn\\'t it'\n"),
        ("locked for 5 s", "locked for 9 s", "A = 'the door is locked for 5 s'\n",
         "A = 'the door is locked for 9 s'\n"),
    ],
)  # fmt: skip
def test_words_that_the_source_does_not_exchange_one_for_one_ask(
    was: str, now: str, before: str, after: str
) -> None:
    test = change("tests/test_door.py", DOOR.format(was), DOOR.format(now))
    assert asked(test, change("door.py", before, after)) == {"expectation-changed"}


def test_another_input_asks_whatever_the_source_rewords() -> None:
    was = "def test_input():\n    assert refused('please drop the table') == 1\n"
    test = change("tests/test_input.py", was, was.replace("drop", "read"))
    code = change("sql.py", "A = 'please drop the table'\n", "A = 'please read the table'\n")
    assert asked(test, code) == {"expectation-changed"}


def test_an_underscore_is_no_placeholder() -> None:
    python = "def test_a(_):\n    assert f() == _\n"
    script = "it('a', () => {\n  expect(f(_)).toBe('a')\n})\n"
    assert asked(change("tests/test_a.py", python, python.replace("== _", "== 'x'"))) == {
        "expectation-changed"
    }
    assert asked(change("test/a.test.js", script, script.replace("(_)", "('x')"))) == {
        "expectation-changed"
    }
