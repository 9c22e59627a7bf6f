"""The cells of a column as text, and what they were."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from math import isfinite
from typing import Any

from pydantic_core import to_json

from datasets_app.limits import MAX_DEPTH
from datasets_app.readers.exact import quick
from datasets_app.readers.rows import Unusable, check_value

# Whole numbers beyond this lose digits as a float, beyond the next they do not fit a column of integers.
EXACT_FLOAT = 2**53
INT64 = 2**63
# What a column's cells may hold, by what was seen in it. Anything else is a column of text.
TYPES = {
    ("int",): "integer",
    ("big",): "integer",
    ("big", "int"): "integer",
    ("float",): "number",
    ("float", "int"): "number",
    ("bool",): "boolean",
    ("json",): "json",
}
WORDS = {"int": "integer", "big": "integer", "huge": "integer", "float": "number", "bool": "boolean"}
INTEGER = r"^(0|-?[1-9][0-9]{0,14})$"


@dataclass
class Column:
    name: str
    # All cells came as text (CSV): they are something else only if all of them are, and nothing is lost by it.
    loose: bool = False
    kinds: set[str] = field(default_factory=set)
    filled: int = 0

    @property
    def type(self) -> str:
        return TYPES.get(tuple(sorted(self.kinds)), "text")

    @property
    def mixed(self) -> list[str]:
        """The types that were found together, where that made the column one of text."""
        words = sorted({WORDS.get(kind, kind) for kind in self.kinds})
        return words if self.type == "text" and len(words) > 1 and not self.loose else []

    def described(self, rows: int) -> dict[str, Any]:
        told = {"name": self.name, "type": self.type, "filled": round(self.filled / rows, 4)}
        return {**told, "mixed": self.mixed} if self.mixed else told

    def texts(self, values: list[Any], trusted: bool) -> tuple[Any, set[str]]:
        """An Arrow array of text and what the values were. Raises ValueError if one of them may be impossible to
        store, unless they are `trusted`: rows.checked() has seen them."""
        array, kinds = as_array(values, trusted)
        if self.loose and kinds == {"text"} and "text" not in self.kinds:
            kinds = loose_kinds(array)
        return array, kinds

    def note(self, array: Any, kinds: set[str]) -> None:
        self.kinds |= kinds
        self.filled += len(array) - array.null_count


def as_array(values: list[Any], trusted: bool) -> tuple[Any, set[str]]:
    import pyarrow as pa

    types = set(map(type, values))
    types.discard(type(None))
    if not types:
        return pa.nulls(len(values), pa.string()), set()
    if types == {str}:
        array = pa.array(values, pa.string())
        if not trusted:
            check_characters(array)
        return array, {"text"}
    if types == {int} and (array := small_integers(values)) is not None:
        return array.cast(pa.string()), {"int"}
    if types <= {list, dict}:
        return json_texts(values, trusted), {"json"}
    kinds: set[str] = set()
    if not trusted:
        for value in values:
            check_value(value, MAX_DEPTH - 1, "")
    return pa.array([None if value is None else as_text(value, kinds) for value in values], pa.string()), kinds


def small_integers(values: list[Any]) -> Any:
    """None if one is too large to be a float without loss."""
    import pyarrow as pa
    import pyarrow.compute as pc

    try:
        array = pa.array(values, pa.int64())
    except OverflowError:
        return None
    ends = pc.min_max(array).as_py()
    return array if ends["min"] > -EXACT_FLOAT and ends["max"] < EXACT_FLOAT else None


def json_texts(values: list[Any], trusted: bool) -> Any:
    import pyarrow as pa

    texts = pa.array([None if value is None else dumped(value) for value in values], pa.binary())
    if not trusted:
        look_closely(texts)
    return texts.cast(pa.string())


def as_text(value: Any, kinds: set[str]) -> str:
    if isinstance(value, str):
        kinds.add("text")
        return value
    if isinstance(value, bool):
        kinds.add("bool")
        return "true" if value else "false"
    if isinstance(value, int):
        kinds.add("int" if abs(value) < EXACT_FLOAT else "big" if abs(value) < INT64 else "huge")
        return str(value)
    if isinstance(value, float):
        kinds.add("float")
        return repr(value)
    kinds.add("json")
    return dumped(value).decode()


def dumped(value: Any) -> bytes:
    return to_json(value, inf_nan_mode="constants")


def look_closely(texts: Any) -> None:
    """Raises ValueError where JSON text may hold what can't be stored; checked() says whether it does."""
    import pyarrow.compute as pc

    data = bytes(texts.buffers()[2] or b"")
    brackets = pc.add(pc.count_substring(texts, "["), pc.count_substring(texts, "{"))
    if b"\\u0000" in data or (pc.max(brackets).as_py() or 0) >= MAX_DEPTH:
        raise Unusable("Look closely.")
    if b"Infinity" in data or b"NaN" in data:
        for text in texts.drop_null().to_pylist():
            quick(text)


def check_characters(array: Any) -> None:
    if b"\x00" in bytes(array.buffers()[2] or b""):
        raise Unusable("Holds a NUL character.")


def loose_kinds(array: Any) -> set[str]:
    """What cells of text can be read as, so that writing them again gives the same text."""
    import pyarrow.compute as pc

    filled = array.drop_null()
    if not len(filled):
        return set()
    if pc.all(pc.match_substring_regex(filled, INTEGER)).as_py():
        return {"int"}
    texts: Iterable[str] = filled.to_pylist()
    return {loose_kind(text) for text in texts}


def loose_kind(text: str) -> str:
    if text in ("true", "false"):
        return "bool"
    try:
        number = float(text)
    except ValueError:
        return "text"
    # Not 2.0, which would be shown as 2.
    if repr(number) == text and isfinite(number) and not number.is_integer():
        return "float"
    return "int" if text.isdecimal() and text.isascii() and len(text) < 16 and str(int(text)) == text else "text"
