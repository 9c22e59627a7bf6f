"""Final scores beside each other: nothing is called better that the same questions do not show."""

import random
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from accounts.models import Team
from datasets_app.models import DatasetVersion
from evaluation.compare import Entry, select
from evaluation.compare_scores import Pair, last_reward, pairs, score, scores
from evaluation.statistics import holm, mcnemar, paired_mean
from tests.evaluation.test_report import answer, say
from tests.training.factories import History, make_dataset_version, make_reward, make_session
from training import overview
from training.choices import Kind, Status
from training.models import Session

JUDGED = {"parts": [{"name": "right", "function": "exact_match", "weight": 1.0, "parameters": {}}]}


@pytest.fixture
def version(team: Team) -> DatasetVersion:
    return make_dataset_version(team)


def answered(version: DatasetVersion, right: list[bool | None], *, finish: bool = True, **fields: Any) -> Session:
    """A session whose adapter answered row N as `right` says."""
    values = {"dataset_version": version, "dataset_fingerprint": version.fingerprint, "reward": JUDGED, **fields}
    session = make_session(version.dataset.team, Status.COMPLETED, **values)
    history = History(session)
    say(history, "adapter", [answer(row, is_right) for row, is_right in enumerate(right)], finish=finish)
    history.save()
    return session


def pairs_of(*sessions: Session) -> list[Pair]:
    return pairs([score(Entry(number, row)) for number, row in enumerate(overview.rows(sessions), 1)])


def test_holm_s_method_on_a_known_example() -> None:
    """The values of R: p.adjust(c(0.01, 0.04, 0.03, 0.005), "holm")."""
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.6, 0.9]) == [1.0, 1.0]
    assert holm([]) == []


def test_the_mean_of_pairs_has_the_p_of_its_interval() -> None:
    chance = random.Random(3)
    gains = [chance.gauss(0.1, 0.4) for _ in range(100)]
    mean, low, high, p = paired_mean(gains)
    assert low < mean < high
    assert (p < 0.05) == (not low <= 0 <= high)
    assert paired_mean([0.2] * 30)[3] == 1.0


@pytest.mark.django_db
def test_a_real_difference_on_the_same_questions_is_shown_with_its_size(version: DatasetVersion) -> None:
    (found,) = pairs_of(
        answered(version, [row < 30 for row in range(100)]), answered(version, [row < 70 for row in range(100)])
    )
    assert found.gain and found.better is found.other
    assert (found.gain.questions, found.gain.gain) == (100, 0.4)
    assert found.p == mcnemar(40, 0)
    assert found.verdict == "2 is better here: 40 points more on the same questions."
    assert (found.difference_text, found.p_text) == ("+40 points", "< 0.001")


@pytest.mark.django_db
def test_a_small_difference_is_none_and_says_what_could_not_be_seen(version: DatasetVersion) -> None:
    (found,) = pairs_of(
        answered(version, [row < 50 for row in range(100)]), answered(version, [row < 53 for row in range(100)])
    )
    assert found.better is None
    assert found.verdict.startswith("No difference could be shown. One under ")


@pytest.mark.django_db
def test_what_one_test_alone_would_show_is_not_shown_by_one_of_many(version: DatasetVersion) -> None:
    """7 of 7 changed answers are p = 0.016 alone; of 15 pairs some come out so by chance."""
    base = [row < 50 for row in range(100)]
    more = [row < 57 for row in range(100)]
    alone = pairs_of(answered(version, base), answered(version, more))
    assert alone[0].p == pytest.approx(0.0156, abs=1e-4)
    assert alone[0].better is alone[0].other
    among = pairs_of(answered(version, base), answered(version, more), *(answered(version, base) for _ in range(4)))
    assert len(among) == 15
    assert not [pair for pair in among if pair.better]


@pytest.mark.django_db
def test_other_rows_another_split_or_another_column_are_never_ranked(team: Team, version: DatasetVersion) -> None:
    weak, strong = [False] * 50, [True] * 50
    first = answered(version, weak)
    other_rows = {**version.fingerprint, "sha256": "1" * 64}
    other_split = {**version.fingerprint, "split": {"seed": 7, "held_out": 96}}
    other_column = {**version.fingerprint, "mapping": {**version.mapping, "response": "worked"}}
    for fingerprint in (other_rows, other_split, other_column):
        (found,) = pairs_of(first, answered(version, strong, dataset_fingerprint=fingerprint))
        assert found.better is None and found.p is None
        assert found.verdict == "They answered different held-out questions, so their scores can't be ranked."
    (found,) = pairs_of(first, answered(version, strong, dataset_fingerprint={}))
    assert found.verdict.startswith("It is not known which rows were held out")


@pytest.mark.django_db
def test_a_row_whose_stored_question_differs_is_no_pair(version: DatasetVersion) -> None:
    one, other = answered(version, [False] * 30), answered(version, [True] * 30)
    event = other.events.filter(kind=Kind.EVALUATION, data__has_key="answers").earliest("seq")
    event.data["answers"][0]["question"] = "Something else?"
    event.save()
    (found,) = pairs_of(one, other)
    assert found.gain and found.gain.questions == 29


