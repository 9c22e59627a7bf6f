"""Compares an export with the trained adapter. Runs in the child process `manage.py check_export` only."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from django.conf import settings
from pydantic import ValidationError

from exports import building, cards, formats, parity, references
from exports.models import Check, Export, Format, Verdict
from exports.parity import Answered
from exports.problems import ExportProblem
from exports.references import Reference
from jobs import running
from jobs.choices import JobStatus
from rewards import judge_access
from rewards.composition import Composition
from rewards.sandbox import pool
from training.engine import files
from training.engine.problems import EngineError, Stopper, is_out_of_memory, never
from training.recorder import storable

if TYPE_CHECKING:
    from exports.llama_runtime import LlamaModel
    from training.models import Session

log = logging.getLogger(__name__)
Progress = Callable[[float], None]
# Of a check: where the reference is there, and where the export has answered.
REFERENCE_DONE, EXPORT_DONE = 0.45, 0.92


def check(row: Check) -> None:
    """Records the outcome: what can't be checked is a verdict, too. Raises running.Lost."""
    try:
        result = Checking(row).run()
        found = parity.judged(result)
        running.finish(row, result=storable(result), verdict=found.verdict, reason=found.reason)
        describe(row.export)
    except running.Lost:
        raise
    except (ExportProblem, EngineError) as problem:
        _not_checked(row, f"{problem.message} {problem.hint}".strip())
    except Exception as error:
        log.exception("The check of export %s failed", row.export_id)
        _not_checked(row, "The memory was full." if is_out_of_memory(error) else f"Error: {type(error).__name__}.")


def _not_checked(row: Check, why: str) -> None:
    running.finish(row, verdict=Verdict.NOT_CHECKED, reason=why, result={})
    describe(row.export)


def describe(export: Export) -> None:
    """The model card says what was found."""
    file = building.artefact_folder(export) / cards.NAME
    if not file.is_file():
        return
    fresh = file.with_name(f".{cards.NAME}")
    fresh.write_text(cards.card(export, Check.objects.get(export=export)))
    facts = {"name": cards.NAME, "size": fresh.stat().st_size, "sha256": files.sha256_of(fresh)}
    entries: list[dict[str, Any]] = [facts if entry["name"] == cards.NAME else entry for entry in export.files]
    files.sync(fresh)
    fresh.replace(file)
    size = sum(entry["size"] for entry in entries)
    Export.objects.filter(pk=export.pk).update(files=entries, size=size)


class Checking:
    def __init__(self, row: Check) -> None:
        self.row, self.export = row, row.export
        self.session: Session = row.export.session
        self.stopper = Stopper(never)
        self.report = running.reporter(row)

    def run(self) -> dict[str, Any]:
        """Raises ExportProblem, EngineError, running.Lost."""
        if self.export.status != JobStatus.READY:
            raise ExportProblem("The export is gone.")
        if self.export.format == Format.GGUF and not formats.has_library():
            raise ExportProblem(f"llama.cpp's library is not installed. {formats.INSTALL_LIBRARY}")
        self.report(0.01, "Asking the trained adapter")
        told = self.telling(0.01, REFERENCE_DONE, "Asking the trained adapter")
        reference = references.find(self.export, settings.PARITY_PROMPTS, self.stopper, told)
        self.report(REFERENCE_DONE, "Asking the export")
        told = self.telling(REFERENCE_DONE, EXPORT_DONE, "Asking the export")
        answers, differing = self.answers(reference, told)
        self.report(EXPORT_DONE, "Scoring the answers")
        asked = [prompt.asked for prompt in reference.prompts]
        return {
            **parity.compared(asked, self.scored(reference, reference.answers), self.scored(reference, answers)),
            "differing_prompts": differing,
        }

    def telling(self, begin: float, end: float, message: str) -> Progress:
        return lambda share: self.report(begin + (end - begin) * share, message)

    def answers(self, reference: Reference, told: Progress) -> tuple[list[Answered], int]:
        """What the export answers, and how many prompts it reads as other tokens than the model was trained with."""
        folder = building.artefact_folder(self.export)
        if self.export.format == Format.ADAPTER:
            return same_adapter(self.export, folder, reference), 0
        if self.export.format == Format.MERGED:
            model = references.load(self.session, None, folder)
            wanted = (reference.max_new_tokens, self.stopper, told, reference.answers)
            return references.answered(model, reference.prompts, *wanted), 0
        return of_gguf(self.export.folder / self.export.file, reference, self.stopper, told)

    def scored(self, reference: Reference, answers: Sequence[Answered]) -> list[Answered]:
        """By the session's reward, as its evaluation is."""
        from training.engine.scoring import score_all

        try:
            composition = Composition.model_validate(self.session.reward)
        except ValidationError:
            return list(answers)
        rows = {row.row: row for row in references.held_out(self.session, settings.PARITY_PROMPTS)}
        told = [
            (rows[prompt.asked.row], answer.text, len(answer.ids))
            for prompt, answer in zip(reference.prompts, answers, strict=True)
        ]
        with judge_access.paid_by(self.row.team), pool.owned_by(lambda: f"team {self.row.team_id}"):
            results = score_all(composition, self.session.parsed_config.prompt, told)
        return [
            replace(answer, correct=result.correct, reward=result.total)
            for answer, result in zip(answers, results, strict=True)
        ]


def same_adapter(export: Export, folder: Path, reference: Reference) -> list[Answered]:
    """The trained adapter is the reference itself: its copy answers the same if it has the same bytes."""
    if files.sha256_of(folder / "adapter_model.safetensors") != export.adapter_sha256:
        raise ExportProblem("The exported adapter is not the trained one.", "Delete it and export again.")
    return reference.answers


def of_gguf(file: Path, reference: Reference, stopper: Stopper, told: Progress) -> tuple[list[Answered], int]:
    from exports.llama_runtime import LlamaModel

    model = LlamaModel(file)
    try:
        differing = sum(model.encode(prompt.text) != prompt.ids for prompt in reference.prompts)
        return _answered(model, reference, stopper, told), differing
    finally:
        model.close()


def _answered(model: LlamaModel, reference: Reference, stopper: Stopper, told: Progress) -> list[Answered]:
    import numpy as np

    from training.engine.generation import Sampling

    found: dict[int, Answered] = {}
    sampling, draw = Sampling(reference.max_new_tokens), np.random.default_rng(0)
    order = sorted(range(len(reference.prompts)), key=lambda place: len(reference.prompts[place].ids))
    for start in range(0, len(order), references.BATCH):
        places = order[start : start + references.BATCH]
        # As it will be asked: by the text, which it reads with its own tokenizer.
        prompts = [model.encode(reference.prompts[place].text) for place in places]
        rows = model.complete(prompts, sampling, draw, stopper)
        for place, row in zip(places, rows, strict=True):
            expected = sum(model.log_probabilities(row.prompt, reference.answers[place].ids))
            found[place] = Answered(row.ids, model.decode(row.ids), expected)
        told(len(found) / len(order))
    return [found[place] for place in range(len(order))]
