"""The Config step: presets, what follows what, notes at fields, and what is found before the queue."""

import io
import json

import pytest
from django.urls import reverse

from datasets_app import importing, splits
from training import base_models, config_presets, drafts, lifecycle, readiness
from training.choices import Status
from training.estimates import Plan
from training.forms import infos
from training.models import CatalogueModel
from training.notes import notes
from training.schema import ALGORITHMS, SessionConfig, problems

HTMX = {"HTTP_HX_REQUEST": "true"}
PRESETS = [(preset, kind) for kind in config_presets.KINDS.values() for preset in kind]


def address(session):
    return reverse("training:setup", args=[session.pk, "config"])


@pytest.fixture
def empty(team, owner):
    return lifecycle.create_draft(team, owner, "Empty")


def post(client, session, **typed):
    reply = client.post(address(session), {name.replace("__", "."): value for name, value in typed.items()}, **HTMX)
    session.refresh_from_db()
    return reply


# Presets


@pytest.mark.parametrize(("preset", "kind"), PRESETS, ids=lambda each: getattr(each, "slug", ""))
def test_every_preset_names_settings_of_this_step_and_can_be_trained_with(preset, kind):
    values = config_presets.values_of(preset, kind, drafts.defaults())
    assert set(values) <= set(drafts.STEPS["config"])
    config = SessionConfig.model_validate(drafts.put({}, values))
    assert problems(config) == []
    assert {name: drafts.read(config, name) for name in values} == values


@pytest.mark.parametrize("kind", config_presets.KINDS.values(), ids=config_presets.KINDS)
def test_presets_of_a_kind_differ_and_each_is_recognised_by_its_values(kind):
    standard = drafts.defaults()
    for preset in kind:
        now = standard | config_presets.values_of(preset, kind, standard)
        assert config_presets.chosen(kind, now, standard) == preset.slug
    assert config_presets.chosen(kind, standard | {config_presets.keys_of(kind)[0]: -1}, standard) == ""


def test_a_preset_sets_its_values_and_nothing_else(owner_client, draft):
    before = draft.config
    target = reverse("training:use_config_preset", args=[draft.pk])
    reply = owner_client.post(target, {"preset": "fast"}, follow=True)
    draft.refresh_from_db()
    config = drafts.parsed(draft.config)
    assert (config.training.num_epochs, config.grpo.num_generations, config.grpo.kl_penalty) == (1, 4, 0)
    assert (draft.config["model"], draft.config["dataset"]) == (before["model"], before["dataset"])
    assert draft.config["training"]["max_steps"] == before["training"]["max_steps"]
    assert 'value="fast" aria-pressed="true"' in reply.content.decode()


def test_the_next_preset_leaves_nothing_of_the_one_before(owner_client, empty):
    target = reverse("training:use_config_preset", args=[empty.pk])
    for slug in ("quality", "large", "recommended", "standard"):
        owner_client.post(target, {"preset": slug})
    empty.refresh_from_db()
    assert drafts.differs(drafts.parsed(empty.config)) == set()


def test_a_preset_that_does_not_exist_changes_nothing(owner_client, draft):
    before = draft.config
    reply = owner_client.post(reverse("training:use_config_preset", args=[draft.pk]), {"preset": "x"}, follow=True)
    draft.refresh_from_db()
    assert draft.config == before
    assert "There is no such preset" in reply.content.decode()


def test_a_value_of_ones_own_unmarks_the_preset_at_once(owner_client, empty):
    text = post(owner_client, empty, training__learning_rate="0.001").content.decode()
    assert 'data-chosen=" standard "' in text
    # The button may just have been clicked: it is not replaced.
    assert "aria-pressed" not in text


def test_reset_gives_this_step_its_defaults_and_leaves_the_other_steps(owner_client, draft):
    owner_client.post(reverse("training:reset_config", args=[draft.pk]))
    draft.refresh_from_db()
    config = drafts.parsed(draft.config)
    assert drafts.differs(config) & set(drafts.STEPS["config"]) == set()
    assert config.model.name == "local/pretend"
    assert config.reward.type == "custom"


def test_a_started_session_is_changed_by_neither(owner_client, queued):
    before = queued.config
    for verb, posted in (("use_config_preset", {"preset": "fast"}), ("reset_config", {})):
        reply = owner_client.post(reverse(f"training:{verb}", args=[queued.pk]), posted, follow=True)
        assert "has been started" in reply.content.decode()
    queued.refresh_from_db()
    assert (queued.config, queued.status) == (before, Status.QUEUED)


# What follows what


def test_alpha_follows_the_rank_until_it_has_a_value_of_its_own(owner_client, empty):
    post(owner_client, empty, model__lora_rank="8", model__lora_alpha="32")
    assert drafts.get(empty.config, "model.lora_alpha") == 16
    post(owner_client, empty, model__lora_rank="8", model__lora_alpha="20")
    post(owner_client, empty, model__lora_rank="64", model__lora_alpha="20")
    assert drafts.get(empty.config, "model.lora_alpha") == 20


