from rewards.library.cases import case, gate, part, preset

CATEGORY = "Formatting"
PERSON = (
    "Ada Lovelace, born 1815, was a mathematician. Give name and year of birth as JSON with the keys name and born."
)
RECIPE = "Give me a recipe for pancakes."
PANCAKES = (
    "# Pancakes\n\nFor **four** people.\n\n## You need\n\n- 200 g flour\n- 2 eggs\n- 300 ml milk\n\n## How\n\nMix"
    " all of it, wait *ten minutes*, and bake.\n"
)

PRESETS = [
    preset(
        "markdown",
        "Markdown formatting",
        CATEGORY,
        "Headings, lists and emphasis in a text of some length. Looks at form alone: nothing checks what the text"
        " says.",
        [
            part("headings", "regex", 1.0, pattern=r"(?m)^#{1,4} \S"),
            part("lists", "regex", 1.0, pattern=r"(?m)^\s*[-*] \S.*^\s*[-*] \S"),
            part("emphasis", "regex", 0.5, pattern=r"\*\*\S[^*]*\*\*|\*\S[^*]*\*"),
            part("length", "length", 0.5, unit="words", shortest=15, longest=600, fade=15),
        ],
        [
            case(
                RECIPE,
                None,
                (1, "formatted", PANCAKES),
                (2, "headings only", PANCAKES.replace("- ", "").replace("*", "")),
                (3, "plain", "Mix flour, eggs and milk, wait ten minutes and bake."),
                (4, "empty", ""),
            )
        ],
        normalise="weights",
    ),
    preset(
        "json-output",
        "JSON output",
        CATEGORY,
        "Nothing but valid JSON, equal to the reference. Anything that does not parse gets nothing.",
        [gate("valid", "json_valid", 1.0), part("answer", "json_equal", 1.0)],
        [
            case(
                PERSON,
                '{"name": "Ada Lovelace", "born": 1815}',
                (1, "right", '{"name": "Ada Lovelace", "born": 1815}'),
                (1, "right, in another order and fenced", '```json\n{"born": 1815, "name": "Ada Lovelace"}\n```'),
                (2, "one of two right", '{"name": "Ada Lovelace", "born": 1816}'),
                (3, "wrong", '{"name": "Charles Babbage", "born": 1791}'),
                (3, "wrapped in a sentence", 'Here it is: {"name": "Ada Lovelace", "born": 1815}'),
                (3, "list of all answers", '[{"name": "Ada Lovelace", "born": 1815}, {"name": "Ada", "born": 1816}]'),
                (3, "echo of the question", PERSON),
                (3, "empty", ""),
            )
        ],
    ),
]
