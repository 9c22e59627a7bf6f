"""GRPO: TRL's trainer with our generation, our rewards and our checkpoints. TRL's loss, advantages and metrics stay."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean, pstdev
from typing import Any

import torch
from datasets import Dataset
from torch import Tensor
from trl import GRPOConfig, GRPOTrainer
from trl.trainer.utils import RepeatSampler

from rewards.composition import Composition, Result
from training.engine.beats import GENERATING, REWARDING
from training.engine.checkpoints import step_of
from training.engine.generation import Generator, Sampling
from training.engine.loading import cuda_available, half_precision
from training.engine.logprobs import can_share_prompts, shared_prompt_logps
from training.engine.problems import EngineError, Stopper, never
from training.engine.prompting import Row, encode, prompt_text
from training.engine.scoring import score_all
from training.engine.signal import NEARLY, Answer, counts, kind_of
from training.engine.trainers import Journal, SafeCheckpoints, common_options, schedule
from training.engine.unjudged import Unjudged, most_frequent
from training.schema import SessionConfig

# Rewards are rounded to a power of two: the mean of equal rewards is then the reward itself in float32. Without that,
# eight times 0.2 has a deviation of 1e-8, which TRL takes for a signal: a small advantage, a pass that could have been
# saved, and a group without signal that is not counted as one.
REWARD_STEP = 2.0**-16
# Characters of a step's answers that are recorded, and of one of them: whole texts, but for absurd ones.
TEXT_BUDGET = 16_000_000
LONGEST_TEXT = 400_000


def grpo_options(config: SessionConfig, folder: Path, half: bool, cuda: bool) -> dict[str, Any]:
    """Every field of GRPOConfig that decides what is learned: none is left to a default, TRL's or Unsloth's."""
    training, grpo = config.training, config.grpo
    return {
        **common_options(config, folder, half, cuda),
        "learning_rate": training.learning_rate,
        "lr_scheduler_type": schedule(config),
        "warmup_steps": training.warmup_steps,
        "num_train_epochs": training.num_epochs,
        "max_steps": training.max_steps or -1,
        "per_device_train_batch_size": training.batch_size,
        "gradient_accumulation_steps": training.gradient_accumulation_steps,
        "steps_per_generation": config.batches_per_generation,
        "num_generations": grpo.num_generations,
        "num_iterations": grpo.num_iterations,
        "max_completion_length": training.max_new_tokens,
        "temperature": training.temperature,
        "top_p": training.top_p,
        "top_k": training.top_k,
        "min_p": training.min_p,
        "repetition_penalty": training.repetition_penalty,
        "beta": grpo.kl_penalty,
        "epsilon": grpo.clip_range,
        "epsilon_high": grpo.clip_range if grpo.clip_range_high is None else grpo.clip_range_high,
        "delta": grpo.delta,
        "importance_sampling_level": grpo.importance_sampling_level,
        "loss_type": grpo.loss_type,
        "scale_rewards": grpo.scale_rewards,
        "mask_truncated_completions": grpo.mask_truncated_completions,
        "reward_weights": None,
        "multi_objective_aggregation": "sum_then_normalize",
        "top_entropy_quantile": grpo.top_entropy_quantile,
        "entropy_coef": grpo.entropy_coef,
        "use_adaptive_entropy": False,
        "off_policy_mask_threshold": None,
        "use_bias_correction_kl": grpo.use_bias_correction_kl,
        # Of the losses sapo and vespo, as their papers have them.
        "sapo_temperature_neg": 1.05,
        "sapo_temperature_pos": 1.0,
        "vespo_k_pos": 2.0,
        "vespo_lambda_pos": 3.0,
        "vespo_k_neg": 3.0,
        "vespo_lambda_neg": 2.0,
        "sync_ref_model": False,
        "disable_dropout": False,
        "shuffle_dataset": True,
        "remove_unused_columns": False,
        "use_vllm": False,
        "vllm_importance_sampling_correction": False,
        "use_transformers_continuous_batching": False,
        "use_liger_kernel": False,
        "log_completions": False,
    }


def sampling(config: SessionConfig) -> Sampling:
    """How answers are sampled while training."""
    training = config.training
    return Sampling(
        training.max_new_tokens,
        training.temperature,
        training.top_p,
        training.top_k,
        training.min_p or 0.0,
        training.repetition_penalty,
    )


@dataclass
class Question:
    row: Row
    prompt: str


def fitting(tokenizer: Any, config: SessionConfig, rows: Sequence[Row], new_tokens: int) -> tuple[list[Question], int]:
    """Rows whose prompt leaves room for `new_tokens`, and how many do not. TRL neither cuts nor refuses long ones."""
    room = config.training.max_sequence_length - new_tokens
    questions = [Question(row, prompt_text(tokenizer, config.prompt, row)) for row in rows]
    kept = [question for question in questions if len(encode(tokenizer, question.prompt)) <= room]
    return kept, len(questions) - len(kept)


# A stop request is looked for between batches; a service may take a minute for an answer.
REWARD_BATCH = 64
OUTSIDE_BATCH = 8


class Judge:
    """The one reward function that TRL sees. It keeps the results of the latest batch for the rollouts event."""

    __name__ = "total"

    def __init__(self, composition: Composition, config: SessionConfig, questions: list[Question]) -> None:
        self.composition, self.config, self.questions = composition, config, questions
        self.results: list[Result] = []
        self.unjudged = Unjudged(config.reward.max_error_share)
        self.stopper = Stopper(never)

    def __call__(
        self, completions: list[str], completion_ids: list[list[int]], question: list[int], log_metric: Any, **_: Any
    ) -> list[float | None]:
        with self.stopper.during(REWARDING):
            self.score(completions, completion_ids, question)
        self.unjudged.saw(self.results)
        for name, value in part_metrics(self.results).items():
            log_metric(name, value)
        return [rounded(result.total) for result in self.results]

    def score(self, completions: list[str], completion_ids: list[list[int]], question: list[int]) -> None:
        answers = [
            (self.questions[number].row, text, len(ids))
            for text, ids, number in zip(completions, completion_ids, question, strict=True)
        ]
        self.results = []
        size = OUTSIDE_BATCH if self.composition.asks_outside else REWARD_BATCH
        for start in range(0, len(answers), size):
            self.stopper.check()
            batch = answers[start : start + size]
            self.results += score_all(self.composition, self.config.prompt, batch)


def rounded(total: float | None) -> float | None:
    return None if total is None else round(total / REWARD_STEP) * REWARD_STEP


def part_metrics(results: list[Result]) -> dict[str, float]:
    metrics: dict[str, float] = {}
    for part in results[0].parts:
        values = [value for result in results if (value := result.parts[part]) is not None]
        if values:
            metrics[f"rewards/{part}/mean"] = fmean(values)
            metrics[f"rewards/{part}/std"] = pstdev(values)
    judged = [result.correct for result in results if result.correct is not None]
    if judged:
        metrics["accuracy"] = fmean(judged)
    metrics["rewards/errors"] = float(sum(result.total is None for result in results))
    return metrics


class EpochRepeatSampler(RepeatSampler):
    """TRL's sampler draws the order of an epoch from the state left by the epoch before, so a resumed run would start
    with the first epoch's order again. Here the order depends on seed and epoch alone."""

    epoch = 0

    def set_epoch(self, epoch: int) -> None:
        self.epoch = epoch

    def __iter__(self) -> Any:
        if self.shuffle:
            self.generator.manual_seed((self.seed or 0) * 100_003 + self.epoch)
        return super().__iter__()


