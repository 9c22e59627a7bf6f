from rewards.library.cases import case, part, preset, short

CATEGORY = "Question answering"
CAPITAL = "What is the capital of France?"
PLANET = "Which planet is closest to the sun? A) Venus B) Earth C) Mercury D) Mars"

PRESETS = [
    preset(
        "question-answering",
        "Question answering",
        CATEGORY,
        "The answer must be the reference, whatever its case, punctuation and articles.",
        [
            part("answer", "exact_match", 1.0),
            part("format", "solution_markers", 0.25),
            part("length", "length", 0.05, unit="words", shortest=1, longest=100, fade=50),
        ],
        [
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
        ],
    ),
    preset(
        "multiple-choice",
        "Multiple choice",
        CATEGORY,
        "Exactly one choice is named, and it is the right one.",
        [
            part("answer", "multiple_choice", 1.0),
            part("format", "solution_markers", 0.25),
            part("length", "length", 0.05, unit="words", shortest=1, longest=100, fade=50),
        ],
        [
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
        ],
    ),
]
