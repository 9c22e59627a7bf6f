"""Arithmetic over the names of a reward's parts, such as "0.7 * answer + 0.3 * max(style, length)".

The operators and functions are those of OpenAI's multi grader; ^ is a power, as there. Nothing else of Python is
understood, so a formula can only compute.
"""

from __future__ import annotations

import ast
import math
import operator
from collections.abc import Callable, Mapping

from rewards.registry import RewardError

LONGEST = 2000
DEEPEST = 50
OPERATORS: dict[type[ast.operator], Callable[[float, float], float]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.Pow: math.pow,
    ast.BitXor: math.pow,
}
SIGNS: dict[type[ast.unaryop], Callable[[float], float]] = {ast.UAdd: operator.pos, ast.USub: operator.neg}
FUNCTIONS: dict[str, Callable[..., float]] = {
    "min": min,
    "max": max,
    "abs": abs,
    "floor": math.floor,
    "ceil": math.ceil,
    "exp": math.exp,
    "sqrt": math.sqrt,
    "log": math.log,
}
SEVERAL = ("min", "max")


class Formula:
    """Raises ValueError, with what is wrong, for anything but arithmetic over `names`."""

    def __init__(self, text: str, names: set[str]) -> None:
        if len(text) > LONGEST:
            raise ValueError(f"The formula is longer than {LONGEST} characters.")
        try:
            # In Python ^ binds weaker than +; as a power it must bind tighter than *.
            self.tree = ast.parse(text.strip().replace("^", "**"), mode="eval").body
        except (SyntaxError, RecursionError, MemoryError, ValueError) as error:
            raise ValueError(f"The formula can't be read: {getattr(error, 'msg', error)}.") from None
        self.used: set[str] = set()
        self._check(self.tree, names, DEEPEST)

    def _check(self, node: ast.expr, names: set[str], deeper: int) -> None:
        if not deeper:
            raise ValueError(f"The formula is nested deeper than {DEEPEST} levels.")
        for inner in self._operands(node, names):
            self._check(inner, names, deeper - 1)

    def _operands(self, node: ast.expr, names: set[str]) -> list[ast.expr]:
        match node:
            case ast.BinOp(left, op, right) if type(op) in OPERATORS:
                return [left, right]
            case ast.UnaryOp(op, operand) if type(op) in SIGNS:
                return [operand]
            case ast.Constant(value) if isinstance(value, (int, float)) and not isinstance(value, bool):
                return []
            case ast.Name(name):
                if name not in names:
                    raise ValueError(f"The formula names {name}, which is no part. Parts: {', '.join(sorted(names))}.")
                self.used.add(name)
                return []
            case ast.Call(ast.Name(name), arguments, []) if name in FUNCTIONS:
                if not arguments or (len(arguments) > 1) != (name in SEVERAL):
                    raise ValueError(f"{name}() takes {'two or more values' if name in SEVERAL else 'one value'}.")
                return arguments
        allowed = f"part names, numbers, + - * / ^ and {', '.join(FUNCTIONS)}"
        raise ValueError(f"A formula may hold {allowed}; not “{ast.unparse(node)[:60]}”.")

    def value(self, values: Mapping[str, float]) -> float:
        """Raises RewardError where the arithmetic has no result, such as a division by zero."""
        try:
            result = float(_value(self.tree, values))
        except (ArithmeticError, ValueError, TypeError) as error:
            raise RewardError(f"The formula has no value: {error}.") from None
        if not math.isfinite(result):
            raise RewardError(f"The formula gives {result}.")
        return result


def _value(node: ast.expr, values: Mapping[str, float]) -> float:
    match node:
        case ast.BinOp(left, op, right):
            return OPERATORS[type(op)](_value(left, values), _value(right, values))
        case ast.UnaryOp(op, operand):
            return SIGNS[type(op)](_value(operand, values))
        case ast.Constant(value):
            return float(value)  # type: ignore[arg-type]  # checked to be a number
        case ast.Name(name):
            return values[name]
        case ast.Call(ast.Name(name), arguments):
            return FUNCTIONS[name](*(_value(argument, values) for argument in arguments))
    raise AssertionError(ast.dump(node))
