"""No field of the schema does nothing: each one, changed, changes what TRL, PEFT, the generator or the run gets."""

from __future__ import annotations

import re
from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

import pytest
import torch
from trl import GRPOConfig, SFTConfig

from tests.engine.conftest import Recorded, Row, Session, composition, question, tiny_config
from training import fallbacks
from training.engine import loading
from training.engine.checkpoints import published
from training.engine.evaluate import Evaluation, new_tokens
from training.engine.grpo import fitting, grpo_options, total_steps
from training.engine.problems import EngineError
from training.engine.prompting import prompt_text, target_text
from training.engine.sft import sft_options, tokenised, warm_up_rows
from training.engine.trainers import Journal, common_options
from training.schema import ALGORITHMS, SessionConfig, problems

FOLDER = Path("somewhere")
ROWS = [replace(question(n), reasoning="I add them.") for n in range(9)]

# field -> a value that is not tiny_config's. What a field does outside the engine is in OUTSIDE.
CHANGES: dict[str, Any] = {
    "model.name": "owner/other",
    "model.revision": "main",
    "model.lora_rank": 7,
    "model.lora_alpha": 5,
    "model.lora_dropout": 0.2,
    "model.target_modules": ["q_proj"],
    "model.use_rslora": True,
    "model.use_dora": True,
    "model.lora_bias": "lora_only",
    "prompt.system_prompt": "Think.",
    "prompt.reasoning_start": "<think>",
    "prompt.reasoning_end": "</think>",
    "prompt.solution_start": "[",
    "prompt.solution_end": "]",
    "prompt.chat_template": "{% for m in messages %}[{{ m.content }}]{% endfor %}>",
    "training.num_epochs": 9.0,
    "training.max_steps": 77,
    "training.batch_size": 16,
    "training.gradient_accumulation_steps": 2,
    "training.learning_rate": 0.5,
    "training.warmup_steps": 3,
    "training.weight_decay": 0.5,
    "training.max_grad_norm": 9.0,
    "training.lr_scheduler_type": "cosine",
    "training.optim": "adafactor",
    "training.max_sequence_length": 40,
    "training.max_new_tokens": 9,
    "training.temperature": 0.3,
    "training.top_p": 0.3,
    "training.top_k": 12,
    "training.min_p": 0.1,
    "training.repetition_penalty": 1.5,
    "training.seed": 9,
    "training.save_steps": 9,
    "training.save_total_limit": 9,
    "training.completions_every": 3,
    "training.completions_budget": 1,
    "training.gradient_checkpointing": True,
    "training.precision": "bf16",
    "training.attn_implementation": "eager",
    "training.load_in_4bit": True,
    "training.load_in_8bit": True,
    "training.bnb_4bit_quant_type": "fp4",
    "training.bnb_4bit_compute_dtype": "float16",
    "training.bnb_4bit_use_double_quant": False,
    "grpo.algorithm": "gspo",
    "grpo.kl_penalty": 0.5,
    "grpo.use_bias_correction_kl": False,
    "grpo.clip_range": 0.5,
    "grpo.clip_range_high": 0.6,
    "grpo.delta": 4.0,
    "grpo.importance_sampling_level": "sequence",
    "grpo.num_generations": 8,
    "grpo.steps_per_generation": 2,
    "grpo.num_iterations": 2,
    "grpo.loss_type": "dapo",
    "grpo.scale_rewards": "batch",
    "grpo.mask_truncated_completions": True,
    "grpo.top_entropy_quantile": 0.2,
    "grpo.entropy_coef": 0.01,
    "reward.max_error_share": 0.1,
    "pre_training.enabled": True,
    "pre_training.epochs": 9,
    "pre_training.max_samples": 3,
    "pre_training.learning_rate": 0.5,
    "pre_training.batch_size": 9,
    "pre_training.max_length_ratio": 0.3,
    "pre_training.validate_format": False,
    "pre_training.validation_steps": 1,
    "pre_training.validation_samples": 3,
    "pre_training.adaptive": False,
    "pre_training.min_success_rate": 0.1,
    "pre_training.max_additional_epochs": 2,
    "evaluation.enabled": True,
    "evaluation.max_samples": 3,
    "evaluation.batch_size": 3,
    "evaluation.max_new_tokens": 3,
    "evaluation.eval_steps": 2,
    "evaluation.eval_samples": 2,
    "evaluation.max_time_share": 1e-9,
    "evaluation.metric_for_best_model": "accuracy",
    "evaluation.early_stopping_patience": 1,
    "evaluation.early_stopping_threshold": 0.5,
    "evaluation.load_best_model_at_end": True,
}
# Read by datasets_app and rewards before the engine is called: tests/training/test_config_reaches_the_engine.py has a
# row for each. Version and name are no settings.
OUTSIDE = {
    "version",
    "name",
    "dataset.source",
    "dataset.split",
    "dataset.instruction_field",
    "dataset.response_field",
    "dataset.max_samples",
    "reward.type",
    "reward.preset_name",
    "reward.parts",
    "reward.normalise",
    "reward.formula",
    "reward.gated_total",
}


