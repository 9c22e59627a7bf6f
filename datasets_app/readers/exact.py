"""JSON, exactly: no number, name or character is changed without a word."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from typing import Any, NoReturn

import jiter

from datasets_app.limits import MAX_DEPTH
from datasets_app.readers.rows import Unusable, checked

# Of a text without fault. Raises ValueError for any other; row_of() knows why. Whole numbers of any size stay.
quick: Callable[[bytes], Any] = partial(
    jiter.from_json, allow_inf_nan=False, catch_duplicate_keys=True, cache_mode="keys"
)


def row_of(raw: bytes, offset: int) -> dict[str, Any]:
    """The row that a line holds, which begins at byte `offset` of the text. Raises Unusable with the place."""
    try:
        text = raw.strip().decode()
    except UnicodeDecodeError as error:
        start = error.start + len(raw) - len(raw.lstrip())
        byte = f"byte 0x{raw[start]:02X} at position {start + 1}"
        raise Unusable(f"Not UTF-8: {byte} of the line, offset {offset + start} of the file.") from None
    try:
        return checked(json.loads(text, parse_constant=refuse_constant, object_pairs_hook=unique))
    except json.JSONDecodeError as error:
        raise Unusable(f"Not JSON: {error.msg.removesuffix(' at')} at character {error.pos + 1}.") from None
    except RecursionError:
        raise Unusable(f"Nested more than {MAX_DEPTH} deep.") from None
    except Unusable:
        raise
    except ValueError:
        raise Unusable("Holds a number with too many digits.") from None


def refuse_constant(name: str) -> NoReturn:
    raise Unusable(f"Holds {name}, which is not a JSON value. Write null or leave it out.")


def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise Unusable(f"Has the name “{repeated([name for name, _ in pairs])}” twice. Keep one of them.")
    return found


def repeated(names: list[str]) -> str:
    seen: set[str] = set()
    return next(name for name in names if name in seen or seen.add(name))  # type: ignore[func-returns-value]