@pytest.mark.django_db
def test_answers_that_were_judged_by_another_rule_are_not_compared(version: DatasetVersion) -> None:
    laxer = {"parts": [{**JUDGED["parts"][0], "function": "math_answer"}]}
    (found,) = pairs_of(answered(version, [False] * 30), answered(version, [True] * 30, reward=laxer))
    assert found.verdict.startswith("Their rewards judge answers differently")
    heavier = {"parts": [{**JUDGED["parts"][0], "weight": 3.0}, *make_reward({"brevity": 1.0})["parts"]]}
    (found,) = pairs_of(answered(version, [False] * 30), answered(version, [True] * 30, reward=heavier))
    assert found.better, "weights and parts of form decide nothing about right answers"


@pytest.mark.django_db
def test_an_unfinished_evaluation_is_waited_for(version: DatasetVersion) -> None:
    (found,) = pairs_of(answered(version, [False] * 30), answered(version, [True] * 30, finish=False))
    assert found.verdict == "2 did not answer every question yet."


@pytest.mark.django_db
def test_where_nothing_is_judged_rewards_are_compared_if_they_are_the_same(version: DatasetVersion) -> None:
    def rewarded(level: float, reward: dict[str, Any]) -> Session:
        session = answered(version, [], reward=reward)
        session.events.all().delete()
        history = History(session)
        chance = random.Random(5)
        say(history, "adapter", [answer(row, None, level + chance.random()) for row in range(40)])
        history.save()
        return session

    reward = make_reward()
    (found,) = pairs_of(rewarded(0.0, reward), rewarded(0.5, reward))
    assert found.gain is None or found.gain.unit == "reward"
    (other,) = pairs_of(rewarded(0.0, reward), rewarded(0.5, make_reward({"brevity": 9.0})))
    assert other.verdict.startswith("Nothing judges answers right or wrong, and their rewards differ")


@pytest.mark.django_db
def test_the_last_reward_is_the_mean_of_the_last_tenth_of_the_steps_done(version: DatasetVersion) -> None:
    session = make_session(version.dataset.team, Status.COMPLETED)
    assert last_reward(session.pk, session.last_seq) is None
    history = History(session)
    for step in range(1, 46):
        history.step(step, 60, reward=None if step == 43 else float(step))
    history.add(Kind.METRICS, Status.TRAINING, 45, eval_loss=0.5)
    history.save()
    found = last_reward(session.pk, session.last_seq)
    assert found and (found.first, found.last) == (41, 45)
    assert found.mean == (41 + 42 + 44 + 45) / 4


@pytest.mark.django_db
def test_sessions_of_one_set_of_questions_share_a_plot_in_the_order_of_the_address(
    version: DatasetVersion, owner
) -> None:
    elsewhere = make_dataset_version(version.dataset.team, "GSM8K")
    DatasetVersion.objects.filter(pk=elsewhere.pk).update(sha256="1" * 64)
    elsewhere.refresh_from_db()
    made = [answered(one, [True, False] * 15) for one in (version, elsewhere, version)]
    found = scores(select(owner, [str(session.pk) for session in made]).entries)
    assert [(group.title, [bar.title for bar in group.bars]) for group in found.groups] == [
        ("Right answers on held-out questions of Chain sums, version 1", ["1 after", "3 after"]),
        ("Right answers on held-out questions of GSM8K, version 1", ["2 after"]),
    ]


# What is kept


def looked(session: Session, capture: Any) -> tuple[Any, list[str]]:
    """The score, and the queries that read events."""
    session = Session.objects.get(pk=session.pk)
    (row,) = overview.rows([session])
    with capture as queries:
        found = score(Entry(1, row))
    return found, [query["sql"] for query in queries if "training_event" in query["sql"]]


@pytest.mark.django_db
def test_of_an_ended_session_no_event_is_read_twice(
    version: DatasetVersion,
) -> None:
    session = answered(version, [True, False])
    first, read = looked(session, CaptureQueriesContext(connection))
    again, read_again = looked(session, CaptureQueriesContext(connection))
    assert read and not read_again
    assert again.after and again.after.accuracy == first.after.accuracy == 0.5
    assert "completion" not in str(again.after.answers)


@pytest.mark.django_db
def test_a_session_that_went_on_is_read_again(version: DatasetVersion) -> None:
    session = answered(version, [True, False])
    assert looked(session, CaptureQueriesContext(connection))[0].after.accuracy == 0.5
    Session.objects.filter(pk=session.pk).update(status=Status.FINISHING, attempt=2)
    session.refresh_from_db()
    session.events.filter(kind=Kind.EVALUATION).update(superseded=True)
    history = History(session)
    history.begin(Status.FINISHING, "Again")
    history.save()
    assert looked(session, CaptureQueriesContext(connection))[0].after is None
    history = History(session)
    say(history, "adapter", [answer(0, True)], finish=False)
    history.save()
    running = looked(session, CaptureQueriesContext(connection))[0]
    assert running.after.accuracy == 1.0 and not running.is_final


@pytest.mark.django_db
def test_steps_of_a_running_session_read_no_answers_again(version: DatasetVersion) -> None:
    session = answered(version, [True, False])
    Session.objects.filter(pk=session.pk).update(status=Status.TRAINING)
    looked(session, CaptureQueriesContext(connection))
    session.refresh_from_db()
    history = History(session)
    history.step(1, 10, reward=0.25)
    history.save(step=1)
    found, read = looked(session, CaptureQueriesContext(connection))
    assert found.last_reward.mean == 0.25
    assert not [sql for sql in read if "evaluation" in sql and "MAX" not in sql]
