"""Answers a prompt with base and adapter, and the questions of a test bench with one model. Runs in the child processes
`manage.py answer` and `manage.py answer_set` only: it imports torch."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from evaluation.models import AnswerSet, Trial
from jobs import running
from rewards import judge_access
from rewards.composition import Composition
from rewards.registry import Markers, Sample
from training import adapters, base_models
from training.engine.problems import EngineError, is_out_of_memory
from training.recorder import storable
from training.schema import SessionConfig

if TYPE_CHECKING:
    from jobs.models import Job
    from training.engine.generation import Answer
    from training.models import Session

BATCH = 8
log = logging.getLogger(__name__)


def answer(trial: Trial) -> None:
    """Records answers and outcome. Raises running.Lost if the trial was cancelled or taken by another worker."""
    recorded(trial, lambda: _answer(trial))


def answer_all(answers: AnswerSet) -> None:
    """As `answer`. Answers that were made before an error are kept."""
    recorded(answers, lambda: _answer_all(answers))


def recorded(job: Job, work: Callable[[], None]) -> None:
    """What goes wrong becomes the job's error. Raises running.Lost."""
    try:
        work()
    except running.Lost:
        raise
    except EngineError as error:
        running.fail(job, f"{error.message} {error.hint}".strip())
    except Exception as error:
        log.exception("%s %s failed", type(job).__name__, job.pk)
        memory = "The memory was full: ask for fewer tokens, or end other work on this machine."
        running.fail(job, memory if is_out_of_memory(error) else f"The model could not answer: {type(error).__name__}.")


def _answer(trial: Trial) -> None:
    from training.engine import loading, prompting

    session = trial.session
    config = session.parsed_config
    adapter = _adapter(session)
    running.report(trial, 0.05, "Loading the model")
    base = base_models.locate(config.model.name)
    model, tokenizer = loading.load_for_generation(base, adapter, config.prompt.chat_template)
    messages = prompting.messages(config.prompt, trial.prompt, system=bool(trial.settings["use_system_prompt"]))
    prompt = prompting.render(tokenizer, messages)
    answers: dict[str, Any] = {}
    running.report(trial, 0.3, "The adapter answers")
    answers["adapter"] = _one(trial, config, model, tokenizer, prompt)
    _save(trial, answers)
    running.report(trial, 0.65, "The base model answers")
    # The same weights with the adapter switched off: the model is loaded once.
    with model.disable_adapter():
        answers["base"] = _one(trial, config, model, tokenizer, prompt)
    running.finish(trial, answers=answers)


def _adapter(session: Session) -> Path:
    adapter = adapters.newest(session)
    if adapter is None:
        raise EngineError("The adapter of this session is gone.", "Resume or repeat the session.")
    return adapter


def _answer_all(found: AnswerSet) -> None:
    from training.engine import loading, prompting

    session, wanted = found.session, found.settings
    config = session.parsed_config if session else SessionConfig()
    adapter = _adapter(session) if session and wanted["with_adapter"] else None
    running.report(found, 0.02, "Loading the model", answers=[])
    model, tokenizer = loading.load_for_generation(
        base_models.locate(found.base_model), adapter, config.prompt.chat_template
    )
    prompts = [
        prompting.render(
            tokenizer, prompting.messages(config.prompt, each["instruction"], system=bool(wanted["use_system_prompt"]))
        )
        for each in found.questions
    ]
    running.finish(found, answers=_many(found, config, model, tokenizer, prompts))


def _many(
    found: AnswerSet, config: SessionConfig, model: Any, tokenizer: Any, prompts: list[str]
) -> list[dict[str, Any]]:
    """`answers` of each prompt, those of one next to each other."""
    from training.engine.generation import generate

    copies, wanted = found.settings["answers"], found.settings
    made: dict[int, dict[str, Any]] = {}

    def keep(places: list[int], batch: list[Answer]) -> None:
        for place, each in zip(places, batch, strict=True):
            made[place] = storable({"question": place // copies, **vars(each)})
        told = f"{len(made)} of {copies * len(prompts)} answers"
        running.report(found, 0.1 + 0.9 * len(made) / (copies * len(prompts)), told, answers=_in_order(made))

    running.report(found, 0.1, "The model answers")
    generate(
        model,
        tokenizer,
        [prompt for prompt in prompts for _ in range(copies)],
        max_new_tokens=wanted["max_new_tokens"],
        temperature=wanted["temperature"],
        top_p=config.training.top_p,
        top_k=config.training.top_k,
        seed=wanted["seed"],
        batch_size=BATCH,
        on_batch=keep,
    )
    return _in_order(made)


def _in_order(made: dict[int, dict[str, Any]]) -> list[dict[str, Any]]:
    return [made[place] for place in sorted(made)]


def _one(trial: Trial, config: SessionConfig, model: Any, tokenizer: Any, prompt: str) -> dict[str, Any]:
    from training.engine.generation import generate

    wanted = trial.settings
    (made,) = generate(
        model,
        tokenizer,
        [prompt],
        max_new_tokens=wanted["max_new_tokens"],
        temperature=wanted["temperature"],
        top_p=wanted["top_p"],
        top_k=config.training.top_k,
        seed=wanted["seed"],
        batch_size=1,
    )
    speed = made.tokens / made.seconds if made.seconds else None
    found = {"text": made.text, "tokens": made.tokens, "seconds": made.seconds, "cut_off": made.cut_off, "speed": speed}
    return {**found, "score": _score(trial, config, made.text, made.tokens)}


def _score(trial: Trial, config: SessionConfig, text: str, tokens: int) -> dict[str, Any] | None:
    """By the session's own reward. None without an expected answer or a reward."""
    expected = trial.settings.get("expected")
    if not expected or not trial.session.reward:
        return None
    try:
        composition = Composition.model_validate(trial.session.reward)
    except ValidationError:
        return {"total": None, "correct": None, "parts": [], "error": "This session's reward can't be used any more."}
    section = config.prompt
    markers = Markers(section.reasoning_start, section.reasoning_end, section.solution_start, section.solution_end)
    with judge_access.paid_by(trial.team):
        result = composition.score(
            Sample(instruction=trial.prompt, response=text, reference=expected, markers=markers, tokens=tokens)
        )
    parts = [
        {"name": name, "value": value, "feedback": result.feedback.get(name, ""), "error": result.errors.get(name, "")}
        for name, value in result.parts.items()
    ]
    return {"total": result.total, "correct": result.correct, "parts": parts, "error": ""}


def _save(trial: Trial, answers: dict[str, Any]) -> None:
    """The first answer is shown while the second is still made."""
    Trial.objects.filter(pk=trial.pk, attempt=trial.attempt).update(answers=storable(answers))
