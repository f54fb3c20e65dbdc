"""Plans as Markdown: text to draft, by CommonMark's own idea of headings, lists and fences.

A heading inside a code fence is no heading; a task is kept as it stands, character by character.
Never reads a file and never judges a plan beyond its form.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import zip_longest

from markdown_it import MarkdownIt
from markdown_it.token import Token

from autopack.core.plan_draft import (
    ATTRIBUTE_KEYS,
    LIST_KEYS,
    PhaseDraft,
    Place,
    PlanDraft,
    PlanProblem,
    TierDraft,
    quoted,
    suggestion,
    trimmed,
)

TIER_LEVEL, PHASE_LEVEL = 2, 3
_HEADING = re.compile(r"(tier|phase)\s+([^\s:]+)\s*(?::\s*(.*))?", re.IGNORECASE)
_MEANT_HEADING = re.compile(r"(\w+)\s+\S+\s*:|(tier|phase)\s+\S", re.IGNORECASE)
_GLUED_HEADING = re.compile(r" {0,3}#+(tier|phase)\b", re.IGNORECASE)
_FENCED_HEADING = re.compile(r"^ {0,3}#{2,3}[ \t]+(tier|phase)[ \t]", re.IGNORECASE | re.MULTILINE)
_ATTRIBUTE = re.compile(r"([A-Za-z_-]+)\s*:\s*(.*)", re.DOTALL)
_BLOCK = re.compile(r"\s*(?:[-*+>]\s|\d+[.)]\s|```|~~~)")
_MARKER = re.compile(r"\s*[-*+](?:\s+|$)")
_PART = re.compile(r"\s*(`+)(?!`).*?(?<!`)\1(?!`)\s*(?=,|$)|[^,]+")
"""An item of a list: between backticks, where a comma is a letter like any other, or up to one."""
_SPAN = re.compile(r"(`+)(?!`)(.*?)(?<!`)\1(?!`)", re.DOTALL)


@dataclass(frozen=True)
class _Heading:
    """An ATX heading outside of any list, quotation or fence; lines count from 0."""

    level: int
    text: str
    first: int
    end: int
    token: int
    """Index of the token after it."""


@dataclass(frozen=True)
class _Item:
    """An item of the list under a phase's heading; `number` is its line, from 1."""

    text: str
    number: int
    apart: bool
    """A blank line stands before it."""
    rest: int
    """The line, from 0, of what stands indented after a blank line in it; 0 for nothing."""
    plain: bool
    """Up to there it is one paragraph: no list, quotation or fence."""
    lazy: int
    """The line, from 0, of text that joins it although it is not indented; 0 for none."""


def parse_markdown(text: str, file: str) -> PlanDraft:
    """The draft in a Markdown text; what is wrong with its form is in its problems."""
    text = re.sub(r"\r\n?", "\n", text)
    parser = MarkdownIt("commonmark").disable(["inline", "text_join"])
    return _Reader(file, text.split("\n"), parser.parse(text)).plan()


@dataclass
class _Attributes:
    """What the list under a heading said."""

    texts: dict[str, str] = field(default_factory=dict)
    lines: dict[str, int] = field(default_factory=dict)
    end: int = 0
    """The line, from 0, where the task begins."""

    def items(self, key: str) -> tuple[str, ...]:
        parts = (_bare(part) for part in _parts(self.texts.get(key, "")))
        return tuple(part for part in parts if part)


