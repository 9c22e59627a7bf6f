"""Sessions with a history, as a real run leaves it, for tests and for looking at pages."""

import math
import random
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any

from django.contrib.auth.models import User
from django.utils import timezone

from accounts.models import Team
from datasets_app.models import Dataset, DatasetVersion, Source
from training import kept_answers, outcomes
from training.choices import ACTIVE, Kind, Status
from training.models import Event, Session
from training.schema import SessionConfig

MODE = "No GPU detected - running in CPU mode"
PARTS = {"correct": 1.0, "format": 0.5, "brevity": 0.2}
GENERATIONS = 8
QUESTIONS = 24


def make_dataset_version(team: Team, name: str = "Chain sums") -> DatasetVersion:
    dataset = Dataset.objects.create(team=team, name=name, source=Source.REASONING_GYM)
    return DatasetVersion.objects.create(
        dataset=dataset,
        file=f"{dataset.pk}.parquet",
        sha256="0" * 64,
        row_count=496,
        mapping={"instruction": "question", "response": "answer", "rule": ""},
        split={"seed": 42, "held_out": 96},
    )


def make_config(**sections: dict[str, Any]) -> dict[str, Any]:
    """A valid config as JSON: make_config(training={"max_steps": 60})."""
    config = SessionConfig().model_dump(mode="json")
    for name, values in sections.items():
        config[name].update(values)
    return config


def make_reward(parts: dict[str, float] = PARTS) -> dict[str, Any]:
    return {
        "parts": [
            {"name": name, "function": "length", "weight": weight, "parameters": {}} for name, weight in parts.items()
        ]
    }


def make_session(
    team: Team, status: str = Status.TRAINING, *, by: User | None = None, name: str = "Sums with SmolLM2", **fields: Any
) -> Session:
    """A session in `status`, with a config, a reward and a dataset but without events."""
    begun = status not in (Status.DRAFT, Status.QUEUED, Status.CANCELLED)
    now = timezone.now()
    values: dict[str, Any] = {
        "config": make_config(training={"max_steps": 60}),
        "reward": {} if status == Status.DRAFT else make_reward(),
        "queued_at": None if status == Status.DRAFT else now,
        "started_at": now - timedelta(minutes=14) if begun else None,
        "finished_at": now if begun and status not in ACTIVE else None,
        "attempt": 1 if begun else 0,
        "mode": MODE if begun else "",
        "total_steps": 60 if begun else 0,
    }
    if "dataset_version" not in fields:
        values["dataset_version"] = make_dataset_version(team)
    return Session.objects.create(team=team, created_by=by, name=name, status=status, **{**values, **fields})