def fields() -> list[str]:
    found = []
    for name, section in SessionConfig.model_fields.items():
        kind = section.annotation
        inner = getattr(kind, "model_fields", None)
        found += [f"{name}.{field}" for field in inner] if inner else [name]
    return found


# Without these a field says nothing.
TOGETHER: dict[str, dict[str, dict[str, Any]]] = {
    "training.bnb_4bit_quant_type": {"training": {"load_in_4bit": True}},
    "training.bnb_4bit_compute_dtype": {"training": {"load_in_4bit": True}},
    "training.bnb_4bit_use_double_quant": {"training": {"load_in_4bit": True}},
}


def unchanged(field: str) -> SessionConfig:
    return tiny_config(**TOGETHER.get(field, {}))


def changed(field: str) -> SessionConfig:
    section, name = field.split(".")
    return tiny_config(**{section: {**TOGETHER.get(field, {}).get(section, {}), name: CHANGES[field]}})


def what_the_libraries_get(config: SessionConfig, tokenizer: Any) -> dict[str, Any]:
    """Everything that the engine hands on, in one dictionary."""
    tokenizer = loading.with_template(deepcopy(tokenizer), config.prompt.chat_template)
    questions, _ = fitting(
        tokenizer, config, [*ROWS, Row(99, "word " * 12, "1", "", "1")], config.training.max_new_tokens
    )
    half = loading.half_precision(config)
    return {
        "grpo": grpo_options(config, FOLDER, half, False),
        "sft": sft_options(config, FOLDER, half, False),
        "common": common_options(config, FOLDER, half, False),
        "adapter": loading.adapter_options(config),
        "quantisation": loading.quantisation_options(config),
        "attention": fallbacks.attention(config, True),
        "unsloth model": loading.unsloth_model_options("model", config, _Torch),
        "unsloth adapter": loading.unsloth_adapter_options(config),
        "base name": config.model.name,
        "prompts": [prompt_text(tokenizer, config.prompt, row) for row in ROWS],
        "targets": [target_text(config.prompt, row) for row in ROWS],
        "warm-up rows": [row.row for row in warm_up_rows(config, ROWS)],
        "warm-up sequences": len(tokenised(tokenizer, config, ROWS)),
        "usable": len(questions),
        "steps": total_steps(config, 64),
        "evaluation": (config.evaluation.batch_size, new_tokens(config)),
    }


class _Torch:
    bfloat16, float32 = "bfloat16", "float32"


# What the libraries are not handed but the run does by itself has a test of its own, below or in test_unjudged.py.
BY_THE_RUN = {
    "reward.max_error_share",
    "training.save_total_limit",
    "evaluation.enabled",
    "evaluation.max_samples",
    "pre_training.enabled",
}
IN_OTHER_FILES = {
    "test_format_watch.py": {
        "pre_training.validate_format",
        "pre_training.validation_steps",
        "pre_training.validation_samples",
        "pre_training.adaptive",
        "pre_training.min_success_rate",
    },
    "../training/test_kept_answers.py": {"training.completions_every", "training.completions_budget"},
    "test_validation.py": {
        "evaluation.eval_steps",
        "evaluation.eval_samples",
        "evaluation.max_time_share",
        "evaluation.metric_for_best_model",
        "evaluation.early_stopping_patience",
        "evaluation.early_stopping_threshold",
        "evaluation.load_best_model_at_end",
    },
}
BY_THE_RUN |= {field for names in IN_OTHER_FILES.values() for field in names}


@pytest.mark.parametrize("file", IN_OTHER_FILES)
def test_a_field_whose_test_is_in_another_file_is_set_there(file: str) -> None:
    text = (Path(__file__).parent / file).read_text()
    assert [field for field in IN_OTHER_FILES[file] if not re.search(rf"\b{field.partition('.')[2]}\b", text)] == []


def test_every_field_of_the_schema_is_looked_at() -> None:
    assert set(fields()) == set(CHANGES) | OUTSIDE


