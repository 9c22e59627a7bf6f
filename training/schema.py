"""The one description of a training session: names, defaults, ranges, help texts and the rules between fields.

The form, the API, the admin, saved files, the command line and the engine all read this module, and nothing else in the
project holds a default of its own. The JSON has the keys of the original's config file, so such a file loads as it is.
It imports neither Django nor torch.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

GRPO_PROMPT = (
    "You are given a problem.\n"
    "Think about the problem and provide your working out.\n"
    "Place it between {reasoning_start} and {reasoning_end}.\n"
    "Then, provide your solution between {solution_start}{solution_end}"
)

# Level of the form on which a field appears.
RECOMMENDED, CUSTOM, ADVANCED = "recommended", "custom", "advanced"


def setting(
    default: Any,
    label: str,
    description: str,
    *,
    level: str = ADVANCED,
    unit: str = "",
    typical: str = "",
    **rules: Any,
) -> Any:
    """A field with what the form shows beside it."""
    extra: dict[str, Any] = {"level": level, "unit": unit, "typical": typical}
    return Field(default, title=label, description=description, json_schema_extra=extra, **rules)


class Section(BaseModel):
    model_config = ConfigDict(extra="forbid", validate_assignment=True, allow_inf_nan=False)


class ModelSection(Section):
    name: str = setting(
        "local/SmolLM2-135M-Instruct",
        "Base model",
        "A hub id (owner/name) or a folder with safetensors files.",
        level=RECOMMENDED,
        min_length=1,
        max_length=300,
    )
    revision: str | None = setting(
        None, "Revision", "Branch, tag or commit on the hub. Empty: the newest.", max_length=100
    )
    lora_rank: int = setting(
        16,
        "LoRA rank",
        "Size of the adapter's matrices: higher learns more and takes more memory.",
        level=CUSTOM,
        typical="8 to 32",
        ge=1,
        le=512,
    )
    lora_alpha: int = setting(
        32,
        "LoRA alpha",
        "Strength of the adapter: its output is scaled by alpha / rank.",
        level=CUSTOM,
        typical="twice the rank",
        ge=1,
        le=1024,
    )
    lora_dropout: float = setting(
        0.0,
        "LoRA dropout",
        "Share of the adapter's inputs dropped while training.",
        level=CUSTOM,
        typical="0 to 0.1",
        ge=0.0,
        le=0.9,
    )
    target_modules: Literal["all-linear"] | list[str] = setting(
        "all-linear",
        "Target modules",
        "Layers that get an adapter: all-linear, or names such as q_proj.",
    )


class DatasetSection(Section):
    source: str = setting(
        "",
        "Dataset",
        "Id or name of a dataset of the team, with @2 behind it for its version 2; on the command line a file.",
        level=RECOMMENDED,
        max_length=300,
    )
    split: str = setting(
        "train",
        "Split",
        "Part to train on: train, or another value of the column that the dataset's split is taken from.",
        level=CUSTOM,
        min_length=1,
        max_length=60,
    )
    instruction_field: str = setting(
        "instruction",
        "Question column",
        "Column, or place inside a nested one, that the model is asked.",
        level=RECOMMENDED,
        min_length=1,
        max_length=300,
    )
    response_field: str = setting(
        "response",
        "Answer column",
        "Column, or place inside a nested one, with the expected answer.",
        level=RECOMMENDED,
        min_length=1,
        max_length=300,
    )
    max_samples: int | None = setting(
        None,
        "Rows",
        "Train on at most this many rows. Empty: all.",
        level=RECOMMENDED,
        ge=1,
        le=100_000_000,
    )


class PromptSection(Section):
    system_prompt: str = setting(
        GRPO_PROMPT,
        "System prompt",
        "What the model is told before every question. {solution_start} and the other"
        " marker names in braces are replaced by the markers.",
        level=RECOMMENDED,
        max_length=20_000,
    )
    reasoning_start: str = setting("<start_working_out>", "Reasoning starts with", "", level=CUSTOM, max_length=60)
    reasoning_end: str = setting("<end_working_out>", "Reasoning ends with", "", level=CUSTOM, max_length=60)
    solution_start: str = setting("<SOLUTION>", "Solution starts with", "", level=CUSTOM, max_length=60)
    solution_end: str = setting("</SOLUTION>", "Solution ends with", "", level=CUSTOM, max_length=60)
    chat_template: str = setting(
        "",
        "Chat template",
        "Jinja that takes the place of the model's own chat template, and goes with the trained model. Empty: the"
        " model's own.",
        level=ADVANCED,
        max_length=50_000,
    )

    @property
    def rendered(self) -> str:
        text = self.system_prompt
        for name in ("reasoning_start", "reasoning_end", "solution_start", "solution_end"):
            text = text.replace("{" + name + "}", getattr(self, name))
        return text


class TrainingSection(Section):
    num_epochs: float = setting(
        3,
        "Epochs",
        "How often every row is used.",
        level=RECOMMENDED,
        typical="1 to 5",
        gt=0,
        le=100,
    )
    max_steps: int | None = setting(
        None,
        "Steps at most",
        "Ends training after this many optimiser steps, whatever the epochs say.",
        level=CUSTOM,
        ge=1,
        le=10_000_000,
    )
    batch_size: int = setting(
        1,
        "Batch size",
        "Completions in one forward pass: more is faster and takes more memory.",
        level=RECOMMENDED,
        typical="1 to 4",
        ge=1,
        le=512,
    )
    gradient_accumulation_steps: int = setting(
        8,
        "Gradient accumulation",
        "Forward passes before one optimiser step.",
        level=RECOMMENDED,
        typical="4 to 8",
        ge=1,
        le=1024,
    )
    learning_rate: float = setting(
        2e-4,
        "Learning rate",
        "Size of an optimiser step.",
        level=RECOMMENDED,
        typical="5e-5 to 5e-4",
        gt=0,
        le=1,
    )
    warmup_steps: int = setting(
        10,
        "Warm-up steps",
        "Steps over which the learning rate rises to its value.",
        level=CUSTOM,
        typical="10 to 100",
        ge=0,
        le=100_000,
    )
    weight_decay: float = setting(
        0.001,
        "Weight decay",
        "Pulls the adapter's weights towards zero.",
        level=ADVANCED,
        typical="0.001 to 0.01",
        ge=0,
        le=1,
    )
    max_grad_norm: float = setting(
        0.3,
        "Max grad norm",
        "Gradients longer than this are shortened to it.",
        level=ADVANCED,
        typical="0.3 to 1",
        gt=0,
        le=100,
    )
    lr_scheduler_type: Literal[
        "constant", "linear", "cosine", "constant_with_warmup", "cosine_with_restarts", "polynomial"
    ] = setting(
        "constant",
        "Learning-rate schedule",
        "How the learning rate changes after the warm-up.",
        level=CUSTOM,
    )
    optim: Literal[
        "paged_adamw_32bit", "paged_adamw_8bit", "adamw_8bit", "adamw_torch", "adamw_torch_fused", "adafactor", "sgd"
    ] = setting(
        "paged_adamw_32bit",
        "Optimiser",
        "The paged and 8-bit ones need CUDA; on a CPU adamw_torch takes their place.",
    )
    max_sequence_length: int = setting(
        2048,
        "Sequence length",
        "Prompt and completion together. Rows with a longer prompt are left out and counted.",
        level=CUSTOM,
        unit="tokens",
        typical="1024 to 4096",
        ge=32,
        le=1_000_000,
    )
    max_new_tokens: int = setting(
        512,
        "New tokens",
        "Longest answer while training.",
        level=RECOMMENDED,
        unit="tokens",
        typical="256 to 1024",
        ge=1,
        le=100_000,
    )
    temperature: float = setting(
        0.7,
        "Temperature",
        "Spread of the sampled answers. GRPO needs answers that differ.",
        level=CUSTOM,
        typical="0.7 to 1",
        gt=0,
        le=5,
    )
    top_p: float = setting(
        0.95,
        "Top-p",
        "Samples from the likeliest tokens that add up to this share.",
        level=CUSTOM,
        typical="0.9 to 1",
        gt=0,
        le=1,
    )
    top_k: int = setting(0, "Top-k", "Samples from this many likeliest tokens. 0: from all.", ge=0, le=1000)
    seed: int = setting(
        42, "Seed", "The same seed on the same machine repeats a run.", level=CUSTOM, ge=0, le=2**32 - 1
    )
    save_steps: int = setting(
        10, "Checkpoint every", "Steps between checkpoints.", level=CUSTOM, unit="steps", ge=1, le=100_000
    )
    save_total_limit: int = setting(2, "Checkpoints kept", "The newest ones that stay on disk.", ge=2, le=100)
    gradient_checkpointing: bool = setting(False, "Gradient checkpointing", "Saves memory, costs time.")
    precision: Literal["auto", "bf16", "fp32"] = setting(
        "auto",
        "Precision",
        "auto: bf16 where the processor computes in it, else fp32.",
    )
    load_in_4bit: bool = setting(
        False, "Load in 4 bit", "QLoRA with bitsandbytes: a quarter of the memory. Needs CUDA."
    )


class GrpoSection(Section):
    kl_penalty: float = setting(
        0.05,
        "KL penalty",
        "Holds the model near its base (TRL's beta). 0 saves a forward pass.",
        level=CUSTOM,
        typical="0 to 0.1",
        ge=0,
        le=10,
    )
    clip_range: float = setting(
        0.2, "Clip range", "Largest change of a token's probability in one update (epsilon).", ge=0, le=10
    )
    clip_range_high: float | None = setting(
        None, "Clip range, upper", "Own upper bound (epsilon_high). Empty: as the clip range.", ge=0, le=10
    )
    importance_sampling_level: Literal["token", "sequence"] = setting(
        "token",
        "Importance sampling",
        "token is GRPO, sequence is GSPO.",
        level=CUSTOM,
    )
    num_generations: int = setting(
        8,
        "Answers per question",
        "Size of a group: its answers are compared with each other.",
        level=RECOMMENDED,
        typical="4 to 16",
        ge=2,
        le=256,
    )
    num_iterations: int = setting(1, "Updates per batch", "How often one batch of answers is trained on.", ge=1, le=16)
    loss_type: Literal["grpo", "dr_grpo", "dapo", "bnpo"] = setting(
        "grpo", "Loss", "How the tokens of a batch are averaged."
    )
    scale_rewards: Literal["group", "batch", "none"] = setting(
        "group", "Scale rewards by", "What the advantage is divided by."
    )
    mask_truncated_completions: bool = setting(
        False, "Ignore cut-off answers", "Answers that hit the token limit teach nothing."
    )


class RewardPart(Section):
    name: str = Field(min_length=1, max_length=80)
    function: str = Field(min_length=1, max_length=80)
    weight: float = Field(1.0, ge=-1000, le=1000)
    parameters: dict[str, Any] = Field(default_factory=dict)
    gate: float | None = None
    clip: tuple[float, float] | None = None


class RewardSection(Section):
    type: Literal["preset", "custom"] = setting(
        "preset", "Reward", "A preset of the library, or parts of your own.", level=RECOMMENDED
    )
    preset_name: str | None = setting("math", "Preset", "Slug of a preset.", level=RECOMMENDED, max_length=80)
    parts: list[RewardPart] = setting([], "Parts", "For type custom: functions with weights.", max_length=50)
    normalise: Literal["none", "weights", "range"] = setting(
        "none", "Normalise", "For type custom: divide the total by the weights, or bring worst and best to 0 and 1."
    )
    formula: str = setting(
        "", "Formula", "For type custom: arithmetic over the names of the parts, in place of the sum.", max_length=2000
    )
    gated_total: float = setting(0.0, "Gated total", "For type custom: the total of an answer that fails a gate.")

    max_error_share: float = setting(
        0.5,
        "Errors allowed",
        "The session stops when more than this share of its newest answers could not be judged. 1: it never does.",
        level=CUSTOM,
        gt=0,
        le=1,
    )

    @model_validator(mode="after")
    def one_of_both(self) -> Self:
        if self.type == "preset" and not self.preset_name:
            raise ValueError("preset_name: choose a preset.")
        if self.type == "custom" and not self.parts:
            raise ValueError("parts: a custom reward needs at least one part.")
        return self


class PreTrainingSection(Section):
    enabled: bool = setting(
        True, "SFT warm-up", "Teaches the answer format on the dataset's answers before GRPO.", level=RECOMMENDED
    )
    epochs: float = setting(
        2, "Epochs", "How often the warm-up rows are used.", level=CUSTOM, typical="1 to 2", gt=0, le=100
    )
    max_samples: int | None = setting(
        100, "Rows", "Warm up on at most this many rows. Empty: all.", level=CUSTOM, ge=1, le=100_000_000
    )
    learning_rate: float = setting(5e-5, "Learning rate", "Of the warm-up.", level=CUSTOM, gt=0, le=1)
    batch_size: int = setting(4, "Batch size", "Rows in one forward pass of the warm-up.", ge=1, le=512)


class EvaluationSection(Section):
    enabled: bool = setting(
        True, "Before and after", "Base and adapter answer held-out questions, with 95 % intervals.", level=RECOMMENDED
    )
    max_samples: int = setting(200, "Questions", "Held-out rows that are answered.", level=CUSTOM, ge=1, le=100_000)
    batch_size: int = setting(32, "Batch size", "Questions answered at once.", ge=1, le=1024)
    max_new_tokens: int | None = setting(
        None, "New tokens", "Longest answer. Empty: as while training.", unit="tokens", ge=1, le=100_000
    )


Name = Annotated[str, Field(max_length=200)]


class SessionConfig(Section):
    version: Literal[1] = 1
    name: Name = ""
    model: ModelSection = Field(default_factory=ModelSection)
    dataset: DatasetSection = Field(default_factory=DatasetSection)
    prompt: PromptSection = Field(default_factory=PromptSection)
    training: TrainingSection = Field(default_factory=TrainingSection)
    grpo: GrpoSection = Field(default_factory=GrpoSection)
    reward: RewardSection = Field(default_factory=RewardSection)
    pre_training: PreTrainingSection = Field(default_factory=PreTrainingSection)
    evaluation: EvaluationSection = Field(default_factory=EvaluationSection)

    @property
    def completions_per_step(self) -> int:
        """Completions of one generation batch: TRL's generation_batch_size."""
        return self.training.batch_size * self.training.gradient_accumulation_steps

    @property
    def prompts_per_step(self) -> int:
        return self.completions_per_step // self.grpo.num_generations


