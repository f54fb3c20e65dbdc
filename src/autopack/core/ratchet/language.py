"""How tests look in languages other than Python: by their words, without a parser.

A language is four patterns and a style of comments. What a pattern misses is not judged by it: CI
and the sets of test ids see every runner. Never runs anything.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

STRING: Final = r""""(?:\\.|[^"\\\n])*+"|'(?:\\.|[^'\\\n])*+'|`(?:\\.|[^`\\])*+`"""
"""A literal text of most languages."""


@dataclass(frozen=True)
class Language:
    """Patterns over code without its comments."""

    name: str
    suffixes: frozenset[str]
    tests: re.Pattern[str]
    """Begins a test; group `id` is its name."""
    asserts: re.Pattern[str]
    skips: re.Pattern[str]
    """Leaves a test out, or expects it to fail."""
    paths: re.Pattern[str]
    """Files that hold tests."""
    remark: str = "//"
    """What begins a comment to the end of the line."""
    focus: re.Pattern[str] = re.compile(r"(?!)")
    """Leaves all others out."""
    expects: re.Pattern[str] = re.compile("")
    """Among the lines that demand something, or beside them: those that name a value."""
    tables: bool = True
    """Values that are demanded stand in lines of their own, too; False: these are commands."""


_QUOTED: Final = r"""(?P<id>'(?:\\.|[^'\\\n])*'|"(?:\\.|[^"\\\n])*"|`(?:\\.|[^`\\])*`)"""
_PEST: Final = _QUOTED.replace("id", "pest")
_FOLDERS: Final = r"(?:^|/)(?:__tests__|tests?|specs?|e2e|cypress|integration|unit)/"

