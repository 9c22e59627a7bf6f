"""How numbers are written, on pages and in messages alike."""

# Narrow, and no line is broken at it.
THOUSANDS = "\u202f"


def thousands(amount: float, places: int = 0) -> str:
    """1234567 as 1 234 567, with as many `places` behind the point."""
    return f"{amount:,.{places}f}".replace(",", THOUSANDS)
