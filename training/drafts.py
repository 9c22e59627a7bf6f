"""What the stepper does with a draft's config: a nested dict perhaps incomplete, perhaps wrong.

Only what somebody set is stored, so that a default of the schema stays a default, and a dataset's own columns are taken
unless others were chosen.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

from django.core.exceptions import ValidationError

from accounts.models import Team
from training import readiness
from training.forms import NOT_TYPED, SECTIONS, SchemaField, infos
from training.schema import (
    ALGORITHMS,
    ALPHA_OF_RANK,
    LINKED,
    Problem,
    SessionConfig,
    algorithm_of,
    with_algorithm,
)

# The groups of the Config step, in the order of the page: (title, fields).
GROUPS = {
    "Algorithm": [
        "grpo.algorithm",
        "grpo.kl_penalty",
        "grpo.clip_range",
        "grpo.clip_range_high",
        "grpo.importance_sampling_level",
        "grpo.loss_type",
        "grpo.scale_rewards",
        "grpo.delta",
        "grpo.use_bias_correction_kl",
        "grpo.mask_truncated_completions",
        "grpo.top_entropy_quantile",
        "grpo.entropy_coef",
    ],
    "Duration": ["training.num_epochs", "training.max_steps"],
    "Batch": [
        "training.batch_size",
        "training.gradient_accumulation_steps",
        "grpo.num_generations",
        "grpo.steps_per_generation",
        "grpo.num_iterations",
    ],
    "Learning rate": ["training.learning_rate", "training.warmup_steps", "training.lr_scheduler_type"],
    "Generation": [
        "training.max_new_tokens",
        "training.max_sequence_length",
        "training.temperature",
        "training.top_p",
        "training.top_k",
        "training.min_p",
        "training.repetition_penalty",
    ],
    "SFT warm-up": [
        "pre_training.enabled",
        "pre_training.epochs",
        "pre_training.max_samples",
        "pre_training.learning_rate",
        "pre_training.batch_size",
        "pre_training.max_length_ratio",
        "pre_training.validate_format",
        "pre_training.adaptive",
        "pre_training.min_success_rate",
        "pre_training.validation_steps",
        "pre_training.validation_samples",
        "pre_training.max_additional_epochs",
    ],
    "Score while training": [
        "evaluation.eval_steps",
        "evaluation.eval_samples",
        "evaluation.early_stopping_patience",
        "evaluation.early_stopping_threshold",
        "evaluation.metric_for_best_model",
        "evaluation.load_best_model_at_end",
        "evaluation.max_time_share",
    ],
    "Before and after": [
        "evaluation.enabled",
        "evaluation.max_samples",
        "evaluation.max_new_tokens",
        "evaluation.batch_size",
    ],
    "Scoring": ["reward.max_error_share"],
    "LoRA": [
        "model.lora_rank",
        "model.lora_alpha",
        "model.lora_dropout",
        "model.target_modules",
        "model.use_rslora",
        "model.use_dora",
        "model.lora_bias",
    ],
    "Optimiser": ["training.optim", "training.weight_decay", "training.max_grad_norm"],
    "Run": [
        "training.seed",
        "training.save_steps",
        "training.save_total_limit",
        "training.completions_every",
        "training.completions_budget",
    ],
    "Memory and precision": [
        "training.precision",
        "training.attn_implementation",
        "training.gradient_checkpointing",
        "training.load_in_4bit",
        "training.load_in_8bit",
        "training.bnb_4bit_quant_type",
        "training.bnb_4bit_compute_dtype",
        "training.bnb_4bit_use_double_quant",
    ],
}

# Set explicitly even where they equal the schema's default: unset, they are the dataset's own mapping.
COLUMNS = ("dataset.instruction_field", "dataset.response_field")

# The fields of each step, in the order of the stepper. Review shows all and holds none.
STEPS: dict[str, list[str]] = {
    "model": ["model.name", "model.revision"],
    "dataset": [
        "dataset.source",
        "dataset.instruction_field",
        "dataset.response_field",
        "dataset.max_samples",
        "dataset.split",
    ],
    "prompt": [
        "prompt.system_prompt",
        "prompt.reasoning_start",
        "prompt.reasoning_end",
        "prompt.solution_start",
        "prompt.solution_end",
        "prompt.chat_template",
    ],
    "reward": ["reward.type", "reward.preset_name"],
    "config": [name for names in GROUPS.values() for name in names],
    "review": [],
}


def defaults() -> dict[str, Any]:
    return {name: info.get_default(call_default_factory=True) for name, info in infos().items()}


def get(config: Mapping[str, Any], name: str) -> Any:
    """The draft's own value, or the schema's default. An algorithm that is named sets what belongs to it."""
    section, _, key = name.partition(".")
    inside = config.get(section)
    if section == "grpo" and isinstance(inside, dict):
        inside = with_algorithm(inside)
    return inside[key] if isinstance(inside, dict) and key in inside else defaults()[name]


def following(before: Mapping[str, Any], typed: Mapping[str, Any]) -> dict[str, Any]:
    """What goes along with what was typed, for a browser without scripts: alpha with the rank until somebody gives it
    a value of its own, and the algorithm and the settings that it names with each other."""
    return {**following_rank(before, typed), **following_algorithm(before, typed)}


def following_rank(before: Mapping[str, Any], typed: Mapping[str, Any]) -> dict[str, Any]:
    rank, alpha = get(before, "model.lora_rank"), get(before, "model.lora_alpha")
    new, kept = str(typed.get("model.lora_rank", "")), str(typed.get("model.lora_alpha", alpha)) == str(alpha)
    if not (new.isdecimal() and len(new) < 5 and new != str(rank) and kept and alpha_follows(rank, alpha)):
        return {}
    return {"model.lora_alpha": ALPHA_OF_RANK * int(new)}


def alpha_follows(rank: Any, alpha: Any) -> bool:
    return isinstance(rank, int) and alpha == ALPHA_OF_RANK * rank


def following_algorithm(before: Mapping[str, Any], typed: Mapping[str, Any]) -> dict[str, Any]:
    chosen = typed.get("grpo.algorithm", get(before, "grpo.algorithm"))
    if chosen != get(before, "grpo.algorithm") and chosen in ALGORITHMS:
        return {f"grpo.{key}": value for key, value in ALGORITHMS[chosen].items()}
    if not any(f"grpo.{key}" in typed for key in LINKED):
        return {}
    now = {key: typed.get(f"grpo.{key}", get(before, f"grpo.{key}")) for key in LINKED}
    return {"grpo.algorithm": algorithm_of(now)}


def is_set(config: Mapping[str, Any], name: str) -> bool:
    section, _, key = name.partition(".")
    inside = config.get(section)
    return isinstance(inside, dict) and inside.get(key) not in (None, "")


def values(config: Mapping[str, Any], names: list[str]) -> dict[str, Any]:
    return {name: get(config, name) for name in names}


def put(config: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """A copy with the changes. A value that was never set and equals its default stays unset."""
    changed, standard = deepcopy(dict(config)), defaults()
    for name, value in changes.items():
        section, _, key = name.partition(".")
        inside = changed.get(section)
        if not isinstance(inside, dict):
            inside = changed[section] = {}
        if key in inside or name in COLUMNS or value != standard.get(name):
            inside[key] = value
    return {key: value for key, value in changed.items() if value != {}}


def without(config: Mapping[str, Any], names: Iterable[str]) -> dict[str, Any]:
    changed = deepcopy(dict(config))
    for section, _, key in (name.partition(".") for name in names):
        if isinstance(changed.get(section), dict):
            changed[section].pop(key, None)
    return changed


def step_of(field: str) -> str:
    """The step on which a problem's field can be mended."""
    for step, names in STEPS.items():
        if field in names:
            return step
    section = field.split(".")[0]
    return section if section in STEPS else "config"


