"""A reward that could judge nothing is refused before its session waits for a device."""

import dataclasses

import pytest

from datasets_app import mapping
from rewards.registry import REGISTRY
from training import readiness
from training.models import Session
from training.schema import SessionConfig

GYM = {"type": "custom", "parts": [{"name": "gym", "function": "reasoning_gym_score"}]}


def reward_problems(team, dataset, reward):
    config = SessionConfig().model_dump()
    config["dataset"]["source"] = str(dataset.pk)
    config["reward"].update(reward)
    try:
        readiness.check(team, config)
    except readiness.NotReady as error:
        return {problem.field: problem.message for problem in error.problems if problem.field.startswith("reward")}
    return {}


def test_a_column_that_the_dataset_lacks_is_named_with_those_it_has(team, dataset):
    found = reward_problems(team, dataset, GYM)
    assert "reads the column metadata" in found["reward.parts"]
    assert "the dataset has question, answer" in found["reward.parts"]


def test_a_column_named_for_rewards_will_do(team, dataset):
    version = dataset.versions.get()
    mapping.map_columns(
        version, instruction="question", response="answer", rule="whole", extra={"metadata": "question"}
    )
    version.save()
    assert reward_problems(team, dataset, GYM) == {}


def test_a_function_that_can_not_run_here_says_why(team, dataset, monkeypatch):
    missing = dataclasses.replace(REGISTRY["math_answer"], unavailable=lambda: "Install the package first.")
    monkeypatch.setitem(REGISTRY, "math_answer", missing)
    assert "Install the package first." in reward_problems(team, dataset, {})["reward.preset_name"]


@pytest.mark.parametrize(
    ("more", "field", "words"),
    [
        ({"formula": "gym + other"}, "reward", "other, which is no part"),
        ({"normalise": "range", "formula": "gym"}, "reward", "normalise"),
    ],
)
def test_a_total_that_can_not_be_made_is_refused(team, dataset, more, field, words):
    found = reward_problems(team, dataset, {**GYM, **more})
    assert any(words in message for name, message in found.items() if name.startswith(field))


def test_the_card_of_a_reward_says_which_column_it_misses(owner_client, owner, team, dataset):
    owner_client.post("/sessions/new/")
    session = Session.objects.get()
    session.config = {"dataset": {"source": str(dataset.pk)}}
    session.save(update_fields=["config"])
    page = owner_client.get(f"/sessions/{session.pk}/setup/reward/").content.decode()
    assert "Needs the column tests, which the dataset lacks." in page
    assert page.count("Needs the column") == 2, "code generation and algorithm implementation"
