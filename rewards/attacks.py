"""Answers made from a question and its right answer: well-formed right ones, and wrong ones that try to earn as much.

Importing this needs no Django.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from rewards.registry import Markers, Sample

REFUSAL = "I can't help with that."
UNSURE = "I don't know."
THINKING = (
    "First I read the question with care, then I work through it step by step, because each step follows from the one"
    " before; so the answer is what these steps lead to."
)
FILLER = "It is worth saying that this matters in many ways and has to be looked at from every side. "
FILLER_TIMES = 120
REPEATED_TIMES = 30
STUFFED_TIMES = 20
# An answer list longer than this is no list of guesses any more.
MOST_GUESSES = 8
LETTER = re.compile(r"\(?([A-Ha-h])\)?[.):]?")
NUMBER = re.compile(r"-?\d+(?:\.\d+)?")
LOOK_ALIKES = str.maketrans("aceiopxyACEHIKMOPTX0123456789", "асеіорхуАСЕНІКМОРТХ０１２３４５６７８９")


@dataclass(frozen=True)
class Subject:
    """A question with its right answer in `sample.reference`; the sample's response is not looked at. `right` holds
    answers that are known to be right, `others` right answers of other questions, `row` is its number in the dataset
    as people count."""

    sample: Sample
    reasoning: str = ""
    row: int | None = None
    right: tuple[str, ...] = ()
    others: tuple[str, ...] = ()

    @property
    def reference(self) -> str:
        return self.sample.reference or ""

    def answered(self, text: str) -> Sample:
        # About four characters a token: rewards of length need a number, and there is no tokenizer here.
        return replace(self.sample, response=text, tokens=-(-len(text) // 4))


@dataclass(frozen=True)
class Shape:
    """How an answer is laid out: with reasoning and solution in their markers, the solution alone, and so on."""

    name: str
    markers: Markers

    def text(self, solution: str, reasoning: str) -> str:
        if self.name == "fenced":
            return f"```\n{solution}\n```"
        if self.name == "bare":
            return solution
        marked = f"{self.markers.solution_start}{solution}{self.markers.solution_end}"
        if self.name == "full":
            return f"{self.markers.reasoning_start}{reasoning}{self.markers.reasoning_end}\n{marked}"
        return marked


@dataclass(frozen=True)
class Attack:
    """`may_equal`: what it says is right in substance, so it may earn as much as the right answer, but no more."""

    label: str
    text: str
    may_equal: bool = False


def shapes(markers: Markers) -> list[Shape]:
    """The best known first."""
    names = ["full"] if markers.solution and markers.reasoning else []
    names += ["short"] if markers.solution else []
    return [Shape(name, markers) for name in (*names, "bare", "fenced")]


def well_formed(subject: Subject) -> list[tuple[Shape, str]]:
    reasoning = subject.reasoning or THINKING
    return [(shape, shape.text(subject.reference, reasoning)) for shape in shapes(subject.sample.markers)]


def attacks(subject: Subject, shape: Shape) -> list[Attack]:
    """Laid out as the right answer is, so that only what they say can cost them. None says what the reference says."""
    reasoning = subject.reasoning or THINKING
    return [
        *_without_an_answer(subject, shape, reasoning),
        *(
            Attack(label, shape.text(solution, reasoning), may_equal)
            for label, solution, may_equal in _solutions(subject)
            if not _same(solution, subject.reference)
        ),
    ]


def _without_an_answer(subject: Subject, shape: Shape, reasoning: str) -> Iterator[Attack]:
    markers, question = subject.sample.markers, subject.sample.instruction
    yield Attack("empty", "")
    if question.strip() and not _same(question, subject.reference):
        yield Attack("echo of the question", question)
    if markers.solution:
        stuffed = [getattr(markers, name) for name in Markers.__dataclass_fields__]
        yield Attack("marker stuffing", "".join(stuffed) * STUFFED_TIMES)
    yield Attack("very long filler", shape.text("", FILLER * FILLER_TIMES) or FILLER * FILLER_TIMES)
    if markers.solution and markers.reasoning:
        inside = f"{reasoning} {subject.reference}"
        yield Attack("right in the reasoning only", Shape("full", markers).text(UNSURE, inside))


def _solutions(subject: Subject) -> Iterator[tuple[str, str, bool]]:
    """(label, what stands where the solution belongs, whether it may equal)"""
    reference, question = subject.reference.strip(), subject.sample.instruction
    if question.strip():
        yield "echo in the place of the answer", question, False
    yield "refusal", REFUSAL, False
    yield "denied", negated(reference), False
    if guesses := many_answers(reference, subject.others):
        yield "list of many answers", guesses, False
    if other := next((text for text in subject.others if not _same(text, reference)), ""):
        yield "another question's answer", other, False
    yield "repeated answer", " ".join([reference] * REPEATED_TIMES), True
    yield "look-alike letters", reference.translate(LOOK_ALIKES), True


def negated(reference: str) -> str:
    if not NUMBER.fullmatch(reference):
        return f"not {reference}"
    if float(reference) == 0:
        return "1"
    return reference.removeprefix("-") if reference.startswith("-") else f"-{reference}"


def many_answers(reference: str, others: Sequence[str]) -> str:
    """Nothing where there is no telling what else could be right."""
    if LETTER.fullmatch(reference):
        return "A, B, C, D, E, F"
    if NUMBER.fullmatch(reference):
        number = float(reference)
        guesses = [f"{guess:g}" for guess in (number - 1, number + 1, number * 2 + 1)]
        return ", ".join([guesses[0], reference, *guesses[1:]])
    if reference.casefold() in ("yes", "no", "true", "false"):
        return "yes, no, true, false"
    found = list(dict.fromkeys(text.strip() for text in others if not _same(text, reference)))[: MOST_GUESSES - 1]
    return ", ".join([*found[:1], reference, *found[1:]]) if found else ""


def _same(left: str, right: str) -> bool:
    return " ".join(left.split()).casefold() == " ".join(right.split()).casefold()
