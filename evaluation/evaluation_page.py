"""What the pages of evaluations show: bars, the choice of models, the answers of a pair of models beside each other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from django.db.models import Count, OuterRef, Q, QuerySet, Subquery

from evaluation import candidates, evaluations
from evaluation.candidates import NoSuchCandidate
from evaluation.models import EvaluatedAnswer, EvaluatedModel, Evaluation, EvaluationRow
from evaluation.report import Bar, percent
from rewards.bench_sources import Choice
from training.models import Session

LONGEST_SEARCH = 200


# The choice of models


@dataclass(frozen=True)
class Option:
    choice: Choice
    chosen: bool
    # A checkpoint, or the base, of the session above it.
    below: bool = False


def options(sessions: QuerySet[Session], text: str, chosen: Sequence[str]) -> list[Option]:
    """What is chosen, each session with its other weights below it, then what has `text` in its name."""
    found: dict[str, Option] = {}
    for key in chosen:
        for each in chosen_options(sessions, key, chosen):
            found.setdefault(each.choice.value, each)
    for choice in candidates.offered(sessions, text):
        found.setdefault(choice.value, Option(choice, False))
    return list(found.values())


def chosen_options(sessions: QuerySet[Session], key: str, chosen: Sequence[str]) -> list[Option]:
    try:
        candidate = candidates.named(sessions, key)
    except NoSuchCandidate:
        return []
    shown = [Option(candidates.choice_of(candidate), True)]
    if candidate.kind != candidates.SESSION or candidate.session is None:
        return shown
    return shown + [
        Option(Choice(value, title, candidate.session.name, None), value in chosen, below=True)
        for value, title in candidates.weights_of(candidate.session)
        if value != key
    ]


# Bars


@dataclass(frozen=True)
class Plot:
    """Intervals below each other, on one scale from 0 to 100 %, or from the lowest to the highest end."""

    title: str
    bars: list[Bar]


def plots(report: Mapping[str, Any]) -> list[Plot]:
    made = [accuracy_plot(report), *(pass_plot(report, k) for k in sizes(report)), reward_plot(report)]
    return [plot for plot in made if plot.bars]


def sizes(report: Mapping[str, Any]) -> list[int]:
    return sorted({each["k"] for model in report["models"] for each in model["pass_at"]})


def accuracy_plot(report: Mapping[str, Any]) -> Plot:
    found = [(model, model["accuracy"]) for model in report["models"]]
    return Plot("Right answers, greedy", share_bars(found))


def pass_plot(report: Mapping[str, Any], k: int) -> Plot:
    found = [(model, next((each for each in model["pass_at"] if each["k"] == k), None)) for model in report["models"]]
    return Plot(f"pass@{k}: right in one of {k} samples" if k > 1 else "pass@1: a sample is right", share_bars(found))


Measured = Sequence[tuple[Mapping[str, Any], Mapping[str, float] | None]]


def share_bars(found: Measured) -> list[Bar]:
    return [
        Bar(
            model["title"],
            f"{percent(each['value'])} ({percent(each['low'])} to {percent(each['high'])})",
            each["low"] * 100,
            each["value"] * 100,
            each["high"] * 100,
            kind_of(model),
        )
        for model, each in found
        if each
    ]


def reward_plot(report: Mapping[str, Any]) -> Plot:
    found = [(model, model["reward"]) for model in report["models"] if model["reward"]]
    ends = [0.0, *(each[name] for _, each in found for name in ("low", "high"))]
    lowest, width = min(ends), (max(ends) - min(ends)) or 1.0

    def place(value: float) -> float:
        return (value - lowest) / width * 100

    bars = [
        Bar(
            model["title"],
            f"{each['value']:.3f} ({each['low']:.3f} to {each['high']:.3f})",
            place(each["low"]),
            place(each["value"]),
            place(each["high"]),
            kind_of(model),
        )
        for model, each in found
    ]
    return Plot("Mean reward of the greedy answers", bars)


def pairs(report: Mapping[str, Any]) -> list[dict[str, Any]]:
    """With titles, and with shares in points."""
    titles = {model["number"]: model["title"] for model in report["models"]}
    return [
        {
            **pair,
            "one_title": titles[pair["one"]],
            "other_title": titles[pair["other"]],
            "accuracy": pair["accuracy"] and in_points(pair["accuracy"]),
            "pass_at": [in_points(each) for each in pair["pass_at"]],
        }
        for pair in report["pairs"]
    ]


def in_points(gain: Mapping[str, Any]) -> dict[str, Any]:
    names = ("value", "low", "high", "smallest")
    return {**gain, "points": {name: gain[name] * 100 for name in names if gain.get(name) is not None}}


def kind_of(model: Mapping[str, Any]) -> str:
    return f"after interval-session-{model['number']}"


def best(evaluation: Evaluation) -> Mapping[str, Any] | None:
    """The model with the most right answers, or the highest reward where nothing is judged."""
    models = evaluation.report.get("models", [])
    for measure in ("accuracy", "reward"):
        measured = [model for model in models if model[measure]]
        if measured:
            return {**max(measured, key=lambda model: model[measure]["value"]), "measure": measure}
    return None


# While it runs


def so_far(evaluation: Evaluation) -> list[EvaluatedModel]:
    """Its models, with how many answers each has."""
    return list(evaluation.models.annotate(answered=Count("answers", filter=Q(answers__error=""))))


# Answers beside each other

SHOWS = {
    "": ("Changed", ~Q(was=None) & ~Q(now=None) & (Q(was=True, now=False) | Q(was=False, now=True))),
    "gained": ("Wrong, now right", Q(was=False, now=True)),
    "lost": ("Right, now wrong", Q(was=True, now=False)),
    "wrong": ("Wrong in both", Q(was=False, now=False)),
    "errors": ("Not asked or not judged", Q(was=None) | Q(now=None)),
    "all": ("All", Q()),
}


@dataclass(frozen=True)
class Beside:
    """Two models of an evaluation, and which of their answers are shown."""

    evaluation: Evaluation
    one: EvaluatedModel
    other: EvaluatedModel
    show: str = ""
    text: str = ""

    @classmethod
    def of(cls, evaluation: Evaluation, asked: Mapping[str, Any]) -> Beside:
        models = list(evaluation.models.all())
        one = chosen_of(models, asked.get("first"), models[0])
        other = chosen_of(models, asked.get("second"), next((each for each in models if each != one), one))
        show = str(asked.get("show", ""))
        text = str(asked.get("q", "")).strip()[:LONGEST_SEARCH].replace("\x00", "")
        alone = "all" if one == other and not show else show
        return cls(evaluation, one, other, alone if alone in SHOWS else "", text)

    @cached_property
    def found(self) -> QuerySet[EvaluationRow]:
        """Rows of the set with `was` and `now`: whether each of them had the greedy answer right."""
        rows = self.evaluation.evaluation_set.rows.annotate(
            was=Subquery(greedy(self.one).values("right")), now=Subquery(greedy(self.other).values("right"))
        )
        if not self.text:
            return rows
        said = rows.annotate(
            said=Subquery(greedy(self.one).values("text")), says=Subquery(greedy(self.other).values("text"))
        )
        found: QuerySet[EvaluationRow] = said.filter(
            Q(instruction__icontains=self.text)
            | Q(reference__icontains=self.text)
            | Q(said__icontains=self.text)
            | Q(says__icontains=self.text)
        )
        return found

    @property
    def rows(self) -> QuerySet[EvaluationRow]:
        return self.found.filter(SHOWS[self.show][1]).order_by("number")

    @property
    def filters(self) -> list[tuple[str, str, int]]:
        counts = self.found.order_by().aggregate(
            **{f"n_{name}": Count("pk", filter=q) for name, (_, q) in SHOWS.items()}
        )
        return [(name, title, counts[f"n_{name}"]) for name, (title, _) in SHOWS.items()]

    def lines(self, rows: Sequence[EvaluationRow]) -> list[dict[str, Any]]:
        """Each row with both answers."""
        found = EvaluatedAnswer.objects.filter(model__in=[self.one, self.other], row__in=rows, sample=0)
        answers = {(answer.row_id, answer.model_id): answer for answer in found}
        return [
            {"row": row, "answers": [(model, answers.get((row.pk, model.pk))) for model in self.shown]} for row in rows
        ]

    @property
    def shown(self) -> list[EvaluatedModel]:
        return [self.one] if self.one == self.other else [self.one, self.other]


def chosen_of(models: Sequence[EvaluatedModel], number: Any, default: EvaluatedModel) -> EvaluatedModel:
    return next((model for model in models if str(model.number) == str(number)), default)


def greedy(model: EvaluatedModel) -> QuerySet[EvaluatedAnswer]:
    return EvaluatedAnswer.objects.filter(model=model, row=OuterRef("pk"), sample=0)


def cost(rows: int, models: int, samples: int, max_new_tokens: int) -> dict[str, int]:
    answers = evaluations.answers_asked(rows, models, samples)
    return {"answers": answers, "tokens": answers * max_new_tokens, "most": evaluations.MOST_ANSWERS}
