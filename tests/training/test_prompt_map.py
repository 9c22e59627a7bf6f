"""The heat map: recorded with each step, once, and told in the order and the words that help."""

import pytest
from django.urls import reverse

from tests.training.factories import QUESTIONS, make_events, make_session
from training import outcomes, prompt_map
from training.choices import Kind, Status
from training.events import EngineEvent
from training.models import Event, PromptOutcome
from training.recorder import EventLog, Ingester


@pytest.fixture
def session(team):
    return make_session(team, Status.COMPLETED)


def asked(session, row, epoch, kind, mean, step=1, attempt=1):
    return PromptOutcome.objects.create(
        session=session, row=row, epoch=epoch, kind=kind, mean=mean, step=step, group=0, attempt=attempt
    )


def group(row, *totals, kind="mixed", epoch=0):
    return {"row": row, "epoch": epoch, "kind": kind, "completions": [{"text": "x", "total": t} for t in totals]}


def test_each_group_of_a_step_is_recorded_with_the_mean_of_what_was_scored(session):
    data = {"groups": [group(4, 1.0, 0.0, None), group(9, None, kind="errored", epoch=2), {"completions": []}]}
    outcomes.store(session.pk, [Event(session=session, attempt=1, kind=Kind.ROLLOUTS, step=3, data=data)])
    found = PromptOutcome.objects.order_by("group").values_list("step", "group", "row", "epoch", "kind", "mean")
    assert list(found) == [(3, 0, 4, 0, "mixed", 0.5), (3, 1, 9, 2, "errored", None)]


def test_a_step_that_is_done_again_counts_once(team, tmp_path):
    """An attempt of 6 steps dies; the next goes on after step 4 and does 5 and 6 again."""
    session = make_session(team, Status.TRAINING)
    path = tmp_path / "events.jsonl"
    for attempt, resumed_from, steps in ((1, 0, range(1, 7)), (2, 4, range(5, 8))):
        session.attempt = attempt
        session.save()
        log = EventLog(path, attempt, session.last_seq)
        begins = {"status": Status.TRAINING.value, "label": "GRPO", "resumed_from": resumed_from}
        log.take_over(EngineEvent(Kind.PHASE, Status.TRAINING, begins))
        for step in steps:
            log.append(EngineEvent(Kind.ROLLOUTS, Status.TRAINING, {"groups": [group(step, 1.0, 0.0)]}, step))
        log.close()
        Ingester(session.pk, attempt, path).catch_up()
        session.refresh_from_db()
    found = PromptOutcome.objects.order_by("step").values_list("step", "attempt")
    assert list(found) == [(1, 1), (2, 1), (3, 1), (4, 1), (5, 2), (6, 2), (7, 2)]


def test_the_last_phase_of_an_attempt_takes_nothing_away(team, tmp_path):
    session = make_session(team, Status.TRAINING)
    asked(session, 1, 0, "mixed", 0.5)
    session.attempt = 2
    session.save()
    log = EventLog(tmp_path / "events.jsonl", 2, session.last_seq)
    begins = {"status": Status.FINISHING.value, "label": "After", "resumed_from": None}
    log.take_over(EngineEvent(Kind.PHASE, Status.FINISHING, begins))
    log.close()
    Ingester(session.pk, 2, tmp_path / "events.jsonl").catch_up()
    assert PromptOutcome.objects.count() == 1


def test_the_hardest_question_comes_first_and_its_shade_is_the_palest(session):
    asked(session, 1, 0, "right", 1.0)
    asked(session, 2, 0, "wrong", 0.0)
    asked(session, 2, 1, "mixed", 0.5, step=2)
    asked(session, 3, 1, "errored", None, step=2)
    found = prompt_map.prompt_map(session)
    assert [line.row for line in found.lines] == [2, 1, 3]
    assert found.epochs == [0, 1] and (found.lowest, found.highest) == (0.25, 1.0)
    shades = [[cell and cell.shade for cell in line.cells] for line in found.lines]
    assert shades == [[0, 3], [prompt_map.SHADES - 1, None], [None, None]]
    assert found.lines[0].cells[1].words == "taught something"


def test_what_was_never_and_always_right_is_told_from_two_tries_on(session):
    for step in (1, 2):
        asked(session, 1, step, "wrong", 0.0, step)
        asked(session, 2, step, "right", 1.0, step)
    asked(session, 3, 0, "wrong", 0.0)
    found = prompt_map.prompt_map(session)
    assert (found.never, found.always) == (1, 1)
    assert found.advice[0].startswith("Of 3 questions 1 was never answered right in 2 or more tries")
    assert found.advice[1].startswith("Of 3 questions 1 was always answered right")


def test_of_very_many_only_the_hardest_are_shown_and_the_rest_counted(session, monkeypatch):
    monkeypatch.setattr(prompt_map, "MOST_QUESTIONS", 5)
    monkeypatch.setattr(prompt_map, "MOST_EPOCHS", 2)
    for row in range(8):
        for epoch in range(3):
            asked(session, row, epoch, "mixed", row / 10, step=epoch + 1)
    found = prompt_map.prompt_map(session)
    assert [line.row for line in found.lines] == [0, 1, 2, 3, 4]
    assert found.questions == 8 and found.epochs == [1, 2]


def test_the_part_of_the_page_and_its_file(
    owner_client, outsider_client, viewer_client, team, django_assert_max_num_queries
):
    session = make_events(make_session(team, Status.COMPLETED), 40, system=False)
    address, file = (reverse(f"training:{name}", args=[session.pk]) for name in ("prompts", "prompts_csv"))
    with django_assert_max_num_queries(16):
        text = viewer_client.get(address).content.decode()
    assert "Questions by epoch" in text and "#groups?step=" in text and text.count("<tr>") == QUESTIONS + 1
    lines = owner_client.get(file).content.decode().splitlines()
    assert lines[0].startswith("row,epoch,asked,mean_reward,mixed,right,wrong") and len(lines) > QUESTIONS
    assert outsider_client.get(address).status_code == outsider_client.get(file).status_code == 404


def test_an_older_session_has_no_map(owner_client, session):
    assert owner_client.get(reverse("training:prompts", args=[session.pk])).content.strip() == b""
