"""Are two formulas the same? math-verify (and SymPy) with limits of its own, because both can be made to run for ever.

math-verify's time-outs are alarm signals, which only the main thread gets. The web process scores in threads, so they
are switched off here, formulas are kept small before they are parsed, and a deadline interrupts what is left.
"""

from __future__ import annotations

import ctypes
import logging
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from types import ModuleType
from typing import Any

LONGEST_FORMULA = 200
DEADLINE_SECONDS = 5.0

# math-verify warns once that nobody guards its time-outs; `deadline` does.
logging.getLogger("math_verify.parser").setLevel(logging.ERROR)
logging.getLogger("math_verify.grader").setLevel(logging.ERROR)

# Towers, big powers, factorials and operators that loop: a few characters of these keep SymPy busy for hours.
TOO_HARD = re.compile(
    r"\^\s*(?:[({]+[^){}]*\^|\{[^{}]*\}\s*\^|[A-Za-z0-9.\\-]+\s*\{?[({\s]*\^|\\[a-z]+\s*\{[^{}]*\^)|\^\s*\{?\s*-?\d{3,}|\d{25,}|!|\\(?:int|i+nt|oint|sum|prod|lim|binom|Gamma)\b"
)
FUNCTIONS = {"sin", "cos", "tan", "cot", "sec", "csc", "log", "exp", "sqrt", "arcsin", "arccos", "arctan", "pi"}
WORD = re.compile(r"(?<!\\)(?<![A-Za-z\\])[A-Za-z]{3,}")
MATRIX = re.compile(r"\\(?:begin|end)\{[a-z]{0,2}matrix\}")
MATHS = re.compile(r"[\d\\^*/+=()\[\]{}-]")


class TooSlow(BaseException):
    """Not an Exception: SymPy catches those and would go on."""


def is_formula(text: str) -> bool:
    """Small enough to be worked on, and no prose: "Paris" would be read as the product P·a·r·i·s."""
    if not text.strip() or len(text) > LONGEST_FORMULA or TOO_HARD.search(text):
        return False
    if not _balanced(text):
        return False
    plain = re.sub(r"\\[A-Za-z]+", " ", MATRIX.sub(" ", text))
    words = [word for word in WORD.findall(plain) if word not in FUNCTIONS]
    return not words and bool(MATHS.search(text) or len(text.strip()) == 1)


def _balanced(text: str, deepest: int = 12) -> bool:
    depth = 0
    for character in text:
        depth += (character in "({[") - (character in ")}]")
        if not 0 <= depth <= deepest:
            return False
    return depth == 0


def same_formula(reference: str, answer: str) -> bool:
    """Both must be formulas (is_formula). Raises TimeoutError after DEADLINE_SECONDS, ValueError for no reference."""
    # Never inside the deadline: an interrupted import leaves half a module behind.
    library()
    try:
        with deadline(DEADLINE_SECONDS):
            return _same(latex(reference), latex(answer))
    except TooSlow:
        raise TimeoutError(f"Comparing the formulas took longer than {DEADLINE_SECONDS:g} s.") from None


@cache
def library() -> ModuleType:
    """math-verify, which takes seconds to import and to build its grammar on first use."""
    import math_verify

    math_verify.parse("$x$", [math_verify.LatexExtractionConfig()], parsing_timeout=None)
    return math_verify


def _same(reference: str, answer: str) -> bool:
    gold = _formula(reference)
    if not gold:
        raise ValueError(f"The reference {reference!r} could not be read as a formula.")
    return bool(library().verify(gold, _formula(answer), timeout_seconds=None))


def _formula(text: str) -> list[Any]:
    extraction = [library().LatexExtractionConfig()]
    found: list[Any] = library().parse(f"${text}$", extraction, fallback_mode="no_fallback", parsing_timeout=None)
    return found


def latex(text: str) -> str:
    text = text.strip().strip("$").strip().rstrip(".").replace("**", "^")
    text = re.sub(r"(?<![A-Za-z\\])sqrt\(([^()]*)\)", r"\\sqrt{\1}", text)
    text = re.sub(r"(?<![A-Za-z\\])(sin|cos|tan|log|ln|exp|pi)(?![A-Za-z])", r"\\\1", text)
    return text.replace("*", r"\cdot ")


@contextmanager
def deadline(seconds: float) -> Iterator[None]:
    """Raises TooSlow in this thread, whichever it is, once `seconds` are over. Interrupts Python code, not C calls."""
    thread, lock, over = ctypes.c_ulong(threading.get_ident()), threading.Lock(), False

    def interrupt() -> None:
        with lock:
            if not over:
                ctypes.pythonapi.PyThreadState_SetAsyncExc(thread, ctypes.py_object(TooSlow))

    timer = threading.Timer(seconds, interrupt)
    timer.daemon = True
    try:
        timer.start()
        yield
    finally:
        # An interrupt that was sent but not yet raised must not hit the code behind the block.
        with lock:
            over = True
            ctypes.pythonapi.PyThreadState_SetAsyncExc(thread, None)
        timer.cancel()