class Problem(BaseModel):
    """One thing wrong with a config: `field` is dotted (training.batch_size)."""

    field: str
    message: str


def problems(config: SessionConfig) -> list[Problem]:
    """What TRL or the model would refuse, found before the queue. Empty if the config can run."""
    return [Problem(field=field, message=message) for field, message in _conflicts(config)]


def _conflicts(config: SessionConfig) -> list[tuple[str, str]]:
    training, grpo, found = config.training, config.grpo, []
    if config.completions_per_step % grpo.num_generations:
        found.append(
            (
                "training.batch_size",
                f"Batch size × gradient accumulation is {training.batch_size} × {training.gradient_accumulation_steps}"
                f" = {config.completions_per_step}. It must be a multiple of the answers per question"
                f" ({grpo.num_generations}), because a group is never split between two steps.",
            )
        )
    if training.max_new_tokens >= training.max_sequence_length:
        found.append(
            (
                "training.max_new_tokens",
                f"{training.max_new_tokens} new tokens leave no room for a prompt in a sequence of"
                f" {training.max_sequence_length} tokens.",
            )
        )
    if grpo.importance_sampling_level == "sequence" and grpo.loss_type != "grpo":
        found.append(("grpo.loss_type", "GSPO (importance sampling: sequence) is defined with the loss grpo."))
    if grpo.clip_range_high is not None and grpo.clip_range_high < grpo.clip_range:
        found.append(("grpo.clip_range_high", "The upper clip range can't be below the clip range."))
    return found
