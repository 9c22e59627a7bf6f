import pytest
from pydantic import ValidationError

from loracraft.sentences import as_text
from training.forms import SchemaField, StepForm, choices_of, infos
from training.schema import SessionConfig

FIELDS = infos()


def default(name):
    section, _, key = name.partition(".")
    return getattr(getattr(SessionConfig(), section), key)


def typed(name, text):
    form = StepForm([name], {name: text})
    return form.values()[name], form.errors.get(name, [])


@pytest.mark.parametrize("name", FIELDS)
def test_every_default_survives_being_shown_and_posted_again(name):
    value = default(name)
    shown = value if isinstance(value, bool) else as_text(value)
    if name == "dataset.source":
        assert typed(name, shown) == ("", [])
    else:
        assert typed(name, shown) == (value, [])


@pytest.mark.parametrize("name", FIELDS)
def test_every_field_has_a_label_a_level_and_a_widget_with_a_hint(name):
    field = SchemaField(name, FIELDS[name])
    assert field.label
    assert field.level in ("recommended", "custom", "advanced")
    slug = name.replace(".", "-")
    assert field.widget.attrs["id"] == f"field-{slug}"
    assert f"error-{slug}" in field.widget.attrs["aria-describedby"]


@pytest.mark.parametrize("name", [n for n, info in FIELDS.items() if choices_of(info.annotation)])
def test_every_choice_of_the_schema_can_be_chosen_and_no_other(name):
    for word in choices_of(FIELDS[name].annotation):
        assert typed(name, word) == (word, [])
    value, errors = typed(name, "something else")
    assert value == "something else"
    assert errors[0].startswith("Choose one of")


@pytest.mark.parametrize("name", FIELDS)
def test_a_form_accepts_exactly_what_the_schema_accepts(name):
    section, _, key = name.partition(".")
    for text in ("", "0", "1", "-1", "3", "0.5", "1e-4", "nan", "inf", "1e400", "many words", "x" * 400):
        value, errors = typed(name, text)
        if errors:
            assert value == text
            continue
        try:
            SessionConfig.model_validate({section: {key: value}})
        except ValidationError as error:
            # The reward's rule between two fields is not the field's own.
            assert name.startswith("reward."), error


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("training.batch_size", "two", "Write a whole number."),
        ("training.batch_size", "1.5", "Write a whole number."),
        ("training.batch_size", "0", "Write 1 or more."),
        ("training.batch_size", "513", "Write 512 or less."),
        ("training.batch_size", "", "Write a whole number."),
        ("training.temperature", "9", "Write 5 or less."),
        ("training.temperature", "0,7", "Write a number, with a dot for decimals: 0.5 or 2e-4."),
        ("training.learning_rate", "0", "Write more than 0."),
        ("training.learning_rate", "nan", "Write a finite number."),
        ("model.name", "", "This can't be empty."),
        ("model.name", "x" * 301, "Write 300 characters at most."),
    ],
)
def test_a_wrong_value_is_kept_and_explained(name, text, message):
    assert typed(name, text) == (text, [message])


def test_an_empty_optional_field_means_none():
    assert typed("training.max_steps", "  ") == (None, [])
    assert typed("evaluation.max_new_tokens", "") == (None, [])


def test_target_modules_take_the_word_or_a_list():
    assert typed("model.target_modules", "all-linear") == ("all-linear", [])
    assert typed("model.target_modules", "q_proj, v_proj,") == (["q_proj", "v_proj"], [])


def test_line_ends_of_a_prompt_are_the_ones_of_the_schema():
    assert typed("prompt.system_prompt", "a\r\nb  ")[0] == "a\nb  "


def test_numbers_are_shown_as_somebody_would_type_them():
    assert [as_text(v) for v in (2e-4, 3.0, 5e-5, 8, None, ["a", "b"])] == ["0.0002", "3", "5e-05", "8", "", "a, b"]


def test_a_problem_between_fields_is_shown_at_its_field_but_not_over_its_own_error():
    names = ["training.batch_size", "training.temperature"]
    problems = {
        "training.batch_size": "No multiple.",
        "training.temperature": "Never shown.",
        "model.name": "Elsewhere.",
    }
    form = StepForm(names, {"training.batch_size": "3", "training.temperature": "hot"}, problems)
    assert form.errors["training.batch_size"] == ["No multiple."]
    assert form.errors["training.temperature"] == ["Write a number, with a dot for decimals: 0.5 or 2e-4."]


def test_wrong_types_from_a_config_file_are_explained_and_not_crashed_on():
    for name in FIELDS:
        for value in ({"a": 1}, [1], None, True, "words"):
            StepForm([name], {name: value}).as_p()
