"""What a page shows of a prompt: the text that a model would be given for a real row, its tokens, and what to mind."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from datasets_app import previews, prompt_templates, rows
from datasets_app.chat_rendering import Chat, Look, TemplateProblem, Token
from datasets_app.limits import DETECTION_ROWS, TOKENS_SHOWN
from datasets_app.models import DatasetVersion
from datasets_app.problems import DatasetProblem
from datasets_app.prompt_templates import Finding, Prompt, Sample

TEXT_SHOWN = 20_000


@dataclass(frozen=True)
class Example:
    """A row of a dataset, or, where there is none yet, one of ours. `place` counts the rows that can be used."""

    question: str
    reasoning: str
    reference: str
    place: int = 0
    # Whether there is a row after this one.
    more: bool = False


STANDARD = Example("What is 17 + 4?", "I add 4 to 17 and get 21.", "21")


def example_of(version: DatasetVersion | None, section: rows.Section | None, place: int) -> Example:
    """The row of `version` at `place` among those that can be used; STANDARD where there is none."""
    if version is None or section is None:
        return STANDARD
    place = min(max(place, 0), DETECTION_ROWS - 1)
    try:
        found = [each.row for each in previews.mapped(version, section, place + 2) if not each.missing]
    except (DatasetProblem, OSError):
        return STANDARD
    if not found:
        return STANDARD
    place = min(place, len(found) - 1)
    row = found[place]
    return Example(row.instruction, row.reasoning, row.reference or row.response, place, len(found) > place + 1)


@dataclass(frozen=True)
class Piece:
    """A stretch of the text, so that a page can mark it: a special token, a marker, or plain text."""

    kind: str
    text: str


class Preview:
    """Each part is worked out when the page asks for it."""

    def __init__(self, prompt: Prompt, chat: Chat, example: Example, typed: Mapping[str, Any]) -> None:
        self.prompt, self.chat, self.example = prompt, chat, example
        self.with_tokens = bool(typed.get("tokens"))
        self.own_answer = str(typed.get("own_answer") or "")[:TEXT_SHOWN]

    @cached_property
    def outcome(self) -> tuple[Look | None, str]:
        try:
            return prompt_templates.look(self.prompt, self.chat, self.example.question, with_tokens=True), ""
        except TemplateProblem as problem:
            return None, problem.sentence

    @property
    def look(self) -> Look | None:
        return self.outcome[0]

    @property
    def problem(self) -> str:
        return self.outcome[1]

    @property
    def approximate(self) -> str:
        return self.chat.with_template(self.prompt.chat_template).approximate

    @property
    def without_tokens(self) -> bool:
        return self.look is not None and self.look.tokens is None

    @property
    def token_count(self) -> int | None:
        return len(self.look.tokens) if self.look and self.look.tokens is not None else None

    @property
    def tokens(self) -> list[Token]:
        return (self.look.tokens or [])[:TOKENS_SHOWN] if self.look else []

    @property
    def tokens_left_out(self) -> int:
        return max((self.token_count or 0) - TOKENS_SHOWN, 0)

    @property
    def text(self) -> str:
        return self.look.text[:TEXT_SHOWN] if self.look else ""

    @property
    def left_out(self) -> int:
        return max(len(self.look.text) - TEXT_SHOWN, 0) if self.look else 0

    @property
    def pieces(self) -> list[Piece]:
        """The text cut at its special tokens. Without a tokenizer it is one piece."""
        found: list[Piece] = []
        for token in self.tokens:
            kind = "special" if token.special else "text"
            if found and kind == "text" and found[-1].kind == "text":
                found[-1] = Piece(kind, found[-1].text + token.text)
            else:
                found.append(Piece(kind, token.text))
        return found if found and not self.tokens_left_out else [Piece("text", self.text)]

    @cached_property
    def findings(self) -> list[Finding]:
        """The worst first."""
        found = [*prompt_templates.marker_problems(self.prompt), *prompt_templates.advice(self.prompt)]
        if self.look:
            found += [prompt_templates.marker_finding(marker) for marker in self.look.markers or []]
            if self.prompt.chat_template.strip():
                found += self.template_findings()
        order = ["bad", "warning", "good"]
        return sorted(found, key=lambda finding: order.index(finding.level))

    def template_findings(self) -> list[Finding]:
        try:
            return prompt_templates.template_findings(self.chat.with_template(self.prompt.chat_template))
        except TemplateProblem as problem:
            return [Finding("bad", problem.sentence, "chat_template")]

    @property
    def samples(self) -> list[Sample]:
        return prompt_templates.samples(
            self.prompt, self.example.reasoning, self.example.reference[:2000], self.own_answer
        )
