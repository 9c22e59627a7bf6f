"""Row 7: kill -9 of the real trainer (TRL, a tiny random model, on the CPU) at random moments. Compared with a run that
nobody disturbed: the same steps, the same rewards, the same weights."""

from __future__ import annotations

import contextlib
import random
from pathlib import Path
from typing import Any

import psutil

from tests.chaos._stack import Stack, as_json, examined, result, stack, wait

SECONDS = 600
REAL = {"CHAOS_ENGINE": "training.engine.run", "CUDA_VISIBLE_DEVICES": ""}
CURVES = ("loss", "reward", "grad_norm", "completions/mean_length")


def run(seed: int = 1, kills: int = 10, steps_a_kill: int = 6, broken: str = "") -> dict[str, Any]:
    """`broken` = "supersede" is the negative control."""
    from tests.exports import tiny

    steps = kills * steps_a_kill + 6
    with stack(CHAOS_BREAK=broken, LORACRAFT_MAX_SESSIONS="2", **REAL) as running:
        folder = running.data / "tiny"
        folder.mkdir()
        running.env["CHAOS_MODEL"] = str(tiny.model(folder))
        disturbed, whole = running.queue(2, steps, save_every=2)
        running.start_worker()
        dice = random.Random(seed)
        for _ in range(kills):
            killed(running, disturbed, dice, steps_a_kill)
        running.wait_for_ends([disturbed, whole], SECONDS + 10 * steps)
        found = compared(running, disturbed, whole, steps)
        distance = largest_difference(running.folder(disturbed), running.folder(whole))
    found["weights_differ"] = int(distance > 0)
    return result(f"1 session of {steps} steps, and the same undisturbed", kills, found, largest_difference=distance)


def killed(running: Stack, session: str, dice: random.Random, steps: int) -> None:
    trainer = wait(lambda: running.trainer(session), SECONDS, "a trainer")
    reached = newest_step(running, session)
    wait(lambda: newest_step(running, session) >= reached + dice.randint(2, steps - 1), SECONDS, "progress")
    with contextlib.suppress(psutil.NoSuchProcess):
        trainer.kill()
    psutil.wait_procs([trainer], timeout=10)


def newest_step(running: Stack, session: str) -> int:
    query = "select max(step) from training_event where session_id = ? and kind = 'metrics'"
    return running.rows(query, session)[0][0] or 0


def compared(running: Stack, disturbed: str, whole: str, steps: int) -> dict[str, int]:
    rewards = {step: round(data["reward"], 9) for step, data in curve(running, whole)}
    found = examined(running, disturbed, rewards)
    mine, other = dict(curve(running, disturbed)), dict(curve(running, whole))
    found["curves_differ"] = sum(
        mine.get(step, {}).get(key) != row.get(key) for step, row in other.items() for key in CURVES
    )
    found["steps_of_the_whole"] = abs(steps - len(other))
    return found


def curve(running: Stack, session: str) -> list[tuple[int, dict[str, Any]]]:
    query = "select step, data from training_event where session_id = ? and kind = 'metrics' and not superseded"
    return [(step, as_json(data)) for step, data in running.rows(f"{query} order by seq", session)]


def largest_difference(one: Path, other: Path) -> float:
    from safetensors.torch import load_file

    first, second = (load_file(folder / "adapter" / "adapter_model.safetensors") for folder in (one, other))
    return max(float((first[name] - second[name]).abs().max()) for name in first)
