"""Typed environment variables that fail loudly: a wrong value stops the program with a sentence."""

import math
import os
from pathlib import Path

from django.core.exceptions import ImproperlyConfigured

TRUE = {"1", "true", "yes", "on"}
FALSE = {"0", "false", "no", "off", ""}


def text(name: str, default: str = "") -> str:
    return os.environ.get(name, default).strip()


def flag(name: str, default: bool) -> bool:
    value = os.environ.get(name)
    if value is None:
        return default
    if value.strip().lower() in TRUE:
        return True
    if value.strip().lower() in FALSE:
        return False
    raise ImproperlyConfigured(f"{name} is {value!r}: write one of 1, true, yes, on, 0, false, no, off.")


def integer(name: str, default: int, *, minimum: int = 0) -> int:
    value = text(name)
    if not value:
        return default
    try:
        number = int(value)
    except ValueError:
        raise ImproperlyConfigured(f"{name} is {value!r}: write a whole number.") from None
    if number < minimum:
        raise ImproperlyConfigured(f"{name} is {number}: the smallest value is {minimum}.")
    return number


def number(name: str, default: float, *, minimum: float = 0) -> float:
    value = text(name)
    if not value:
        return default
    try:
        found = float(value)
    except ValueError:
        raise ImproperlyConfigured(f"{name} is {value!r}: write a number, such as {default:g}.") from None
    if not minimum <= found < math.inf:
        raise ImproperlyConfigured(f"{name} is {value}: the smallest value is {minimum:g}.")
    return found


def words(name: str, default: str = "") -> list[str]:
    return [word.strip() for word in text(name, default).split(",") if word.strip()]


def path(name: str, default: Path) -> Path:
    return Path(text(name) or default).expanduser().resolve()
