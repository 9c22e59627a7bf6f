"""Learning: held-out accuracy before and after training, for several seeds

The session of `make demo` (training/demo_config.json: SmolLM2-135M adds and subtracts two numbers, 100 steps of GRPO)
with other seeds, each in a process of its own. Before and after answer the same held-out questions greedily; intervals
are 95 %, that of the gain is paired. Minutes are of training with both scores. SEEDS="1 2" takes those.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from django.conf import settings

from benchmarks.models import STARTER

SEEDS = "1 2 42"


def run() -> list[dict[str, Any]]:
    from training.engine.starter import prepare

    model = prepare(Path(settings.BASE_DIR) / "data" / "models" / STARTER)
    return [trained(int(seed), model) for seed in os.environ.get("SEEDS", SEEDS).split()]


def trained(seed: int, model: Path) -> dict[str, Any]:
    from accounts.models import Team
    from evaluation.report import before_after
    from loracraft import demo
    from training.models import Session

    team, _ = Team.objects.get_or_create(name=demo.TEAM)
    config = json.loads(demo.CONFIG.read_text(encoding="utf-8"))
    config["dataset"]["source"] = str(demo.dataset(team, None).pk)
    config["training"]["seed"] = seed
    config["model"] = {**config.get("model", {}), "name": str(model)}
    began = time.perf_counter()
    session = Session.objects.get(pk=train(config))
    report = before_after(session)
    if report is None or report.base is None or report.adapter is None:
        raise RuntimeError("The run was not scored.")
    return {
        "seed": seed,
        "before": scored(report.base),
        "after": scored(report.adapter),
        "gain": report.verdict,
        "minutes": (time.perf_counter() - began) / 60,
    }


def train(config: dict[str, Any]) -> str:
    with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
        json.dump(config, file)
        file.flush()
        command = [sys.executable, "manage.py", "train", file.name]
        done = subprocess.run(command, cwd=settings.BASE_DIR, stdout=subprocess.PIPE, text=True, check=True)
    return str(json.loads(done.stdout.splitlines()[-1])["session_id"])


def scored(side: Any) -> str:
    return f"{side.correct} of {side.questions}: {side.accuracy:.3f} ({side.low:.3f} to {side.high:.3f})"