class _Reader:
    def __init__(self, file: str, lines: list[str], tokens: Sequence[Token]) -> None:
        self.file = file
        self.lines = lines
        self.tokens = tokens
        self.problems: list[PlanProblem] = []
        self.tiers: list[TierDraft] = []

    def plan(self) -> PlanDraft:
        self._check_closed()
        self._check_glued()
        headings = self._headings()
        for number, heading in enumerate(headings, 1):
            last = number == len(headings)
            self._heading(heading, len(self.lines) if last else headings[number].first)
        if not self.problems and not any(tier.phases for tier in self.tiers):
            self._check_fenced()
        title = next((h.text for h in headings[:1] if h.level == 1), "")
        return PlanDraft(self.file, tuple(self.tiers), tuple(self.problems), title=title)

    def _report(self, line: int, message: str, hint: str = "", key: str = "") -> None:
        self.problems.append(PlanProblem(self.file, message, line, key, hint))

    def _check_glued(self) -> None:
        """`##Tier` is a paragraph to Markdown, and would vanish in what stands before it."""
        for token in self.tokens:
            if token.type == "paragraph_open" and token.map:
                for number in range(*token.map):
                    if _GLUED_HEADING.match(self.lines[number]):
                        said = quoted(self.lines[number].strip())
                        hint = "leave a blank after the #"
                        self._report(number + 1, f"{said} is no heading", hint)

    def _check_closed(self) -> None:
        """A fence or comment that is left open would swallow every phase after it."""
        for token in self.tokens:
            if token.level or not token.map:
                continue
            first, end = token.map
            last = self.lines[end - 1].strip() if end - 1 > first else ""
            if token.type == "fence" and not _closes(last, token.markup):
                self._report(first + 1, f"the code fence {token.markup} is never closed")
            if token.type == "html_block" and _open_comment(token.content):
                self._report(first + 1, "the comment <!-- is never closed")

    def _check_fenced(self) -> None:
        """A plan that was put into a code fence as a whole has no headings outside of it."""
        for token in self.tokens:
            if token.type == "fence" and token.map and _FENCED_HEADING.search(token.content):
                hint = "its headings stand inside a code fence: leave the fence out"
                self._report(token.map[0] + 1, "the plan has no phases", hint)
                return

    def _headings(self) -> list[_Heading]:
        found: list[_Heading] = []
        for index, token in enumerate(self.tokens):
            atx = token.type == "heading_open" and token.markup.startswith("#")
            level = int(token.tag[1:]) if atx else 0
            if atx and not token.level and level <= PHASE_LEVEL and token.map:
                content = self.tokens[index + 1].content
                first, end = token.map
                found.append(_Heading(level, content, first, end, index + 3))
        return found

    def _heading(self, heading: _Heading, end: int) -> None:
        match, line = _HEADING.fullmatch(heading.text), heading.first + 1
        if match and heading.level == TIER_LEVEL and match[1].lower() == "tier":
            place = Place(lines={"": line})
            self.tiers.append(TierDraft(match[2], match[3] or "", place=place))
        elif match and heading.level == PHASE_LEVEL and match[1].lower() == "phase":
            if not self.tiers:
                self._report(line, f"phase {match[2]} stands in no tier", "write `## Tier T1: …`")
                return
            phase = self._phase(match[2], match[3] or "", heading, end)
            tier = self.tiers[-1]
            self.tiers[-1] = replace(tier, phases=(*tier.phases, phase))
        elif self.tiers or _meant(heading.text):
            hint = "write `## Tier T1: name` or `### Phase F1.1: name`; a task's own headings "
            message = f"heading {quoted(heading.text)} is neither a tier nor a phase"
            self._report(line, message, hint + "have four # or more")

    def _phase(self, phase_id: str, name: str, heading: _Heading, end: int) -> PhaseDraft:
        attributes = self._attributes(heading)
        texts, lines = attributes.texts, attributes.lines
        return PhaseDraft(
            id=phase_id,
            name=name,
            category=_bare(texts.get("category", "")),
            complexity=_bare(texts.get("complexity", "")),
            mode=_bare(texts.get("mode", "")),
            scope=attributes.items("scope"),
            needs=attributes.items("needs"),
            packs=attributes.items("packs"),
            deliver=attributes.items("deliver"),
            task=trimmed("\n".join(self.lines[attributes.end : end])),
            place=Place(lines={"": heading.first + 1, **lines}),
        )

    def _attributes(self, heading: _Heading) -> _Attributes:
        """The list directly under a heading, up to the item where the task begins."""
        said = _Attributes(end=heading.end)
        items, end = self._items(heading.token)
        said.end = max(end, heading.end)
        for item, after in zip_longest(items, items[1:]):
            match = _ATTRIBUTE.fullmatch(item.text)
            key = match[1].lower() if match else ""
            known = key in ATTRIBUTE_KEYS
            if item.apart and not known and not suggestion(key, ATTRIBUTE_KEYS):
                said.end = item.number - 1
                return said
            last = after is None or after.apart
            if match:
                self._attribute(said, key, match[2], item, last=last)
            else:
                hint = "a task's own list stands after a line of text"
                self._report(item.number, f"{quoted(item.text)} is no `key: value`", hint)
            if item.lazy and not _GLUED_HEADING.match(self.lines[item.lazy]):
                message = f"{quoted(self.lines[item.lazy].strip())} joins the attribute above it"
                hint = "leave an empty line between the list and the task"
                self._report(item.lazy + 1, message, hint)
            if (item.lazy or item.rest) and last:
                said.end = item.lazy or item.rest
                return said
        return said

    def _attribute(
        self, said: _Attributes, key: str, value: str, item: _Item, *, last: bool
    ) -> None:
        if key not in ATTRIBUTE_KEYS:
            hint = suggestion(key, ATTRIBUTE_KEYS) or f"known are {', '.join(ATTRIBUTE_KEYS)}"
            self._report(item.number, f"unknown attribute {quoted(key)}", hint)
        elif key in said.texts:
            self._report(item.number, "stands twice under one heading", key=key)
        elif not item.plain or (item.rest and not last):
            hint = "write lists with commas, as in `a, b`"
            self._report(item.number, "must be one line of text", hint, key)
        else:
            said.texts[key], said.lines[key] = value, item.number
            if not value and key not in LIST_KEYS:
                self._report(item.number, "has no value", key=key)

    def _items(self, index: int) -> tuple[list[_Item], int]:
        """Items of the top-level bullet list that begins at a token, and its end line."""
        if index >= len(self.tokens) or self.tokens[index].type != "bullet_list_open":
            return [], 0
        inside = self.tokens[index + 1 : self._close(index)]
        maps = [t.map for t in inside if t.type == "list_item_open" and t.level == 1 and t.map]
        return [self._item(first, end) for first, end in maps], (self.tokens[index].map or [0, 0])[
            1
        ]

    def _item(self, first: int, end: int) -> _Item:
        blank = next((n for n in range(first + 1, end) if not self.lines[n].strip()), end)
        rest = next((n for n in range(blank, end) if self.lines[n].strip()), 0)
        lazy = next((n for n in range(first + 1, blank) if _joins(self.lines[n])), 0)
        wraps = self.lines[first + 1 : lazy or blank]
        parts = [_MARKER.sub("", self.lines[first], count=1), *wraps]
        return _Item(
            text=" ".join(part.strip() for part in parts).strip(),
            number=first + 1,
            apart=first > 0 and not self.lines[first - 1].strip(),
            rest=rest,
            plain=not any(_BLOCK.match(part) for part in parts[1:]),
            lazy=lazy,
        )

    def _close(self, index: int) -> int:
        return next(
            number
            for number in range(index, len(self.tokens))
            if self.tokens[number].type == "bullet_list_close" and not self.tokens[number].level
        )


def _joins(line: str) -> bool:
    """Whether a line within an item is there only because no blank line ends the item."""
    return not line[:1].isspace() and not _BLOCK.match(line)


def _bare(value: str) -> str:
    """A value without the backticks that keep Markdown from reading `**` as emphasis."""
    value = value.strip()
    span = _SPAN.fullmatch(value)
    if span is None:
        return value
    inside = span[2]
    padded = inside[0] == inside[-1] == " " and inside.strip()
    return inside[1:-1] if padded else inside


def _parts(value: str) -> list[str]:
    return [found[0] for found in _PART.finditer(value)]


def _meant(text: str) -> bool:
    """Whether a heading before the first tier looks like a tier or phase that went wrong."""
    match = _MEANT_HEADING.match(text)
    return bool(match and (match[2] or suggestion(match[1], ("tier", "phase"))))


def _closes(line: str, fence: str) -> bool:
    return len(line) >= len(fence) and set(line) == set(fence)


def _open_comment(html: str) -> bool:
    start = html.strip()
    return start.startswith("<!--") and "-->" not in start
