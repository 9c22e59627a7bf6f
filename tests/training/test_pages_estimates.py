from pathlib import Path

from django.conf import settings
from django.urls import reverse

from tests.exports import tiny
from training import base_models, lifecycle
from training.estimates import adapter_parameters, cost, plan, steps, warmup_steps
from training.models import CatalogueModel
from training.schema import SessionConfig


def config(**sections):
    return SessionConfig.model_validate(sections)


def test_steps_are_rows_times_answers_over_answers_a_step():
    # 100 questions, 8 answers each, 8 answers a step, 3 epochs
    assert steps(config(), 100) == 300
    assert steps(config(training={"batch_size": 4}), 100) == 75
    assert steps(config(training={"num_epochs": 0.001}), 100) == 1
    assert steps(config(grpo={"num_iterations": 2}), 100) == 600


def test_a_limit_on_steps_or_rows_shortens_the_plan():
    assert steps(config(training={"max_steps": 7}), 100) == 7
    assert plan(config(dataset={"max_samples": 10}), 100, 0).steps == 30
    assert plan(config(dataset={"max_samples": 1000}), 100, 0).rows == 100


def test_without_a_dataset_only_a_fixed_number_of_steps_is_known():
    assert plan(config(), None, 0).steps is None
    assert plan(config(training={"max_steps": 7}), None, 0).steps == 7


def test_warm_up_counts_batches_of_its_own_rows():
    assert warmup_steps(config(), 1000) == 50
    assert warmup_steps(config(), 10) == 5
    assert warmup_steps(config(pre_training={"enabled": False}), 1000) == 0


def test_groups_that_do_not_divide_are_told():
    assert plan(config(), 100, 50).whole_groups
    assert not plan(config(training={"gradient_accumulation_steps": 6}), 100, 50).whole_groups


def test_held_out_questions_are_limited_by_the_evaluation():
    assert plan(config(), 100, 500).held_out == 200
    assert plan(config(evaluation={"enabled": False}), 100, 500).held_out == 0


def test_a_longer_run_of_a_larger_model_costs_more():
    small, large = config(training={"max_steps": 10}), config(training={"max_steps": 100})
    first = cost(small, plan(small, 100, 0), 135_000_000, 2, False)
    longer = cost(large, plan(large, 100, 0), 135_000_000, 2, False)
    larger = cost(small, plan(small, 100, 0), 1_700_000_000, 8, False)
    assert first.seconds < longer.seconds
    assert first.seconds < larger.seconds
    # The memory of a model that is not here is not guessed.
    assert first.memory is larger.memory is None
    assert first.disk < larger.disk


def test_on_a_gpu_the_guidance_of_the_catalogue_counts():
    here = config()
    assert cost(here, plan(here, 100, 0), 7_000_000_000, 24, True).memory == 24e9


def test_of_an_unknown_model_nothing_is_claimed():
    here = config()
    found = cost(here, plan(here, 100, 0), None, None, False)
    assert (found.seconds, found.memory, found.disk) == (None, None, None)


def test_an_adapter_of_a_7b_model_has_some_40_million_weights():
    assert 30e6 < adapter_parameters(7_000_000_000, 16) < 60e6


def test_the_right_column_tells_what_the_memory_of_a_local_model_is_made_of(owner_client, draft):
    folder = Path(settings.MODELS_DIR) / "tiny"
    if not folder.exists():
        folder.mkdir()
        tiny.model(folder)
    lifecycle.save_draft(draft, {**draft.config, "model": {"name": "local/tiny"}})
    page = owner_client.get(reverse("training:setup", args=[draft.pk, "model"])).content.decode()
    assert "What the memory is made of" in page and "Python and its libraries" in page and "Together" in page


def test_the_memory_of_a_hub_model_is_unknown_until_it_is_fetched(owner_client, draft, monkeypatch):
    hub_id = CatalogueModel.objects.exclude(hub_id__startswith="local/").values_list("hub_id", flat=True)[0]
    monkeypatch.setattr(base_models, "problem", lambda name: None)
    lifecycle.save_draft(draft, {**draft.config, "model": {"name": hub_id}})
    page = owner_client.get(reverse("training:setup", args=[draft.pk, "model"])).content.decode()
    assert "unknown until the model is fetched" in page and "What the memory is made of" not in page
