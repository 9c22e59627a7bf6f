"""The completions of one step as the inspector shows them: ordered, with bars, reasoning apart from solution."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from training.charts import part_colours
from training.models import Event
from training.schema import PromptSection

# Characters of a segment that the page gets; the rest comes when it is asked for.
SHOWN_CHARACTERS = 3000
# Reasoning up to this length is not worth a fold.
UNFOLDED_CHARACTERS = 240


@dataclass(frozen=True)
class Segment:
    kind: str
    text: str
    length: int

    @property
    def hidden(self) -> int:
        return self.length - len(self.text)

    @property
    def folded(self) -> bool:
        return self.kind == "reasoning" and self.length > UNFOLDED_CHARACTERS


@dataclass(frozen=True)
class Bar:
    name: str
    colour: int
    value: float | None
    error: str
    width: float
    weight: float | None = None
    # None where a formula makes the total.
    weighted: float | None = None
    gate: float | None = None
    closed: bool = False


@dataclass(frozen=True)
class Answer:
    index: int
    segments: list[Segment]
    bars: list[Bar]
    total: float | None
    advantage: float | None
    # The signed bar of the advantage, in a box 100 wide with 0 at 50.
    start: float
    width: float
    length: int | None
    cut_off: bool
    # The whole text was this long, where what is stored is less. 0: it is all there.
    cut_from: int = 0

    @property
    def number(self) -> int:
        return self.index + 1

    @property
    def failed(self) -> bool:
        return self.total is None or any(bar.error for bar in self.bars)

    @property
    def hidden(self) -> int:
        return sum(segment.hidden for segment in self.segments)


@dataclass(frozen=True)
class Group:
    index: int
    question: str
    prompt: str
    reference: str
    answers: list[Answer]
    left_out: int

    @property
    def without_signal(self) -> bool:
        advantages = [answer.advantage for answer in self.answers if answer.advantage is not None]
        return bool(advantages) and not any(advantages)


def groups(
    event: Event,
    prompt: PromptSection | None,
    *,
    worst_first: bool = False,
    most: int | None = None,
    reward: dict[str, Any] | None = None,
) -> list[Group]:
    """The groups of a rollouts event. With `most`, only that many answers of each: the best and the worst of them."""
    found = event.data.get("groups") or []
    scale = Scale.of([answer for group in found for answer in group.get("completions") or []], reward)
    return [group_of(index, group, scale, prompt, worst_first, most) for index, group in enumerate(found)]


def group_of(
    index: int, group: dict[str, Any], scale: "Scale", prompt: PromptSection | None, worst_first: bool, most: int | None
) -> Group:
    completions = group.get("completions") or []
    order = sorted(range(len(completions)), key=lambda place: score_of(completions[place]), reverse=not worst_first)
    shown = order if most is None or len(order) <= most else order[: (most + 1) // 2] + order[-(most // 2) :]
    return Group(
        index=index,
        question=text_of(group.get("question")),
        prompt=text_of(group.get("prompt")),
        reference=text_of(group.get("reference")),
        answers=[answer_of(place, completions[place], scale, prompt) for place in shown],
        left_out=len(order) - len(shown),
    )


def score_of(completion: dict[str, Any]) -> float:
    """What could not be scored counts as worst."""
    total = completion.get("total")
    return float("-inf") if total is None else float(total)


def text_of(value: Any) -> str:
    return "" if value is None else str(value)


@dataclass(frozen=True)
class Scale:
    """One scale for a whole step, so that bars of two answers can be compared."""

    parts: dict[str, int]
    largest_part: float
    largest_advantage: float
    reward: dict[str, Any]

    @property
    def weighs(self) -> bool:
        return bool(self.reward.get("parts")) and not str(self.reward.get("formula") or "").strip()

    @classmethod
    def of(cls, completions: list[dict[str, Any]], reward: dict[str, Any] | None = None) -> "Scale":
        parts = [part for completion in completions for part in (completion.get("parts") or {}).items()]
        advantages = [completion.get("advantage") or 0.0 for completion in completions]
        return cls(
            part_colours(name for name, _ in parts),
            max((abs(value) for _, value in parts if value is not None), default=0.0) or 1.0,
            max(map(abs, advantages), default=0.0) or 1.0,
            reward or {},
        )


def answer_of(index: int, completion: dict[str, Any], scale: Scale, prompt: PromptSection | None) -> Answer:
    advantage = completion.get("advantage")
    width = abs(advantage or 0.0) / scale.largest_advantage * 50
    return Answer(
        index=index,
        segments=shortened(segments(text_of(completion.get("text")), prompt)),
        bars=bars_of(completion, scale),
        total=completion.get("total"),
        advantage=advantage,
        start=50 - width if (advantage or 0.0) < 0 else 50,
        width=width,
        length=completion.get("length"),
        cut_off=bool(completion.get("cut_off")),
        cut_from=completion.get("characters") or 0,
    )


def bars_of(completion: dict[str, Any], scale: Scale) -> list[Bar]:
    errors = completion.get("errors") or {}
    parts = {part["name"]: part for part in scale.reward.get("parts") or []}
    return [
        Bar(
            name,
            scale.parts[name],
            value,
            text_of(errors.get(name)),
            abs(value or 0.0) / scale.largest_part * 100,
            **weighed(parts.get(name), value, scale),
            closed=completion.get("gate") == name,
        )
        for name, value in (completion.get("parts") or {}).items()
    ]


def weighed(part: dict[str, Any] | None, value: float | None, scale: Scale) -> dict[str, float | None]:
    """What the part, as the session's frozen reward has it, adds to the total before it is normalised."""
    if part is None or not scale.weighs:
        return {"gate": part.get("gate") if part else None}
    weight, clip = part.get("weight", 1.0), part.get("clip")
    clipped = value if value is None or not clip else min(max(value, clip[0]), clip[1])
    return {
        "weight": weight,
        "weighted": None if clipped is None else weight * clipped,
        "gate": part.get("gate"),
    }


