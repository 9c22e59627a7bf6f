"""The one description of a training session: names, defaults, ranges, help texts and the rules between fields.

The form, the API, the admin, saved files, the command line and the engine all read this module, and nothing else in the
project holds a default of its own. The JSON has the keys of the original's config file, so such a file loads as it is.
It imports neither Django nor torch.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
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


# What alpha follows on the form until somebody gives it a value of its own.
ALPHA_OF_RANK = 2


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
        "Layers that get an adapter: all-linear, or names, with commas between them.",
        typical="all-linear, or q_proj, k_proj, v_proj, o_proj, gate_proj, up_proj, down_proj",
    )
    use_rslora: bool = setting(
        False, "rsLoRA", "Scales the adapter by alpha / √rank, which keeps high ranks stable. Lower alpha with it."
    )
    use_dora: bool = setting(
        False, "DoRA", "Also learns each weight's length (weight decomposition). Often better at low ranks, and slower."
    )
    lora_bias: Literal["none", "all", "lora_only"] = setting(
        "none", "Biases", "Which biases of the base model are trained along: none, all, or those of adapted layers."
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
    top_k: int = setting(
        0, "Top-k", "Samples from this many likeliest tokens. 0: from all.", typical="0 or 20 to 50", ge=0, le=1000
    )
    min_p: float | None = setting(
        None,
        "Min-p",
        "Leaves out tokens that are less likely than this share of the likeliest one. Empty: off.",
        typical="0.01 to 0.2",
        ge=0,
        le=1,
    )
    repetition_penalty: float = setting(
        1.0,
        "Repetition penalty",
        "Above 1, tokens of the prompt and of the answer so far become less likely. 1: off.",
        typical="1 to 1.2",
        ge=0.5,
        le=2,
    )
    seed: int = setting(
        42, "Seed", "The same seed on the same machine repeats a run.", level=CUSTOM, ge=0, le=2**32 - 1
    )
    save_steps: int = setting(
        10, "Checkpoint every", "Steps between checkpoints.", level=CUSTOM, unit="steps", ge=1, le=100_000
    )
    save_total_limit: int = setting(
        2,
        "Checkpoints kept",
        "The newest ones that stay on disk. The best one, by reward, stays besides.",
        ge=2,
        le=100,
    )
    completions_every: int = setting(
        10,
        "Answers kept every",
        "All answers of every n-th step stay, with those of the first and the last 20 steps.",
        unit="steps",
        typical="1 to 50",
        ge=1,
        le=100_000,
    )
    completions_budget: int = setting(
        250,
        "Room for answers",
        "When kept answers take more, steps between the first and the last 20 are thinned out further.",
        unit="MB",
        typical="100 to 1000",
        ge=1,
        le=100_000,
    )
    gradient_checkpointing: bool = setting(
        False, "Gradient checkpointing", "Computes parts of the pass twice: less memory, a third more time."
    )
    precision: Literal["auto", "bf16", "fp16", "fp32"] = setting(
        "auto",
        "Precision",
        "auto: bf16 where the processor computes in it, else fp32. fp16 is for older NVIDIA cards and needs CUDA.",
    )
    attn_implementation: Literal["auto", "sdpa", "eager", "flash_attention_2"] = setting(
        "auto",
        "Attention",
        "auto: what transformers thinks best. flash_attention_2 needs CUDA and the package flash-attn.",
    )
    load_in_4bit: bool = setting(
        False, "Load in 4 bit", "QLoRA with bitsandbytes: a quarter of the memory. Needs CUDA."
    )
    load_in_8bit: bool = setting(False, "Load in 8 bit", "bitsandbytes' LLM.int8(): half of the memory. Needs CUDA.")
    bnb_4bit_quant_type: Literal["nf4", "fp4"] = setting(
        "nf4", "4-bit type", "Numbers that 4 bits stand for: nf4 fits the usual spread of weights better."
    )
    bnb_4bit_compute_dtype: Literal["bfloat16", "float16", "float32"] = setting(
        "bfloat16", "4-bit compute type", "What 4-bit weights are computed in. float16 is for older NVIDIA cards."
    )
    bnb_4bit_use_double_quant: bool = setting(
        True, "4-bit double quantisation", "Packs the scales of 4-bit weights, too: a little less memory."
    )


# What each named algorithm is in TRL's terms. Any other combination is called custom.
ALGORITHMS: dict[str, dict[str, str]] = {
    "grpo": {"importance_sampling_level": "token", "loss_type": "grpo", "scale_rewards": "group"},
    "gspo": {"importance_sampling_level": "sequence", "loss_type": "grpo", "scale_rewards": "group"},
    "dr_grpo": {"importance_sampling_level": "token", "loss_type": "dr_grpo", "scale_rewards": "none"},
}
CUSTOM_ALGORITHM = "custom"
# Keys that name an algorithm together.
LINKED = ("importance_sampling_level", "loss_type", "scale_rewards")


def algorithm_of(values: Mapping[str, Any]) -> str:
    """The name of the algorithm that the linked keys of `values` are, where a key that is missing has GRPO's value."""
    chosen = {key: values.get(key, standard) for key, standard in ALGORITHMS["grpo"].items()}
    return next((name for name, linked in ALGORITHMS.items() if linked == chosen), CUSTOM_ALGORITHM)


