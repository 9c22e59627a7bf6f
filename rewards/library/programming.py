from rewards.library.cases import case, gate, part, preset

CATEGORY = "Programming"
DOUBLE = "Write a Python function double(x) that returns twice x."
GOOD = '```python\ndef double(x: int) -> int:\n    """Twice x."""\n    return 2 * x\n```'
PLAIN = "```python\ndef double(x):\n    return 2 * x\n```"
BROKEN = "```python\ndef double(x)\n    return 2 * x\n```"

TESTS = "assert double(2) == 4\nassert double(-3) == -6\nassert double(0.5) == 1.0\nassert double('ab') == 'abab'"
WRONG = PLAIN.replace("2 * x", "x + 2")
SEARCH = "Write find(values, wanted) that returns the place of wanted in the sorted list values, or -1."
BISECT = (
    "```python\nfrom bisect import bisect_left\n\ndef find(values, wanted):\n    place = bisect_left(values, wanted)\n"
    "    return place if place < len(values) and values[place] == wanted else -1\n```"
)
SLOW = (
    "```python\ndef find(values, wanted):\n    for place in range(len(values)):\n        for _ in range(9000): pass\n"
    "        if values[place] == wanted: return place\n    return -1\n```"
)
FIND = (
    "assert find([1, 3, 5], 3) == 1\nassert find([1, 3, 5], 4) == -1\nassert find([], 1) == -1\n"
    "many = list(range(300000))\nassert find(many, 299999) == 299999"
)
NEEDS_TESTS = " Needs a column “tests” with assert lines or inputs and outputs."

PRESETS = [
    preset(
        "code-generation",
        "Code generation",
        CATEGORY,
        "The share of the row's tests that the code passes, run in the sandbox. An answer without a Python block gets"
        " nothing." + NEEDS_TESTS,
        [
            gate("code block", "code_block", 1.0, language="python"),
            part("tests", "code_tests", 1.0),
            part("length", "length", 0.05, unit="words", shortest=1, longest=400, fade=200),
        ],
        [
            case(
                DOUBLE,
                None,
                (1, "right", PLAIN),
                (1, "right, documented", GOOD),
                (2, "wrong", WRONG),
                (3, "list of all answers", "return 2 * x, return x + x, return x * 2 or return x << 1"),
                (3, "no block", "def double(x): return 2 * x"),
                (3, "echo of the question", DOUBLE),
                (3, "empty", ""),
                tests=TESTS,
            )
        ],
    ),
    preset(
        "algorithm-implementation",
        "Algorithm implementation",
        CATEGORY,
        "Every test must pass within half a second, so give some of them large inputs: an algorithm that is too slow"
        " counts as wrong. Docstrings earn a little." + NEEDS_TESTS,
        [
            gate("code block", "code_block", 1.0, language="python"),
            part("tests", "code_tests", 1.0, seconds=0.5),
            part("all tests", "code_tests", 1.0, seconds=0.5, all_or_nothing=True),
            part("style", "python_structure", 0.1, docstrings=True),
        ],
        [
            case(
                SEARCH,
                None,
                (1, "right", BISECT),
                (2, "too slow", SLOW),
                (3, "wrong", BISECT.replace("-1", "None")),
                (4, "list of all answers", "Use bisect, index, a loop or a dictionary."),
                (4, "echo of the question", SEARCH),
                (4, "empty", ""),
                tests=FIND,
            )
        ],
    ),
    preset(
        "python-style",
        "Python style",
        CATEGORY,
        "One Python block that parses, with docstrings and type hints and without eval or exec. Looks at form alone:"
        " nothing runs the code. With tests in a column, take “Code generation”.",
        [
            part("code block", "code_block", 0.5, language="python"),
            part("syntax", "python_syntax", 1.0),
            part("structure", "python_structure", 1.0, docstrings=True, type_hints=True),
        ],
        [
            case(
                DOUBLE,
                None,
                (1, "documented", GOOD),
                (2, "plain", PLAIN),
                (3, "broken", BROKEN),
                (4, "no code", "You multiply x by 2."),
                (4, "empty", ""),
            )
        ],
        normalise="weights",
    ),
]
