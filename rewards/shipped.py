"""The presets that come with the program. A data migration writes them as rows without a team."""

from __future__ import annotations

from typing import Any

MARKERS = {
    "reasoning_start": "<start_working_out>",
    "reasoning_end": "<end_working_out>",
    "solution_start": "<SOLUTION>",
    "solution_end": "</SOLUTION>",
}


def part(name: str, function: str, weight: float, **parameters: Any) -> dict[str, Any]:
    return {"name": name, "function": function, "weight": weight, "parameters": parameters}


def full(reasoning: str, solution: str) -> str:
    return f"<start_working_out>{reasoning}<end_working_out>\n<SOLUTION>{solution}</SOLUTION>"


def short(solution: str) -> str:
    return f"<SOLUTION>{solution}</SOLUTION>"


def case(instruction: str, reference: str, *answers: tuple[int, str, str]) -> dict[str, Any]:
    ranked = [{"rank": rank, "label": label, "text": text} for rank, label, text in answers]
    return {"instruction": instruction, "reference": reference, "markers": MARKERS, "answers": ranked}


CLIPS = (
    "Natalia sold clips to 48 of her friends in April, and then she sold half as many clips in May."
    " How many clips did she sell altogether?"
)
SUM = "What is 12 + 7?"
CAPITAL = "What is the capital of France?"
PLANET = "Which planet is closest to the sun? A) Venus B) Earth C) Mercury D) Mars"

MATH_CASES = [
    case(
        CLIPS,
        "72",
        (1, "right", full("48 / 2 = 24, and 48 + 24 = 72.", "72")),
        (1, "right, written in another way", full("48 / 2 = 24, and 48 + 24 = 72.", "\\boxed{72.0} clips")),
        (2, "right, without markers", "48 / 2 = 24, and 48 + 24 = 72."),
        (3, "wrong", full("48 + 48 = 96.", "96")),
        (3, "negated", full("48 / 2 = 24, and 48 + 24 = 72.", "-72")),
        (3, "list of all answers", full("It may be any of them.", "24, 48, 72, 96")),
        (3, "right in the reasoning only", full("48 + 24 = 72.", "24")),
        (3, "echo in the markers", full(CLIPS, CLIPS)),
        (4, "echo of the question", CLIPS),
        (4, "empty", ""),
    )
]
SUM_CASES = [
    case(
        SUM,
        "19",
        (1, "right", short("19")),
        (2, "right, without markers", "12 + 7 = 19"),
        (3, "wrong", short("9")),
        (3, "not worked out", short("12 + 7")),
        (3, "list of all answers", short("17, 18, 19, 20")),
        (3, "echo of the question", SUM),
        (4, "empty", ""),
    )
]
CAPITAL_CASES = [
    case(
        CAPITAL,
        "Paris",
        (1, "right", short("Paris")),
        (1, "right, in a sentence of its own case", short("paris.")),
        (2, "wrong", short("Lyon")),
        (2, "list of all answers", short("Paris, Lyon, Nice, Lille")),
        (2, "denied", short("not Paris")),
        (2, "echo of the question", CAPITAL),
        (3, "empty", ""),
    )
]
CHAIN_CASES = [
    case(
        CAPITAL,
        "Paris",
        (1, "right, with reasoning", full("France is a country in Europe. Its government sits in Paris.", "Paris")),
        (2, "right, no reasoning", full("", "Paris")),
        (3, "wrong, with reasoning", full("France is a country in Europe. Its government sits in Lyon.", "Lyon")),
        (3, "list of all answers", full("It is one of the big cities, so I name them.", "Paris, Lyon, Nice, Lille")),
        (4, "echo of the question", CAPITAL),
        (4, "empty", ""),
    )
]
CHOICE_CASES = [
    case(
        PLANET,
        "C",
        (1, "right", short("C")),
        (1, "right, with its text", short("C) Mercury")),
        (2, "wrong", short("A")),
        (2, "list of all answers", short("A, B, C, D")),
        (2, "denied", short("not C")),
        (2, "echo of the question", PLANET),
        (3, "empty", ""),
    )
]
FORM_CASES = [
    case(
        SUM,
        "19",
        (1, "all markers", full("12 + 7 = 19", "19")),
        (2, "a section is empty", full("", "19")),
        (3, "solution markers only", short("19")),
        (4, "no markers", "19"),
    )
]

SHIPPED: list[dict[str, Any]] = [
    {
        "slug": "math",
        "name": "Math",
        "category": "Math & science",
        "description": "The solution must be the right number or formula; a smaller part rewards the reasoning and"
        " solution markers.",
        "definition": {"parts": [part("answer", "math_answer", 2.0), part("format", "markers", 1.0)]},
        "golden": MATH_CASES,
    },
    {
        "slug": "math-short-answer",
        "name": "Math, short answer",
        "category": "Math & science",
        "description": "The right number, given in the solution markers and without many words. For small models and"
        " small token budgets.",
        "definition": {
            "parts": [
                part("answer", "math_answer", 1.0),
                part("format", "solution_markers", 0.25),
                part("length", "length", 0.1, unit="words", shortest=1, longest=30, fade=30),
            ]
        },
        "golden": SUM_CASES,
    },
    {
        "slug": "question-answering",
        "name": "Question answering",
        "category": "Question answering",
        "description": "The answer must be the reference, whatever its case, punctuation and articles.",
        "definition": {
            "parts": [
                part("answer", "exact_match", 1.0),
                part("format", "solution_markers", 0.25),
                part("length", "length", 0.05, unit="words", shortest=1, longest=100, fade=50),
            ]
        },
        "golden": CAPITAL_CASES,
    },
    {
        "slug": "chain-of-thought",
        "name": "Chain of thought",
        "category": "Reasoning",
        "description": "The right answer after visible reasoning of some length, each between its markers.",
        "definition": {
            "parts": [
                part("answer", "exact_match", 2.0),
                part("format", "markers", 1.0),
                part("reasoning", "length", 0.25, unit="words", place="reasoning", shortest=8, longest=400, fade=40),
            ]
        },
        "golden": CHAIN_CASES,
    },
    {
        "slug": "multiple-choice",
        "name": "Multiple choice",
        "category": "Question answering",
        "description": "Exactly one choice is named, and it is the right one.",
        "definition": {
            "parts": [
                part("answer", "multiple_choice", 1.0),
                part("format", "solution_markers", 0.25),
                part("length", "length", 0.05, unit="words", shortest=1, longest=100, fade=50),
            ]
        },
        "golden": CHOICE_CASES,
    },
    {
        "slug": "format-only",
        "name": "Format only",
        "category": "Reasoning",
        "description": "Only the reasoning and solution markers count, never what is between them.",
        "definition": {"parts": [part("format", "markers", 1.0)]},
        "golden": FORM_CASES,
    },
]


def write(presets: Any) -> None:
    """Brings the rows of the manager `presets` in line with SHIPPED. Changed parts become a new version."""
    for preset in SHIPPED:
        values = {name: value for name, value in preset.items() if name != "slug"}
        row = presets.filter(team=None, slug=preset["slug"]).first()
        if row is None:
            presets.create(team=None, slug=preset["slug"], **values)
            continue
        row.version += row.definition != preset["definition"]
        for name, value in values.items():
            setattr(row, name, value)
        row.save()
