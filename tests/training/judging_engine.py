"""An engine that only scores three answers with the session's reward, and leaves what a thief would find."""

import json
import os
import subprocess
import sys

from rewards.registry import Sample
from training.engine.run import Outcome, RunSpec
from training.events import EngineEvent

__all__ = ["RunSpec", "run"]


def run(spec, emit, should_stop):
    data = {"status": "training", "label": "Training", "total_steps": 1, "resumed_from": None}
    emit(EngineEvent("phase", "training", data))
    results = spec.composition.score_all([Sample("Capital?", text) for text in ("Paris", "Lyon", "Nice")])
    emit(EngineEvent("metrics", "training", {"reward": results[0].total, "errors": str(results[1].errors)}, 1))
    child = subprocess.run([sys.executable, "-c", "import os; print(dict(os.environ))"], capture_output=True, text=True)
    (spec.folder / "environment.json").write_text(json.dumps([dict(os.environ), child.stdout]))
    (spec.folder / "adapter").mkdir(exist_ok=True)
    return Outcome("completed", spec.folder / "adapter", {})
