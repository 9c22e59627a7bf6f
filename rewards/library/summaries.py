from rewards.library.cases import case, gate, part, preset, short

WRITING = "Language & writing"
ANSWERS = "Question answering"
REEF = (
    "Summarise in one sentence: The Great Barrier Reef stretches for over 2,300 kilometres along the coast of"
    " Queensland. It is home to some 1,500 species of fish and 400 kinds of coral. In the last thirty years warm water"
    " has bleached large parts of it, and about half of its coral has died."
)
REEF_SHORT = "Warm water has killed about half of the coral of the Great Barrier Reef in thirty years."
RAIN = "Why does it rain?"
RAINS = (
    "Water evaporates from seas and lakes and rises with warm air. High up the air cools, the vapour condenses into"
    " small drops and forms clouds. When the drops grow too heavy, they fall as rain."
)
TOWER = "The Eiffel Tower was finished in 1889 for the World's Fair in Paris. For what event was it built?"

PRESETS = [
    preset(
        "concise-summary",
        "Concise summarisation",
        WRITING,
        "What the summary shares with the reference summary (ROUGE-L), in 5 to 60 words. Longer texts get nothing, so"
        " that copying the source can't win.",
        [
            gate("short enough", "length", 1.0, unit="words", shortest=5, longest=60, fade=20),
            part("content", "text_similarity", 1.0, metric="rouge_l"),
            part("length", "length", 0.1, unit="words", shortest=5, longest=40, fade=20),
        ],
        [
            case(
                REEF,
                REEF_SHORT,
                (
                    1,
                    "right",
                    "In thirty years warm water has killed about half of the coral of the Great Barrier Reef.",
                ),
                (2, "half of it", "The Great Barrier Reef is home to many species of fish and coral."),
                (3, "wrong", "Tourists from all over the world visit Australia every year to see its animals."),
                (3, "list of all answers", f"{REEF} {REEF_SHORT}"),
                (3, "echo of the question", REEF),
                (3, "empty", ""),
            )
        ],
    ),
    preset(
        "explanatory-answer",
        "Explanatory answer",
        ANSWERS,
        "What an explanation of 20 to 250 words shares with a good one (chrF over pieces of words), without repeating"
        " itself. Similar is not the same as right: read what scores well.",
        [
            gate("an explanation", "length", 0.5, unit="words", shortest=20, longest=250, fade=20),
            part("content", "text_similarity", 1.0, metric="chrf"),
            part("no repetition", "repetition", 0.1, words=4),
        ],
        [
            case(
                RAIN,
                RAINS,
                (
                    1,
                    "right",
                    "Water evaporates from the sea and rises with the warm air. Where the air cools, vapour condenses"
                    " into drops, which form clouds. When they grow too heavy they fall as rain.",
                ),
                (
                    2,
                    "wrong",
                    "Because the government opens big taps behind the hills every Tuesday and Friday, so that farmers"
                    " can go on holiday and nobody has to carry buckets any more.",
                ),
                (
                    2,
                    "list of all answers",
                    "It may be that taps are opened, or that angels cry, or that the sky leaks, or that trees sweat, or"
                    " that mountains melt, or that somebody dances for it, or that it is Monday.",
                ),
                (2, "the same again and again", "It rains because of rain. " * 10),
                (3, "echo of the question", RAIN),
                (3, "empty", ""),
            )
        ],
    ),
    preset(
        "reading-comprehension",
        "Reading comprehension",
        ANSWERS,
        "The words that the answer shares with the reference (token F1, as in SQuAD), in the solution markers. Several"
        " candidates dilute each other.",
        [part("answer", "text_similarity", 1.0, metric="token_f1"), part("format", "solution_markers", 0.25)],
        [
            case(
                TOWER,
                "the World's Fair",
                (1, "right", short("The World's Fair")),
                (2, "right, with more around it", short("It was built for the World's Fair")),
                (3, "wrong", short("an opera")),
                (
                    3,
                    "list of all answers",
                    short("a wedding, an opera, a war, a fair, a coronation, a flood, an exhibition"),
                ),
                (4, "echo of the question", TOWER),
                (4, "empty", ""),
            )
        ],
    ),
]