class History:
    """Appends events to a session and keeps the row as the recorder does."""

    def __init__(self, session: Session, begin: datetime | None = None, seed: int = 1) -> None:
        self.session = session
        self.at = begin or session.started_at or timezone.now()
        self.random = random.Random(seed)
        self.rows: list[Event] = []
        self.seq = session.last_seq

    def add(self, kind: str, phase: str = "", step: int | None = None, seconds: float = 0.5, **data: Any) -> Event:
        self.seq += 1
        self.at += timedelta(seconds=seconds)
        row = Event(
            session=self.session,
            seq=self.seq,
            attempt=self.session.attempt,
            kind=kind,
            phase=phase,
            step=step,
            data=data,
            created_at=self.at,
        )
        self.rows.append(row)
        return row

    def save(self, **row: Any) -> Session:
        stored = Event.objects.bulk_create(map(kept_answers.brief_event, self.rows), batch_size=500)
        outcomes.store(self.session.pk, self.rows)
        kept_answers.store(self.session.pk, zip((row.pk for row in stored), self.rows, strict=True))
        self.rows = []
        for name, value in {**row, "last_seq": self.seq}.items():
            setattr(self.session, name, value)
        self.session.save()
        return self.session

    def log(self, message: str, level: str = "info", phase: str = "") -> None:
        self.add(Kind.LOG, phase, level=level, message=message)

    def begin(self, status: str, label: str, total_steps: int | None = None, resumed_from: int | None = None) -> None:
        mode = MODE if status == Status.STARTING else None
        self.add(
            Kind.PHASE,
            status,
            status=status,
            label=label,
            total_steps=total_steps,
            resumed_from=resumed_from,
            mode=mode,
        )

    def system(self, phase: str, gpu: bool = False) -> None:
        """`phase` is empty in what a trainer says about its machine."""
        chance = self.random
        self.add(
            Kind.SYSTEM,
            phase,
            seconds=2,
            cpu_percent=round(chance.uniform(82, 100), 1),
            ram_used=int(chance.uniform(3.1e9, 3.6e9)),
            ram_total=25_200_000_000,
            disk_used=int(chance.uniform(41e9, 42e9)),
            disk_total=128_000_000_000,
            gpu_name="NVIDIA H100 80GB HBM3" if gpu else None,
            gpu_memory=int(chance.uniform(31e9, 36e9)) if gpu else None,
            gpu_memory_total=85_520_809_984 if gpu else None,
            gpu_utilization=chance.randint(60, 100) if gpu else None,
        )

    def held_out(self, step: int, score: float, spread: float = 0.08) -> Event:
        low, high = max(0.0, score - spread), min(1.0, score + spread)
        row = self.add(Kind.EVALUATION, Status.TRAINING, step)
        row.data = {"label": "validation", "metric": "accuracy", "score": score, "low": low, "high": high}
        return row

    def warm_up(self, steps: int = 20) -> None:
        self.begin(Status.PRETRAINING, "SFT warm-up", steps)
        for step in range(1, steps + 1):
            loss = 1.1 * math.exp(-step / 6) + 0.35 + self.random.gauss(0, 0.03)
            self.add(
                Kind.METRICS,
                Status.PRETRAINING,
                step,
                seconds=2.4,
                loss=loss,
                grad_norm=0.8 + self.random.random() * 0.4,
                learning_rate=5e-5,
                seconds_left=2.4 * (steps - step),
            )

    def step(self, step: int, steps: int, parts: Iterable[str] = PARTS, **changes: Any) -> Event:
        return self.add(
            Kind.METRICS,
            Status.TRAINING,
            step,
            seconds=8,
            **{**training_metrics(step, steps, list(parts), self.random), **changes},
        )

    def rollouts(self, step: int, steps: int, groups: int = 2, text: str | None = None) -> Event:
        found = [make_group(step, steps, self.random, text) for _ in range(groups)]
        for place, group in enumerate(found):
            asked = (step * groups + place) % QUESTIONS
            kind = "mixed" if len({c["total"] for c in group["completions"]}) > 1 else "wrong"
            group |= {"row": asked, "epoch": (step * groups + place) // QUESTIONS, "kind": kind}
        return self.add(Kind.ROLLOUTS, Status.TRAINING, step, groups=found)

    def evaluate(self, label: str, phase: str, accuracy: float, questions: int = 96, done: int | None = None) -> None:
        answered = questions if done is None else done
        answers = [make_evaluated(row, accuracy, self.random) for row in range(answered)]
        for begin in range(0, answered, 32):
            chunk = answers[begin : begin + 32]
            self.add(
                Kind.EVALUATION, phase, label=label, done=begin + len(chunk), total=questions, answers=chunk, seconds=4
            )
        if answered == questions:
            correct = sum(answer["correct"] for answer in answers)
            self.add(Kind.EVALUATION, phase, label=label, summary=summary(correct, questions))

    def checkpoint(self, step: int, phase: str = Status.TRAINING) -> None:
        self.add(
            Kind.CHECKPOINT,
            phase,
            step,
            path=f"checkpoints/checkpoint-{step}",
            bytes=29_800_000,
            sha256=f"{step:064x}"[::-1],
        )


def summary(correct: int, questions: int) -> dict[str, Any]:
    share, z = correct / questions, 1.959964
    middle = (share + z * z / (2 * questions)) / (1 + z * z / questions)
    half = z / (1 + z * z / questions) * math.sqrt(share * (1 - share) / questions + z * z / (4 * questions**2))
    return {
        "questions": questions,
        "correct": correct,
        "accuracy": share,
        "low": middle - half,
        "high": middle + half,
        "mean_reward": share * 1.5,
        "seconds": 21.4,
    }


def training_metrics(step: int, steps: int, parts: list[str], chance: random.Random) -> dict[str, Any]:
    learnt = 1 - math.exp(-3 * step / steps)
    noise = chance.gauss(0, 0.05)
    values = {
        "loss": 0.02 * chance.random() - 0.008,
        "reward": 0.35 + 0.85 * learnt + noise,
        "reward_std": 0.45 - 0.2 * learnt + abs(chance.gauss(0, 0.03)),
        "kl": 0.0005 + 0.03 * learnt + abs(chance.gauss(0, 0.002)),
        "grad_norm": 0.4 + abs(chance.gauss(0, 0.15)),
        "learning_rate": 2e-4 * min(1, step / 10),
        "completions/mean_length": 46 - 22 * learnt + chance.gauss(0, 2),
        "completions/min_length": max(3.0, 14 - 8 * learnt + chance.gauss(0, 1)),
        "completions/max_length": 64.0,
        "completions/clipped_ratio": max(0.0, 0.4 - 0.36 * learnt + chance.gauss(0, 0.03)),
        "clip_ratio/low_mean": 0.0,
        "clip_ratio/high_mean": 0.0,
        "clip_ratio/region_mean": 0.0,
        "frac_reward_zero_std": max(0.0, 0.1 + 0.3 * learnt + chance.gauss(0, 0.05)),
        "entropy": 1.4 - 0.8 * learnt,
        "step_time": 8 + chance.gauss(0, 0.4),
        "epoch": step / steps,
        "seconds_left": (steps - step) * 8.0,
    }
    for place, name in enumerate(parts):
        reach = max(0.1, 0.9 - 0.25 * place)
        values[f"rewards/{name}/mean"] = reach * learnt + noise / 2
        values[f"rewards/{name}/std"] = 0.4 - 0.2 * learnt
    return values


def make_group(step: int, steps: int, chance: random.Random, text: str | None = None) -> dict[str, Any]:
    left, right = chance.randint(2, 98), chance.randint(2, 98)
    skill = 0.25 + 0.6 * step / steps
    found = [make_completion(left, right, chance.random() < skill, chance, text) for _ in range(GENERATIONS)]
    totals = [answer["total"] for answer in found if answer["total"] is not None]
    middle = sum(totals) / len(totals) if totals else 0.0
    spread = math.sqrt(sum((total - middle) ** 2 for total in totals) / max(1, len(totals)))
    for answer in found:
        total = answer["total"]
        answer["advantage"] = None if total is None else (total - middle) / (spread + 1e-4)
    question = f"State the final answer to the following arithmetic problem: {left} + {right} ="
    prompt = f"<|im_start|>system\nYou are given a problem.<|im_end|>\n<|im_start|>user\n{question}<|im_end|>\n"
    return {"question": question, "prompt": prompt, "reference": str(left + right), "completions": found}


def make_completion(
    left: int, right: int, right_answer: bool, chance: random.Random, text: str | None
) -> dict[str, Any]:
    answer = left + right if right_answer else left + right + chance.choice([-10, -2, -1, 1, 3, 10])
    cut_off = chance.random() < 0.1
    words = f"<start_working_out>I add {left} and {right}: {left} + {right} = {answer}.<end_working_out>\n"
    body = words if cut_off else f"{words}<SOLUTION>{answer}</SOLUTION>"
    parts: dict[str, float | None] = {
        "correct": float(right_answer and not cut_off),
        "format": 0.0 if cut_off else 1.0,
        "brevity": round(chance.random(), 3),
    }
    errors = {}
    if chance.random() < 0.03:
        parts["correct"], errors["correct"] = None, "No number could be read from the answer."
    total = None if errors else sum(PARTS[name] * (value or 0.0) for name, value in parts.items())
    return {
        "text": body if text is None else text,
        "parts": parts,
        "errors": errors,
        "total": total,
        "advantage": None,
        "length": 64 if cut_off else chance.randint(18, 40),
        "cut_off": cut_off,
    }


def make_evaluated(row: int, accuracy: float, chance: random.Random) -> dict[str, Any]:
    left, right = chance.randint(2, 98), chance.randint(2, 98)
    correct = chance.random() < accuracy
    answer = left + right if correct else left + right + 1
    return {
        "row": row,
        "question": f"{left} + {right} =",
        "reference": str(left + right),
        "completion": f"<SOLUTION>{answer}</SOLUTION>",
        "correct": correct,
        "reward": 1.5 if correct else 0.5,
        "cut_off": False,
    }


def make_events(
    session: Session,
    steps: int = 60,
    *,
    of: int | None = None,
    rollouts_every: int = 1,
    evaluation: bool = True,
    warm_up: int = 20,
    system: bool = True,
    until: str = "",
    seed: int = 1,
) -> Session:
    """What a run of `steps` GRPO steps leaves, planned for `of` of them.

    `until` is the last phase it reaches: "training" or "finishing"; by default what the session's status implies.
    """
    total = of or steps
    history = History(session, seed=seed)
    history.begin(Status.STARTING, "Loading the model")
    history.log("No GPU detected - running in CPU mode", phase=Status.STARTING)
    history.log("Unsloth optimizations: DISABLED (requires CUDA)", "warning", Status.STARTING)
    if evaluation:
        history.evaluate("base", Status.STARTING, 0.3)
    if warm_up:
        history.warm_up(warm_up)
    history.begin(Status.TRAINING, "GRPO", total)
    for step in range(1, steps + 1):
        values = history.step(step, total).data
        if rollouts_every and step % rollouts_every == 0:
            history.rollouts(step, total)
        if step % 10 == 0:
            history.checkpoint(step)
            history.log(f"Step {step} of {total}, reward {values['reward']:.3f}", phase=Status.TRAINING)
        if system:
            history.system(Status.TRAINING)
    finished = session.status in (Status.FINISHING, Status.COMPLETED) if not until else until == Status.FINISHING
    if finished:
        history.begin(Status.FINISHING, "Saving the adapter")
        if evaluation:
            history.evaluate("adapter", Status.FINISHING, 0.7)
        history.log("The adapter is saved.", phase=Status.FINISHING)
    last = next((row for row in reversed(history.rows) if row.kind == Kind.METRICS), None)
    return history.save(
        step=steps,
        total_steps=total,
        last_reward=last.data.get("reward") if last else None,
        seconds_left=None if finished else (total - steps) * 8.0,
        phase="Saving the adapter" if finished else "GRPO",
    )
