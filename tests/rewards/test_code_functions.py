import time
import warnings

import pytest
from pydantic import ValidationError

from rewards.functions.code import (
    LONGEST_CODE,
    CodeBlock,
    PythonCode,
    PythonStructure,
    blocks,
    code_block,
    python_structure,
    python_syntax,
)
from rewards.registry import Markers, Sample, Score

MARKERS = Markers("<think>", "</think>", "<SOLUTION>", "</SOLUTION>")


def of(response: str) -> Sample:
    return Sample("Write a function.", response, markers=MARKERS)


def syntax(response: str) -> Score:
    return python_syntax(of(response), PythonCode())


def structure(response: str, **parameters: object) -> Score:
    return python_structure(of(response), PythonStructure(**parameters))


class TestBlocks:
    def test_language_and_code_are_read(self):
        (block,) = blocks("Text\n```Python title=a.py\nx = 1\n\ny = 2\n```\nMore")
        assert (block.language, block.code) == ("python", "x = 1\n\ny = 2")

    def test_a_longer_fence_holds_a_shorter_one(self):
        (block,) = blocks("````md\n```py\nx\n```\n````")
        assert (block.language, block.code) == ("md", "```py\nx\n```")

    def test_tildes_are_a_fence_of_their_own(self):
        assert [block.code for block in blocks("~~~\n```\n~~~")] == ["```"]

    def test_code_in_a_line_and_an_open_fence_are_no_blocks(self):
        assert blocks("Use ```x = 1``` here") == []
        assert blocks("```py\nx = 1") == []

    def test_many_spaces_behind_a_fence_take_no_time(self):
        began = time.perf_counter()
        blocks("```" + " " * 300_000 + "`")
        assert time.perf_counter() - began < 1


class TestCodeBlock:
    @pytest.mark.parametrize(
        ("response", "parameters", "value"),
        [
            ("```js\nx\n```", {"language": "JavaScript"}, 1),
            ("```js\nx\n```", {"language": "java"}, 0),
            ("```js\nx\n```\n```py\ny\n```", {"language": "py"}, 1),
            ("```js\nx\n```\n```py\ny\n```", {"language": "py", "count": "one"}, 0),
            ("```\nx\n```", {"count": "one"}, 1),
            ("```\n \n```", {}, 0),
            ("x = 1", {}, 0),
            ("", {}, 0),
        ],
    )
    def test_the_block_is_there_once_and_of_the_language(self, response, parameters, value):
        assert code_block(of(response), CodeBlock(**parameters)).value == value

    def test_only_the_section_asked_for_is_looked_at(self):
        outside = of("```\nx\n```<SOLUTION>no code</SOLUTION>")
        assert code_block(outside, CodeBlock(place="solution")).value == 0


class TestPythonSyntax:
    @pytest.mark.parametrize(
        "code",
        [
            "x = 1",
            "def f(): return 1",
            "import os",
            "print(1)",
            "Here:\n```python\nx = 1\n```\nthat is all.",
            "```\nx = 1\n```",
            "```python\nx = 1\n```\n```text\nnot code at all\n```",
            "async def f():\n    await g()",
        ],
    )
    def test_programs_parse(self, code):
        assert syntax(code).value == 1

    @pytest.mark.parametrize(
        ("code", "said"),
        [
            ("x = = 1", "Line 1: invalid syntax."),
            ("```python\nx = 1\n```\n```python\ny =\n```", "Line 3"),
            ("```js\nx = 1\n```", "is javascript, not Python"),
            ("", "no statement"),
            ("pass", "no statement"),
            ("'Just words.'", "no statement"),
            ("hello", "no statement"),
            ("# a comment", "no statement"),
        ],
    )
    def test_what_is_no_program_says_why(self, code, said):
        scored = syntax(code)
        assert scored.value == 0
        assert said in scored.feedback

    @pytest.mark.parametrize(
        "code",
        [
            "x = " + "(" * 40_000,
            "x = " + "-" * 40_000 + "1",
            "x = " + "not " * 10_000 + "1",
            "x = " + "a." * 20_000 + "b",
            "x = " + "[" * 150 + "]" * 150,
            "x = " + "+".join(["1"] * 20_000),
            "x = " + "9" * 20_000,
            "x = 'a\0b'",
            "x = '\ud800'",
            "if x:\n" + "\n".join(" " * i + "if x:" for i in range(1, 150)),
            "lambda: " * 6_000 + "0",
            "f" + "(f" * 4_000,
            "x = f'" + "{f'" * 100,
        ],
        ids=lambda code: code[:20],
    )
    def test_hostile_code_scores_between_0_and_1_and_never_crashes(self, code):
        began = time.perf_counter()
        assert 0 <= syntax(code).value <= 1
        assert 0 <= structure(code, function="f").value <= 1
        assert time.perf_counter() - began < 5

    def test_code_that_is_too_long_says_so(self):
        assert "at most 50\u202f000" in syntax("x = 1\n" * LONGEST_CODE).feedback

    def test_strange_escapes_warn_nobody(self):
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            assert syntax(r"x = '\d'").value == 1


GOOD = '''
class Shop:
    def __init__(self, name: str):
        """A shop."""
        self.name = name

    async def sell(self, *items: str, price: int = 1) -> int:
        """Their price."""
        return price * len(items)
'''


class TestPythonStructure:
    def test_all_traits_of_well_made_code_hold(self):
        asked = {"function": "sell", "docstrings": True, "type_hints": True, "longest_function": 3}
        assert structure(GOOD, **asked).value == 1

    @pytest.mark.parametrize(
        ("code", "asked", "lacks"),
        [
            (GOOD, {"function": "buy"}, "function buy"),
            ("def f():\n    return 1", {"docstrings": True}, "docstrings"),
            ("def f(x) -> int:\n    return x", {"type_hints": True}, "type hints"),
            ("def f(*x) -> int:\n    return x", {"type_hints": True}, "type hints"),
            ("def f(x: int):\n    return x", {"type_hints": True}, "type hints"),
            ("def f():\n    x = 1\n    return x", {"longest_function": 2}, "functions of at most 2 lines"),
            ("x = 1", {"docstrings": True}, "docstrings"),
        ],
    )
    def test_each_trait_that_fails_is_named_and_costs_its_share(self, code, asked, lacks):
        scored = structure(code, **asked)
        assert scored.value == 0.5
        assert scored.feedback == f"Missing: {lacks}."

    @pytest.mark.parametrize(
        ("code", "forbidden"),
        [
            ("eval('1')", "eval"),
            ("import os", "os"),
            ("import os.path as p", "os"),
            ("from os import system", "os"),
            ("from os import system", "os.system"),
            ("from subprocess import run as r", "run"),
            ("import os\nos.system('x')", "os.system"),
            ("x.y.popen('z')", "popen"),
        ],
    )
    def test_calls_and_imports_that_are_forbidden_are_found(self, code, forbidden):
        assert structure(code, forbidden=[forbidden]).value == 0
        assert structure(code, forbidden=["socket"]).value == 1

    def test_a_name_that_is_only_mentioned_is_not_forbidden(self):
        assert structure("print('eval')\neval = 1", forbidden=["eval"]).value == 1

    def test_code_that_does_not_parse_has_no_trait(self):
        assert structure("def f(:", forbidden=["eval"]).value == 0

    def test_asking_for_nothing_is_refused(self):
        with pytest.raises(ValidationError, match="Nothing is asked for"):
            PythonStructure(forbidden=[])
