from rewards.library.cases import case, full, part, preset, short

CATEGORY = "Math & science"
ROLLS = "A baker sold 48 rolls on Friday and half as many on Saturday. How many rolls did he sell on both days?"
SUM = "What is 12 + 7?"
FALL = "A stone falls for 2.0 s. How far does it fall? Use g = 9.81 m/s² and give the answer in metres."
FELL = "s = g·t²/2 = 9.81 · 4 / 2 = 19.62."

PRESETS = [
    preset(
        "math",
        "Math",
        CATEGORY,
        "The solution must be the right number or formula; a smaller part rewards the reasoning and solution markers.",
        [part("answer", "math_answer", 2.0), part("format", "markers", 1.0)],
        [
            case(
                ROLLS,
                "72",
                (1, "right", full("48 / 2 = 24, and 48 + 24 = 72.", "72")),
                (1, "right, written in another way", full("48 / 2 = 24, and 48 + 24 = 72.", "\\boxed{72.0} rolls")),
                (2, "right, without markers", "48 / 2 = 24, and 48 + 24 = 72."),
                (3, "wrong", full("48 + 48 = 96.", "96")),
                (3, "negated", full("48 / 2 = 24, and 48 + 24 = 72.", "-72")),
                (1, "right, corrected", full("48 / 2 = 24, and 48 + 24 = 72.", "96. No wait, 72.")),
                (3, "list of all answers", full("It may be any of them.", "24, 48, 72, 96")),
                (3, "two candidates", full("It may be any of them.", "72 rolls or 96 rolls")),
                (3, "taken back", full("48 / 2 = 24, and 48 + 24 = 72.", "72. No wait, 96.")),
                (3, "right in the reasoning only", full("48 + 24 = 72.", "24")),
                (3, "echo in the markers", full(ROLLS, ROLLS)),
                (4, "echo of the question", ROLLS),
                (4, "empty", ""),
            )
        ],
    ),
    preset(
        "math-short-answer",
        "Math, short answer",
        CATEGORY,
        "The right number, given in the solution markers and without many words. For small models and small token"
        " budgets.",
        [
            part("answer", "math_answer", 1.0),
            part("format", "solution_markers", 0.25),
            part("length", "length", 0.1, unit="words", shortest=1, longest=30, fade=30),
        ],
        [
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
        ],
    ),
    preset(
        "scientific-calculation",
        "Scientific calculation",
        CATEGORY,
        "The right quantity within 1 %, in the unit of the reference, after visible reasoning. A number without its"
        " unit earns less.",
        [
            part("answer", "math_answer", 2.0, tolerance=0.01, relative=True),
            part("unit", "regex", 0.5, pattern=r"\d\s*(?:[A-Za-zµΩÅ°%]|\\text|\\mathrm)", place="solution"),
            part("format", "markers", 0.5),
        ],
        [
            case(
                FALL,
                "19.62 m",
                (1, "right", full(FELL, "19.62 m")),
                (1, "right, rounded", full(FELL, "19.6 m")),
                (2, "right, without unit", full(FELL, "19.62")),
                (3, "wrong", full("s = g·t = 9.81 · 2 = 19.62, so 39.24.", "39.24 m")),
                (3, "wrong unit", full(FELL, "19.62 km")),
                (3, "list of all answers", full("One of them.", "9.81 m, 19.62 m, 39.24 m")),
                (4, "echo of the question", FALL),
                (4, "empty", ""),
            )
        ],
    ),
]