def wrong_values(config: Mapping[str, Any]) -> dict[str, str]:
    """Message by field of every value that is wrong by itself."""
    found = {}
    for name, info in infos().items():
        section, _, key = name.partition(".")
        inside = config.get(section)
        if isinstance(inside, dict) and key in inside:
            try:
                SchemaField(name, info).to_python(inside[key])
            except ValidationError as error:
                found[name] = error.messages[0]
    return found


def unknown_keys(config: Mapping[str, Any]) -> list[str]:
    known = {*infos(), *NOT_TYPED}
    found = [key for key in config if key not in (*SECTIONS, "name", "version")]
    for section in SECTIONS:
        inside = config.get(section)
        if isinstance(inside, dict):
            found += [f"{section}.{key}" for key in inside if f"{section}.{key}" not in known]
        elif inside is not None:
            found.append(section)
    return found


def usable(config: Mapping[str, Any]) -> dict[str, Any]:
    """The config without what is wrong or unknown: what previews and the checks between fields work on."""
    bad = {*wrong_values(config), *unknown_keys(config)}
    return {
        section: {key: value for key, value in inside.items() if f"{section}.{key}" not in bad}
        for section in SECTIONS
        if isinstance(inside := config.get(section), dict)
    }


def parsed(config: Mapping[str, Any]) -> SessionConfig:
    """The config as far as it can be understood; the schema's defaults for the rest."""
    try:
        return SessionConfig.model_validate(usable(config))
    except ValueError:
        # Only the reward's rules between fields are left to fail.
        return SessionConfig.model_validate({**usable(config), "reward": {}})