@pytest.mark.parametrize("rank", ["", "many", "-4", "99999", "½"])
def test_alpha_follows_no_rank_that_is_none(owner_client, empty, rank):
    post(owner_client, empty, model__lora_rank=rank, model__lora_alpha="32")
    assert drafts.get(empty.config, "model.lora_alpha") == 32


@pytest.mark.parametrize("name", ALGORITHMS)
def test_an_algorithm_sets_what_it_names(owner_client, empty, name):
    post(owner_client, empty, grpo__algorithm="custom", grpo__loss_type="bnpo")
    post(owner_client, empty, grpo__algorithm=name, grpo__loss_type="bnpo", grpo__scale_rewards="group")
    grpo = drafts.parsed(empty.config).grpo
    assert grpo.algorithm == name
    assert {key: getattr(grpo, key) for key in ALGORITHMS[name]} == ALGORITHMS[name]


def test_settings_that_are_no_named_algorithm_are_custom_and_named_ones_get_their_name(owner_client, empty):
    post(owner_client, empty, grpo__algorithm="grpo", grpo__loss_type="dapo")
    assert drafts.get(empty.config, "grpo.algorithm") == "custom"
    post(owner_client, empty, grpo__algorithm="custom", grpo__loss_type="dr_grpo", grpo__scale_rewards="none")
    assert drafts.get(empty.config, "grpo.algorithm") == "dr_grpo"


def test_what_a_script_has_let_follow_is_taken_as_it_is(owner_client, empty):
    owner_client.post(address(empty), {"model.lora_rank": "8", "model.lora_alpha": "32", "follow": "browser"}, **HTMX)
    empty.refresh_from_db()
    assert drafts.get(empty.config, "model.lora_alpha") == 32


@pytest.mark.parametrize(
    ("given", "name"),
    [
        ({}, "grpo"),
        ({"importance_sampling_level": "sequence"}, "gspo"),
        ({"importance_sampling_level": "token", "kl_penalty": 0.1}, "grpo"),
        ({"loss_type": "dr_grpo", "scale_rewards": "none"}, "dr_grpo"),
        ({"loss_type": "dapo"}, "custom"),
    ],
)
def test_a_config_from_before_algorithms_had_names_gets_the_name(owner_client, empty, given, name):
    assert SessionConfig.model_validate({"grpo": given}).grpo.algorithm == name
    assert drafts.get({"grpo": given}, "grpo.algorithm") == name


def test_an_algorithm_alone_says_what_belongs_to_it():
    assert SessionConfig.model_validate({"grpo": {"algorithm": "gspo"}}).grpo.importance_sampling_level == "sequence"
    assert drafts.get({"grpo": {"algorithm": "gspo"}}, "grpo.importance_sampling_level") == "sequence"


def test_an_algorithm_that_contradicts_its_settings_is_refused():
    config = SessionConfig.model_validate({"grpo": {"algorithm": "gspo", "importance_sampling_level": "token"}})
    assert [problem.field for problem in problems(config)] == ["grpo.algorithm"]


# Rules between fields


@pytest.mark.parametrize(
    ("sections", "field"),
    [
        ({"training": {"batch_size": 3}, "grpo": {"steps_per_generation": 3}}, "grpo.steps_per_generation"),
        ({"training": {"batch_size": 3, "gradient_accumulation_steps": 3}}, "training.batch_size"),
        ({"training": {"max_new_tokens": 2048}}, "training.max_new_tokens"),
        ({"evaluation": {"max_new_tokens": 2048}}, "evaluation.max_new_tokens"),
        ({"grpo": {"importance_sampling_level": "sequence", "loss_type": "cispo"}}, "grpo.loss_type"),
        ({"grpo": {"loss_type": "luspo"}}, "grpo.importance_sampling_level"),
        ({"grpo": {"loss_type": "vespo", "importance_sampling_level": "sequence"}}, "grpo.importance_sampling_level"),
        ({"grpo": {"loss_type": "cispo"}}, "grpo.clip_range_high"),
        ({"grpo": {"clip_range_high": 0.1}}, "grpo.clip_range_high"),
        ({"grpo": {"delta": 1.1}}, "grpo.delta"),
        ({"grpo": {"delta": 5, "loss_type": "sapo"}}, "grpo.delta"),
        ({"model": {"lora_bias": "all"}}, "model.lora_bias"),
        ({"model": {"target_modules": []}}, "model.target_modules"),
        ({"training": {"load_in_4bit": True, "load_in_8bit": True}}, "training.load_in_8bit"),
        (
            {"evaluation": {"eval_steps": None, "early_stopping_patience": 2}},
            "evaluation.early_stopping_patience",
        ),
        (
            {"evaluation": {"eval_steps": None, "load_best_model_at_end": True}},
            "evaluation.load_best_model_at_end",
        ),
        (
            {"pre_training": {"max_additional_epochs": 1, "adaptive": False}},
            "pre_training.max_additional_epochs",
        ),
    ],
)
def test_what_does_not_go_together_is_told_at_a_field_of_the_form(sections, field):
    found = problems(SessionConfig.model_validate(sections))
    assert field in [problem.field for problem in found]
    assert field in infos()


