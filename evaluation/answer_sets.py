"""The verbs of letting a model answer on the test bench of rewards. answering.py answers, in a child process."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.exceptions import PermissionDenied, ValidationError
from django.db import transaction
from django.db.models import Q
from django.http import Http404

from accounts.access import get_or_404, may, require, teams_with
from accounts.models import AnyUser, Role, Team
from evaluation.models import AnswerSet
from jobs import running
from jobs.choices import JobStatus
from rewards.bench_sources import Answered, Asking, Choice, NotAsked
from rewards.outside import RowMissing
from rewards.registry import Markers, Sample
from training import adapters, base_models, bench_sources, forecast, reward_gate, reward_previews, session_list
from training.models import Session
from training.recorder import storable
from training.schema import SessionConfig

OPEN = [JobStatus.QUEUED, JobStatus.RUNNING]
# Of each kind: the list of a picker is for finding, not for leafing.
OFFERED = 20
# Sessions whose folders are looked at for an adapter.
LOOKED_AT = 200
RECENT = 10
LINE_END = re.compile(r"\r\n?")
BASE, SESSION = "base:", "session:"
GONE = "That model is not offered any more. Choose another one."


def offered(user: AnyUser, text: str, chosen: str) -> list[Choice]:
    """Trained models, then base models on this machine, that have `text` in them; the chosen one first."""
    found = [*trained(user, text), *bases(user, text)]
    known = next((each for each in found if each.value == chosen), None) or choice_of(user, chosen)
    return [known, *(each for each in found if each.value != chosen)] if known else found


def trained(user: AnyUser, text: str) -> list[Choice]:
    rows = sessions_of(user).filter(bench_sources.named(text))[:LOOKED_AT]
    found = (session_choice(session) for session in rows if adapters.has_any(session))
    return [choice for choice, _ in zip(found, range(OFFERED), strict=False)]


def sessions_of(user: AnyUser) -> Any:
    return session_list.shown(user).exclude(config={}).only("pk", "name", "config", "created_at", "status")


def session_choice(session: Session) -> Choice:
    base = str(session.config.get("model", {}).get("name", ""))
    return Choice(f"{SESSION}{session.pk}", session.name, f"{short(base)}, {session.status}", session.created_at)


def short(base: str) -> str:
    """A folder by its name: where it lies says nothing here."""
    return Path(base).name if base_models.is_folder(base) else base


def bases(user: AnyUser, text: str) -> list[Choice]:
    words = text.lower().split()
    found = (base_choice(name) for name in here(user))
    matching = (each for each in found if all(word in f"{each.title} {each.value}".lower() for word in words))
    return [choice for choice, _ in zip(matching, range(OFFERED), strict=False)]


def base_choice(name: str) -> Choice:
    return Choice(f"{BASE}{name}", short(name), "base model")


def here(user: AnyUser) -> list[str]:
    """Base models that need no download: of the list, in the models folder, and what sessions were trained on."""
    names = [name for name, _ in base_models.offered()]
    names += [f"{base_models.LOCAL}{folder.parent.name}" for folder in Path(settings.MODELS_DIR).glob("*/config.json")]
    names += [str(session.config.get("model", {}).get("name", "")) for session in sessions_of(user)[:LOOKED_AT]]
    return [name for name in dict.fromkeys(names) if name and is_here(name)]


def is_here(name: str) -> bool:
    """As far as its files say. The hub is not asked: somebody waits for the page."""
    folder = base_models.tokenizer_folder(name)
    if folder is None or not (folder / "config.json").is_file():
        return False
    return not base_models.is_folder(name) or base_models.problem(name) is None


def choice_of(user: AnyUser, value: str) -> Choice | None:
    """One that the newest ones are not enough to show."""
    try:
        session = session_named(user, value)
    except NotAsked:
        return None
    if session is None:
        name = value.removeprefix(BASE)
        return base_choice(name) if name in here(user) else None
    return session_choice(session)


def session_named(user: AnyUser, value: str) -> Session | None:
    """None for a base model. Raises NotAsked."""
    if value.startswith(BASE):
        return None
    try:
        session = get_or_404(Session, user, value.removeprefix(SESSION))
    except Http404:
        raise NotAsked(GONE, "model") from None
    if not session.config or not adapters.has_any(session):
        raise NotAsked("This session has no adapter yet: train it for at least one checkpoint.", "model")
    return session


def may_ask(user: AnyUser) -> bool:
    return teams_with(user, Role.MEMBER).exists()


def ask(user: AnyUser, asking: Asking) -> str:
    """Queues it. Raises NotAsked, PermissionDenied."""
    if not may_ask(user):
        raise PermissionDenied("Only members of a team may let a model answer.")
    session = session_named(user, asking.model)
    if session is None and asking.model.removeprefix(BASE) not in here(user):
        raise NotAsked(GONE, "model")
    team = team_for(user, asking, session)
    config = session.parsed_config if session else SessionConfig()
    created = AnswerSet.objects.create(
        team=team,
        created_by_id=user.pk,
        session=session,
        base_model=config.model.name if session else asking.model.removeprefix(BASE),
        questions=questions(user, asking),
        settings={
            "answers": asking.answers,
            "temperature": asking.temperature,
            "max_new_tokens": asking.max_new_tokens,
            "seed": asking.seed,
            "use_system_prompt": asking.use_system_prompt,
            "with_adapter": asking.with_adapter and session is not None,
            "markers": vars(reward_gate.markers_of(config)),
        },
    )
    _ring(created)
    return str(created.pk)


def team_for(user: AnyUser, asking: Asking, session: Session | None) -> Team:
    """Whose it is: its team reads the questions and what the model made of them. Raises NotAsked, PermissionDenied."""
    owners = {session.team} if session else set()
    if asking.source:
        owners.add(dataset_team(user, asking.source))
    if len(owners) > 1:
        raise NotAsked("Model and dataset belong to different teams. Choose two of one team.", "source")
    if not owners:
        return teams_with(user, Role.MEMBER)[0]
    team = owners.pop()
    require(user, team, Role.MEMBER)
    return team


def dataset_team(user: AnyUser, source: str) -> Team:
    try:
        version = reward_previews.usable(user).select_related("dataset__team").filter(pk=source).first()
    except (ValueError, ValidationError):
        version = None
    if version is None:
        raise NotAsked("That dataset is gone. Choose another one, or type a question.", "source")
    team: Team = version.dataset.team
    return team


def questions(user: AnyUser, asking: Asking) -> list[dict[str, Any]]:
    if not asking.source:
        return [{"instruction": asking.question, "reference": asking.reference, "columns": {}}]
    try:
        found = bench_sources.rows(user, asking.source, asking.rows, asking.rows_seed)
    except RowMissing as problem:
        raise NotAsked(str(problem), "source") from None
    if not found:
        raise NotAsked("This dataset has no row with question and answer. Check its mapping.", "source")
    return [question_of(sample) for sample, _ in found]


def question_of(sample: Sample) -> dict[str, Any]:
    # Dates and bytes of Parquet as text: the row is JSON.
    columns = json.loads(json.dumps(sample.columns, default=str))
    question: dict[str, Any] = storable(
        {"instruction": sample.instruction, "reference": sample.reference or "", "columns": columns}
    )
    return question


def answered(user: AnyUser, value: str) -> Answered:
    """Raises Http404."""
    found = row(user, value)
    return Answered(
        value=str(found.pk),
        title=title(found),
        about=about(found),
        status=found.status,
        open=found.status in OPEN,
        progress=found.progress,
        message=forecast.why_it_waits(found, found.team_id) or found.message,
        error=found.error,
        may_change=may(user, found.team, Role.MEMBER),
        samples=list(samples(found)),
        labels=list(labels(found)),
        edited=["edited" in answer for answer in found.answers],
    )


def row(user: AnyUser, value: str, role: str = Role.VIEWER) -> AnswerSet:
    return get_or_404(AnswerSet, user, value, role)


def title(found: AnswerSet) -> str:
    if found.session is None:
        return short(found.base_model)
    return found.session.name if found.settings["with_adapter"] else f"{short(found.base_model)} (base model)"


def about(found: AnswerSet) -> str:
    wanted = found.settings
    asked = f"{counted(len(found.questions), 'question')}, {counted(wanted['answers'], 'answer')} each"
    limits = f"temperature {wanted['temperature']:g}, at most {counted(wanted['max_new_tokens'], 'token')}"
    system = "" if wanted["use_system_prompt"] else ", without system prompt"
    return f"{asked}, {limits}, seed {wanted['seed']}{system}"


def counted(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def samples(found: AnswerSet) -> Iterator[Sample]:
    markers = Markers(**found.settings["markers"])
    for answer in found.answers:
        asked = found.questions[answer["question"]]
        text = answer.get("edited", answer["text"])
        # A text that somebody changed has another number of tokens, which nobody counted: four characters make one.
        tokens = -(-len(text) // 4) if "edited" in answer else answer["tokens"]
        yield Sample(asked["instruction"], text, asked["reference"] or None, asked["columns"], markers, tokens)


def labels(found: AnswerSet) -> Iterator[str]:
    numbers: Counter[int] = Counter()
    for answer in found.answers:
        question = answer["question"]
        numbers[question] += 1
        several = f"Question {question + 1}, answer" if len(found.questions) > 1 else "Answer"
        yield f"{several} {numbers[question]}"


def recent(user: AnyUser) -> list[Choice]:
    rows = AnswerSet.objects.of_user(user).select_related("session").defer("answers")[:RECENT]
    return [Choice(str(each.pk), title(each), str(each), each.created_at) for each in rows]


def cancel(user: AnyUser, value: str) -> None:
    """What was answered until then stays."""
    running.cancel(row(user, value, Role.MEMBER))


def remove(user: AnyUser, value: str) -> None:
    found = row(user, value, Role.MEMBER)
    gone, _ = AnswerSet.objects.filter(pk=found.pk).exclude(status__in=OPEN).delete()
    if not gone:
        raise NotAsked("The model still answers. Cancel it first.")


def keep(user: AnyUser, value: str, texts: Sequence[str]) -> int:
    with transaction.atomic():
        found = row(user, value, Role.MEMBER)
        if found.status in OPEN or len(texts) != len(found.answers):
            raise NotAsked("The answers have changed meanwhile. Load the page again.")
        answers = [changed(answer, text) for answer, text in zip(found.answers, texts, strict=True)]
        AnswerSet.objects.filter(pk=found.pk).exclude(Q(status__in=OPEN)).update(answers=answers)
    return sum("edited" in answer for answer in answers)


def changed(answer: dict[str, Any], text: str) -> dict[str, Any]:
    made = {name: value for name, value in answer.items() if name != "edited"}
    # Browsers write every line end alike: that alone is no edit.
    same = LINE_END.sub("\n", text) == LINE_END.sub("\n", made["text"])
    return made if same else {**made, "edited": storable(text)}


def _ring(created: AnswerSet) -> None:
    from evaluation.tasks import answer_set

    # robust: with the queue away the row waits for the next poll instead of failing the request.
    transaction.on_commit(lambda: answer_set(str(created.pk)), robust=True)
