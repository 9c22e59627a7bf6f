"""The settings that datasets and rewards read: each one, changed, changes what the engine is handed.

tests/engine/test_fields.py goes through all others, and fails for a field of the schema that is in neither table.
"""

import io
import json
from copy import deepcopy

import pytest

from datasets_app import importing
from tests.engine.test_fields import OUTSIDE
from training import lifecycle, readiness
from training.trainer import _spec

PART = {"name": "form", "function": "contains", "parameters": {"phrases": ["4"]}}
TWO = [PART, {**PART, "name": "other", "weight": 2.0}]
OTHER_PRESET = "math-short-answer"
CUSTOM = {"type": "custom", "parts": TWO}


def lines(offset):
    return [
        {
            "instruction": f"{n + offset} plus 1?",
            "response": str(n + offset + 1),
            "question": f"What follows {n + offset}?",
            "answer": f"{n + offset + 1} indeed",
            "split": ["train", "test", "extra", "validation"][n % 4],
        }
        for n in range(40)
    ]


@pytest.fixture
def version(team, owner):
    raw = "".join(json.dumps(line) + "\n" for line in lines(0)).encode()
    return importing.import_jsonl(team, owner, "sums", io.BytesIO(raw))


@pytest.fixture
def other(team, owner):
    raw = "".join(json.dumps(line) + "\n" for line in lines(500)).encode()
    return importing.import_jsonl(team, owner, "others", io.BytesIO(raw))


@pytest.fixture
def base(version, model_folder):
    return {
        "model": {"name": "local/pretend"},
        "dataset": {
            "source": str(version.dataset_id),
            "instruction_field": "instruction",
            "response_field": "response",
        },
        "training": {"max_steps": 2},
        "reward": CUSTOM,
    }


def handed(team, owner, config):
    """Rows and composition, as the engine's RunSpec gets them."""
    ready = readiness.check(team, config)
    session = lifecycle.create_draft(team, owner, "S", ready.config.model_dump(mode="json"))
    session.dataset_version, session.reward = ready.version, ready.composition
    spec = _spec(session)
    rows = [(row.instruction, row.response) for row in spec["train_rows"]]
    return rows, spec["composition"].model_dump(mode="json")


# Without these a field says nothing.
PRESET = {"type": "preset", "preset_name": "math"}
TOGETHER = {"reward.preset_name": PRESET}

CHANGES = {
    "dataset.source": lambda other: str(other.dataset_id),
    "dataset.split": lambda other: "extra",
    "dataset.instruction_field": lambda other: "question",
    "dataset.response_field": lambda other: "answer",
    "dataset.max_samples": lambda other: 8,
    "reward.type": lambda other: "preset",
    "reward.preset_name": lambda other: OTHER_PRESET,
    "reward.parts": lambda other: [PART],
    "reward.normalise": lambda other: "weights",
    "reward.formula": lambda other: "form * other",
    "reward.gated_total": lambda other: -1.0,
}


def test_every_setting_is_here_or_in_the_engines_table():
    assert set(CHANGES) | {"version", "name"} == OUTSIDE


@pytest.mark.parametrize("field", CHANGES)
def test_a_changed_setting_changes_rows_or_reward(field, team, owner, base, other):
    section, _, key = field.partition(".")
    before = deepcopy(base)
    before[section] = TOGETHER.get(field, before[section])
    after = deepcopy(before)
    after[section][key] = CHANGES[field](other)
    assert handed(team, owner, before) != handed(team, owner, after)


def test_the_validation_part_is_handed_over_as_far_as_it_is_scored(team, owner, base):
    def scored(**evaluation):
        ready = readiness.check(team, {**base, "evaluation": evaluation})
        session = lifecycle.create_draft(team, owner, "S", ready.config.model_dump(mode="json"))
        session.dataset_version, session.reward = ready.version, ready.composition
        return [row.instruction for row in _spec(session)["validation_rows"]]

    whole = scored()
    assert len(whole) == 10
    assert scored(eval_samples=4) == whole[:4]
    assert scored(eval_steps=None) == []