@pytest.mark.parametrize("field", sorted(set(CHANGES) - BY_THE_RUN))
def test_a_changed_field_changes_what_the_libraries_get(field: str, tokenizer: Any) -> None:
    assert what_the_libraries_get(changed(field), tokenizer) != what_the_libraries_get(unchanged(field), tokenizer)


def difference(field: str) -> dict[str, Any]:
    """The fields of GRPOConfig that a changed field changes."""
    before, after = (grpo_options(config, FOLDER, False, True) for config in (tiny_config(), changed(field)))
    return {name: after[name] for name in after if after[name] != before[name]}


@pytest.mark.parametrize(
    ("field", "expected"),
    [
        ("training.num_epochs", {"num_train_epochs": 9.0}),
        ("training.max_steps", {"max_steps": 77}),
        ("training.batch_size", {"per_device_train_batch_size": 16}),
        (
            "training.gradient_accumulation_steps",
            {"gradient_accumulation_steps": 2, "steps_per_generation": 2},
        ),
        ("training.learning_rate", {"learning_rate": 0.5}),
        ("training.warmup_steps", {"warmup_steps": 3, "lr_scheduler_type": "constant_with_warmup"}),
        ("training.weight_decay", {"weight_decay": 0.5}),
        ("training.max_grad_norm", {"max_grad_norm": 9.0}),
        ("training.lr_scheduler_type", {"lr_scheduler_type": "cosine"}),
        ("training.optim", {"optim": "adafactor"}),
        ("training.max_new_tokens", {"max_completion_length": 9}),
        ("training.temperature", {"temperature": 0.3}),
        ("training.top_p", {"top_p": 0.3}),
        ("training.top_k", {"top_k": 12}),
        ("training.min_p", {"min_p": 0.1}),
        ("training.repetition_penalty", {"repetition_penalty": 1.5}),
        ("training.seed", {"seed": 9, "data_seed": 9}),
        ("training.save_steps", {"save_steps": 9}),
        ("training.gradient_checkpointing", {"gradient_checkpointing": True}),
        ("grpo.kl_penalty", {"beta": 0.5}),
        ("grpo.clip_range", {"epsilon": 0.5, "epsilon_high": 0.5}),
        ("grpo.clip_range_high", {"epsilon_high": 0.6}),
        ("grpo.delta", {"delta": 4.0}),
        ("grpo.algorithm", {"importance_sampling_level": "sequence"}),
        ("grpo.use_bias_correction_kl", {"use_bias_correction_kl": False}),
        ("grpo.steps_per_generation", {"steps_per_generation": 2}),
        ("grpo.top_entropy_quantile", {"top_entropy_quantile": 0.2}),
        ("grpo.entropy_coef", {"entropy_coef": 0.01}),
        ("grpo.importance_sampling_level", {"importance_sampling_level": "sequence"}),
        ("grpo.num_generations", {"num_generations": 8}),
        ("grpo.num_iterations", {"num_iterations": 2}),
        ("grpo.loss_type", {"loss_type": "dapo"}),
        ("grpo.scale_rewards", {"scale_rewards": "batch"}),
        ("grpo.mask_truncated_completions", {"mask_truncated_completions": True}),
    ],
)
def test_a_field_reaches_trl_under_trls_name_and_touches_nothing_else(field: str, expected: dict[str, Any]) -> None:
    assert difference(field) == expected


def test_trl_knows_every_option_and_keeps_it_as_given(tmp_path: Path) -> None:
    config = tiny_config(training={"optim": "adamw_torch"})
    for made, options in (
        (GRPOConfig, grpo_options(config, tmp_path, False, False)),
        (SFTConfig, sft_options(config, tmp_path, False, False)),
    ):
        kept = made(**options)
        for name, value in options.items():
            # transformers turns names into enums and "none" into an empty list
            assert str(getattr(getattr(kept, name), "value", getattr(kept, name))) in (str(value), "[]"), name


def test_a_constant_schedule_still_warms_up(tmp_path: Path) -> None:
    assert grpo_options(tiny_config(), tmp_path, False, False)["lr_scheduler_type"] == "constant"
    warming = tiny_config(training={"warmup_steps": 5})
    assert grpo_options(warming, tmp_path, False, False)["lr_scheduler_type"] == "constant_with_warmup"


@pytest.mark.parametrize("name", ["paged_adamw_32bit", "paged_adamw_8bit", "adamw_8bit"])
def test_an_optimiser_that_needs_cuda_is_replaced_on_a_cpu_and_that_is_said(name: str) -> None:
    config = tiny_config(training={"optim": name})
    replaced, notice = fallbacks.optimiser(config, cuda=False)

    assert replaced == "adamw_torch"
    assert notice is not None
    assert name in notice
    assert fallbacks.optimiser(config, cuda=True) == (name, None)