def test_a_sequence_longer_than_the_model_reads_is_told_before_the_queue(owner_client, draft, model_folder):
    (model_folder / "config.json").write_text('{"max_position_embeddings": 1024}')
    try:
        reply = post(owner_client, draft, training__max_sequence_length="2000")
        assert "The model reads 1\u202f024 tokens at most, and a sequence may have 2\u202f000" in reply.content.decode()
        reply = post(owner_client, draft, training__max_sequence_length="1024")
        assert "tokens at most" not in reply.content.decode()
    finally:
        (model_folder / "config.json").write_text("{}")


@pytest.mark.parametrize(
    ("text", "length"),
    [
        ('{"max_position_embeddings": 512}', 512),
        ('{"text_config": {"max_position_embeddings": 99}}', 99),
        ('{"max_position_embeddings": "many"}', None),
        ("[]", None),
        ("no json", None),
    ],
)
def test_the_context_of_a_folder_is_in_its_config(text, length, tmp_path, db):
    (tmp_path / "config.json").write_text(text)
    assert base_models.context_length(str(tmp_path)) == length


def test_the_context_of_a_model_that_is_not_here_is_in_the_catalogue(db):
    row = CatalogueModel.objects.first()
    assert base_models.context_length(row.hub_id) == row.context_length
    assert base_models.context_length("nobody/knows") is None


def test_a_dataset_too_small_for_one_round_of_answering_is_told(owner_client, draft):
    reply = post(owner_client, draft, training__batch_size="512")
    assert "A round of answering needs 512 questions" in reply.content.decode()


@pytest.fixture
def larger(team, owner):
    text = "\n".join(json.dumps({"question": f"{n} plus 1?", "answer": str(n + 1)}) for n in range(60))
    return importing.import_jsonl(team, owner, "larger", io.BytesIO(text.encode()))


def test_early_stopping_needs_a_validation_part(team, config, larger, owner):
    wanted = {**config, "dataset": {"source": str(larger.dataset_id)}, "evaluation": {"early_stopping_patience": 3}}
    with pytest.raises(readiness.NotReady) as caught:
        readiness.check(team, wanted)
    assert "no validation part" in caught.value.by_field()["evaluation.early_stopping_patience"][0]
    splits.set_split(larger, held_out=6, seed=1, validation=6)
    larger.refresh_from_db()
    assert readiness.check(team, wanted).config.evaluation.early_stopping_patience == 3


# Notes


def noted(cuda=False, validation=8, steps=1000, **sections):
    config = SessionConfig.model_validate(sections)
    return notes(config, Plan(None, 0, completions=8, group=8, steps=steps, warmup_steps=0), cuda, validation)


def test_the_defaults_say_only_what_this_machine_does_otherwise(db):
    assert noted() == {"training.optim": "Optimiser paged_adamw_32bit needs CUDA: adamw_torch takes its place."}
    assert noted(cuda=True) == {}


@pytest.mark.parametrize(
    ("sections", "field", "words"),
    [
        ({"training": {"precision": "fp16"}}, "training.precision", "fp32 takes its place"),
        ({"training": {"attn_implementation": "flash_attention_2"}}, "training.attn_implementation", "sdpa takes"),
        ({"training": {"load_in_4bit": True}}, "training.load_in_4bit", "refuses the session"),
        ({"training": {"warmup_steps": 1000}}, "training.warmup_steps", "never reaches"),
        ({"training": {"save_steps": 1001}}, "training.save_steps", "only its end"),
        ({"evaluation": {"eval_steps": 1001}}, "evaluation.eval_steps", "no score comes"),
        ({"grpo": {"clip_range": 0.3}}, "grpo.clip_range", "Nothing is clipped"),
        ({"grpo": {"algorithm": "gspo", "num_iterations": 2}}, "grpo.clip_range", "3e-4"),
    ],
)
def test_what_runs_otherwise_than_one_may_think_is_noted_at_its_field(db, sections, field, words):
    assert words in noted(**sections)[field]


def test_a_dataset_without_a_validation_part_is_noted_at_the_score(db):
    assert "no validation part" in noted(validation=0)["evaluation.eval_steps"]
    assert "evaluation.eval_steps" not in noted(validation=None)


def test_a_note_stands_at_its_field_and_gives_way_to_an_error(owner_client, draft):
    assert "adamw_torch takes its place" in owner_client.get(address(draft)).content.decode()
    page = post(owner_client, draft, training__warmup_steps="50").content.decode()
    note = '<p class="field-note" id="note-training-warmup_steps" hx-swap-oob="true">The session has 6 steps'
    assert note in page
    page = post(owner_client, draft, training__warmup_steps="-1").content.decode()
    assert note not in page
    assert "Write 0 or more." in page


def test_a_step_is_told_in_tokens_and_in_rounds_of_answering(owner_client, draft):
    text = post(owner_client, draft, grpo__steps_per_generation="16").content.decode()
    assert "Answered 16 at a time." in text
    assert "up to 4 096" in text.replace("\u202f", " ").replace("\u2009", " ").replace("\xa0", " ")
