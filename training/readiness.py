"""Everything that could keep a session from running, found before it waits in the queue."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from accounts.models import Team
from datasets_app import paths, prompt_templates
from datasets_app.models import DatasetVersion
from loracraft.numbers import thousands
from loracraft.sentences import explain, place
from training import base_models
from training.schema import Problem, SessionConfig, problems


class NotReady(Exception):
    """`problems`: each names its dotted field and says what to do."""

    def __init__(self, problems: list[Problem]) -> None:
        super().__init__("; ".join(f"{problem.field}: {problem.message}" for problem in problems))
        self.problems = problems

    def by_field(self) -> dict[str, list[str]]:
        fields: dict[str, list[str]] = {}
        for problem in self.problems:
            fields.setdefault(problem.field, []).append(problem.message)
        return fields


@dataclass(frozen=True)
class Ready:
    config: SessionConfig
    composition: dict[str, Any]
    version: DatasetVersion


def check(team: Team, config: dict[str, Any], version: DatasetVersion | None = None) -> Ready:
    """`config` as it would run. A given `version` is the one the session already uses. Raises NotReady."""
    try:
        parsed = SessionConfig.model_validate(config)
    except ValidationError as error:
        raise NotReady(schema_problems(error)) from None
    found = problems(parsed) + _model_problems(parsed) + _context_problems(parsed) + _prompt_problems(parsed)
    version, dataset_problems = _dataset(team, parsed, version)
    if version is not None:
        parsed = with_mapped_columns(parsed, config, version)
        dataset_problems = _column_problems(parsed, version) + _split_problems(parsed, version)
        found += _size_problems(parsed, version)
    composition, reward_problems = _reward(team, parsed, version)
    found += dataset_problems + reward_problems
    if found or version is None:
        raise NotReady(found)
    return Ready(parsed, composition, version)


def schema_problems(error: ValidationError) -> list[Problem]:
    return [Problem(field=place(item) or "config", message=explain(item)) for item in error.errors(include_url=False)]


def _model_problems(config: SessionConfig) -> list[Problem]:
    message = base_models.problem(config.model.name)
    return [Problem(field="model.name", message=message)] if message else []


def _context_problems(config: SessionConfig) -> list[Problem]:
    length, wanted = base_models.context_length(config.model.name, config.model.revision), config.training
    if length is None or wanted.max_sequence_length <= length:
        return []
    message = (
        f"The model reads {thousands(length)} tokens at most, and a sequence may have"
        f" {thousands(wanted.max_sequence_length)}: write"
        f" {thousands(length)} or less."
    )
    return [Problem(field="training.max_sequence_length", message=message)]


def _size_problems(config: SessionConfig, version: DatasetVersion) -> list[Problem]:
    """What the dataset is too small for. Counted at import, so a row or two may still turn out too long."""
    found, parts = [], version.report.get("parts") or {}
    rows = min(int(parts.get("train", version.row_count)), config.dataset.max_samples or version.row_count)
    if rows < config.prompts_per_generation:
        message = (
            f"A round of answering needs {config.prompts_per_generation} questions, and there are {rows} rows to train"
            " on. Lower the batch size or the gradient accumulation, or take more answers per question."
        )
        found.append(Problem(field="training.batch_size", message=message))
    if validation_count(version) == 0:
        needing = {
            "evaluation.early_stopping_patience": config.evaluation.early_stopping_patience is not None,
            "evaluation.load_best_model_at_end": config.evaluation.load_best_model_at_end,
        }
        message = "The dataset has no validation part to score on. Set one aside on its Split tab, or leave this out."
        found += [Problem(field=field, message=message) for field, is_set in needing.items() if is_set]
    return found


def validation_count(version: DatasetVersion) -> int:
    parts = version.report.get("parts") or {}
    return int(parts["validation"] if "validation" in parts else version.split.get("validation") or 0)


def _prompt_problems(config: SessionConfig) -> list[Problem]:
    """A chat template of the team's own is really carried out: one that never ends must not reach a trainer."""
    template = config.prompt.chat_template
    if not template.strip():
        return []
    chat = base_models.chat_of(config.model.name, config.model.revision)
    message = prompt_templates.template_problem(chat, template)
    return [Problem(field="prompt.chat_template", message=message)] if message else []


