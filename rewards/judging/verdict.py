"""From a judge's reply to points. What says no clear number within the range is an error, never a guess."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Sequence
from typing import Any

from rewards.judging.memory import Opinion
from rewards.registry import RewardError

LONGEST_TEXT = 50_000
LONGEST_REASON = 300
THINKING = re.compile(r"\A\s*<think>.*?</think>", re.DOTALL)


def text_of(body: bytes) -> str:
    """What the judge wrote. Raises RewardError if it refused, was cut off, or the reply is none of this protocol."""
    choice = _choice(body)
    message = choice.get("message")
    message = message if isinstance(message, dict) else {}
    if message.get("refusal") or choice.get("finish_reason") == "content_filter":
        raise RewardError("The judge refused to grade this answer.")
    text = message.get("content")
    if choice.get("finish_reason") == "length":
        raise RewardError("The judge's reply was cut off: raise “Most new tokens”.")
    if not isinstance(text, str) or not text.strip():
        raise RewardError("The judge replied without any text.")
    return text


def _choice(body: bytes) -> dict[str, Any]:
    try:
        return dict(json.loads(body)["choices"][0])
    except (ValueError, TypeError, KeyError, IndexError, RecursionError):
        raise RewardError("The judge's reply is no chat completion: check the endpoint's address.") from None


def tokens_of(body: bytes, sent: int) -> int:
    """As the endpoint counted them, else a quarter of the characters."""
    try:
        counted = json.loads(body)["usage"]["total_tokens"]
    except (ValueError, TypeError, KeyError, RecursionError):
        counted = None
    return counted if isinstance(counted, int) and counted >= 0 else (sent + len(body)) // 4


def opinion_in(text: str, low: float, high: float) -> Opinion:
    """Raises RewardError."""
    found = _objects(text, "score")
    scores = {_points(verdict["score"]) for verdict in found}
    if len(scores) != 1 or None in scores:
        said = "several different scores" if len(scores) > 1 else "no score"
        raise RewardError(f"The judge's reply can't be read: it holds {said}. A larger model keeps to the form.")
    (points,) = scores
    assert points is not None
    if not low <= points <= high:
        raise RewardError(f"The judge gave {points:g}, which is not between {low:g} and {high:g}.")
    return Opinion(points, _reason(found))


def choice_in(text: str, labels: Sequence[str], passing: Sequence[str]) -> Opinion:
    """1 point for a label that passes, 0 for another. Raises RewardError."""
    found = _objects(text, "label")
    chosen = {str(verdict["label"]).strip() for verdict in found}
    if len(chosen) != 1:
        said = "several different labels" if chosen else "no label"
        raise RewardError(f"The judge's reply can't be read: it holds {said}. A larger model keeps to the form.")
    (label,) = chosen
    if label not in labels:
        raise RewardError(f"The judge chose “{label[:80]}”, which is none of the labels: {', '.join(labels)[:200]}.")
    return Opinion(float(label in passing), f"“{label}”. {_reason(found)}".strip())


def _reason(found: list[dict[str, Any]]) -> str:
    return " ".join(str(found[-1].get("reason") or "").split())[:LONGEST_REASON]


def _objects(text: str, key: str) -> list[dict[str, Any]]:
    text = THINKING.sub("", text[:LONGEST_TEXT])
    try:
        whole = json.loads(text)
    except (ValueError, RecursionError):
        return list(_embedded(text, key))
    return [whole] if isinstance(whole, dict) and key in whole else []


def _embedded(text: str, key: str) -> Iterator[dict[str, Any]]:
    """Every outermost JSON object with such a key: some models write a sentence or a fence around it."""
    decoder, position = json.JSONDecoder(), text.find("{")
    while position >= 0:
        try:
            value, end = decoder.raw_decode(text, position)
        except (ValueError, RecursionError):
            end = position + 1
        else:
            if key in value:
                yield value
        position = text.find("{", end)


def _points(score: Any) -> float | None:
    if isinstance(score, bool) or not isinstance(score, int | float | str):
        return None
    try:
        points = float(score)
    except (ValueError, OverflowError):
        return None
    return points if math.isfinite(points) else None
