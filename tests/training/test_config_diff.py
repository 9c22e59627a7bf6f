"""Where configs differ, by the schema."""

from training.config_diff import EMPTY, LONGEST_TEXT, as_text, compared, differences, fields
from training.forms import infos
from training.schema import SessionConfig

FULL = SessionConfig().model_dump(mode="json")


def changed(**sections):
    return {**FULL, **{name: {**FULL[name], **values} for name, values in sections.items()}}


def test_only_what_differs_is_listed_in_the_order_of_the_schema_under_its_labels():
    after = changed(training={"learning_rate": 1e-4, "batch_size": 8}, model={"lora_rank": 4})
    found = differences([FULL, after])
    assert [(each.key, each.label, each.texts) for each in found] == [
        ("model.lora_rank", "LoRA rank", ["16", "4"]),
        ("training.batch_size", "Batch size", ["1", "8"]),
        ("training.learning_rate", "Learning rate", ["0.0002", "0.0001"]),
    ]


def test_equal_configs_have_no_differences():
    assert differences([FULL, FULL]) == []
    assert differences([FULL]) == []


def test_what_a_draft_does_not_set_is_its_default():
    assert differences([{}, FULL]) == []
    assert [each.key for each in differences([{"training": {"seed": 7}}, FULL])] == ["training.seed"]


def test_a_draft_that_is_wrong_in_places_is_compared_all_the_same():
    found = differences([{"training": "nothing", "model": {"lora_rank": "many"}}, FULL])
    assert [(each.key, each.values) for each in found] == [("model.lora_rank", ("many", 16))]


def test_several_configs_have_a_value_each():
    found = differences([FULL, changed(training={"seed": 1}), changed(training={"seed": 2})])
    assert [each.values for each in found] == [(42, 1, 2)]


def test_an_algorithm_sets_what_belongs_to_it():
    named = {"grpo": {"algorithm": "dr_grpo"}}
    spelt = {"grpo": {"loss_type": "dr_grpo", "scale_rewards": "none"}}
    assert differences([named, spelt]) == []


def test_parts_of_a_reward_that_say_the_same_are_the_same():
    short = {"reward": {"type": "custom", "parts": [{"name": "a", "function": "json_valid"}]}}
    part = {"name": "a", "function": "json_valid", "weight": 1, "parameters": {}, "gate": None, "clip": None}
    assert differences([short, {"reward": {"type": "custom", "parts": [part]}}]) == []
    other = {"reward": {"type": "custom", "parts": [{**part, "weight": 2.5, "parameters": {"place": "response"}}]}}
    (found,) = differences([short, other])
    assert found.texts == ["1 × a (json_valid)", "2.5 × a (json_valid: place response)"]


def test_values_are_written_as_somebody_would():
    assert [as_text(value) for value in (None, True, 0.00002, ["q_proj", "v_proj"])] == [
        EMPTY,
        "on",
        "2e-05",
        "q_proj, v_proj",
    ]
    assert len(as_text("x" * 5000)) == LONGEST_TEXT


def test_every_field_of_the_form_is_compared():
    assert set(infos()) <= set(fields())


def test_sections_units_and_helps_are_those_of_the_schema():
    (found,) = differences([FULL, changed(training={"save_steps": 25})])
    assert (found.section, found.unit, found.values) == ("Training", "steps", (FULL["training"]["save_steps"], 25))
    assert found.help and not found.is_same
    assert {setting.key for setting in compared([{}])} == set(fields())