def with_algorithm(values: Mapping[str, Any]) -> dict[str, Any]:
    """`values` of a grpo section with what its algorithm says where they don't, or with the name of what they say."""
    if "algorithm" not in values:
        return {**values, "algorithm": algorithm_of(values)}
    named = values["algorithm"]
    return {**(ALGORITHMS.get(named, {}) if isinstance(named, str) else {}), **values}


class GrpoSection(Section):
    algorithm: Literal["grpo", "gspo", "dr_grpo", "custom"] = setting(
        "grpo",
        "Algorithm",
        "GRPO weighs tokens, GSPO whole answers, Dr. GRPO drops two biases (towards long wrong answers, and towards"
        " very easy and very hard questions). Sets importance sampling, loss and scaling; custom: they are your own.",
        level=RECOMMENDED,
    )
    kl_penalty: float = setting(
        0.05,
        "KL penalty",
        "Holds the model near its base (TRL's beta). 0 saves a forward pass.",
        level=CUSTOM,
        typical="0 to 0.1",
        ge=0,
        le=10,
    )
    use_bias_correction_kl: bool = setting(
        True, "Unbiased KL gradient", "Multiplies the KL term by the importance ratio, as DeepSeek-V3.2 does."
    )
    clip_range: float = setting(
        0.2,
        "Clip range",
        "Largest change of a token's probability in one update (epsilon).",
        level=CUSTOM,
        typical="0.2; for GSPO 3e-4",
        ge=0,
        le=10,
    )
    clip_range_high: float | None = setting(
        None,
        "Clip range, upper",
        "Own upper bound (epsilon_high). Empty: as the clip range. For cispo: the largest weight of a token.",
        typical="0.28 for DAPO, 4e-4 for GSPO, 5 for cispo",
        ge=0,
        le=10,
    )
    delta: float | None = setting(
        None,
        "Two-sided clip",
        "Largest importance ratio where an answer did badly (delta). Empty: no such bound.",
        typical="above 1 + clip range",
        gt=0,
        le=100,
    )
    importance_sampling_level: Literal["token", "sequence"] = setting(
        "token",
        "Importance sampling",
        "Weighs an update for each token, or once for the whole answer.",
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
    steps_per_generation: int | None = setting(
        None,
        "Batches per generation",
        "Forward passes that one round of answering feeds. Empty: one optimiser step's. More: faster answering, older"
        " answers.",
        typical="empty",
        ge=1,
        le=1024,
    )
    num_iterations: int = setting(1, "Updates per batch", "How often one batch of answers is trained on.", ge=1, le=16)
    loss_type: Literal["grpo", "dr_grpo", "dapo", "bnpo", "cispo", "sapo", "luspo", "vespo"] = setting(
        "grpo",
        "Loss",
        "How the tokens of a batch are averaged: grpo per answer, dr_grpo by the token limit, dapo over all tokens of"
        " a step, bnpo over those of a forward pass. cispo, sapo, luspo and vespo also bound the ratio in other ways.",
    )
    scale_rewards: Literal["group", "batch", "none"] = setting(
        "group", "Scale rewards by", "What the advantage is divided by: the spread of its group, of the batch, or 1."
    )
    mask_truncated_completions: bool = setting(
        False, "Ignore cut-off answers", "Answers that hit the token limit teach nothing."
    )
    top_entropy_quantile: float = setting(
        1.0,
        "Uncertain tokens only",
        "Share of the tokens that are trained on, those the model was least sure of first. 1: all.",
        typical="1, or 0.2",
        gt=0,
        le=1,
    )
    entropy_coef: float = setting(
        0.0,
        "Entropy bonus",
        "Rewards the model for staying undecided, which keeps answers different. 0: off.",
        typical="0 to 0.01",
        ge=0,
        le=1,
    )

    @model_validator(mode="before")
    @classmethod
    def named(cls, values: Any) -> Any:
        return with_algorithm(values) if isinstance(values, Mapping) else values


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
    max_length_ratio: float = setting(
        1.0,
        "Longest row",
        "Leaves out rows whose question and answer fill more than this share of the sequence length.",
        typical="0.5 to 1",
        gt=0,
        le=1,
    )
    validate_format: bool = setting(
        True,
        "Check the format",
        "Samples answers while warming up and shows the share with the right markers in the right order.",
        level=CUSTOM,
    )
    validation_steps: int = setting(
        10, "Check every", "Steps between two checks of the format.", unit="steps", ge=1, le=100_000
    )
    validation_samples: int = setting(
        8, "Answers per check", "Questions that are answered at each check.", typical="5 to 32", ge=1, le=1000
    )
    adaptive: bool = setting(
        True, "Stop when learned", "Ends the warm-up once enough of the sampled answers have the format.", level=CUSTOM
    )
    min_success_rate: float = setting(
        0.9,
        "Learned at",
        "Share of the sampled answers with the right format that counts as learned.",
        typical="0.8 to 1",
        gt=0,
        le=1,
    )
    max_additional_epochs: int = setting(
        0,
        "Further epochs",
        "Goes on for up to this many epochs more while the format is not learned.",
        typical="0 to 3",
        ge=0,
        le=20,
    )


class EvaluationSection(Section):
    enabled: bool = setting(
        True, "Before and after", "Base and adapter answer held-out questions, with 95 % intervals.", level=RECOMMENDED
    )
    max_samples: int = setting(200, "Questions", "Held-out rows that are answered.", level=CUSTOM, ge=1, le=100_000)
    batch_size: int = setting(32, "Batch size", "Questions answered at once.", ge=1, le=1024)
    max_new_tokens: int | None = setting(
        None, "New tokens", "Longest answer. Empty: as while training.", unit="tokens", ge=1, le=100_000
    )
    eval_steps: int | None = setting(
        50,
        "Score every",
        "Steps between two scores on the dataset's validation part, while training. Empty: never.",
        level=CUSTOM,
        unit="steps",
        typical="20 to 100",
        ge=1,
        le=100_000,
    )
    eval_samples: int = setting(
        32, "Validation questions", "Rows of the validation part that each score asks.", ge=1, le=10_000
    )
    max_time_share: float = setting(
        0.1,
        "Time for scoring",
        "A score that would take more than this share of the training time so far waits until it does not.",
        typical="0.05 to 0.2",
        gt=0,
        le=1,
    )
    metric_for_best_model: Literal["reward", "accuracy"] = setting(
        "reward", "Judge by", "What a better score is: the mean reward, or the share of right answers."
    )
    early_stopping_patience: int | None = setting(
        None,
        "Stop early after",
        "Ends training when this many scores in a row are not better than the best one. Empty: never.",
        level=CUSTOM,
        unit="scores",
        typical="3 to 5",
        ge=1,
        le=1000,
    )
    early_stopping_threshold: float = setting(
        0.0, "Least gain", "How much better a score has to be to count as better.", ge=0, le=1000
    )
    load_best_model_at_end: bool = setting(
        False, "Keep the best", "The trained adapter is the one with the best validation score, not the newest."
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
    def batches_per_generation(self) -> int:
        return self.grpo.steps_per_generation or self.training.gradient_accumulation_steps

    @property
    def completions_per_step(self) -> int:
        """Completions that one optimiser step learns from: the effective batch."""
        return self.training.batch_size * self.training.gradient_accumulation_steps

    @property
    def completions_per_generation(self) -> int:
        """TRL's generation_batch_size."""
        return self.training.batch_size * self.batches_per_generation

    @property
    def prompts_per_generation(self) -> int:
        return self.completions_per_generation // self.grpo.num_generations

    @property
    def reuses_answers(self) -> bool:
        """Whether answers are trained on after an update, so that clipping can act. TRL's rule."""
        every = self.batches_per_generation * self.grpo.num_iterations
        return self.training.gradient_accumulation_steps % every != 0

    def steps_per_epoch(self, rows: int) -> int:
        """Optimiser steps, as transformers counts them. TRL drops questions that don't fill a round of answering."""
        rounds = rows // max(self.prompts_per_generation, 1)
        passes = rounds * self.grpo.num_iterations * self.batches_per_generation
        return -(-passes // self.training.gradient_accumulation_steps)


class Problem(BaseModel):
    """One thing wrong with a config: `field` is dotted (training.batch_size)."""

    field: str
    message: str


def problems(config: SessionConfig) -> list[Problem]:
    """What TRL or the model would refuse, found before the queue. Empty if the config can run."""
    return [Problem(field=field, message=message) for field, message in _conflicts(config)]


def _conflicts(config: SessionConfig) -> list[tuple[str, str]]:
    rules = (_batch_rules, _length_rules, _algorithm_rules, _clip_rules, _adapter_rules, _memory_rules, _score_rules)
    return [found for rule in rules for found in rule(config)]


Found = Iterator[tuple[str, str]]


def _batch_rules(config: SessionConfig) -> Found:
    if config.completions_per_generation % config.grpo.num_generations == 0:
        return
    own, group = config.grpo.steps_per_generation is not None, config.grpo.num_generations
    yield (
        "grpo.steps_per_generation" if own else "training.batch_size",
        f"Batch size × {'batches per generation' if own else 'gradient accumulation'} is {config.training.batch_size} ×"
        f" {config.batches_per_generation} = {config.completions_per_generation}. It must be a multiple of the answers"
        f" per question ({group}), because a group is never split between two steps.",
    )


def _length_rules(config: SessionConfig) -> Found:
    training = config.training
    if training.max_new_tokens >= training.max_sequence_length:
        yield (
            "training.max_new_tokens",
            f"{training.max_new_tokens} new tokens leave no room for a prompt in a sequence of"
            f" {training.max_sequence_length} tokens.",
        )
    longest = config.evaluation.max_new_tokens
    if longest is not None and longest >= training.max_sequence_length:
        yield (
            "evaluation.max_new_tokens",
            f"{longest} new tokens leave no room for a prompt in a sequence of {training.max_sequence_length} tokens.",
        )


def _algorithm_rules(config: SessionConfig) -> Found:
    grpo = config.grpo
    for key, value in ALGORITHMS.get(grpo.algorithm, {}).items():
        if getattr(grpo, key) != value:
            yield (
                "grpo.algorithm",
                f"The algorithm {grpo.algorithm} sets {key} to {value}, and here it is {getattr(grpo, key)}. Change one"
                f" of them, or write {CUSTOM_ALGORITHM}.",
            )
    if grpo.importance_sampling_level == "sequence" and grpo.loss_type in ("bnpo", "dr_grpo", "dapo", "cispo"):
        yield (
            "grpo.loss_type",
            f"With importance sampling by sequence, the loss {grpo.loss_type} weighs each answer by its length. GSPO"
            " is defined with the loss grpo; luspo goes with it, too.",
        )
    wanted = {"luspo": "sequence", "vespo": "token"}.get(grpo.loss_type, grpo.importance_sampling_level)
    if grpo.importance_sampling_level != wanted:
        yield (
            "grpo.importance_sampling_level",
            f"The loss {grpo.loss_type} is defined with importance sampling by {wanted}.",
        )


def _clip_rules(config: SessionConfig) -> Found:
    grpo = config.grpo
    if grpo.loss_type == "cispo" and (grpo.clip_range_high is None or grpo.clip_range_high < 1):
        yield (
            "grpo.clip_range_high",
            "With the loss cispo this is the largest weight of a token and must be 1 or more: 5 is usual.",
        )
    elif grpo.clip_range_high is not None and grpo.clip_range_high < grpo.clip_range:
        yield "grpo.clip_range_high", "The upper clip range can't be below the clip range."
    upper = grpo.clip_range if grpo.clip_range_high is None else grpo.clip_range_high
    if grpo.delta is not None and grpo.delta <= 1 + upper:
        yield "grpo.delta", f"It must be above 1 + the upper clip range, {1 + upper:g}: else it is the only bound left."
    if grpo.delta is not None and grpo.loss_type in ("cispo", "sapo", "vespo"):
        yield "grpo.delta", f"The loss {grpo.loss_type} has no two-sided clip: leave this empty."


def _adapter_rules(config: SessionConfig) -> Found:
    if config.model.lora_bias != "none" and config.grpo.kl_penalty:
        yield (
            "model.lora_bias",
            "Trained biases change the reference that the KL penalty compares with. Choose none, or a KL penalty of 0.",
        )
    if config.model.target_modules == []:
        yield "model.target_modules", "Name at least one layer, or write all-linear."


def _memory_rules(config: SessionConfig) -> Found:
    if config.training.load_in_4bit and config.training.load_in_8bit:
        yield "training.load_in_8bit", "A model is loaded in 4 bit or in 8 bit: switch one of them off."


def _score_rules(config: SessionConfig) -> Found:
    evaluation = config.evaluation
    needing = {
        "evaluation.early_stopping_patience": evaluation.early_stopping_patience is not None,
        "evaluation.load_best_model_at_end": evaluation.load_best_model_at_end,
    }
    for field, is_set in needing.items():
        if is_set and evaluation.eval_steps is None:
            yield field, "This needs scores while training: fill in “Score every”."
    warm_up = config.pre_training
    if warm_up.enabled and warm_up.max_additional_epochs and not (warm_up.validate_format and warm_up.adaptive):
        yield (
            "pre_training.max_additional_epochs",
            "Whether further epochs are needed shows in the checks of the format: switch “Check the format” and “Stop"
            " when learned” on, or write 0.",
        )
