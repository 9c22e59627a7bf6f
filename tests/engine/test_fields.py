"""No field of the schema does nothing: each one, changed, changes what TRL, PEFT, the generator or the run gets."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from trl import GRPOConfig, SFTConfig

from tests.engine.conftest import Recorded, Row, Session, composition, question, tiny_config
from training.engine import loading
from training.engine.checkpoints import published
from training.engine.evaluate import Evaluation, new_tokens
from training.engine.grpo import fitting, grpo_options, total_steps
from training.engine.prompting import prompt_text, target_text
from training.engine.sft import sft_options, warm_up_rows
from training.engine.trainers import Journal, common_options, optimiser
from training.schema import SessionConfig

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
    "training.seed": 9,
    "training.save_steps": 9,
    "training.save_total_limit": 9,
    "training.gradient_checkpointing": True,
    "training.precision": "bf16",
    "training.load_in_4bit": True,
    "grpo.kl_penalty": 0.5,
    "grpo.clip_range": 0.5,
    "grpo.clip_range_high": 0.6,
    "grpo.importance_sampling_level": "sequence",
    "grpo.num_generations": 8,
    "grpo.num_iterations": 2,
    "grpo.loss_type": "dapo",
    "grpo.scale_rewards": "batch",
    "grpo.mask_truncated_completions": True,
    "reward.max_error_share": 0.1,
    "pre_training.enabled": True,
    "pre_training.epochs": 9,
    "pre_training.max_samples": 3,
    "pre_training.learning_rate": 0.5,
    "pre_training.batch_size": 9,
    "evaluation.enabled": True,
    "evaluation.max_samples": 3,
    "evaluation.batch_size": 3,
    "evaluation.max_new_tokens": 3,
}
# Read by datasets_app, rewards and the web before the engine is called.
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


def changed(field: str) -> SessionConfig:
    section, name = field.split(".")
    return tiny_config(**{section: {name: CHANGES[field]}})


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
        "unsloth model": loading.unsloth_model_options("model", config, _Torch),
        "unsloth adapter": loading.unsloth_adapter_options(config),
        "base name": config.model.name,
        "prompts": [prompt_text(tokenizer, config.prompt, row) for row in ROWS],
        "targets": [target_text(config.prompt, row) for row in ROWS],
        "warm-up rows": [row.row for row in warm_up_rows(config, ROWS)],
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


def test_every_field_of_the_schema_is_looked_at() -> None:
    assert set(fields()) == set(CHANGES) | OUTSIDE


@pytest.mark.parametrize("field", sorted(set(CHANGES) - BY_THE_RUN))
def test_a_changed_field_changes_what_the_libraries_get(field: str, tokenizer: Any) -> None:
    assert what_the_libraries_get(changed(field), tokenizer) != what_the_libraries_get(tiny_config(), tokenizer)


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
        ("training.seed", {"seed": 9, "data_seed": 9}),
        ("training.save_steps", {"save_steps": 9}),
        ("training.gradient_checkpointing", {"gradient_checkpointing": True}),
        ("grpo.kl_penalty", {"beta": 0.5}),
        ("grpo.clip_range", {"epsilon": 0.5, "epsilon_high": 0.5}),
        ("grpo.clip_range_high", {"epsilon_high": 0.6}),
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
    replaced, notice = optimiser(config, cuda=False)

    assert replaced == "adamw_torch"
    assert notice is not None
    assert name in notice
    assert optimiser(config, cuda=True) == (name, None)


def test_the_generator_samples_with_the_sessions_settings(session: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    from training.engine import generation

    seen = []
    plain = generation.sample

    def spy(logits: Any, sampling: generation.Sampling) -> Any:
        seen.append(sampling)
        return plain(logits, sampling)

    monkeypatch.setattr(generation, "sample", spy)
    session.config = tiny_config(training={"temperature": 0.6, "top_p": 0.8, "top_k": 5, "max_steps": 1})
    session.run()

    assert set(seen) == {generation.Sampling(8, 0.6, 0.8, 5)}


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
