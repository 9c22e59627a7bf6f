"""Our shared-prompt pass gives TRL's numbers."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
import torch
from trl import GRPOTrainer

from tests.engine.conftest import Session, composition, tiny_config
from training.engine import loading
from training.engine.grpo import Trainer, fitting, grpo_trainer
from training.engine.logprobs import can_share_prompts
from training.engine.problems import Stopper, never
from training.engine.trainers import Journal
from training.events import EngineEvent
from training.schema import SessionConfig


def silent(event: EngineEvent) -> None:
    return None


def make(session: Session, config: SessionConfig) -> Trainer:
    model, tokenizer = loading.load_model(str(session.model_folder), config)
    model = loading.add_adapter(model, config)
    torch.manual_seed(3)
    for name, parameter in model.named_parameters():
        if "lora_B" in name:
            parameter.data.normal_(std=0.05)
    questions, _ = fitting(tokenizer, config, session.train_rows, 8)
    trainer, judge = grpo_trainer(model, tokenizer, config, composition("share_of_e"), questions, session.folder)
    trainer.prepare_run(session.folder, config, Journal(silent), Stopper(never))
    trainer.prepare_rollouts(judge)
    trainer.current_gradient_accumulation_steps = config.training.gradient_accumulation_steps
    return trainer


def rollout(trainer: Trainer) -> dict[str, Any]:
    batch = next(iter(trainer.get_train_dataloader()))
    trainer.model.train()
    return trainer._generate_and_score_completions(batch)


def logps(trainer: Any, inputs: dict[str, Any], how: Any) -> tuple[torch.Tensor, torch.Tensor]:
    ids = torch.cat([inputs["prompt_ids"], inputs["completion_ids"]], dim=1)
    mask = torch.cat([inputs["prompt_mask"], inputs["completion_mask"]], dim=1)
    found = how(trainer, trainer.model, ids, mask, inputs["completion_ids"].shape[1], compute_entropy=True)
    return found[0], found[1]


def gradients(trainer: Trainer, inputs: dict[str, Any]) -> dict[str, torch.Tensor]:
    trainer.model.zero_grad()
    loss = trainer._compute_loss(trainer.model, copy.copy(inputs))
    loss.backward()
    return {name: p.grad.clone() for name, p in trainer.model.named_parameters() if p.grad is not None}


def test_values_are_those_of_trl(session: Session) -> None:
    trainer = make(session, tiny_config(training={"temperature": 0.7}))
    inputs = rollout(trainer)
    ours = logps(trainer, inputs, Trainer._get_per_token_logps_and_entropies)
    theirs = logps(trainer, inputs, GRPOTrainer._get_per_token_logps_and_entropies)

    assert trainer.shares_prompts
    assert ours[0].abs().sum() > 0
    torch.testing.assert_close(ours[0], theirs[0], atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(ours[1], theirs[1], atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("loss_type", ["grpo", "dr_grpo", "dapo", "bnpo"])
@pytest.mark.parametrize("kl", [0.0, 0.1])
def test_loss_and_gradients_are_those_of_trl_also_where_rows_are_skipped(
    session: Session, loss_type: str, kl: float
) -> None:
    trainer = make(session, tiny_config(grpo={"loss_type": loss_type, "kl_penalty": kl}))
    inputs = rollout(trainer)
    # One group teaches nothing, the other does.
    inputs["advantages"] = torch.tensor([0.0] * 4 + [1.0, -1.0, 0.5, -0.5])
    ours = gradients(trainer, inputs)
    entropy = trainer._metrics["train"]["entropy"][-1]
    trainer.shares_prompts = False
    theirs = gradients(trainer, inputs)

    assert set(ours) == set(theirs)
    assert sum(grad.abs().sum() for grad in ours.values()) > 0
    for name, grad in ours.items():
        torch.testing.assert_close(grad, theirs[name], atol=2e-5, rtol=1e-3)
    assert entropy > 0


def test_a_batch_that_teaches_nothing_has_zero_gradients_and_no_error(session: Session) -> None:
    trainer = make(session, tiny_config())
    inputs = rollout(trainer)
    inputs["advantages"] = torch.zeros(8)

    assert all(grad.abs().sum() == 0 for grad in gradients(trainer, inputs).values())


def test_skipped_rows_keep_their_old_policy_when_a_batch_is_used_twice(session: Session) -> None:
    trainer = make(session, tiny_config(grpo={"num_iterations": 2}))
    inputs = rollout(trainer)
    inputs["advantages"] = torch.tensor([0.0] * 4 + [1.0, -1.0, 0.5, -0.5])
    assert "old_per_token_logps" in inputs
    ours = gradients(trainer, inputs)
    trainer.shares_prompts = False
    theirs = gradients(trainer, inputs)

    for name, grad in ours.items():
        torch.testing.assert_close(grad, theirs[name], atol=2e-5, rtol=1e-3)


def test_completions_of_one_token_are_served(session: Session) -> None:
    trainer = make(session, tiny_config(training={"max_new_tokens": 1}))
    inputs = rollout(trainer)
    ours = logps(trainer, inputs, Trainer._get_per_token_logps_and_entropies)
    theirs = logps(trainer, inputs, GRPOTrainer._get_per_token_logps_and_entropies)

    torch.testing.assert_close(ours[0], theirs[0], atol=1e-4, rtol=1e-4)


def test_gradient_checkpointing_leaves_the_pass_to_trl(session: Session, model_folder: Path) -> None:
    config = tiny_config()
    model, _ = loading.load_model(str(model_folder), config)

    assert can_share_prompts(loading.add_adapter(model, config), gradient_checkpointing=False)
    assert not can_share_prompts(loading.add_adapter(model, config), gradient_checkpointing=True)
