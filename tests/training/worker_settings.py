"""Settings of the child processes that tests start: an engine that is quick, on the test's own data folder."""

from loracraft.settings import *  # noqa: F403
from loracraft.settings import env

TRAINING_ENGINE = "tests.training.fake_engine"
STOP_SECONDS_BEFORE_TERMINATE = env.integer("TEST_STOP_SECONDS", 10)
STOP_SECONDS_BEFORE_KILL = 2
