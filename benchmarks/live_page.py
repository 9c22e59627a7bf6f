"""The live page: a session of 100,000 steps is opened, zoomed into and searched

The session has 100,000 GRPO steps with the keys that TRL logs and three reward parts, a sample of the machine for every
step, a log line for every tenth and a checkpoint for every thousandth. Its events come in as those of a real run do, by
the recorder's ingester from `events.jsonl`. Each row is one request of a signed-in person through the whole
application, best of three; kB are what goes over the wire. The baseline reads and sends every step of the same columns.
Opening is the page and all that its script asks for before every chart is drawn, one after the other.
"""

from __future__ import annotations

import gzip
import json
import math
import random
import tempfile
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

STEPS = 100_000
ROUNDS = 3
PARTS = ["correct", "format", "brevity"]

Measured = tuple[float, float]


def run(steps: int = STEPS) -> list[dict[str, Any]]:
    session = stored_session(steps)
    client, pages = signed_in(session), f"/sessions/{session.pk}/"
    training, machine = queries(session)

    def get(path: str, **query: Any) -> Callable[[], bytes]:
        return lambda: answer(client, pages + path, query)

    middle = {"from": steps // 2, "to": steps // 2 + steps // 5}
    near = {"from": steps // 2, "to": steps // 2 + 1000}
    every_step = best(lambda: everything(session, training["key"]))
    opening = [best(get("")), best(get("series/", **training)), best(get("series/", **machine))]
    whole = opening[1]
    return [
        row("baseline: every step read and sent", every_step, every_step),
        row("opening: page, charts, machine", (sum(ms for ms, _ in opening), sum(kb for _, kb in opening)), every_step),
        row("the page", opening[0], every_step),
        row("all charts, whole run", whole, every_step),
        row("all charts, a fifth of the run", best(get("series/", **training, **middle)), every_step),
        row("all charts, 1,000 steps", best(get("series/", **training, **near)), every_step),
        row("the machine, whole run", opening[2], every_step),
        row("a word in the log", best(get("events/", kinds="log,error", search="step 9999")), every_step),
    ]


def row(what: str, measured: Measured, baseline: Measured) -> dict[str, Any]:
    ms, kilobytes = measured
    return {
        "what": what,
        "ms": ms,
        "kB": kilobytes,
        "times faster": baseline[0] / ms,
        "times smaller": baseline[1] / kilobytes,
    }


def best(call: Callable[[], bytes]) -> Measured:
    """Milliseconds of the fastest call, and the kB of its answer."""
    found = []
    for _ in range(ROUNDS):
        began = time.perf_counter()
        size = len(call())
        found.append((1000 * (time.perf_counter() - began), size / 1000))
    return min(found)


def answer(client: Any, path: str, query: dict[str, Any]) -> bytes:
    response = client.get(path, query, headers={"Accept-Encoding": "gzip"})
    assert response.status_code == 200, (path, response.status_code)
    return bytes(response.content)


def everything(session: Any, keys: list[str]) -> bytes:
    from training import series

    rows = series.metric_events(session).values_list("step", "data")
    found = series.collect(rows.iterator(), keys, points=2**31)
    return gzip.compress(json.dumps(found.as_json("steps")).encode(), 6)


def signed_in(session: Any) -> Any:
    from django.conf import settings
    from django.test import Client

    settings.ALLOWED_HOSTS = ["testserver"]
    # Addresses of static files without a run of collectstatic.
    settings.DEBUG = True
    client = Client()
    client.force_login(session.created_by)
    return client


def queries(session: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """What the page's script asks for."""
    from training.charts import SYSTEM_CHARTS, TILES, charts, part_colours
    from training.schema import SessionConfig
    from training.session_views import CHART_POINTS

    drawn = [chart for chart in charts(SessionConfig(), part_colours(PARTS)) if chart.phase == "training"]
    keys = dict.fromkeys([*(key for chart in drawn for key in chart.keys), *(tile.key for tile in TILES)])
    system = dict.fromkeys(key for chart in SYSTEM_CHARTS for key in chart.keys)
    points = {"points": CHART_POINTS}
    return {"key": list(keys), **points}, {"key": list(system), "kind": "system", **points}


def stored_session(steps: int) -> Any:
    from django.contrib.auth.models import User

    from accounts.models import Team
    from training.models import Session
    from training.recorder import Ingester
    from training.schema import SessionConfig

    user, _ = User.objects.get_or_create(username="bench")
    team, _ = Team.objects.get_or_create(name="Bench")
    team.memberships.get_or_create(user=user, role="owner")
    session = Session.objects.create(
        team=team,
        created_by=user,
        name="A long run",
        status="training",
        attempt=1,
        config=SessionConfig().model_dump(mode="json"),
        reward={"parts": [{"name": name, "function": "length", "weight": 1, "parameters": {}} for name in PARTS]},
    )
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "events.jsonl"
        write(file, steps)
        Ingester(session.pk, 1, file).catch_up()
    Session.objects.filter(pk=session.pk).update(status="completed")
    session.refresh_from_db()
    return session


def write(file: Path, steps: int) -> None:
    from training.recorder import Line

    at = datetime.now(UTC) - timedelta(seconds=9 * steps)
    with file.open("wb") as lines:
        for count, (kind, step, data) in enumerate(events(steps), 1):
            at += timedelta(seconds=4)
            phase = "" if kind == "system" else "training"
            lines.write(Line(count, 1, kind, phase, step, at.isoformat(), data).encode())


def events(steps: int) -> Iterator[tuple[str, int | None, dict[str, Any]]]:
    chance = random.Random(7)
    start = {"status": "training", "label": "GRPO", "total_steps": steps, "resumed_from": None, "mode": None}
    yield "phase", None, start
    for step in range(1, steps + 1):
        yield "metrics", step, metrics(step, steps, chance)
        yield "system", None, machine(chance)
        if step % 10 == 0:
            yield "log", None, {"level": "info", "message": f"Finished step {step} of {steps}."}
        if step % 1000 == 0:
            yield "checkpoint", step, {"path": f"checkpoints/{step}", "bytes": 1, "sha256": "0" * 64, "seconds": 1.0}


def metrics(step: int, steps: int, chance: random.Random) -> dict[str, Any]:
    """The keys of TRL, each with noise of its own."""
    learnt = 1 - math.exp(-3 * step / steps)
    shares = ["completions/clipped_ratio", "frac_reward_zero_std", "clip_ratio/low_mean", "clip_ratio/high_mean"]
    shares += ["clip_ratio/region_mean", "entropy", "kl", "grad_norm", "loss", "reward_std", "step_time"]
    lengths = [f"completions/{name}_length" for name in ("mean", "min", "max", "mean_terminated", "min_terminated")]
    return {
        "reward": learnt + chance.gauss(0, 0.05),
        "learning_rate": 2e-4 * (1 - step / steps),
        **{key: chance.random() for key in shares},
        **{key: 200 * chance.random() for key in lengths},
        **{f"rewards/{name}/{what}": learnt * chance.random() for name in PARTS for what in ("mean", "std")},
        "num_tokens": 4096 * step,
        "epoch": step / steps,
        "seconds_left": 4.0 * (steps - step),
    }


def machine(chance: random.Random) -> dict[str, Any]:
    return {
        "cpu_percent": 100 * chance.random(),
        "ram_used": int(3e9 + 1e9 * chance.random()),
        "ram_total": 25_200_000_000,
        "disk_used": int(4e10 + 1e9 * chance.random()),
        "disk_total": 128_000_000_000,
        "gpu_name": "NVIDIA H100 80GB HBM3",
        "gpu_memory": int(3e10 + 1e10 * chance.random()),
        "gpu_memory_total": 85_520_809_984,
        "gpu_utilization": chance.randint(0, 100),
    }
