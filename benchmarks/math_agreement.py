"""Right numbers: verdicts of `math_answer` on solutions made from GSM8K

Every row of GSM8K's training part is turned into solutions that a person would call right or wrong without a doubt
(tests/rewards/math_variants.py): other units and spellings, numbers of the question said again, last sentences without
the number, several candidates, near misses. `agree` is the share of verdicts that say the same; every disagreement is
printed.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

from rewards.functions.maths import MathAnswer, math_answer
from rewards.registry import Sample
from tests.rewards.math_variants import MARKERS, TRAIN, Row, Variant, hard_variants, rows


def run() -> list[dict[str, Any]]:
    if not TRAIN.is_file():
        print(f"Left out: GSM8K is not at {TRAIN}")
        return []
    judged: Counter[tuple[bool, str]] = Counter()
    agreed: Counter[tuple[bool, str]] = Counter()
    for row in rows():
        for variant in hard_variants(row):
            kind = (variant.right, variant.kind)
            judged[kind] += 1
            if called_right(row, variant) is variant.right:
                agreed[kind] += 1
            else:
                print(f"{variant.kind}: reference {variant.reference!r}, response ...{variant.response[-160:]!r}")
    kinds = sorted(judged, key=lambda kind: (not kind[0], kind[1]))
    total = {"kind": "all", "is": "", "judged": judged.total(), "agree": share(agreed.total(), judged.total())}
    return [total, *(table_row(kind, judged[kind], agreed[kind]) for kind in kinds)]


def called_right(row: Row, variant: Variant) -> bool:
    sample = Sample(row.question, variant.response, variant.reference, markers=MARKERS)
    return math_answer(sample, MathAnswer()).value == 1.0


def table_row(kind: tuple[bool, str], judged: int, agreed: int) -> dict[str, Any]:
    return {"kind": kind[1], "is": "right" if kind[0] else "wrong", "judged": judged, "agree": share(agreed, judged)}


def share(part: int, whole: int) -> str:
    return f"{part / whole:.2%}"
