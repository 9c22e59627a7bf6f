"""Cells as a page shows them: shortened in the table of rows, whole in the view of one row, search hits marked.

A whole cell is a list of blocks: words, code, maths, a chat, JSON. The content decides, and the column's type.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from datasets_app.tables import text as as_text

SHORT = 160
# How much of the cell stands before a hit that is not at its beginning.
LEAD = 40
# A browser has to lay it out. Downloads have the rest.
WHOLE = 200_000

FENCED = re.compile(r"^[ \t]*```([\w+#.-]*)[^\n]*\n(.*?)^[ \t]*```[ \t]*$", re.DOTALL | re.MULTILINE)
MATHS = re.compile(
    r"\$\$(?P<display>.{1,3000}?)\$\$"
    r"|\\\[(?P<bracket>.{1,3000}?)\\\]"
    r"|\\\((?P<inline>.{1,1000}?)\\\)"
    # As pandoc: no space inside the dollars, no digit behind them, so that prices are none.
    r"|(?<![\\$\w])\$(?P<dollar>(?=\S)[^$\n]{1,500}(?<=\S))\$(?![\w$])"
    r"|(?P<boxed>\\boxed\{(?:[^{}\n]|\{(?:[^{}\n]|\{[^{}\n]*\})*\}){0,300}\})",
    re.DOTALL,
)
CODE_LINE = re.compile(
    r"^\s*(?:def |class |import |from \S+ import |return\b|for |while |if .*[:{]$|elif |else:|print\(|#include"
    r"|function |const |let |var |public |private |SELECT |[}\])];?$)|[;{]\s*$|^\s{4,}\S"
)
# This share of the lines must look like code before all of a cell is shown as code.
CODE_SHARE = 0.6
ROLES = ("role", "from")
CONTENTS = ("content", "value", "text")
SPEAKERS = {"human": "user", "gpt": "assistant", "bot": "assistant", "model": "assistant", "developer": "system"}


@dataclass(frozen=True)
class Piece:
    text: str
    hit: bool = False


@dataclass(frozen=True)
class Short:
    """A line of a cell for the table, cut round its first hit."""

    pieces: list[Piece]
    before: bool = False
    after: bool = False

    @property
    def is_empty(self) -> bool:
        return not self.pieces


@dataclass(frozen=True)
class Message:
    role: str
    blocks: list[Block]
    rest: str = ""


@dataclass(frozen=True)
class Block:
    """`kind`: words, code, maths, display, chat, json."""

    kind: str
    text: str = ""
    pieces: list[Piece] = field(default_factory=list)
    language: str = ""
    messages: list[Message] = field(default_factory=list)


@dataclass(frozen=True)
class Whole:
    name: str
    type: str
    roles: list[str]
    blocks: list[Block]
    length: int
    left_out: int

    @property
    def has_maths(self) -> bool:
        return any(block.kind in ("maths", "display") for block in flat(self.blocks))


def flat(blocks: list[Block]) -> Iterator[Block]:
    for block in blocks:
        yield block
        for message in block.messages:
            yield from flat(message.blocks)


def pieces(text: str, needle: str) -> list[Piece]:
    """`text` cut at every hit of `needle`, whatever the case."""
    if not needle:
        return [Piece(text)] if text else []
    found, position = [], 0
    for match in re.finditer(re.escape(needle), text, re.IGNORECASE):
        found += [Piece(text[position : match.start()]), Piece(match.group(), hit=True)]
        position = match.end()
    return [piece for piece in (*found, Piece(text[position:])) if piece.text]


def short(value: Any, needle: str = "") -> Short:
    text = as_text(value)
    hit = re.search(re.escape(needle), text, re.IGNORECASE) if needle else None
    start = max(hit.start() - LEAD, 0) if hit and hit.end() > SHORT else 0
    # White space folds, so more is cut out than is shown.
    words = " ".join(text[start : start + 2 * SHORT].split())
    line = words[:SHORT]
    return Short(pieces(line, needle), before=start > 0, after=len(words) > SHORT or start + 2 * SHORT < len(text))


def whole(name: str, type: str, value: Any, needle: str = "", roles: list[str] | None = None) -> Whole:
    text = as_text(value)
    blocks = blocks_of(text[:WHOLE], type, needle) if text.strip() else []
    return Whole(name, type, roles or [], blocks, len(text), max(len(text) - WHOLE, 0))


def blocks_of(text: str, type: str, needle: str) -> list[Block]:
    if type == "json" or text.lstrip()[:1] in ("[", "{"):
        value = parsed(text)
        if value is not None:
            return [chat(value, needle) or Block("json", pieces=pieces(pretty(value), needle))]
    return written(text, needle)


def parsed(text: str) -> Any:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict | list) else None


def pretty(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, indent=2)


def chat(value: Any, needle: str) -> Block | None:
    """The messages of a chat, if that is what `value` is."""
    if isinstance(value, dict):
        value = next((value[key] for key in ("messages", "conversations") if isinstance(value.get(key), list)), None)
    if not isinstance(value, list) or not value:
        return None
    messages = [message(item, needle) for item in value]
    known = [item for item in messages if item]
    return Block("chat", messages=known) if len(known) == len(value) else None


def message(item: Any, needle: str) -> Message | None:
    if not isinstance(item, dict):
        return None
    role = next((key for key in ROLES if isinstance(item.get(key), str)), "")
    content = next((key for key in CONTENTS if key in item), "")
    if not role or not content:
        return None
    rest = {key: value for key, value in item.items() if key not in (role, content) and value not in (None, "", [])}
    return Message(
        role=SPEAKERS.get(item[role].lower(), item[role].lower())[:40],
        blocks=written(spoken(item[content]), needle),
        rest=pretty(rest) if rest else "",
    )


def spoken(content: Any) -> str:
    """A message's text; of one in parts, those that are text."""
    if isinstance(content, list) and all(isinstance(part, dict) and "text" in part for part in content):
        return "\n".join(as_text(part["text"]) for part in content)
    return pretty(content) if isinstance(content, dict | list) else as_text(content)