LANGUAGES: Final = (
    Language(
        "JavaScript",
        frozenset({".js", ".jsx", ".ts", ".tsx", ".mjs", ".cjs", ".mts", ".cts", ".vue"}),
        re.compile(rf"\b(?:it|test|specify)(?:\.\w+)*\s*\(\s*{_QUOTED}"),
        re.compile(r"\b(?:expect|assert\w*|should|sinon\.assert|t\.(?:is|true|deepEqual|throws|equal"
                   r"|ok|same|truthy|falsy|fail|match))\b(?:\.[\w.]+)?\s*[(.]"
                   r"|\.(?:expect|should)\b"),
        re.compile(r"\b(?:it|test|describe|context|suite|specify)\.(?:skip|todo|failing|fixme)\b"
                   r"|\bx(?:it|test|describe|context|specify)\s*\(|\bthis\.skip\s*\("
                   r"|\btest\.(?:skipIf|runIf)\b|\bpending\s*\("),
        re.compile(rf"\.(?:test|spec|e2e|cy)\.[cm]?[jt]sx?$|{_FOLDERS}"),
        focus=re.compile(r"\b(?:it|test|describe|context|suite|specify)\.only\b"
                         r"|\bf(?:it|describe|context)\s*\("),
    ),
    Language(
        "Go",
        frozenset({".go"}),
        re.compile(r"\bfunc\s+(?:\([^)\n]*\)\s*)?(?P<id>(?:Test|Fuzz|Example)\w*)\s*\("
                   r"|\bt\.Run\(\s*(?P<sub>\"[^\"\n]*\")"),
        re.compile(r"\b[tb]\.(?:Error|Errorf|Fatal|Fatalf|Fail|FailNow)\s*\("
                   r"|\b(?:assert|require|is|qt|check\w*|expect\w*|[Aa]ssert\w+)\.?\w*\s*\("),
        re.compile(r"\b[tb]\.(?:Skip|Skipf|SkipNow)\s*\(|^//go:build\s+ignore", re.MULTILINE),
        re.compile(r"_test\.go$"),
        expects=re.compile(r"\bif\b.*(?:[!=<>]=|[<>])|\b(?:assert|require|is|qt|check\w*)\.?\w*\("),
    ),
    Language(
        "Rust",
        frozenset({".rs"}),
        re.compile(r"#\[(?:\w+::)*(?:test|rstest|test_case|proptest)\b[^\]\n]*\][\s\S]{0,300}?"
                   r"\bfn\s+(?P<id>\w+)|\b\w*test\w*!\s*\(\s*(?P<sub>\w+)"),
        re.compile(r"\b(?:debug_)?(?:assert\w*|prop_assert\w*|panic|eqnice\w*|unreachable)!"
                   r"|\.unwrap_err\(|\.expect_err\(|\bassert\w*\("
                   r"|\.(?:success|failure|stdout|stderr|code)\("),
        re.compile(r"#\[(?:ignore|should_panic|cfg\((?:any\(\)|not\(test\)|FALSE))\b"
                   r"|#!\[cfg\(any\(\)\)\]"),
        re.compile(r"\.rs$"),
    ),
    Language(
        "Java",
        frozenset({".java", ".kt", ".kts", ".groovy", ".scala"}),
        re.compile(r"@(?:Test|ParameterizedTest|RepeatedTest|Property|TestFactory)\b"
                   r"(?:\([^)]{0,200}\))?[\s\S]{0,300}?\b(?:void|fun)\s+(?P<id>\w+|`[^`\n]+`)"
                   r"|\bpublic\s+void\s+(?P<sub>test\w+)\s*\("),
        re.compile(r"\b(?:assert\w*|verify|fail|expect\w*|assumeThat|should\w*)\s*\(|\.should\w*\("
                   r"|\bexpected\s*="),
        re.compile(r"@(?:Disabled|Ignore|DisabledIf\w*|DisabledOn\w*|EnabledIf\w*|EnabledOn\w*)\b"
                   r"|\bassum(?:e|ing)\w*\s*\(|\benabled\s*=\s*false"),
        re.compile(r"(?:^|/)(?:test|tests|androidTest|it)/|Tests?\.(?:java|kt|groovy|scala)$"
                   r"|Spec\.(?:kt|groovy|scala)$"),
    ),
    Language(
        "C#",
        frozenset({".cs", ".fs", ".vb"}),
        re.compile(r"\[(?:Fact|Theory|Test|TestCase|TestMethod|DataTestMethod|Property)\b"
                   r"[\s\S]{0,400}?\b(?:void|Task\w*(?:<\w+>)?)\s+(?P<id>\w+)\s*\("),
        re.compile(r"\bAssert\.\w+|\.Should\w*|\.Received\w*\(|\.Verify\w*\("),
        re.compile(r"\bSkip\s*=|\[(?:Ignore|Explicit)\b|\bAssert\.(?:Inconclusive|Ignore|Skip)\b"
                   r"|\bSkip\.(?:If|IfNot)\b"),
        re.compile(r"(?:^|/)[^/]*(?:[Tt]ests?|[Ss]pecs?)(?:\.[^/]*)?/|Tests?\.(?:cs|fs|vb)$"),
    ),
    Language(
        "Ruby",
        frozenset({".rb"}),
        re.compile(rf"^\s*(?:def\s+(?P<sub>test_\w+[?!]?)|(?:it|specify|should|test|example"
                   rf"|scenario)\s*\(?\s*{_QUOTED})", re.MULTILINE),
        re.compile(r"\b(?:assert\w*|refute\w*|flunk|expect|is_expected|must_\w+|wont_\w+)\b"
                   r"|\.should(?:_not)?\b"),
        re.compile(r"^\s*(?:skip|pending)\b|\bx(?:it|describe|context|specify|scenario)\b"
                   r"|\b(?:skip|pending):\s*(?:true|['\"])|,\s*:(?:skip|pending)\b|\bomit\b",
                   re.MULTILINE),
        re.compile(r"(?:^|/)(?:test|spec|features)/|_(?:test|spec)\.rb$"),
        remark="#",
        focus=re.compile(r"^\s*f(?:it|describe|context)\b|\bfocus:\s*true|,\s*:focus\b",
                         re.MULTILINE),
    ),
    Language(
        "PHP",
        frozenset({".php", ".phpt"}),
        re.compile(r"\bfunction\s+(?P<id>test\w+)\s*\(|(?:@test\b|#\[Test\])[\s\S]{0,300}?"
                   rf"\bfunction\s+(?P<sub>\w+)|^\s*(?:it|test)\(\s*{_PEST}",
                   re.MULTILINE),
        re.compile(r"\b(?:assert\w*|expect\w*|fail|should\w*)\s*\("),
        re.compile(r"\bmark(?:TestSkipped|TestIncomplete|AsRisky)\s*\(|->(?:skip|todo)\s*\("
                   r"|#\[(?:Requires\w*|DoesNotPerformAssertions)"),
        re.compile(r"(?:^|/)[Tt]ests?/|Test\.php$|\.phpt$"),
    ),
    Language(
        "C",
        frozenset({".c", ".h", ".cc", ".cpp", ".cxx", ".hpp", ".hh", ".m", ".mm"}),
        re.compile(r"^\s*(?:TYPED_)?(?:TEST|TEST_F|TEST_P|TEST_CASE|SCENARIO|BOOST_AUTO_TEST_CASE"
                   r"|START_TEST)\s*\(\s*(?P<id>[^)\n]*)"
                   r"|^\s*(?:static\s+)?(?:void|int|bool)\s+(?P<sub>test\w*|\w+_test)\s*\([^;{]*\{",
                   re.MULTILINE),
        re.compile(r"\b(?:ASSERT\w*|EXPECT\w*|CHECK\w*|REQUIRE\w*|BOOST_\w+|assert\w*|ck_assert\w*"
                   r"|test_cond|abort|CU_ASSERT\w*|TEST_ASSERT\w*)\s*\("),
        re.compile(r"\bGTEST_SKIP\b|\bDISABLED_\w+|^\s*#\s*if\s+0\b|\bTEST_IGNORE\w*\b",
                   re.MULTILINE),
        re.compile(r"(?:^|/)(?:tests?|testing|unittests?)/|(?:^|/)test_[^/]*$|_(?:unit)?test\.\w+$"),
    ),
    Language(
        "Tcl",
        frozenset({".tcl"}),
        re.compile(r"^\s*test\s+(?P<id>\{[^{}\n]*\}|\"[^\"\n]*\")", re.MULTILINE),
        re.compile(r"\bassert\w*\b|\bfail\b|\bwait_for_(?!condition\b)\w+|\bverify_\w+"),
        re.compile(r"^\s*return\s+\{?skip|(?<!\w:)\bskip\b", re.MULTILINE),
        re.compile(r"(?:^|/)tests?/"),
        remark="#",
        expects=re.compile(r"\bassert\w*\b|^if\b|^\S*\}\s+\{\S"),
        tables=False,
    ),
    Language(
        "shell",
        frozenset({".sh", ".bats", ".zsh", ".t"}),
        re.compile(rf"^\s*@test\s+{_QUOTED}|^\s*(?:function\s+)?(?P<sub>test\w*)\s*\(\)",
                   re.MULTILINE),
        re.compile(r"\[\[?\s|\bassert\w*|\brefute\w*|\bfail\b|\bdiff\b|\bcmp\b|\btest\s+-|\bexit\s+1"),
        re.compile(r"^\s*skip\b", re.MULTILINE),
        re.compile(r"\.bats$|(?:^|/)tests?/"),
        remark="#",
    ),
    Language(
        "Swift",
        frozenset({".swift", ".dart", ".ex", ".exs"}),
        re.compile(rf"\bfunc\s+(?P<sub>test\w*)\s*\(|^\s*test\(?\s+?{_QUOTED}", re.MULTILINE),
        re.compile(r"\bXCTAssert\w*|#expect\b|#require\b|\bexpect\s*\(|\b(?:assert|refute)\w*\b"),
        re.compile(r"\bXCTSkip\w*|@tag\s+:?skip|\bskip:\s*(?:true|['\"])|\.disabled\("),
        re.compile(r"(?:^|/)[^/]*[Tt]ests?/|_test\.(?:exs|dart)$|Tests\.swift$"),
    ),
)  # fmt: skip

