from rewards.library.answers import CAPITAL
from rewards.library.cases import case, full, part, preset, short
from rewards.library.mathematics import SUM

CATEGORY = "Reasoning"
CONNECTIVES = r"(?i)\b(?:because|since|therefore|thus|hence|so|if|then|but|however|which means|it follows)\b"
SYLLOGISM = "All cats are mammals. Tom is not a mammal. Is Tom a cat? Answer yes or no."
SO_NOT = "If Tom were a cat, he would be a mammal, because all cats are. He is not one, so he is no cat."

PRESETS = [
    preset(
        "chain-of-thought",
        "Chain of thought",
        CATEGORY,
        "The right answer after visible reasoning of some length, each between its markers.",
        [
            part("answer", "exact_match", 2.0),
            part("format", "markers", 1.0),
            part("reasoning", "length", 0.25, unit="words", place="reasoning", shortest=8, longest=400, fade=40),
        ],
        [
            case(
                CAPITAL,
                "Paris",
                (
                    1,
                    "right, with reasoning",
                    full("France is a country in Europe. Its government sits in Paris.", "Paris"),
                ),
                (2, "right, no reasoning", full("", "Paris")),
                (
                    3,
                    "wrong, with reasoning",
                    full("France is a country in Europe. Its government sits in Lyon.", "Lyon"),
                ),
                (
                    3,
                    "list of all answers",
                    full("It is one of the big cities, so I name them.", "Paris, Lyon, Nice, Lille"),
                ),
                (4, "echo of the question", CAPITAL),
                (4, "empty", ""),
            )
        ],
    ),
    preset(
        "logical-reasoning",
        "Logical reasoning",
        CATEGORY,
        "The right conclusion, after reasoning that says why. The conclusion decides; words like “because” are worth"
        " little, so that writing them can't make up for being wrong.",
        [
            part("answer", "exact_match", 2.0),
            part("format", "markers", 0.5),
            part("connectives", "regex", 0.15, pattern=CONNECTIVES, place="reasoning"),
            part("reasoning", "length", 0.15, unit="words", place="reasoning", shortest=10, longest=400, fade=10),
        ],
        [
            case(
                SYLLOGISM,
                "no",
                (1, "right", full(SO_NOT, "No")),
                (2, "right, no reasoning", full("Tom is no cat.", "No")),
                (3, "wrong", full(SO_NOT, "Yes")),
                (3, "list of all answers", full(SO_NOT, "yes, no")),
                (4, "echo of the question", SYLLOGISM),
                (4, "empty", ""),
            )
        ],
    ),
    preset(
        "format-only",
        "Format only",
        CATEGORY,
        "Only the reasoning and solution markers count, never what is between them.",
        [part("format", "markers", 1.0)],
        [
            case(
                SUM,
                "19",
                (1, "all markers", full("12 + 7 = 19", "19")),
                (2, "a section is empty", full("", "19")),
                (3, "solution markers only", short("19")),
                (4, "no markers", "19"),
            )
        ],
    ),
]
