"""What the ratchet lets pass, what bounds it, and that nothing hostile stops it.

Each kind of cheat has its file in tests/hostile/cheats; here is honest work that looks alike.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autopack.core import gate
from autopack.core.ratchet import findings
from autopack.core.ratchet.changed import FILE_BYTES_MAX, MESSAGE_CHARACTERS_MAX, Changed
from autopack.core.run import Severity
from tests.hostile.cheating import base_files

BASE = {path: str(text) for path, text in base_files().items()}
TESTS, SOURCE, PROJECT = "tests/test_prices.py", "shop/prices.py", "pyproject.toml"
IGNORE = "# type" + ": ignore"
UNCOVERED = "# pragma" + ": no cover"


def edited(path: str, old: str, new: str) -> Changed:
    assert old in BASE[path]
    return Changed(path, BASE[path].encode(), BASE[path].replace(old, new).encode())


def asked(*changes: Changed) -> set[str]:
    told = (*findings.of_tests(changes), *findings.of_configuration(changes))
    assert {each.severity for each in told} <= {Severity.ASK, Severity.NOTE}
    return {each.rule for each in told if each.severity is Severity.ASK}


TEST = "def test_total_of_items():\n    assert total(ITEMS) == 700\n"
HONEST = {
    "a test is added": edited(TESTS, TEST, TEST + "\n\ndef test_more():\n    assert total([]) == 0\n"),
    "a test gets a better name": edited(TESTS, "test_total_of_items", "test_total_sums_items"),
    "a test checks more": edited(TESTS, TEST, TEST + "    assert total(ITEMS, 100) == 0\n"),
    "an assertion gets a message": edited(TESTS, "(ITEMS) == 700", "(ITEMS) == 700, ITEMS"),
    "a helper is split off": edited(
        TESTS,
        TEST,
        "def sums(items, cents):\n    assert total(items) == cents\n\n\n"
        "def test_total_of_items():\n    sums(ITEMS, 700)\n",
    ),
    "a set of values is added": edited(TESTS, '("3", 300),', '("3", 300), ("4", 400),'),
    "an exception is more exact": edited(TESTS, "assertRaises(PriceError)", 'assertRaisesRegex(PriceError, "tea")'),
    "a new test is skipped somewhere": edited(
        TESTS,
        TEST,
        TEST + '\n\n@pytest.mark.skipif(WINDOWS, reason="posix")\ndef test_more():\n    assert total([]) == 0\n',
    ),
    "a comment is reworded": edited(SOURCE, "Prices in cents.", "Prices, in cents."),
    "a function is added": edited(SOURCE, "def parse", "def double(cents):\n    return 2 * cents\n\n\ndef parse"),
    "a program leaves": edited(
        SOURCE, "class Basket:", 'def main():\n    sys.exit(1)\n\n\nif __name__ == "__main__":\n    sys.exit(main())\n\n\nclass Basket:'
    ),
    "a program ends when told to": edited(SOURCE, "    except ValueError:", "    except SystemExit:\n        raise\n    except ValueError:"),
    "a callback fills what is checked": edited(
        TESTS, TEST, "def test_total_of_items():\n    seen = []\n    total(ITEMS, seen.append)\n    assert seen == [1]\n    assert total(ITEMS) == 700\n"
    ),
    "a nested function fills what is checked": edited(
        TESTS,
        TEST,
        "def test_total_of_items():\n    asked = False\n\n    def ask():\n        nonlocal asked\n        asked = True\n\n"
        "    total(ITEMS, ask)\n    assert asked\n    assert total(ITEMS) == 700\n",
    ),
    "a loop fills what is checked": edited(
        TESTS,
        TEST,
        "def test_total_of_items():\n    got = {}\n    for item in ITEMS:\n        got[0] = total(item)\n    assert got[0] == 700\n",
    ),
    "a test of Go ends where it failed": edited(
        "go/price_test.go", '\t\tt.Fatalf("got %d", got)\n', '\t\tt.Errorf("got %d", got)\n\t\treturn\n'
    ),
    "a value gets a name": edited(
        TESTS, TEST, "def test_total_of_items():\n    got = total(ITEMS)\n    want = 700\n    assert got == want\n"
    ),
    "a loop makes the checks": edited(
        TESTS, TEST, "def test_total_of_items():\n    for items, want in ((ITEMS, 700), ([], 0)):\n        assert total(items) == want\n"
    ),
    "an import may fail": edited(
        TESTS, "import pytest\n", "import pytest\n\ntry:\n    import attr\nexcept ImportError:\n    attr = None\n"
    ),
    "a test is conditional in part": edited(
        TESTS, TEST, TEST + "    if WINDOWS:\n        assert total([]) == 0\n"
    ),
    "a module is renamed": edited(TESTS, "from shop.prices import", "from shop.costs import"),
    "an abstract class is added": edited(
        SOURCE,
        "class Basket:",
        "class Till(abc.ABC):\n    @abc.abstractmethod\n    def pay(self): ...\n\n\nclass Basket:",
    ),
    "an error is raised again": edited(
        SOURCE, "except ValueError:", "except Exception:\n        log()\n        raise\n    except ValueError:"
    ),
    "one line is not covered": edited(SOURCE, "self.items = []", f"self.items = []  {UNCOVERED}"),
    "one rule is silenced by name": edited(SOURCE, "self.items = []", f"self.items = []  {IGNORE}[misc]"),
    "a version is raised": edited(PROJECT, "1.2.0", "1.3.0"),
    "a dependency is raised": edited(PROJECT, "attrs>=23.1", "attrs>=24.2"),
    "a marker is added": edited(PROJECT, '"slow: takes long"', '"slow: takes long", "e2e: whole"'),
    "coverage has to be better": edited(PROJECT, "fail_under = 90", "fail_under = 95"),
    "more is linted": edited(PROJECT, '"B"]', '"B", "SIM"]'),
    "less is ignored": edited(PROJECT, '["E203"]', "[]"),
    "a warning more is an error": edited(PROJECT, '["error"]', '["error", "error::UserWarning"]'),
    "options that only tell more": edited(PROJECT, "-ra --strict-markers", "-ra -v --strict-markers"),
    "a release step is another": edited("Makefile", "python3 -m build", "python3 -m build --wheel"),
    "a version of npm's is raised": edited("web/package.json", "^4.18.0", "^4.19.0"),
    "another script starts the server": edited("web/package.json", "node src/server.js", "node ."),
    "the compiler aims higher": edited("web/tsconfig.json", "es2022", "es2023"),
    "a crate is raised": edited("rust/Cargo.toml", "1.0.190", "1.0.203"),
    "a test of JavaScript is renamed": edited("web/test/price.test.ts", "shows whole prices", "shows euros"),
    "a test of JavaScript is added": edited(
        "web/test/price.test.ts",
        '  it("shows cents"',
        '  it("shows nothing", () => {\n    expect(format(0)).toBe("0.00");\n  });\n\n  it("shows cents"',
    ),
    "a message of Go is reworded": edited("go/price_test.go", '"got %d"', '"it was %d"'),
    "a comment in Rust": edited("rust/src/lib.rs", "    #[test]\n    fn sums", "    // of two\n    #[test]\n    fn sums"),
}  # fmt: skip


@pytest.mark.parametrize("change", HONEST.values(), ids=HONEST)
def test_honest_work_passes(change: Changed) -> None:
    assert not asked(change)


def test_a_test_that_moves_to_another_file_is_not_gone() -> None:
    moved = edited(TESTS, TEST, "")
    assert not asked(moved, Changed("tests/test_total.py", None, TEST.encode()))
    assert asked(moved) == {"test-deleted"}


def test_what_is_uncovered_as_a_whole_asks_and_so_do_many_lines() -> None:
    whole = f"def more():  {UNCOVERED}\n    return shop.less()\n"
    assert asked(Changed("shop/more.py", b"", whole.encode())) == {"suppression-added"}
    lines = f"import shop  {UNCOVERED}\n" * 3
    assert asked(Changed("shop/more.py", b"", lines.encode())) == {"suppression-added"}


def test_many_silenced_rules_ask_though_each_is_named() -> None:
    lines = "".join(f"x{n} = 1  {IGNORE}[misc]\n" for n in range(3))
    assert asked(Changed("shop/more.py", b"", lines.encode())) == {"suppression-added"}
    told = findings.of_tests([Changed("shop/more.py", b"", lines.splitlines()[0].encode())])
    assert [(each.rule, each.severity) for each in told] == [("suppression-added", Severity.NOTE)]


def test_a_line_that_moves_silences_nothing_new() -> None:
    line = f"x = 1  {IGNORE}\n".encode()
    assert not asked(Changed("shop/a.py", line, b""), Changed("shop/b.py", None, line))


def test_what_was_not_read_asks() -> None:
    assert asked(Changed(TESTS, None, None, unread=True)) == {"ratchet-unread"}
    unread = Changed(PROJECT, None, None, unread=True)
    assert [each.rule for each in findings.of_configuration([unread])] == ["ratchet-unread"]
    assert not findings.of_tests([unread])  # once: each of the two checks may be left out
    large = b"x = 1\n" * (FILE_BYTES_MAX // 6 + 1)
    assert asked(Changed(TESTS, b"x = 1\n", large)) == {"test-unreadable"}


def test_tests_are_read_first_and_data_never() -> None:
    paths = ["a.png", "src/x.py", "package-lock.json", "pyproject.toml", "web/a.test.ts", TESTS]
    assert findings.first(paths) == ["web/a.test.ts", TESTS, "pyproject.toml", "src/x.py"]


def test_findings_are_few_and_short() -> None:
    many = "".join(f"def test_{n}_{'x' * 400}():\n    assert f({n}) == {n}\n" for n in range(60))
    told = findings.of_tests([Changed(TESTS, many.encode(), b"")])
    assert len(told) == gate.FINDINGS_MAX + 1
    assert told[-1].message == "and 40 more of this rule"
    assert max(len(each.message) for each in told) <= MESSAGE_CHARACTERS_MAX


def test_every_rule_is_told_in_the_reference() -> None:
    page = (Path(__file__).parents[2] / "docs/reference/ratchet.md").read_text(encoding="utf-8")
    rooms = (Path(findings.__file__).parent).glob("*.py")
    source = "\n".join(each.read_text(encoding="utf-8") for each in rooms)
    rules = set(
        re.findall(
            r'"((?:test|assertion|expectation|source|failure|suppression|runner|ratchet|process)-[a-z-]+)"',
            source,
        )
    )
    assert len(rules) > 20
    assert {rule for rule in rules if f"`{rule}`" not in page} == set()


DEEP = {
    "additions": b"x = 1" + b"+1" * 20_000,
    "attributes": b"x" + b".a" * 20_000,
    "brackets": b"(" * 20_000,
    "a NUL": b"def test_x():\n    assert \0\n",
    "no UTF-8": b"\xff\xfe" * 100,
    "an encoding that is none": b"# -*- coding: nonsense -*-\nx = 1\n",
    "open comments": b"/*" * 20_000,
    "open strings": b'it("' * 10_000,
    "deep tables": b"[" * 9_000,
    "deep JSON": b'{"a":' * 6_000,
    "wide JSON": b"{" + b",".join(b'"k%d":1' % n for n in range(2_000)) + b"}",
    "sections": b"[a]\n" * 2_000,
}
PATHS = [TESTS, SOURCE, PROJECT, "setup.cfg", "web/tsconfig.json", "web/a.test.ts", "go/a_test.go",
         "src/lib.rs", "Makefile", "a.rb", "test/a.sh", "T.java"]  # fmt: skip


@pytest.mark.parametrize("content", DEEP.values(), ids=DEEP)
def test_nothing_hostile_stops_it(content: bytes) -> None:
    for path in PATHS:
        base = BASE.get(path, "x\n").encode()
        asked(Changed(path, base, content))
        asked(Changed(path, content, base))


@settings(max_examples=150)
@given(st.sampled_from(sorted(BASE)), st.data())
def test_it_answers_whatever_is_cut_out_or_doubled(path: str, data: st.DataObject) -> None:
    text = BASE[path].encode()
    start = data.draw(st.integers(0, len(text)))
    end = data.draw(st.integers(start, len(text)))
    more = data.draw(st.sampled_from([b"", text[start:end] * 2, b"\0", b"'''", b"{", b"\r"]))
    change = Changed(path, text, text[:start] + more + text[end:])
    once, again = findings.of_tests([change]), findings.of_tests([change])
    assert once == again
    assert all(each.path for each in once)
    assert findings.of_tests([Changed(path, text, text)]) == ()
    assert findings.of_configuration([Changed(path, text, text)]) == ()
