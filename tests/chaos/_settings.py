"""Settings of the processes that scenarios start: the product with a quick engine, short limits, faults on demand."""

import os

from loracraft.settings import *  # noqa: F403
from loracraft.settings import INSTALLED_APPS, STALL_SECONDS

INSTALLED_APPS = [*INSTALLED_APPS, "tests.chaos._faults.Faults"]
TRAINING_ENGINE = os.environ.get("CHAOS_ENGINE", "tests.chaos._engine")
STALL_SECONDS = dict.fromkeys(STALL_SECONDS, int(os.environ.get("CHAOS_STALL_SECONDS", "60"))) | {"loading": 120}