@pytest.mark.parametrize(
    ("field", "value", "replacement"),
    [("attn_implementation", "flash_attention_2", "sdpa"), ("precision", "fp16", "fp32")],
)
def test_what_else_needs_cuda_is_replaced_on_a_cpu_and_that_is_said(
    session: Session, field: str, value: str, replacement: str
) -> None:
    session.config = tiny_config(training={field: value, "max_steps": 1})
    _, recorded = session.run()

    said = [event.data["message"] for event in recorded.of("log")]
    assert any(value in message and f"{replacement} takes its place" in message for message in said)
    assert not [notice for notice in fallbacks.notices(session.config, cuda=True) if value in notice.message]


@pytest.mark.parametrize("bits", [4, 8])
def test_quantisation_is_never_replaced_because_the_model_would_not_fit(bits: int) -> None:
    config = tiny_config(training={f"load_in_{bits}bit": True})
    assert fallbacks.notices(config, cuda=True) == []
    assert f"training.load_in_{bits}bit" in [notice.field for notice in fallbacks.notices(config, cuda=False)]
    with pytest.raises(EngineError, match=f"Loading in {bits} bit needs an NVIDIA GPU"):
        loading.quantisation(config)


def test_fp16_on_a_gpu_is_trls_fp16(tmp_path: Path) -> None:
    options = common_options(tiny_config(training={"precision": "fp16"}), tmp_path, False, True)
    assert (options["fp16"], options["bf16"]) == (True, False)
    assert common_options(tiny_config(training={"precision": "fp16"}), tmp_path, False, False)["fp16"] is False


@pytest.mark.parametrize("attention", ["sdpa", "eager"])
def test_the_attention_of_the_loaded_model_is_the_one_that_was_chosen(attention: str, model_folder: Path) -> None:
    model, _ = loading.load_model(str(model_folder), tiny_config(training={"attn_implementation": attention}))
    assert model.config._attn_implementation == attention


@pytest.mark.parametrize("field", ["attn_implementation", "bnb_4bit_quant_type"])
def test_a_setting_that_unsloth_fixes_is_followed_without_unsloth(field: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loading, "cuda_available", lambda: True)
    monkeypatch.setattr(loading, "find_spec", lambda name: object())
    own = tiny_config(training={"load_in_4bit": True, field: CHANGES[f"training.{field}"]})
    assert loading.uses_unsloth(tiny_config(training={"load_in_4bit": True}))
    assert not loading.uses_unsloth(own)
    assert f"training.{field}" in loading.without_unsloth(own)
    assert not loading.uses_unsloth(tiny_config(model={"use_dora": True}))


@pytest.mark.parametrize(
    ("setting", "package"),
    [({"attn_implementation": "flash_attention_2"}, "flash_attn"), ({"load_in_8bit": True}, "bitsandbytes")],
)
def test_a_package_that_is_missing_is_named_before_the_model_is_loaded(
    setting: dict[str, Any], package: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loading, "cuda_available", lambda: True)
    with pytest.raises(EngineError, match=f"The package {package} is not installed"):
        loading.check_packages(tiny_config(training=setting))


def test_the_engine_needs_no_more_than_the_defaults_say() -> None:
    loading.check_packages(tiny_config())