def _dataset(
    team: Team, config: SessionConfig, version: DatasetVersion | None
) -> tuple[DatasetVersion | None, list[Problem]]:
    # Late: it reads Parquet, and this module is imported by every page.
    from datasets_app.problems import DatasetProblem
    from datasets_app.sources import resolve

    if version is None:
        if not config.dataset.source.strip():
            return None, [Problem(field="dataset.source", message="Choose a dataset.")]
        try:
            version = resolve(team, config.dataset.source)
        except DatasetProblem as problem:
            return None, [Problem(field="dataset.source", message=str(problem))]
    message = _version_problem(version)
    return (None, [Problem(field="dataset.source", message=message)]) if message else (version, [])


def _version_problem(version: DatasetVersion) -> str:
    if not version.accepted:
        return (
            f"{version.rejected_count} lines of this dataset could not be read. Open the dataset and accept the"
            " remaining rows, or upload a corrected file."
        )
    if version.row_count == 0:
        return "This dataset has no rows: upload one that has, or choose another."
    if version.row_count <= int(version.split.get("held_out") or 0):
        return f"All {version.row_count} rows of this dataset are held out, none is left to train on: upload more rows."
    if not version.path.exists():
        return "The file of this dataset is gone: upload it again."
    return ""


def with_mapped_columns(config: SessionConfig, given: dict[str, Any], version: DatasetVersion) -> SessionConfig:
    """A config that names no columns takes those that the dataset is mapped to."""
    named = given.get("dataset") or {}
    columns = {
        f"{key}_field": version.mapping[key]
        for key in ("instruction", "response")
        if f"{key}_field" not in named and version.mapping.get(key)
    }
    return config.model_copy(update={"dataset": config.dataset.model_copy(update=columns)})


def _column_problems(config: SessionConfig, version: DatasetVersion) -> list[Problem]:
    present = ", ".join(str(column["name"]) for column in version.columns)
    wanted = {
        "dataset.instruction_field": config.dataset.instruction_field,
        "dataset.response_field": config.dataset.response_field,
    }
    return [
        Problem(field=field, message=f"The dataset has no column {path!r}. It has: {present}.")
        for field, path in wanted.items()
        if not paths.valid(version.columns, path)
    ]


def _split_problems(config: SessionConfig, version: DatasetVersion) -> list[Problem]:
    from datasets_app.problems import DatasetProblem
    from datasets_app.rows import check_split

    try:
        check_split(version, config.dataset)
    except DatasetProblem as problem:
        return [Problem(field="dataset.split", message=str(problem))]
    return []


def _reward(team: Team, config: SessionConfig, version: DatasetVersion | None) -> tuple[dict[str, Any], list[Problem]]:
    from rewards.presets import PresetMissing, composition_for

    field = "reward.preset_name" if config.reward.type == "preset" else "reward.parts"
    try:
        composition = composition_for(team, config.reward)
    except PresetMissing as error:
        return {}, [Problem(field=field, message=str(error))]
    except ValidationError as error:
        return {}, [Problem(field=f"reward.{item.field}", message=item.message) for item in schema_problems(error)]
    messages = [*composition.unavailable, *([missing_columns(composition.columns, version)] if version else [])]
    return composition.model_dump(mode="json"), [Problem(field=field, message=text) for text in messages if text]


def missing_columns(wanted: list[str], version: DatasetVersion) -> str:
    present = [*(str(column["name"]) for column in version.columns), *(version.mapping.get("extra") or {})]
    missing = [name for name in wanted if name not in present]
    if not missing:
        return ""
    return (
        f"The reward reads the column {', '.join(missing)}, and the dataset has {', '.join(present)}. Name one of them"
        " so in the dataset's mapping, under “Further columns for rewards”, or change the reward."
    )
