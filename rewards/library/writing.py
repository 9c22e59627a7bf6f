from rewards.library.cases import case, gate, part, preset

CATEGORY = "Language & writing"
STORY = "Write the beginning of a story about a lighthouse."
TEA = "Explain how to make a cup of tea."
API = "Document the function add(a, b) for its users."
LIGHTHOUSE = (
    "The lamp had burned for ninety years before anyone asked who lit it. Marta was nine when she climbed the spiral"
    " stairs with a candle stub in her pocket and salt on her sleeves. Behind the last door she expected an old man, or"
    " a machine. She found a chair, still warm, and a window full of ships that were on no map. Somewhere below, the"
    " tide turned over in its sleep."
)
STEPS = (
    "1. Fill the kettle with fresh water and bring it to the boil.\n2. Put one tea bag into a cup.\n3. Pour the hot"
    " water over it and wait three minutes.\n4. Take the bag out, and add milk or sugar as you like."
)
DOCUMENTED = (
    "# add\n\nReturns the sum of two numbers.\n\n## Parameters\n\n- `a`: the first number\n- `b`: the second"
    " number\n\n## Example\n\n```python\nadd(2, 3)  # 5\n```\n\nRaises `TypeError` if one of them is not a number.\n"
)
BY_FORM = " Looks at form alone: nothing checks whether it is true or good."

PRESETS = [
    preset(
        "creative-writing",
        "Creative writing",
        CATEGORY,
        "A text of 60 to 400 words that does not repeat itself and does not speak as an assistant." + BY_FORM,
        [
            gate("enough", "length", 0.5, unit="words", shortest=60, longest=400, fade=60),
            part("length", "length", 0.5, unit="words", shortest=60, longest=400, fade=60),
            part("no repetition", "repetition", 1.0, words=2),
            part("vocabulary", "vocabulary", 0.5, at_least=0.6),
            part(
                "no assistant",
                "contains",
                0.5,
                phrases=["as an ai", "i'm sorry", "i cannot", "sure, here", "certainly!", "here is a story"],
                mode="none",
            ),
        ],
        [
            case(
                STORY,
                None,
                (1, "a story", LIGHTHOUSE),
                (2, "as an assistant", "Sure, here is a story. " + LIGHTHOUSE),
                (3, "the same again and again", "The lighthouse was tall. " * 20),
                (4, "echo of the question", STORY),
                (4, "empty", ""),
            )
        ],
    ),
    preset(
        "step-by-step-instructions",
        "Step-by-step instructions",
        "Question answering",
        "Numbered steps from 1 on, at least three, in a readable length." + BY_FORM,
        [
            part("first step", "regex", 0.5, pattern=r"(?m)^\s*1[.)]\s+\S"),
            part("three steps", "regex", 0.5, pattern=r"(?m)^\s*1[.)].*^\s*2[.)].*^\s*3[.)]"),
            part("length", "length", 0.5, unit="words", shortest=20, longest=250, fade=20),
            part("no repetition", "repetition", 0.5, words=4),
        ],
        [
            case(
                TEA,
                None,
                (1, "steps", STEPS),
                (2, "one paragraph", STEPS.replace("\n", " ").replace("1. ", "").replace("2. ", "")),
                (3, "echo of the question", TEA),
                (3, "empty", ""),
            )
        ],
        normalise="weights",
    ),
    preset(
        "technical-documentation",
        "Technical documentation",
        CATEGORY,
        "Headings, a list, a code example and enough detail." + BY_FORM,
        [
            part("headings", "regex", 1.0, pattern=r"(?m)^#{1,4} \S"),
            part("list", "regex", 0.5, pattern=r"(?m)^\s*[-*] \S.*^\s*[-*] \S"),
            part("code", "regex", 1.0, pattern=r"(?m)^```\w*\s*\n.*\S.*^```"),
            part("detail", "length", 0.5, unit="words", shortest=25, longest=500, fade=25),
        ],
        [
            case(
                API,
                None,
                (1, "documented", DOCUMENTED),
                (2, "without an example", DOCUMENTED.replace("```", "")),
                (3, "one sentence", "It adds two numbers and returns their sum."),
                (4, "empty", ""),
            )
        ],
        normalise="weights",
    ),
]