def test_the_generator_samples_with_the_sessions_settings(session: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    from training.engine import generation

    seen = []
    plain = generation.sample

    def spy(logits: Any, sampling: generation.Sampling) -> Any:
        seen.append(sampling)
        return plain(logits, sampling)

    monkeypatch.setattr(generation, "sample", spy)
    own = {"temperature": 0.6, "top_p": 0.8, "top_k": 5, "min_p": 0.01, "repetition_penalty": 1.1}
    session.config = tiny_config(training={**own, "max_steps": 1})
    session.run()

    assert set(seen) == {generation.Sampling(8, 0.6, 0.8, 5, 0.01, 1.1)}


def test_evaluation_is_greedy_whatever_the_training_temperature() -> None:
    config = tiny_config(training={"temperature": 1.3}, evaluation={"max_new_tokens": 3})
    evaluation = Evaluation("base", [], config, composition("even_length"), Journal(Recorded()))

    assert (evaluation.sampling.temperature, evaluation.sampling.max_new_tokens) == (0.0, 3)


def test_evaluation_fields_decide_whether_and_how_many_questions_are_asked(session: Session) -> None:
    session.config = tiny_config(evaluation={"enabled": True, "max_samples": 3}, training={"max_steps": 1})
    outcome, recorded = session.run()
    assert outcome.scores["base"]["questions"] == 3
    assert recorded.of("evaluation")

    quiet = Session(session.folder.parent / "quiet", session.model_folder, tiny_config(training={"max_steps": 1}))
    outcome, recorded = quiet.run()
    assert outcome.scores == {}
    assert not recorded.of("evaluation")


def test_the_warm_up_can_be_left_out(session: Session) -> None:
    _, recorded = session.run()
    assert not recorded.of("phase", "pretraining")


def test_the_number_of_kept_checkpoints_is_the_sessions(session: Session) -> None:
    session.config = tiny_config(training={"save_steps": 1, "save_total_limit": 2})
    session.run()
    assert len(published(session.folder, "training")) == 2


def test_a_batch_used_twice_gets_ratios_to_its_old_policy(session: Session) -> None:
    session.config = tiny_config(grpo={"num_iterations": 2}, training={"max_steps": 4})
    _, recorded = session.run()

    # Answers are made for steps 1 and 3 only.
    assert [event.step for event in recorded.of("rollouts")] == [1, 3]


@pytest.mark.parametrize(
    "loss", get_args(SessionConfig.model_fields["grpo"].annotation.model_fields["loss_type"].annotation)
)
def test_every_loss_that_is_offered_trains(loss: str, session: Session) -> None:
    own = {"luspo": {"importance_sampling_level": "sequence"}, "cispo": {"clip_range_high": 5.0}}
    session.config = tiny_config(
        grpo={"loss_type": loss, "num_iterations": 2, **own.get(loss, {})}, training={"max_steps": 2}
    )
    assert problems(session.config) == []
    _, recorded = session.run()
    assert [norm > 0 for norm in recorded.curve("grad_norm").values()] == [True, True]


@pytest.mark.parametrize("name", ALGORITHMS)
def test_a_named_algorithm_is_what_trl_is_given_and_trains(name: str, session: Session) -> None:
    session.config = tiny_config(grpo={"algorithm": name}, training={"max_steps": 1})
    given = grpo_options(session.config, FOLDER, False, False)
    assert {key: given[key] for key in ALGORITHMS[name]} == ALGORITHMS[name]
    outcome, _ = session.run()
    assert outcome.status == "completed"


@pytest.mark.parametrize("own", [{"entropy_coef": 0.05}, {"top_entropy_quantile": 0.3}, {"delta": 2.0}])
def test_a_term_of_the_loss_changes_the_gradient(own: dict[str, Any], session: Session) -> None:
    plain = Session(session.folder.parent / "plain", session.model_folder)
    for each, grpo in ((plain, {}), (session, own)):
        each.config = tiny_config(grpo={**grpo, "num_iterations": 4}, training={"max_steps": 4, "learning_rate": 0.5})
    norms = [each.run()[1].curve("grad_norm") for each in (plain, session)]
    assert norms[0] != norms[1]


def test_one_round_of_answering_can_feed_several_steps(session: Session) -> None:
    session.config = tiny_config(grpo={"steps_per_generation": 2}, training={"max_steps": 4, "batch_size": 4})
    _, recorded = session.run()
    assert [event.step for event in recorded.of("rollouts")] == [1, 3]
    assert (
        total_steps(tiny_config(grpo={"steps_per_generation": 2}, training={"max_steps": None, "num_epochs": 1}), 64)
        == 32
    )


def test_the_steps_of_an_epoch_are_those_that_transformers_counts(session: Session) -> None:
    """Three rounds of two questions, two batches each, of which three make a step."""
    session.train_rows = [question(n) for n in range(7)]
    session.config = tiny_config(
        grpo={"steps_per_generation": 2},
        training={"max_steps": None, "num_epochs": 2, "batch_size": 4, "gradient_accumulation_steps": 3},
    )
    _, recorded = session.run()
    assert total_steps(session.config, 7) == 4
    assert len(recorded.curve("loss")) == 4


@pytest.mark.parametrize("own", [{"use_dora": True}, {"use_rslora": True}, {"lora_bias": "all"}])
def test_each_kind_of_adapter_trains_and_loads_again(own: dict[str, Any], session: Session) -> None:
    session.config = tiny_config(model=own)
    outcome, _ = session.run()
    assert outcome.adapter is not None
    ids = torch.arange(5)[None] + 10
    base, _ = loading.load_for_generation(str(session.model_folder), None)
    plain = base(ids).logits.float()
    adapted, _ = loading.load_for_generation(str(session.model_folder), outcome.adapter)
    assert not torch.allclose(plain, adapted(ids).logits.float())
