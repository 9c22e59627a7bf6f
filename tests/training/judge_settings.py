"""As worker_settings, with an engine that asks a judge."""

from tests.training.worker_settings import *  # noqa: F403

TRAINING_ENGINE = "tests.training.judging_engine"