class Trainer(SafeCheckpoints, GRPOTrainer):
    judge: Judge
    max_completion_length: int
    num_generations: int

    def prepare_rollouts(self, judge: Judge) -> None:
        self.judge = judge
        judge.stopper = self.stopper
        self.rollouts = None if cuda_available() else Generator(self.model, self._tokenizer)
        # Ours gives entropies no gradient, and none for answers whose pass it saves.
        needs_entropies = self.entropy_coef != 0.0 or self.top_entropy_quantile < 1.0
        self.shares_prompts = not needs_entropies and can_share_prompts(self.model, self.args.gradient_checkpointing)
        self._learning: Tensor | None = None

    @property
    def sampling(self) -> Sampling:
        return sampling(self.config)

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: Any = None) -> None:
        super()._load_from_checkpoint(resume_from_checkpoint, model)
        # TRL's own count, which decides when to generate, starts at 0 in every process.
        self._step = step_of(Path(resume_from_checkpoint)) * self.args.gradient_accumulation_steps

    def _get_train_sampler(self, dataset: Any = None) -> Any:
        sampler = super()._get_train_sampler(dataset)
        sampler.__class__ = EpochRepeatSampler
        return sampler

    # Rollouts

    def _tokenize_prompts(self, prompts: list[str]) -> tuple[list[list[int]], None, dict[str, Any]]:
        return [encode(self._tokenizer, prompt) for prompt in prompts], None, {}

    def _generate_single_turn(self, prompt_ids: Any, *args: Any, **kwargs: Any) -> Any:
        if self.rollouts is None or self.rollouts.decoder is None:
            return super()._generate_single_turn(prompt_ids, *args, **kwargs)
        self.rollouts.refresh()
        made = self.rollouts.complete(prompt_ids, 1, self.sampling, self.stopper)
        return [each.ids for each in made], None

    def _generate_and_score_completions(self, inputs: list[dict[str, Any]]) -> dict[str, Any]:
        with self.stopper.during(GENERATING):
            output: dict[str, Any] = super()._generate_and_score_completions(inputs)
        failed = [result.total is None for result in self.judge.results]
        if any(failed):
            self.leave_out(output, failed)
        self.report_rollouts([each["question"] for each in inputs], output)
        self.judge.unjudged.check()
        return output

    def leave_out(self, output: dict[str, Any], failed: list[bool]) -> None:
        """TRL gives an answer without a reward the advantage 0, but the KL term would still train on it."""
        judged = ~torch.tensor(failed, device=output["completion_mask"].device)
        output["tool_mask"] = judged[:, None].expand_as(output["completion_mask"]).to(output["completion_mask"].dtype)
        output["num_items_in_batch"] = (output["completion_mask"] * output["tool_mask"]).sum()
        reasons = most_frequent(self.judge.results)
        self.journal.log(
            f"Step {self.state.global_step + 1}: {sum(failed)} of {len(failed)} answers could not be judged and are"
            f" left out: {'; '.join(reasons)[:500]}",
            "warning",
            unjudged={"count": sum(failed), "of": len(failed), "reasons": reasons},
        )

    def report_rollouts(self, numbers: list[int], output: dict[str, Any]) -> None:
        answers = [
            ids[mask.bool()].tolist() for ids, mask in zip(output["completion_ids"], self.unmasked(output), strict=True)
        ]
        texts = self._tokenizer.batch_decode(answers, skip_special_tokens=True)
        limit = min(LONGEST_TEXT, TEXT_BUDGET // len(texts))
        advantages = output["advantages"].tolist()
        size = self.num_generations
        groups = []
        kinds = self.count_groups(answers, advantages)
        epoch = int((self.state.epoch or 0.0) + NEARLY)
        for start in range(0, len(texts), size):
            question = self.judge.questions[numbers[start]]
            members = range(start, start + size)
            completions = [
                self.told(texts[i], limit, answers[i], self.judge.results[i], advantages[i]) for i in members
            ]
            groups.append(
                {
                    "row": question.row.row,
                    "epoch": epoch,
                    "kind": kinds[start // size],
                    "question": question.row.instruction[:limit],
                    "prompt": question.prompt[:limit],
                    "reference": question.row.reference[:limit],
                    "completions": completions,
                }
            )
        self.journal.event("rollouts", {"groups": groups}, self.state.global_step + 1)

    def count_groups(self, answers: list[list[int]], advantages: list[float]) -> list[str]:
        """The kind of each."""
        told = [
            Answer(result, advantage, len(ids), self.is_cut_off(ids))
            for result, advantage, ids in zip(self.judge.results, advantages, answers, strict=True)
        ]
        groups = [told[start : start + self.num_generations] for start in range(0, len(told), self.num_generations)]
        # A step may answer in several rounds.
        best = self.judge.composition.best_total
        for name, value in counts(groups, best).items():
            self.measured[name] = (self.measured.get(name) or 0.0) + value
        return [kind_of(group, best) for group in groups]

    def is_cut_off(self, ids: list[int]) -> bool:
        return not ids or ids[-1] not in self.eos_token_ids

    def unmasked(self, output: dict[str, Any]) -> Tensor:
        """The completion mask also of answers that are masked because they were cut off."""
        if not self.mask_truncated_completions:
            return torch.as_tensor(output["completion_mask"])
        return torch.as_tensor(output["completion_ids"] != self._tokenizer.pad_token_id)

    def told(self, text: str, limit: int, ids: list[int], result: Result, advantage: float) -> dict[str, Any]:
        return {
            "text": text[:limit],
            **({"characters": len(text)} if len(text) > limit else {}),
            **({"gate": result.gate} if result.gate else {}),
            "parts": result.parts,
            "errors": result.errors,
            "total": result.total,
            "advantage": None if result.total is None else advantage,
            "length": len(ids),
            "cut_off": self.is_cut_off(ids),
        }

    # The training pass

    def _compute_loss(self, model: Any, inputs: dict[str, Any]) -> Tensor:
        """Without a KL term, an answer with advantage 0 adds exactly 0 to loss and gradient: its pass is saved."""
        learning = (inputs["advantages"] != 0).any(-1) if inputs["advantages"].dim() > 1 else inputs["advantages"] != 0
        if not self.shares_prompts or self.beta != 0.0 or bool(learning.all()):
            return super()._compute_loss(model, inputs)
        if not learning.any():
            learning[0] = True
        self._learning = learning
        self._old_logps = inputs.get("old_per_token_logps")
        try:
            loss: Tensor = super()._compute_loss(model, inputs)
        finally:
            self._learning = None
        tokens = inputs["completion_mask"].sum(1)
        share = float(tokens[learning].sum()) / max(float(tokens.sum()), 1.0)
        entropies = self._metrics["train" if self.model.training else "eval"]["entropy"]
        entropies[-1] = entropies[-1] / share if share else math.nan
        return loss

    def _get_per_token_logps_and_entropies(self, model: Any, *args: Any, **kwargs: Any) -> Any:
        if not self.shares_prompts:
            return super()._get_per_token_logps_and_entropies(model, *args, **kwargs)
        return self.shared_logps(model, *args, **kwargs)

    def shared_logps(
        self,
        model: Any,
        input_ids: Tensor,
        attention_mask: Tensor,
        logits_to_keep: int,
        batch_size: int | None = None,
        compute_entropy: bool = False,
        **_: Any,
    ) -> tuple[Tensor, Tensor | None, None]:
        parts = [t.split([t.shape[1] - logits_to_keep, logits_to_keep], dim=1) for t in (input_ids, attention_mask)]
        tensors = (parts[0][0], parts[1][0], parts[0][1], parts[1][1])
        if self._learning is not None and compute_entropy:
            return self.logps_of_learning_rows(model, tensors)
        found = []
        size = batch_size or len(input_ids)
        for start in range(0, len(input_ids), size):
            rows = tuple(tensor[start : start + size] for tensor in tensors)
            with self.accelerator.autocast():
                found.append(shared_prompt_logps(model, self.temperature, *rows))
        logps, entropies = (torch.cat(column) for column in zip(*found, strict=True))
        return logps, entropies if compute_entropy else None, None

    def logps_of_learning_rows(self, model: Any, tensors: tuple[Tensor, ...]) -> tuple[Tensor, Tensor, None]:
        assert self._learning is not None
        rows = self._learning.nonzero()[:, 0]
        with self.accelerator.autocast():
            logps, entropies = shared_prompt_logps(model, self.temperature, *(tensor[rows] for tensor in tensors))
        shape = tensors[2].shape
        # Where nothing is computed the ratio to the old policy has to be 1, not the exponential of anything.
        unchanged = torch.zeros(shape) if self._old_logps is None else self._old_logps.float()
        return unchanged.index_put((rows,), logps), torch.zeros(shape).index_put((rows,), entropies), None


def grpo_trainer(
    model: Any,
    tokenizer: Any,
    config: SessionConfig,
    composition: Composition,
    questions: list[Question],
    folder: Path,
) -> tuple[Trainer, Judge]:
    check_enough(config, questions)
    judge = Judge(composition, config, questions)
    trainer = Trainer(
        model=model,
        reward_funcs=judge,
        args=GRPOConfig(**grpo_options(config, folder, half_precision(config), cuda_available())),
        train_dataset=Dataset.from_dict(
            {"prompt": [question.prompt for question in questions], "question": list(range(len(questions)))}
        ),
        processing_class=tokenizer,
    )
    return trainer, judge


def check_enough(config: SessionConfig, questions: list[Question]) -> None:
    """TRL would run 0 steps without a word."""
    if not questions:
        raise EngineError(
            "No row of the dataset can be used: every prompt is longer than the sequence length allows.",
            "Raise training.max_sequence_length or lower training.max_new_tokens.",
        )
    if len(questions) < config.prompts_per_generation:
        raise EngineError(
            f"The dataset has {len(questions)} usable rows, but a step needs"
            f" {config.prompts_per_generation} questions.",
            "Add rows, or lower training.batch_size or training.gradient_accumulation_steps.",
        )


def total_steps(config: SessionConfig, questions: int) -> int:
    """Optimiser steps of a run, as transformers will count them."""
    return config.training.max_steps or math.ceil(config.training.num_epochs * config.steps_per_epoch(questions))


__all__ = ["Journal", "Judge", "Question", "Trainer", "fitting", "grpo_options", "grpo_trainer", "total_steps"]
