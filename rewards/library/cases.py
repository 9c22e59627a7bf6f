"""How presets and their golden cases are written down."""

from __future__ import annotations

from typing import Any

MARKERS = {
    "reasoning_start": "<start_working_out>",
    "reasoning_end": "<end_working_out>",
    "solution_start": "<SOLUTION>",
    "solution_end": "</SOLUTION>",
}


def part(name: str, function: str, weight: float, **parameters: Any) -> dict[str, Any]:
    return {"name": name, "function": function, "weight": weight, "parameters": parameters}


def gate(name: str, function: str, at_least: float, **parameters: Any) -> dict[str, Any]:
    """Below the limit the whole answer gets nothing; above it the part itself counts nothing."""
    return {**part(name, function, 0.0, **parameters), "gate": at_least}


def full(reasoning: str, solution: str) -> str:
    return f"<start_working_out>{reasoning}<end_working_out>\n<SOLUTION>{solution}</SOLUTION>"


def short(solution: str) -> str:
    return f"<SOLUTION>{solution}</SOLUTION>"


def case(instruction: str, reference: str | None, *answers: tuple[int, str, str], **columns: Any) -> dict[str, Any]:
    """A lower rank is a better answer."""
    ranked = [{"rank": rank, "label": label, "text": text} for rank, label, text in answers]
    more = {"columns": columns} if columns else {}
    return {"instruction": instruction, "reference": reference, "markers": MARKERS, "answers": ranked, **more}


def preset(
    slug: str,
    name: str,
    category: str,
    description: str,
    parts: list[dict[str, Any]],
    golden: list[dict[str, Any]],
    **composition: Any,
) -> dict[str, Any]:
    return {
        "slug": slug,
        "name": name,
        "category": category,
        "description": description,
        "definition": {"parts": parts, **composition},
        "golden": golden,
    }
