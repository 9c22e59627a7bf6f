"""Which answers stay: all of the first and the last 20 steps, of every n-th between them, within the room there is."""

import json

import pytest

from tests.training.factories import History, make_config, make_session
from training import kept_answers
from training.choices import Status
from training.events import EngineEvent
from training.kept_answers import kept, steps_of
from training.models import Completion, Event
from training.recorder import FILE, EventLog, Ingester, shorten

pytestmark = pytest.mark.django_db


def group(texts):
    answers = [
        {"text": text, "parts": {}, "errors": {}, "total": 1.0, "advantage": 0.0, "length": 3, "cut_off": False}
        for text in texts
    ]
    return {"question": "2 + 2?", "prompt": "p", "reference": "4", "completions": answers}


@pytest.fixture
def session(team, settings, tmp_path):
    settings.OUTPUTS_DIR = tmp_path
    config = make_config(training={"completions_every": 10, "completions_budget": 1})
    return make_session(team, Status.TRAINING, config=config)


def ingest(session, steps, text="four"):
    log = EventLog(session.folder / FILE, session.attempt)
    for step in steps:
        log.append(EngineEvent("rollouts", "training", {"groups": [group([text, "five"])]}, step))
    log.close()
    Ingester(session.pk, session.attempt, session.folder / FILE).catch_up()


def test_the_first_and_the_last_twenty_stay_and_every_tenth_between() -> None:
    assert kept(range(1, 101), 10) == [*range(1, 21), 30, 40, 50, 60, 70, 80, *range(81, 101)]


def test_steps_that_never_fall_on_a_multiple_are_sampled_too() -> None:
    middle = kept(range(1, 201, 3), 10)[20:-20]
    assert [step // 10 for step in middle] == list(range(6, 14))


def test_thinning_as_the_steps_come_leaves_the_same_as_at_the_end() -> None:
    seen = list[int]()
    for step in range(1, 331):
        seen = kept([*seen, step], 10)
    assert seen == kept(range(1, 331), 10)


def test_the_recorder_keeps_the_newest_step_and_thins_behind_it(session) -> None:
    ingest(session, range(1, 76))
    assert steps_of(session.pk) == [*range(1, 21), 30, 40, 50, *range(56, 76)]
    ingest(session, range(76, 90))
    assert steps_of(session.pk) == [*range(1, 21), 30, 40, 50, 60, *range(70, 90)]
    assert set(Completion.objects.values_list("step", flat=True)) == set(steps_of(session.pk))


def test_a_spent_budget_thins_the_middle_and_never_the_ends(session) -> None:
    ingest(session, range(1, 400), "x" * 20_000)
    steps = steps_of(session.pk)
    assert steps[:20] == list(range(1, 21))
    assert steps[-20:] == list(range(380, 400))
    middle = steps[20:-20]
    assert 0 < len(middle) < len(kept(range(1, 400), 10)) - 40
    size = sum(Completion.objects.values_list("size", flat=True))
    assert size <= kept_answers.MEGABYTE


def test_ends_that_are_larger_than_the_budget_stay_alone(session) -> None:
    ingest(session, range(1, 80), "x" * 60_000)
    assert steps_of(session.pk)[:20] + steps_of(session.pk)[-20:] == [*range(1, 21), *range(60, 80)]
    assert len(steps_of(session.pk)) <= 41


def test_a_long_text_is_whole_in_its_row_and_cut_in_the_event_with_its_length(session) -> None:
    text = "word " * 40_000
    ingest(session, [1], text)
    stored = Event.objects.get(session=session, kind="rollouts").data["groups"][0]["completions"][0]
    assert (len(stored["text"]), stored["characters"]) == (kept_answers.LONGEST_IN_EVENT, len(text))
    assert Completion.objects.get(index=0).text == text
    assert "characters" not in Event.objects.get(session=session, kind="rollouts").data["groups"][0]["completions"][1]


def test_steps_that_a_later_attempt_does_again_are_not_counted(session) -> None:
    ingest(session, range(1, 31))
    Event.objects.filter(session=session, step__gt=10).update(superseded=True)
    assert steps_of(session.pk) == list(range(1, 11))


def test_a_step_with_several_rounds_of_answering_goes_or_stays_as_a_whole(session) -> None:
    ingest(session, [step for step in range(1, 61) for _ in range(2)])
    events = Event.objects.filter(session=session, kind="rollouts").values_list("step", flat=True)
    assert sorted(events) == sorted([*steps_of(session.pk)] * 2)


def test_a_session_s_history_made_for_a_test_has_its_answers_too(session) -> None:
    history = History(session)
    history.rollouts(1, 5, groups=2)
    history.save()
    assert Completion.objects.filter(session=session).count() == 16


def lines_of(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_a_file_that_was_read_loses_its_texts_and_no_line(session) -> None:
    ingest(session, range(1, 31), text="four " * 200)
    path = session.folder / FILE
    log = EventLog(path, session.attempt)
    log.append(EngineEvent("log", "training", {"level": "info", "message": 'It said "kind": "rollouts" here'}))
    log.close()
    before, size = lines_of(path), path.stat().st_size
    assert shorten(path, 30)
    after = lines_of(path)
    assert path.stat().st_size < size / 3 and b"four" not in path.read_bytes()
    assert [line["seq"] for line in after] == [line["seq"] for line in before]
    assert after[-1] == before[-1]
    answers = [answer for line in after[:-1] for each in line["data"]["groups"] for answer in each["completions"]]
    assert {answer["text"] for answer in answers} == {""} and answers[0]["characters"] == 1000
    Ingester(session.pk, session.attempt, path).catch_up()
    assert Completion.objects.filter(step=30, text__startswith="four").exists()