def written(text: str, needle: str) -> list[Block]:
    """Words with what stands among them: fenced code and maths."""
    if looks_like_code(text):
        return [Block("code", text=text, pieces=pieces(text, needle))]
    blocks: list[Block] = []
    position = 0
    for match in FENCED.finditer(text):
        blocks += with_maths(text[position : match.start()].rstrip(), needle)
        code = match.group(2).rstrip("\n")
        blocks.append(Block("code", text=code, pieces=pieces(code, needle), language=match.group(1)))
        position = match.end()
    return blocks + with_maths(text[position:].lstrip("\r\n") if position else text, needle)


def looks_like_code(text: str) -> bool:
    lines = [line for line in text[:8000].splitlines() if line.strip()]
    return (
        "```" not in text and len(lines) > 2 and sum(bool(CODE_LINE.search(line)) for line in lines) >= 0.6 * len(lines)
    )


def with_maths(text: str, needle: str) -> list[Block]:
    blocks: list[Block] = []
    position = 0
    for match in MATHS.finditer(text):
        kind, formula = formula_of(match)
        if not formula:
            continue
        blocks += words(between(text[position : match.start()], blocks, kind), needle)
        blocks.append(Block(kind, text=formula, pieces=pieces(match.group(), needle)))
        position = match.end()
    return blocks + words(between(text[position:], blocks), needle)


def between(text: str, before: list[Block], after: str = "") -> str:
    """A displayed formula has its own line, so the empty ones that set it off go."""
    text = text.lstrip("\r\n ") if before and before[-1].kind == "display" else text
    return text.rstrip() if after == "display" else text


def formula_of(match: re.Match[str]) -> tuple[str, str]:
    group = match.lastgroup or ""
    formula = match.group(group).strip()
    if group == "dollar" and not re.search(r"[\\^_={}]|^[\w.,+*/()-]{1,12}$", formula):
        return "", ""
    return ("display" if group in ("display", "bracket") else "maths"), formula


def words(text: str, needle: str) -> list[Block]:
    return [Block("words", pieces=pieces(text, needle))] if text else []
