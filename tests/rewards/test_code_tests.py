import json
import platform

import pytest

from rewards.composition import Composition
from rewards.functions.code_tests import CodeTests, code_tests, undescribed
from rewards.functions.code_tests import tests_of as read_tests
from rewards.registry import RewardError, Sample, Score

pytestmark = pytest.mark.skipif(
    (platform.system(), platform.machine()) != ("Linux", "x86_64"), reason="the sandbox needs Linux on x86_64"
)
TESTS = "assert add(1, 2) == 3\nassert add(-1, 1) == 0\nassert add('a', 'b') == 'ab'"
ADD = "def add(a, b):\n    return a + b\n"


def verdict(code: str, tests: object = TESTS, **parameters: object):
    sample = Sample("Write add(a, b).", f"```python\n{code}\n```", None, {"tests": tests})
    return code_tests([sample], CodeTests(**parameters))[0]


def score(code: str, tests: object = TESTS, **parameters: object) -> float:
    found = verdict(code, tests, **parameters)
    assert isinstance(found, Score), found
    return found.value


@pytest.mark.parametrize(
    "tests",
    [
        TESTS,
        TESTS.split("\n"),
        json.dumps(TESTS.split("\n")),
        [{"call": "add(1, 2)", "expected": 3}],
        json.dumps({"call": "add([1], [2])", "expected": [1, 2]}),
        [{"call": "add((1,), (2,))", "expected": [1, 2]}],
        "assert 3 == add(1, 2)",
        "assert add(1, 2) == add(2, 1)",
        "assert add(1, 2) > 2",
        "assert not add(1, -1)",
        "assert abs(add(0.1, 0.2) - 0.3) < 1e-9",
        "pair = (1, 2)\nassert add(*pair) == 3",
        "assert add(1, 2) is 3",
        "assert add({1: 2}.get(1), 0) == 2",
    ],
)
def test_tests_come_in_many_forms(tests):
    assert score(ADD, tests) == 1.0


def test_programs_are_run_on_inputs():
    tests = [{"input": "2 3", "output": "5\n"}, {"input": ["4", "5"], "output": ["9"]}]
    code = "import sys\nprint(sum(int(word) for word in sys.stdin.read().split()))"
    assert score(code, tests) == 1.0
    assert score("a, b = input().split()\nprint(int(a) + int(b))", tests[:1]) == 1.0
    assert score("print(5)", tests) == 0.5
    assert score("x = 1\nwhile True: x += 1", tests, seconds=0.3) == 0.0


def test_the_score_is_the_share_that_passes_and_the_feedback_names_the_first_that_fails():
    found = verdict("def add(a, b):\n    return 3\n")
    assert found.value == pytest.approx(1 / 3)
    assert found.feedback == "1 of 3 tests pass; add(-1, 1) == 0: got 3, expected 0."
    assert score("def add(a, b):\n    return 3\n", all_or_nothing=True) == 0.0


# An answer that wants the points without the work


CHEATS = {
    "equals everything": "class Any:\n    def __eq__(self, other): return True\n"
    "    def __ne__(self, other): return False\n    def __bool__(self): return True\n"
    "    def __gt__(self, other): return True\ndef add(a, b): return Any()",
    "a number that equals everything": "class N(int):\n    def __eq__(self, other): return True\n"
    "def add(a, b): return N(7)",
    "a text that lies about itself": "class S(str):\n    def __repr__(self): return '3'\ndef add(a, b): return S('x')",
    "ends with success": "import sys\nsys.exit(0)",
    "ends its process": "import os\nos._exit(0)",
    "ends in the call": "import os\ndef add(a, b): os._exit(0)",
    "prints that it passed": "print('3 of 3 tests pass')\ndef add(a, b): return print(3)",
    "changes print and assert": "import builtins\nbuiltins.print = builtins.bool = lambda *a: True\n"
    "def add(a, b): raise AssertionError",
    "looks for the tests": "import sys\ndef add(a, b):\n    frame, found = sys._getframe(), []\n    while frame:\n"
    "        found += [v for v in frame.f_locals.values() if isinstance(v, (int, str)) and v in (3, 0, 'ab')]\n"
    "        frame = frame.f_back\n    return found[0] if found else None",
    "reads the file": "import os\ndef add(a, b): return open('/proc/self/cmdline').read()",
    "exec of what it gets": 'def add(a, b): return eval(\'__import__("os").system("true")\') or 3 * 7',
    "never ends": "def add(a, b):\n    while True: pass",
    "prints for ever": "def add(a, b):\n    while True: print('x' * 10000)",
    "fills the memory": "def add(a, b): return [0] * 10**10",
    "nests without end": "def add(a, b):\n    x = []\n    x.append(x)\n    return x",
    "catches everything": "def add(a, b):\n    try: raise SystemExit\n    except BaseException: return ...",
    "recursion": "def add(a, b): return add(a, b)",
}


