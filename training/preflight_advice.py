"""What a preflight advises, in plain words. Every threshold is here."""

from __future__ import annotations

from typing import Any

from loracraft.numbers import thousands

MEMORY_TIGHT = 0.85
MOSTLY_DEAD = 0.7
MANY_DEAD = 0.4
ALWAYS_RIGHT = 0.8
CUT_OFF = 0.2
ERRORS = 0.05
LONG_SECONDS = 24 * 3600
DISK_TIGHT = 0.8

BAD, WARNING, GOOD = "bad", "warning", "good"
Advice = dict[str, str]


def advice(result: dict[str, Any]) -> list[Advice]:
    """Worst first, or one sentence that all is well. `result` is that of preflight_results.summary."""
    found = [
        *_samples(result),
        *_memory(result["memory"], result["unfinished"]),
        *_time_and_disk(result["time"], result["disk"]),
    ]
    found.sort(key=lambda line: (BAD, WARNING).index(line["level"]))
    return found or [{"level": GOOD, "text": "Nothing here speaks against starting this session."}]


def _line(level: str, text: str) -> Advice:
    return {"level": level, "text": text}


def _samples(result: dict[str, Any]) -> list[Advice]:
    found = []
    if not result["answers"]:
        return [
            _line(BAD, "No answer was finished in the time given. Lower the new tokens, or choose a smaller model.")
        ]
    if result["errors"]["share"] > ERRORS:
        reason = result["errors"]["reasons"][0] if result["errors"]["reasons"] else "no reason was given"
        found.append(_line(BAD, f"{_percent(result['errors']['share'])} of the answers could not be judged: {reason}"))
    if result["dead"]:
        found += _dead(result)
    if result["cut_off"] > CUT_OFF:
        text = f"{_percent(result['cut_off'])} of the answers were cut off. Raise the new tokens, or ask for less."
        found.append(_line(WARNING, text))
    return found


def _dead(result: dict[str, Any]) -> list[Advice]:
    share, rate = result["dead"]["share"], result["solve_rate"]
    if share <= MANY_DEAD:
        return []
    level = BAD if share > MOSTLY_DEAD else WARNING
    about = f"About {_percent(share)} of the groups will have equal rewards, and teach nothing."
    if rate is not None and rate >= ALWAYS_RIGHT:
        return [_line(level, f"{about} The base model is right most of the time: choose harder questions.")]
    if rate == 0:
        more = "No answer was right: choose easier questions, switch the warm-up on, or add a reward for partly right."
        return [_line(level, f"{about} {more}")]
    return [_line(level, f"{about} Take more answers a question, a reward with more levels, or a warm-up.")]


def _memory(memory: dict[str, Any], unfinished: list[str]) -> list[Advice]:
    found = []
    if memory["available"] and memory["peak"] > MEMORY_TIGHT * memory["available"]:
        text = (
            f"The largest step took {_size(memory['peak'])} of {_size(memory['available'])}. Lower the batch size"
            " (raise the gradient accumulation instead) or the new tokens."
        )
        found.append(_line(BAD if memory["peak"] > memory["available"] else WARNING, text))
    if unfinished:
        text = f"The time was over before this was finished: {', '.join(unfinished)}."
        text += " The peak may be higher, and the time is not known."
        found.append(_line(WARNING, text))
    return found


def _time_and_disk(time: dict[str, Any], disk: dict[str, Any]) -> list[Advice]:
    found = []
    if disk["needed"] > disk["free"]:
        text = f"It needs {_size(disk['needed'])} on the disk, and {_size(disk['free'])} are free."
        found.append(_line(BAD, f"{text} Free some space, or keep fewer checkpoints."))
    elif disk["needed"] > DISK_TIGHT * disk["free"]:
        found.append(_line(WARNING, f"It fills most of the disk: {_size(disk['needed'])} of {_size(disk['free'])}."))
    if time["total"] is not None and time["total"] > LONG_SECONDS:
        hours = time["total"] / 3600
        text = f"It takes about {thousands(hours)} hours on this machine. Limit the steps, or use a smaller model."
        found.append(_line(WARNING, text))
    return found


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %"


def _size(count: float) -> str:
    return f"{count / 1e9:.1f} GB" if count >= 1e8 else f"{count / 1e6:.0f} MB"
