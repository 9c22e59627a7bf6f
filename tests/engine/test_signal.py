"""Each group of a step has one kind, and the counts of the kinds add up to the groups."""

from collections import Counter

import pytest

from rewards.composition import Result
from tests.engine.conftest import Session, composition, tiny_config
from training.engine.signal import KINDS, Answer, counts, kind_of


def answer(
    total: float | None, *, advantage: float = 0.0, correct: bool | None = None, cut_off: bool = False
) -> Answer:
    return Answer(Result(total, {}, {}, {}, correct), advantage, 10, cut_off)


@pytest.mark.parametrize(
    ("group", "best", "kind"),
    [
        ([answer(1.0, advantage=1.0), answer(0.0, advantage=-1.0)], 1.0, "mixed"),
        ([answer(1.0, advantage=1.0, cut_off=True), answer(0.0, advantage=-1.0, cut_off=True)], 1.0, "mixed"),
        ([answer(None), answer(1.0)], 1.0, "errored"),
        ([answer(None, cut_off=True)] * 2, 1.0, "errored"),
        ([answer(1.0, correct=True, cut_off=True)] * 2, 1.0, "truncated"),
        ([answer(0.7, correct=True)] * 2, 1.0, "right"),
        ([answer(1.0, correct=False)] * 2, 1.0, "wrong"),
        ([answer(1.0)] * 2, 1.0, "right"),
        ([answer(0.9)] * 2, 1.0, "wrong"),
        ([answer(0.9)] * 2, None, "wrong"),
    ],
)
def test_a_group_has_the_first_kind_that_holds(group: list[Answer], best: float | None, kind: str) -> None:
    assert kind_of(group, best) == kind


def test_tokens_of_groups_without_a_gradient_are_counted_apart() -> None:
    found = counts([[answer(1.0, advantage=1.0), answer(0.0, advantage=-1.0)], [answer(0.0)] * 3], 1.0)
    assert (found["signal/tokens"], found["signal/tokens_without"]) == (50.0, 30.0)
    assert sum(found[f"signal/{kind}"] for kind in KINDS) == 2


def signal_of(session: Session, function: str, **training: int) -> list[Counter[str]]:
    session.config = tiny_config(training=training, reward={"max_error_share": 1.0})
    session.composition = composition(function)
    _, recorded = session.run()
    steps = recorded.of("metrics", "training")
    return [Counter({kind: int(event.data[f"signal/{kind}"]) for kind in KINDS}) for event in steps]


@pytest.mark.parametrize(("function", "kinds"), [("always_fails", {"errored"}), ("a_fifth", {"wrong", "truncated"})])
def test_a_real_run_counts_every_group_of_every_step(session: Session, function: str, kinds: set[str]) -> None:
    found = signal_of(session, function)
    assert len(found) == 4
    assert all(step.total() == 2 and set(+step) <= kinds for step in found)


def test_answers_of_one_token_that_score_alike_are_truncated_groups(session: Session) -> None:
    assert sum(signal_of(session, "a_fifth", max_new_tokens=1), Counter())["truncated"] > 0
