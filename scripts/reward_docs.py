"""Writes docs/reward-functions.md from the functions themselves: `python scripts/reward_docs.py`.

What each takes, how it scores, and its examples, which the tests run. A test fails when the page is not up to date.
"""

import json
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from rewards.composition import REGISTRY  # noqa: E402
from rewards.registry import Example, RewardFunction  # noqa: E402

DOCUMENT = ROOT / "docs" / "reward-functions.md"
LONGEST_TEXT = 160
MOST_EXAMPLES = 8
INTRODUCTION = """# Reward functions

Written by `python scripts/reward_docs.py` from the functions themselves; their examples are run as tests.
How to put them together: [How to write a reward that can't be gamed](reward-guide.md).

A function gives each answer a score between its lowest and highest. What it can't judge (no reference, a time-out) is
an error and no zero: the answer is left out of the gradient, counted and shown. *Judges the answer* means that the
highest score is for right answers only; *grades the content*, that better content scores higher. The other functions
look at form alone, and a reward made only of them can be gamed.
"""


def document() -> str:
    categories: dict[str, list[RewardFunction]] = {}
    for function in REGISTRY.values():
        categories.setdefault(function.category, []).append(function)
    parts = [INTRODUCTION]
    for category in sorted(categories):
        parts.append(f"## {category}\n")
        parts += [section(function) for function in sorted(categories[category], key=lambda one: one.title)]
    return "\n".join(parts)


def section(function: RewardFunction) -> str:
    lines = [f"### {function.title}", "", f"`{function.name}` · {traits(function)}", "", function.help, ""]
    if rows := parameters(function):
        lines += table(("parameter", "default", "allowed", "meaning"), rows)
    if rows := [example(one) for one in function.examples[:MOST_EXAMPLES]]:
        lines += table(("answer", "reference", "parameters", "score"), rows)
    return "\n".join(lines)


def traits(function: RewardFunction) -> str:
    found = [
        f"{function.minimum:g} to {function.maximum:g}",
        "judges the answer" if function.judges_answer else "form only" if function.form_only else "grades the content",
        "needs a reference" if function.needs_reference else "",
    ]
    return " · ".join(filter(None, found))


def parameters(function: RewardFunction) -> list[tuple[str, ...]]:
    schema = function.parameters.model_json_schema()
    needed = schema.get("required", [])
    return [
        (
            f"`{name}`",
            "required" if name in needed else f"`{json.dumps(about.get('default'), ensure_ascii=False)}`",
            allowed(about),
            " ".join(filter(None, (named(about.get("title")), about.get("description")))),
        )
        for name, about in schema.get("properties", {}).items()
    ]


def named(title: str | None) -> str:
    return f"{title.rstrip('.')}." if title else ""


def allowed(about: dict[str, Any]) -> str:
    if "enum" in about:
        return ", ".join(f"`{choice}`" for choice in about["enum"])
    if about.get("type") == "boolean":
        return "yes or no"
    low, high = about.get("minimum"), about.get("maximum")
    if low is not None or high is not None:
        return f"{plain(low)} to {plain(high)}" if None not in (low, high) else f"at least {plain(low)}"
    if "maxLength" in about:
        return f"at most {about['maxLength']:,} characters"
    return {"array": "a list of texts", "string": "text", "object": "names and values"}.get(about.get("type", ""), "")


def plain(number: float | None) -> str:
    return "" if number is None else f"{number:,g}" if abs(number) < 1e6 else f"{number:,.0f}"


def example(one: Example) -> tuple[str, ...]:
    given = {**one.parameters, **({"columns": one.sample.columns} if one.sample.columns else {})}
    shown = ", ".join(f"{name}={json.dumps(value, ensure_ascii=False)}" for name, value in given.items())
    response = code(one.sample.response) or "(empty)"
    return response, code(one.sample.reference or ""), code(shown), f"{one.value:.3g}"


def code(text: str) -> str:
    """A cell of a Markdown table can hold neither a line break nor a bar."""
    short = text if len(text) <= LONGEST_TEXT else f"{text[:LONGEST_TEXT]}…"
    safe = short.replace("\n", "⏎").replace("|", "\\|")
    if not safe.strip():
        return ""
    return f"`` {safe} ``" if "`" in safe else f"`{safe}`"


def table(head: tuple[str, ...], rows: list[tuple[str, ...]]) -> list[str]:
    return [
        f"| {' | '.join(head)} |",
        f"| {' | '.join('---' for _ in head)} |",
        *(f"| {' | '.join(row)} |" for row in rows),
        "",
    ]


def main() -> int:
    DOCUMENT.write_text(document())
    print(f"Written: {DOCUMENT.relative_to(ROOT)}, {len(REGISTRY)} functions")
    return 0


if __name__ == "__main__":
    sys.exit(main())
