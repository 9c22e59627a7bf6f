"""The heat map of a session: its questions by epochs, the hardest first, and what to make of it in words."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from django.db.models import Avg, Count, Max, Min, Q, QuerySet

from datasets_app import rows
from datasets_app.problems import DatasetProblem
from loracraft.numbers import thousands
from training import kept_answers
from training.models import PromptOutcome, Session
from training.signal_ledger import TITLES

MOST_QUESTIONS, MOST_EPOCHS = 400, 24
SHADES = 9
LONGEST_QUESTION = 160
# With fewer visits in all a share says little.
ENOUGH_VISITS = 2


@dataclass(frozen=True)
class Cell:
    """One question in one epoch. `shade`: from 0, the lowest mean of the session, to SHADES - 1, its highest."""

    visits: int
    mean: float | None
    kinds: dict[str, int]
    shade: int | None
    step: int | None = None
    group: int = 0

    @property
    def words(self) -> str:
        return ", ".join(f"{TITLES[kind].lower()}{f' {n} times' if n > 1 else ''}" for kind, n in self.kinds.items())


@dataclass
class Line:
    row: int
    mean: float | None
    kinds: Counter[str] = field(default_factory=Counter)
    question: str = ""
    cells: list[Cell | None] = field(default_factory=list)

    @property
    def visits(self) -> int:
        return sum(self.kinds.values())


@dataclass(frozen=True)
class PromptMap:
    lines: list[Line]
    epochs: list[int]
    questions: int
    never: int
    always: int
    lowest: float | None
    highest: float | None

    @property
    def advice(self) -> list[str]:
        return list(advice(self))

    @property
    def shades(self) -> range:
        return range(SHADES)


def prompt_map(session: Session) -> PromptMap | None:
    """None where no outcome is recorded: nothing was asked yet, or an older version trained it."""
    every = lines_of(session)
    if not every:
        return None
    shown = every[:MOST_QUESTIONS]
    numbers = sorted(PromptOutcome.objects.filter(session=session).values_list("epoch", flat=True).distinct())
    epochs = numbers[-MOST_EPOCHS:]
    means = [line.mean for line in every if line.mean is not None]
    lowest, highest = (min(means), max(means)) if means else (None, None)
    fill(session, shown, epochs, (lowest, highest))
    name_questions(session, shown)
    return PromptMap(
        shown,
        epochs,
        len(every),
        sum(1 for line in every if only(line, "wrong")),
        sum(1 for line in every if only(line, "right")),
        lowest,
        highest,
    )


def only(line: Line, kind: str) -> bool:
    return line.visits >= ENOUGH_VISITS and line.kinds[kind] == line.visits


def lines_of(session: Session) -> list[Line]:
    """Every question that was asked, that with the lowest mean first."""
    found = PromptOutcome.objects.filter(session=session).order_by()
    counts: dict[int, Counter[str]] = defaultdict(Counter)
    for row, kind, visits in found.values_list("row", "kind").annotate(Count("pk")):
        counts[row][kind] = visits
    means = found.values_list("row").annotate(mean=Avg("mean"))
    made = [Line(row, mean, counts[row]) for row, mean in means]
    return sorted(made, key=lambda line: (line.mean is None, line.mean or 0.0, line.row))


Span = tuple[float | None, float | None]


def fill(session: Session, lines: Sequence[Line], epochs: Sequence[int], span: Span) -> None:
    # Only a step whose answers are kept can be opened; of several the newest.
    open_steps = Q(step__in=kept_answers.stored(session.pk).values("step"))
    asked = PromptOutcome.objects.filter(session=session, row__in=[line.row for line in lines], epoch__in=epochs)
    found = by_epoch(asked, last=Max("step", filter=open_steps), place=Min("group", filter=open_steps))
    cells = {(each["row"], each["epoch"]): each for each in found}
    for line in lines:
        line.cells = [cell(cells.get((line.row, epoch)), span) for epoch in epochs]


def by_epoch(asked: QuerySet[PromptOutcome], **more: Any) -> Iterable[dict[str, Any]]:
    """For each question in each epoch how often it was asked, how often with each kind of group, and its mean."""
    kinds = {f"{kind}_": Count("pk", filter=Q(kind=kind)) for kind in TITLES}
    grouped: Any = asked.order_by("row", "epoch").values("row", "epoch")
    found: Iterable[dict[str, Any]] = grouped.annotate(visits=Count("pk"), average=Avg("mean"), **kinds, **more)
    return found


def cell(found: dict[str, Any] | None, span: Span) -> Cell | None:
    if found is None:
        return None
    kinds = {kind: found[f"{kind}_"] for kind in TITLES if found[f"{kind}_"]}
    shade = shade_of(found["average"], *span)
    return Cell(found["visits"], found["average"], kinds, shade, found["last"], found["place"] or 0)


def shade_of(mean: float | None, lowest: float | None, highest: float | None) -> int | None:
    if mean is None or lowest is None or highest is None:
        return None
    if highest <= lowest:
        return SHADES // 2
    return max(0, min(SHADES - 1, int((mean - lowest) / (highest - lowest) * SHADES)))


def name_questions(session: Session, lines: Sequence[Line]) -> None:
    """Leaves them without a name where the dataset is gone."""
    if session.dataset_version is None:
        return
    try:
        found = rows.load(session.dataset_version, session.parsed_config.dataset, [line.row for line in lines])
    except (DatasetProblem, OSError, KeyError):
        return
    for line, row in zip(lines, found, strict=True):
        line.question = " ".join(row.instruction.split())[:LONGEST_QUESTION]


def advice(found: PromptMap) -> Iterator[str]:
    if found.never:
        yield (
            f"{counted(found.never, found.questions)} never answered right in {ENOUGH_VISITS} or more tries: look at"
            " some. The reference may be wrong; if it is right, an easier question teaches more."
        )
    if found.always:
        yield (
            f"{counted(found.always, found.questions)} always answered right: time is spent on what is known already."
            " Harder rows in their place teach faster."
        )


def counted(count: int, of: int) -> str:
    return f"Of {thousands(of)} questions {thousands(count)} {'was' if count == 1 else 'were'}"


HEADER = ["row", "epoch", "asked", "mean_reward", *TITLES, "question"]


def table(session: Session) -> Iterator[list[Any]]:
    """Every question in every epoch, for a CSV file."""
    lines = lines_of(session)
    name_questions(session, lines)
    names = {line.row: line.question for line in lines}
    yield list(HEADER)
    for each in by_epoch(PromptOutcome.objects.filter(session=session)):
        counts = [each[f"{kind}_"] for kind in TITLES]
        yield [each["row"], each["epoch"], each["visits"], each["average"], *counts, names.get(each["row"], "")]
