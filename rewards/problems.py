"""What pydantic found wrong, as sentences that name the place."""

from __future__ import annotations

from pydantic import ValidationError

from loracraft.sentences import explain, place


def messages(error: ValidationError) -> list[str]:
    """One sentence for each thing wrong, with the place it is at."""
    found = error.errors(include_url=False, include_input=False)
    return [f"{place(each)}: {explain(each)}" if each["loc"] else explain(each) for each in found]
