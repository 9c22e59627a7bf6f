"""Answers a prompt with base and adapter. Runs in the child process `manage.py answer` only: it imports torch."""

from __future__ import annotations

import logging
from typing import Any

from pydantic import ValidationError

from evaluation.models import Trial
from jobs import running
from rewards import judge_access
from rewards.composition import Composition
from rewards.registry import Markers, Sample
from training import adapters, base_models
from training.engine.problems import EngineError, is_out_of_memory
from training.recorder import storable
from training.schema import SessionConfig

log = logging.getLogger(__name__)


def answer(trial: Trial) -> None:
    """Records answers and outcome. Raises running.Lost if the trial was cancelled or taken by another worker."""
    try:
        _answer(trial)
    except running.Lost:
        raise
    except EngineError as error:
        running.fail(trial, f"{error.message} {error.hint}".strip())
    except Exception as error:
        log.exception("Trial %s failed", trial.pk)
        memory = "The memory was full: ask for fewer tokens, or end other work on this machine."
        running.fail(
            trial, memory if is_out_of_memory(error) else f"The model could not answer: {type(error).__name__}."
        )


def _answer(trial: Trial) -> None:
    from training.engine import loading, prompting

    session = trial.session
    config = session.parsed_config
    adapter = adapters.newest(session)
    if adapter is None:
        raise EngineError("The adapter of this session is gone.", "Resume or repeat the session.")
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