def problems(team: Team, config: Mapping[str, Any]) -> list[Problem]:
    """Everything that keeps the draft from starting: first what is wrong by itself, then what doesn't go together."""
    wrong = wrong_values(config)
    found = [Problem(field=name, message=message) for name, message in wrong.items()]
    found += [
        Problem(field=name, message="There is no such setting. Check its spelling.") for name in unknown_keys(config)
    ]
    try:
        readiness.check(team, usable(config))
    except readiness.NotReady as error:
        found += [problem for problem in error.problems if problem.field not in wrong]
    return found


@dataclass(frozen=True)
class Step:
    """One pill. `state`: done, attention (something typed is wrong), todo (something is missing) or later (it opens
    after training)."""

    key: str
    number: int
    title: str
    target: str
    state: str
    current: bool


PILLS = {
    "model": ("Model", ["model"]),
    "dataset": ("Dataset", ["dataset", "prompt"]),
    "reward": ("Reward", ["reward"]),
    "config": ("Config", ["config"]),
    "train": ("Train", ["review"]),
}
LATER = {"export": "Export", "try": "Try it"}


def pills(config: Mapping[str, Any], found: list[Problem], current: str) -> list[Step]:
    """The original's seven steps."""
    troubled = {step_of(problem.field): problem for problem in found}
    steps = []
    for number, (key, (title, pages)) in enumerate(PILLS.items(), 1):
        problem = next((troubled[page] for page in pages if page in troubled), None)
        state = state_of(config, problem) if key != "train" else ("todo" if found else "done")
        steps.append(Step(key, number, title, pages[0], state, current in pages))
    return steps + [Step(key, 6 + place, title, "", "later", False) for place, (key, title) in enumerate(LATER.items())]


def state_of(config: Mapping[str, Any], problem: Problem | None) -> str:
    if problem is None:
        return "done"
    return "attention" if is_set(config, problem.field) or problem.field not in infos() else "todo"


def differs(config: SessionConfig) -> set[str]:
    """The fields that are not at the schema's default."""
    standard = defaults()
    return {name for name in standard if read(config, name) != standard[name]}


def read(config: SessionConfig, name: str) -> Any:
    section, _, key = name.partition(".")
    return getattr(getattr(config, section), key)