LEAVING: Final = re.compile(
    r"\bprocess\.exit\s*\(\s*(?:0\s*)?\)|\bos\.Exit\s*\(\s*0\s*\)|\bprocess::exit\s*\(\s*0\s*\)"
    r"|\bSystem\.exit\s*\(\s*0\s*\)|\bEnvironment\.Exit\s*\(\s*0\s*\)|^\s*exit!?\s*\(?\s*0?\s*\)?;?\s*$"
    r"|\b_?[eE]xit\s*\(\s*0\s*\)|\bprocess\.exitCode\s*=\s*0|\bat_exit\b",
    re.MULTILINE,
)
"""The process ends as if all were well, before a failure is told."""
VACUOUS: Final = re.compile(
    r"\bexpect\(\s*(?P<a>true|false|null|[\d.]+|\"[^\"\n]*\"|'[^'\n]*'|`[^`$\n]*`)\s*\)\."
    r"|\bassert(?:True|_true)?!?\s*\(\s*(?:true|1|1\s*==\s*1|!false|TRUE)\s*[,)]"
    r"|\bassert(?:False)?!?\s*\(\s*false\s*[,)]|^\s*assert\s+true\b"
    r"|\b(?:assert_eq!|assertEquals?|assertSame|Assert\.(?:Equal|AreEqual|Same)|assert_equal)\s*"
    r"\(?\s*(?P<b>[\w.'\"]+)\s*,\s*(?P=b)\s*\)?\s*;?\s*$"
    r"|\bAssert\.(?:True|IsTrue)\(\s*true\s*\)|\b(?:EXPECT|ASSERT)_TRUE\(\s*(?:true|1)\s*\)"
    r"|\b(?:assert|require)\.True\(\s*t\s*,\s*true\b"
    r"|\bif\s+(?P<c>[\w.]+\([^()\n]*\)|[a-zA-Z_][\w.]*)\s*[!=]==?\s*(?P=c)\s*\{"
    r"|\bassert_eq!\s*\([\d\s.+*/-]+,[\d\s.+*/-]+[,)]",
    re.MULTILINE,
)
"""It cannot fail: a constant, a thing compared with itself."""
WEAK: Final = re.compile(
    r"toBeDefined|toBeTruthy|not\.toBe(?:Null|Undefined)|toBeInstanceOf|\.to\.exist|\.to\.be\.ok\b"
    r"|[nN]ot_?[nN](?:il|ull)\b|\bis_(?:some|ok)\(\)|assert_(?:not_nil|instance_of|kind_of)"
    r"|IsInstanceOf|IsType\b|assertNotEmpty|NotEmpty\b|toBeGreaterThan(?:OrEqual)?\(\s*0\s*\)"
    r"|\bassert\.(?:ok|NotNil|NoError)\b|not_to be_nil|to be_truthy|ShouldNotBeNull"
)
"""Something is there, whatever it is."""
LEAVES: Final = re.compile(r"^\s*(?:if\b.*[\s){]|\}?\s*else\s*\{?\s*)?return\s*;?\s*\}?\s*;?\s*$")
"""A line that leaves a test before its end, without a value."""
SWALLOWS: Final = re.compile(
    r"\bcatch\s*(?:\([^)\n]*\))?\s*\{\s*\}|\.catch\(\s*\(\w*\)\s*=>\s*\{\s*\}"
)
"""A failure ends here, and nothing is done about it."""


def language_at(path: str) -> Language | None:
    """The language of the tests that a file holds by its path; None where it holds none."""
    suffix = "." + path.rpartition("/")[2].rpartition(".")[2].lower()
    found = next((each for each in LANGUAGES if suffix in each.suffixes), None)
    return found if found is not None and found.paths.search(path) else None