@pytest.mark.parametrize("cheat", CHEATS)
def test_a_cheat_passes_no_test(cheat):
    assert score(CHEATS[cheat], seconds=0.5) == 0.0


def test_a_forged_reply_does_not_know_what_is_expected():
    """Code can write to the pipe that the results leave by: it has to name the value, and only we know it."""
    code = (
        "import json, os, struct\n"
        "def add(a, b):\n"
        "    for number in range(1, 9):\n"
        "        body = json.dumps({'id': number, 'value': ['bool', True]}).encode()\n"
        "        for fd in range(3, 16):\n"
        "            try: os.write(fd, struct.pack('<I', len(body)) + body)\n"
        "            except OSError: pass\n"
        "    return 1\n"
    )
    assert score(code, seconds=0.5) == 0.0


def test_an_answer_leaves_nothing_behind_for_the_next():
    marks = Sample("?", "```python\nimport math\nmath.add = 1\ndef add(a, b): return 3\n```", None, {"tests": TESTS})
    asks = Sample("?", "```python\nimport math\ndef add(a, b): return math.add\n```", None, {"tests": TESTS})
    found = code_tests([marks, asks, marks], CodeTests())
    assert [one.value for one in found] == [pytest.approx(1 / 3), 0.0, pytest.approx(1 / 3)]


# What can't be judged


@pytest.mark.parametrize(
    ("tests", "message"),
    [
        (None, "has no tests"),
        ("", "has no tests"),
        ([], "has no tests"),
        ("x = 1", "no assert"),
        ("assert (", "can't be read"),
        ("[1, 2]", "a test is"),
        ('{"call": 1}', "a test is"),
        ('[{"call": "add(", "expected": 1}]', "can't be read"),
        ("assert True\n" * 300, "at most 200"),
    ],
)
def test_a_row_without_usable_tests_is_an_error_and_no_zero(tests, message):
    found = verdict(ADD, tests)
    assert isinstance(found, RewardError) and message in str(found)


@pytest.mark.parametrize(
    "response", ["", "I would add them.", "```js\nlet a = 1\n```", "```python\ndef add(a, b)\n```"]
)
def test_an_answer_without_a_program_scores_nothing(response):
    [found] = code_tests([Sample("?", response, None, {"tests": TESTS})], CodeTests())
    assert isinstance(found, Score) and found.value == 0.0


def test_the_column_is_named_to_whoever_maps_the_dataset():
    part = {"name": "tests", "function": "code_tests", "parameters": {"tests_column": "checks"}}
    assert Composition.model_validate({"parts": [part]}).columns == ["checks"]


def test_expected_values_never_reach_the_answer():
    assert [type(test).__name__ for test in read_tests(TESTS, "tests")] == ["Value"] * 3
    assert all("3" not in test.expression for test in read_tests("assert add(1, 2) == 3", "tests"))


@pytest.mark.parametrize(
    "described",
    [
        None,
        [],
        ["int"],
        ["int", "x"],
        ["bool", 1],
        ["str", 5],
        ["none", 0],
        ["list", 5],
        ["Any", 1],
        ["set", [["list", []]]],
    ],
)
def test_what_the_sandbox_says_is_read_strictly(described):
    with pytest.raises((ValueError, TypeError)):
        undescribed(described)
