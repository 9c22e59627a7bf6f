"""What the trained adapter answers to the held-out questions: computed once for an adapter and its prompts, and kept
beside its exports. For child processes only: it imports torch."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from exports.models import Export
from exports.parity import Answered, Asked
from exports.problems import ExportProblem
from training import adapters, base_models
from training.engine import files
from training.engine.problems import EngineError, Stopper

if TYPE_CHECKING:
    from training.engine.prompting import Row
    from training.models import Session

BATCH = 16
Progress = Callable[[float], None]


@dataclass(frozen=True)
class Prompt:
    """`ids` are the tokens that the model was trained to read for `text`."""

    asked: Asked
    text: str
    ids: list[int]


@dataclass(frozen=True)
class Reference:
    prompts: list[Prompt]
    answers: list[Answered]
    max_new_tokens: int


class Torch:
    """A model of transformers, with or without adapter, in the two ways that a check asks it."""

    def __init__(self, model: Any, tokenizer: Any) -> None:
        from training.engine.generation import Generator

        self.model, self.tokenizer = model, tokenizer
        self.generator = Generator(model, tokenizer)

    def greedy(self, prompts: list[list[int]], max_new_tokens: int, stopper: Stopper) -> list[tuple[list[int], str]]:
        from training.engine.generation import Sampling

        done = self.generator.complete(prompts, 1, Sampling(max_new_tokens), stopper)
        texts = self.tokenizer.batch_decode([each.ids for each in done], skip_special_tokens=True)
        return [(each.ids, text) for each, text in zip(done, texts, strict=True)]

    def log_probability(self, prompt: list[int], answer: list[int]) -> float:
        import torch

        with torch.no_grad():
            ids = torch.tensor([[*prompt, *answer][:-1]], device=self.model.device)
            logits = self.model(input_ids=ids, logits_to_keep=len(answer)).logits[0].float()
            wanted = torch.tensor(answer, device=self.model.device)[:, None]
            return float(logits.log_softmax(-1).gather(1, wanted).sum())


def load(session: Session, adapter: Path | None, folder: Path | None = None) -> Torch:
    """The base model with `adapter`, or the merged model in `folder`. Raises EngineError."""
    from training.engine import loading

    config = session.parsed_config
    where = str(folder) if folder else base_models.locate(config.model.name)
    return Torch(*loading.load_for_generation(where, adapter, config.prompt.chat_template))


def find(export: Export, wanted: int, stopper: Stopper, progress: Progress) -> Reference:
    """The kept one, or a new one. Raises EngineError, ExportProblem, StopRequested."""
    rows = held_out(export.session, wanted)
    file = _file(export, rows)
    if (kept := _read(file)) is not None:
        return kept
    made = _made(export, rows, stopper, progress)
    files.write_json(file, asdict(made))
    return made


def held_out(session: Session, wanted: int) -> list[Row]:
    """Raises ExportProblem if there are none."""
    from datasets_app.problems import DatasetProblem
    from datasets_app.rows import held_out_rows

    config, version = session.parsed_config, session.dataset_version
    if version is None:
        raise ExportProblem("The dataset of this session was deleted.")
    try:
        rows: list[Row] = list(held_out_rows(version, config.dataset, wanted))
    except (DatasetProblem, OSError) as problem:
        raise ExportProblem(f"The held-out rows can't be read: {problem}") from problem
    if not rows:
        raise ExportProblem("The dataset has no held-out rows.")
    return rows


def _made(export: Export, rows: list[Row], stopper: Stopper, progress: Progress) -> Reference:
    from training.engine.evaluate import new_tokens
    from training.engine.grpo import fitting
    from training.engine.prompting import encode

    session = export.session
    config = session.parsed_config
    model = load(session, adapter_of(export))
    questions, _ = fitting(model.tokenizer, config, rows, new_tokens(config))
    if not questions:
        raise ExportProblem("No held-out prompt leaves room for an answer.")
    prompts = [
        Prompt(
            Asked(question.row.row, question.row.instruction, question.row.reference),
            question.prompt,
            encode(model.tokenizer, question.prompt),
        )
        for question in questions
    ]
    found = answered(model, prompts, new_tokens(config), stopper, progress)
    return Reference(prompts, found, new_tokens(config))


def answered(
    model: Torch,
    prompts: Sequence[Prompt],
    max_new_tokens: int,
    stopper: Stopper,
    progress: Progress,
    expected: Sequence[Answered] | None = None,
) -> list[Answered]:
    """Greedy answers, and the log-probabilities of those of `expected`, or else of their own."""
    found: dict[int, Answered] = {}
    order = sorted(range(len(prompts)), key=lambda place: len(prompts[place].ids))
    for start in range(0, len(order), BATCH):
        places = order[start : start + BATCH]
        made = model.greedy([prompts[place].ids for place in places], max_new_tokens, stopper)
        for place, (ids, text) in zip(places, made, strict=True):
            stopper.check()
            target = expected[place].ids if expected else ids
            found[place] = Answered(ids, text, model.log_probability(prompts[place].ids, target))
        progress(len(found) / len(prompts))
    return [found[place] for place in range(len(prompts))]


def adapter_of(export: Export) -> Path:
    """The folder of the very adapter that it was made of. Raises EngineError if it is gone."""
    session = export.session
    folders = [session.adapter, *adapters.checkpoints(session)]
    for folder in folders:
        weights = folder / "adapter_model.safetensors"
        if weights.is_file() and files.sha256_of(weights) == export.adapter_sha256:
            return folder
    raise EngineError("The adapter that this was made of is gone.", "Export again to have it checked.")


def _file(export: Export, rows: list[Row]) -> Path:
    config = export.session.parsed_config
    facts: list[Any] = [export.adapter_sha256, config.model_dump(mode="json")]
    facts += [[row.row, row.instruction, row.reference] for row in rows]
    digest = hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()
    return export.folder / f".reference-{digest[:24]}.json"


def _read(file: Path) -> Reference | None:
    if not file.is_file():
        return None
    data = json.loads(file.read_text())
    prompts = [Prompt(Asked(**each["asked"]), each["text"], each["ids"]) for each in data["prompts"]]
    return Reference(prompts, [Answered(**each) for each in data["answers"]], data["max_new_tokens"])
