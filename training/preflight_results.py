"""From what a preflight measured (training/engine/preflight.py) to what is shown, stored and advised. No torch."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass
from statistics import fmean
from typing import Any

from training.architecture import Architecture
from training.memory import Situation, estimate, half_here
from training.preflight_advice import advice
from training.preflight_forecast import dead_groups, histogram
from training.schema import SessionConfig

# The engine's own: rewards that differ by less are equal to it.
REWARD_STEP = 2.0**-16
REASONS = 3
NAMES = {"sampling": "answering", "warm_up": "the step of the warm-up", "step": "the largest step"}
Json = dict[str, Any]


@dataclass(frozen=True)
class Surroundings:
    """Bytes that the machine had to give before, free bytes of the disk, and questions of one evaluation."""

    available: int | None
    free: int
    held_out: int
    model: Architecture | None = None


def summary(measured: Json, config: SessionConfig, around: Surroundings) -> Json:
    answers = [answer for question in measured["questions"] for answer in question["answers"]]
    result = {
        "answers": len(answers),
        "questions": len(measured["questions"]),
        "asked": measured["asked"],
        **_scores(measured["questions"], answers, config),
        "memory": _memory(measured, config, around),
        "time": seconds(measured, config, around.held_out),
        "disk": _disk(measured, config, around),
        "unfinished": unfinished(measured),
        "engine": measured["engine"],
        "examples": examples(measured["questions"]),
    }
    return {**result, "advice": advice(result)}


def _scores(questions: list[Json], answers: list[Json], config: SessionConfig) -> Json:
    totals = [answer["total"] for answer in answers if answer["total"] is not None]
    rates = [rate for question in questions if (rate := solve_rate(question)) is not None]
    dead = dead_groups([levels(question) for question in questions], config.grpo.num_generations)
    reasons = Counter(error for answer in answers for error in answer["errors"])
    failed = len(answers) - len(totals)
    return {
        "mean_reward": fmean(totals) if totals else None,
        "solve_rate": fmean(rates) if rates else None,
        "histogram": [{"label": label, "count": count} for label, count in histogram(rates)] if rates else [],
        "dead": {**asdict(dead), "group": config.grpo.num_generations} if dead else None,
        "cut_off": share(answer["cut_off"] for answer in answers),
        "tokens": fmean(answer["tokens"] for answer in answers) if answers else None,
        "errors": {
            "count": failed,
            "share": failed / len(answers) if answers else 0.0,
            "reasons": [reason for reason, _ in reasons.most_common(REASONS)],
        },
    }


def share(flags: Any) -> float:
    found = list(flags)
    return sum(found) / len(found) if found else 0.0


def solve_rate(question: Json) -> float | None:
    """None where nothing says what is right."""
    judged = [answer["correct"] for answer in question["answers"] if answer["correct"] is not None]
    return fmean(judged) if judged else None


def levels(question: Json) -> list[int]:
    """Its rewards, so that those are equal which the engine takes for equal."""
    totals = (answer["total"] for answer in question["answers"])
    return [round(total / REWARD_STEP) for total in totals if total is not None]


def unfinished(measured: Json) -> list[str]:
    found = {
        "sampling": len(measured["questions"]) == measured["asked"],
        "warm_up": measured["warm_up"].get("finished", True),
        "step": measured["step"].get("finished", True),
    }
    return [NAMES[name] for name, whole in found.items() if not whole]


def _memory(measured: Json, config: SessionConfig, around: Surroundings) -> Json:
    return {
        "peak": measured["peak"],
        "phases": measured["peaks"],
        "available": around.available,
        "on_gpu": measured["on_gpu"],
        "estimate": _estimate(measured, config, around.model),
    }


def _estimate(measured: Json, config: SessionConfig, model: Architecture | None) -> Json | None:
    """What was worked out for the same prompts, to stand beside what was measured."""
    if model is None or "prompt_tokens" not in measured["step"]:
        return None
    on_gpu, warm_up = measured["on_gpu"], measured["warm_up"].get("tokens")
    where = Situation(measured["step"]["prompt_tokens"], on_gpu, half_here(config, on_gpu), warm_up)
    found = estimate(model, config, where)
    return {**asdict(found), "total": found.total}


def _disk(measured: Json, config: SessionConfig, around: Surroundings) -> Json:
    """Kept checkpoints, one more while it is written, and the adapter."""
    adapter = 4 * measured["trainable"]
    checkpoint = measured["checkpoint"] or 3 * adapter
    kept = config.training.save_total_limit + 1
    return {"needed": checkpoint * kept + adapter, "free": around.free, "checkpoint": checkpoint}


def seconds(measured: Json, config: SessionConfig, held_out: int) -> Json:
    """Of the whole session. `most` is with every answer as long as it may be. None without a whole step."""
    spent, answers = measured["seconds"], sum(len(question["answers"]) for question in measured["questions"])
    evaluations = 2 * min(held_out, config.evaluation.max_samples) if config.evaluation.enabled else 0
    if not answers or not measured["step"].get("finished"):
        return {"total": None, "most": None, "step": None, "steps": measured["steps"], "parts": []}
    judging = spent["scoring"] / answers
    answering = spent["generating"] / answers
    step = typical_step(measured, config, answering, judging)
    largest = measured["step"]["seconds"] + judging * config.completions_per_step
    around_it = [("Loading", spent["loading"]), ("Evaluation, before and after", evaluations * (answering + judging))]
    warm_up = [("Warm-up", warm_up_seconds(measured))] if measured["warm_up"] else []
    parts = [*around_it, *warm_up, ("GRPO", measured["steps"] * step)]
    total = sum(value for _, value in parts)
    return {
        "total": total,
        "most": max(total + measured["steps"] * (largest - step), total),
        "step": step,
        "largest_step": largest,
        "steps": measured["steps"],
        "parts": [{"label": label, "seconds": value} for label, value in parts],
    }


def typical_step(measured: Json, config: SessionConfig, answering: float, judging: float) -> float:
    """Answers as long as those that were sampled. Learning costs by the token; a round of answers may serve several
    steps."""
    largest, made = measured["step"], [a["tokens"] for q in measured["questions"] for a in q["answers"]]
    learning = largest["seconds"] - largest["generating"]
    tokens = fmean(made) + largest["mean_prompt_tokens"]
    learning *= min(tokens / (largest["new_tokens"] + largest["prompt_tokens"]), 1.0)
    new_answers = config.completions_per_step / config.grpo.num_iterations
    return float(learning + new_answers * (answering + judging))


def warm_up_seconds(measured: Json) -> float:
    section = measured["warm_up"]
    each = section["seconds"] * min(section["mean_tokens"] / section["tokens"], 1.0)
    return float(section["steps"] * each)


def examples(questions: list[Json]) -> list[Json]:
    """The best and the worst answer, and one that was cut off, each once."""
    told = [(question, answer) for question in questions for answer in question["answers"]]
    scored = [pair for pair in told if pair[1]["total"] is not None]
    wanted = {
        "Best": max(scored, key=lambda pair: pair[1]["total"], default=None),
        "Worst": min(scored, key=lambda pair: pair[1]["total"], default=None),
        "Cut off": next((pair for pair in told if pair[1]["cut_off"]), None),
        "Not judged": next((pair for pair in told if pair[1]["total"] is None), None),
    }
    found: list[Json] = []
    for title, pair in wanted.items():
        if pair is not None and all(pair[1]["text"] != each["text"] for each in found):
            found.append(
                {"title": title, "question": pair[0]["question"], "reference": pair[0]["reference"], **pair[1]}
            )
    return found
