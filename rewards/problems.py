"""What pydantic found wrong, as sentences that name the place."""

from __future__ import annotations

from pydantic import ValidationError


def messages(error: ValidationError) -> list[str]:
    """One sentence for each thing wrong, with the place it is at."""
    found = []
    for problem in error.errors(include_url=False, include_input=False):
        place = ".".join(str(step) for step in problem["loc"])
        text = problem["msg"].removeprefix("Value error, ")
        found.append(f"{place}: {text}" if place else text)
    return found
