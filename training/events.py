"""What the engine says while it runs. Neither Django nor torch is needed to import this.

`data` by kind:

phase       {"status": a training.choices.Status value, "label": text for people, "total_steps": int | None,
             "resumed_from": step of the checkpoint this attempt goes on from, or None, "mode": device line or None}
metrics     one row a step, all values flat under TRL's keys ("loss", "reward", "reward_std", "kl", "grad_norm",
             "learning_rate", "completions/mean_length", "rewards/<part>/mean", ...) and "seconds_left". Only in the
             rows of steps where it was measured: in the phase training "eval_reward" and "eval_accuracy", the score on
             the validation part; in the phase pretraining "format_rate", the share (0 to 1) of sampled answers with
             the right markers in the right order. Where a step generated answers also its number of groups of each
             kind, "signal/mixed", "signal/errored", "signal/truncated", "signal/right", "signal/wrong" (their sum is
             the number of groups, training/engine/signal.py defines them), "signal/tokens" of all answers and
             "signal/tokens_without" of those in groups without a gradient
rollouts    {"groups": [{"question", "prompt", "reference", "completions": [{"text", "parts": {part: value or None},
             "errors": {part: message}, "total": float | None, "advantage": float | None, "length": tokens,
             "cut_off": bool, "gate": the part whose gate closed, where one did, "characters": of the whole text,
             where it is longer than what is here}]}]}
evaluation  answers as they come: {"label": "base" | "adapter", "done": int, "total": int, "answers": [{"row",
             "question", "reference", "completion", "correct": bool | None, "reward": float | None, "cut_off"}]},
             at the end of a label: {"label", "summary": {"questions", "correct", "accuracy", "low", "high",
             "mean_reward", "seconds"}}; low and high are the 95 % Wilson interval.
             A score while training has a step, no answers and {"label": "validation", "summary", "metric": "reward" |
             "accuracy", "score": float | None if nothing could be judged, "low", "high": its 95 % interval,
             "best": whether it is the best so far,
             "best_step", "best_score", "without_gain": scores since the best one, "patience": int | None}; when
             without_gain reaches patience, training ends early
checkpoint  {"path": relative to the session's folder, "bytes", "sha256": of the manifest, "seconds"}
log         {"level": "info" | "warning" | "error", "message"}; where answers of a step could not be judged also
             "unjudged": {"count", "of": answers of the step, "reasons": {reason: count}}; once an attempt, when the
             model is loaded, "environment" (training/engine/environment.py), "model" {"commit", "fingerprint"}
             (training/engine/model_files.py), "fallbacks" [{"field", "message"}] and "passes" {"batch_size",
             "gradient_accumulation_steps"}
system      {"cpu_percent", "ram_used", "ram_total", "disk_used", "disk_total", "gpu_name", "gpu_memory",
             "gpu_memory_total", "gpu_utilization"}; memory and disk in bytes, None where there is no GPU
error       {"message": what happened, "hint": what to do, "trace": reference of the traceback in the log, or None}
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

Emit = Callable[["EngineEvent"], None]


@dataclass(frozen=True)
class EngineEvent:
    kind: str
    phase: str
    data: dict[str, Any] = field(default_factory=dict)
    step: int | None = None


def finite(value: Any) -> Any:
    """`value` with every NaN and infinity replaced by None: databases and JSON have neither."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {key: finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [finite(item) for item in value]
    return value
