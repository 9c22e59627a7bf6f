"""What pydantic found wrong, in sentences that say what to write instead."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails


def as_text(value: Any) -> str:
    """As somebody would type it: 0.0002 and 3, not 0.00020 and 3.0."""
    if value is None:
        return ""
    if isinstance(value, float):
        return format(value, ".12g")
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def place(error: ErrorDetails) -> str:
    """Where it is, as in `parts.0.name`; "" for the whole."""
    return ".".join(str(step) for step in error["loc"])


def explain(error: ErrorDetails) -> str:
    limits = {name: as_text(limit) for name, limit in error.get("ctx", {}).items()}
    sentences = {
        "int_parsing": "Write a whole number.",
        "int_from_float": "Write a whole number.",
        "int_type": "Write a whole number.",
        "float_parsing": "Write a number, with a dot for decimals: 0.5 or 2e-4.",
        "float_type": "Write a number, with a dot for decimals: 0.5 or 2e-4.",
        "finite_number": "Write a finite number.",
        "greater_than_equal": f"Write {limits.get('ge')} or more.",
        "greater_than": f"Write more than {limits.get('gt')}.",
        "less_than_equal": f"Write {limits.get('le')} or less.",
        "less_than": f"Write less than {limits.get('lt')}.",
        "literal_error": f"Choose one of {limits.get('expected')}.",
        "string_too_short": "This can't be empty.",
        "string_too_long": f"Write {limits.get('max_length')} characters at most.",
        "string_type": "Write text.",
        "bool_parsing": "Choose on or off.",
        "bool_type": "Choose on or off.",
        "dict_type": "This has to be an object, in braces.",
        "model_attributes_type": "This has to be an object, in braces.",
        "model_type": "This has to be an object, in braces.",
        "list_type": "This has to be a list, in brackets.",
        "too_short": f"Give {limits.get('min_length')} or more.",
        "too_long": f"Give {limits.get('max_length')} at most.",
        "extra_forbidden": "There is no such setting. Check its spelling.",
        "missing": "This is missing.",
    }
    text = sentences.get(error["type"], error["msg"].removeprefix("Value error, ").strip())
    return text if text.endswith((".", "!", "?")) else f"{text}."
