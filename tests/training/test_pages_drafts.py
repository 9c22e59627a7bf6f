import pytest

from training import drafts
from training.forms import NOT_TYPED, infos
from training.schema import Problem


def test_every_setting_of_the_schema_is_on_exactly_one_step():
    placed = [name for names in drafts.STEPS.values() for name in names]
    assert sorted(placed) == sorted(infos())
    assert {"reward.parts"} == NOT_TYPED - {"reward.normalise", "reward.formula", "reward.gated_total"}


def test_a_draft_stores_only_what_somebody_set():
    config = drafts.put({}, {"training.batch_size": 1, "training.top_p": 0.5})
    assert config == {"training": {"top_p": 0.5}}
    assert drafts.put(config, {"training.top_p": 0.95}) == {"training": {"top_p": 0.95}}


def test_a_column_is_stored_even_where_it_equals_the_default():
    config = drafts.put({}, {"dataset.instruction_field": "instruction"})
    assert config == {"dataset": {"instruction_field": "instruction"}}


def test_changing_a_draft_leaves_the_old_config_alone():
    before = {"training": {"top_p": 0.5}}
    drafts.put(before, {"training.top_p": 0.6})
    drafts.without(before, ["training.top_p"])
    assert before == {"training": {"top_p": 0.5}}


def test_a_wrong_value_is_reported_and_left_out_of_previews():
    config = {"training": {"batch_size": "two", "top_p": 0.5}}
    assert drafts.wrong_values(config) == {"training.batch_size": "Write a whole number."}
    parsed = drafts.parsed(config)
    assert (parsed.training.batch_size, parsed.training.top_p) == (1, 0.5)


def test_what_is_no_setting_is_named():
    config = {"training": {"batch": 1}, "extra": {}, "grpo": 5, "name": "x", "version": 1}
    assert sorted(drafts.unknown_keys(config)) == ["extra", "grpo", "training.batch"]


@pytest.mark.parametrize(
    "config", [{}, {"training": 5}, {"model": None}, {"reward": {"type": "custom"}}, {"reward": []}]
)
def test_any_shape_of_a_draft_can_be_read(config):
    assert drafts.parsed(config).training.batch_size == 1
    drafts.wrong_values(config)


@pytest.mark.parametrize(
    ("field", "step"),
    [
        ("training.batch_size", "config"),
        ("dataset.source", "dataset"),
        ("prompt.solution_start", "prompt"),
        ("reward.parts", "reward"),
        ("reward", "reward"),
        ("model.lora_rank", "config"),
        ("config", "config"),
        ("nonsense", "config"),
    ],
)
def test_a_problem_leads_to_the_step_that_mends_it(field, step):
    assert drafts.step_of(field) == step


def test_the_pills_are_the_seven_steps_of_the_original():
    pills = drafts.pills({}, [], "prompt")
    assert [pill.title for pill in pills] == ["Model", "Dataset", "Reward", "Config", "Train", "Export", "Try it"]
    assert [pill.state for pill in pills] == ["done"] * 5 + ["later"] * 2
    assert [pill.key for pill in pills if pill.current] == ["dataset"]


def test_a_pill_tells_what_is_wrong_from_what_is_missing():
    found = [
        Problem(field="dataset.source", message="Choose a dataset."),
        Problem(field="training.batch_size", message="No multiple."),
    ]
    states = {p.key: p.state for p in drafts.pills({"training": {"batch_size": 3}}, found, "model")}
    assert states == {
        "model": "done",
        "dataset": "todo",
        "reward": "done",
        "config": "attention",
        "train": "todo",
        "export": "later",
        "try": "later",
    }


def test_all_problems_are_found_at_once(team, config):
    broken = drafts.put(
        config, {"training.temperature": "hot", "dataset.source": "nowhere", "model.name": "local/none"}
    )
    fields = {problem.field for problem in drafts.problems(team, {**broken, "strange": 1})}
    assert {"training.temperature", "dataset.source", "model.name", "strange"} <= fields


def test_a_good_draft_has_no_problem(team, config):
    assert drafts.problems(team, config) == []


def test_what_differs_from_the_defaults_is_known():
    assert drafts.differs(drafts.parsed({"training": {"top_p": 0.5}})) == {"training.top_p"}