def segments(text: str, prompt: PromptSection | None) -> list[Segment]:
    """`text` cut at the markers of `prompt`; joined, the segments are `text` again.

    Reasoning that the prompt began and the answer only ends, and reasoning that never ends, both count as reasoning.
    """
    if prompt is None:
        return [Segment("text", text, len(text))] if text else []
    return list(cut(text, prompt))


def cut(text: str, prompt: PromptSection) -> Iterator[Segment]:
    place = 0
    pattern = marker_pattern(text, prompt)
    for match in pattern.finditer(text) if pattern else ():
        if before := text[place : match.start()]:
            yield Segment("text", before, len(before))
        yield Segment(match.lastgroup or "text", match[0], len(match[0]))
        place = match.end()
    if rest := text[place:]:
        yield Segment("text", rest, len(rest))


def marker_pattern(text: str, prompt: PromptSection) -> re.Pattern[str] | None:
    found = []
    begins_inside = prompt.reasoning_end and prompt.reasoning_end in text and prompt.reasoning_start not in text
    starts = {
        "reasoning": r"\A" if begins_inside else re.escape(prompt.reasoning_start),
        "solution": re.escape(prompt.solution_start),
    }
    ends = {"reasoning": prompt.reasoning_end, "solution": prompt.solution_end}
    for kind, start in starts.items():
        if start:
            end = f"(?:{re.escape(ends[kind])}|\\Z)" if ends[kind] else r"\Z"
            found.append(f"(?P<{kind}>{start}.*?{end})")
    return re.compile("|".join(found), re.DOTALL) if found else None


def shortened(found: list[Segment]) -> list[Segment]:
    return [Segment(segment.kind, segment.text[:SHOWN_CHARACTERS], segment.length) for segment in found]
