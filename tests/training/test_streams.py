"""Long runs: stretches that stand ready as blocks must be drawn as if every row had been read."""

import math
import random
from typing import Any

import pytest
from django.test import Client

from tests.training.factories import History, make_session
from training import series, streams
from training.choices import Kind, Status
from training.models import Event, SeriesBlock, Session
from training.recorder import Ingester, Line, supersede

KEYS = ["reward", "kl", "loss", "eval_loss"]
ROWS = 40


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch) -> None:
    monkeypatch.setattr(streams, "BLOCK_ROWS", ROWS)
    monkeypatch.setattr(streams, "ROWS_OF_SUMMARY", 10)


def make_run(team, steps: int = 1000, *, system: bool = False) -> Session:
    """With a spike of the reward and a KL that came out as no number."""
    session = make_session(team)
    history, chance = History(session), random.Random(4)
    for step in range(1, steps + 1):
        more: dict[str, Any] = {"reward": 1e6} if step == 777 else {"kl": None} if step == 333 else {}
        history.add(
            Kind.METRICS,
            Status.TRAINING,
            step,
            **{"reward": chance.random(), "kl": chance.random(), "loss": -chance.random(), "note": "words", **more},
        )
        if step % 50 == 0:
            history.add(Kind.METRICS, Status.TRAINING, step, eval_loss=chance.random())
        if system:
            history.system("")
    history.save()
    streams.close_full_blocks(session.pk)
    return session


def drawn(session: Session, **query: Any) -> series.Series:
    return series.metrics(session, KEYS, points=200, **query)


def extremes(column: series.Column) -> tuple[float, float]:
    found = [value for value in column if value is not None and not math.isnan(value)]
    return min(found), max(found)


RANGES = [(None, None), (1, 1000), (None, 801), (130, None), (41, 959), (300, 380), (990, None), (5000, None)]


@pytest.mark.parametrize(("first", "last"), RANGES)
def test_a_range_is_drawn_from_blocks_as_from_all_rows(team, first, last) -> None:
    session = make_run(team)
    blocks = drawn(session, first=first, last=last)
    SeriesBlock.objects.all().delete()
    rows = drawn(session, first=first, last=last)
    assert blocks.rows == rows.rows
    assert blocks.axis[:1] + blocks.axis[-1:] == rows.axis[:1] + rows.axis[-1:]
    for key in KEYS:
        if any(value is not None for value in rows.columns[key]):
            assert extremes(blocks.columns[key]) == extremes(rows.columns[key])


def test_a_summary_has_fewer_rows(team) -> None:
    for block in make_run(team, 400).series_blocks.all():
        assert 2 < len(block.summary["rows"]) < len(block.data["rows"]) < ROWS


def test_spikes_and_gaps_are_in_the_blocks(team) -> None:
    found = drawn(make_run(team))
    assert found.columns["reward"][found.axis.index(777)] == 1e6
    assert math.isnan(found.columns["kl"][found.axis.index(333)] or 0)


def test_what_is_drawn_are_real_steps_with_their_real_values(team) -> None:
    session = make_run(team)
    rows = session.events.filter(data__has_key="reward").values_list("step", "data")
    stored = {step: data["reward"] for step, data in rows}
    found = drawn(session)
    assert len(found.axis) > 100
    assert all(stored[step] == value for step, value in zip(found.axis, found.columns["reward"], strict=True))


def test_a_long_run_is_drawn_without_reading_its_rows(team, django_assert_num_queries, monkeypatch) -> None:
    session = make_run(team)
    monkeypatch.setattr(streams.Stream, "rows", lambda *_, **__: iter(()))
    with django_assert_num_queries(2):
        found = drawn(session)
    assert found.rows > 900


def test_validation_and_training_of_one_step_are_one_row(team) -> None:
    session = make_session(team)
    history = History(session)
    history.step(1, 2, loss=0.5)
    history.add(Kind.METRICS, Status.TRAINING, 1, eval_loss=0.7, seconds_left=3)
    history.save()
    found = drawn(session)
    assert (found.axis, found.columns["loss"], found.columns["eval_loss"]) == ([1], [0.5], [0.7])


def test_steps_done_again_leave_their_blocks(team) -> None:
    session = make_run(team)
    assert session.series_blocks.exists()
    session.attempt = 2
    data = {"status": "training", "label": "GRPO", "total_steps": 1000, "resumed_from": 500, "mode": None}
    supersede(session.pk, Line(session.last_seq + 1, 2, "phase", "training", None, "", data))
    assert max(session.series_blocks.values_list("last_place", flat=True)) <= 500
    history = History(session)
    for step in range(501, 701):
        history.add(Kind.METRICS, Status.TRAINING, step, reward=5.0, kl=0.1, loss=0.1)
    history.save()
    streams.close_full_blocks(session.pk)
    found = drawn(session)
    assert found.axis[-1] == 700
    assert extremes(found.columns["reward"])[1] == 5.0
    assert found.rows == 700


def test_blocks_are_made_once(team) -> None:
    session = make_run(team, 200)
    made = session.series_blocks.count()
    assert made == 204 // ROWS
    assert streams.close_full_blocks(session.pk) == 0
    assert session.series_blocks.count() == made


def test_the_machine_is_drawn_from_blocks_and_by_a_range_of_time(owner_client: Client, team) -> None:
    session = make_run(team, 300, system=True)
    assert session.series_blocks.filter(kind=Kind.SYSTEM).exists()
    query = {"keys": "cpu_percent,gpu_memory", "kind": "system", "points": 200}
    whole = owner_client.get(f"/sessions/{session.pk}/series/", query).json()
    assert whole["rows"] == 300
    stored = session.events.filter(kind=Kind.SYSTEM).order_by("seq").values_list("data__cpu_percent", flat=True)
    assert max(whole["series"]["cpu_percent"]) == max(stored)
    first, last = int(whole["times"][20]), int(whole["times"][60])
    part = owner_client.get(f"/sessions/{session.pk}/series/", {**query, "from": first, "to": last}).json()
    assert first <= part["times"][0] <= part["times"][-1] <= last
    assert 0 < part["rows"] < 300


def test_the_ingester_makes_blocks_while_a_session_runs(team, tmp_path) -> None:
    session = make_session(team)
    file = tmp_path / "events.jsonl"
    at = "2026-11-23T06:00:00+00:00"
    lines = [Line(n, 1, "metrics", "training", n, at, {"reward": n * 0.5}) for n in range(1, 351)]
    file.write_bytes(b"".join(line.encode() for line in lines))
    Ingester(session.pk, session.attempt, file).catch_up()
    assert Event.objects.filter(session=session).count() == 350
    assert session.series_blocks.count() >= 300 // ROWS
    assert drawn(session).rows == 350


# Held-out scores


def test_held_out_scores_stand_at_their_steps_with_their_intervals(owner_client: Client, team) -> None:
    session = make_session(team)
    history = History(session)
    history.evaluate("base", Status.STARTING, 0.25)
    for step in range(1, 31):
        history.step(step, 30)
        if step % 10 == 0:
            history.held_out(step, step / 50)
    history.evaluate("adapter", Status.FINISHING, 0.75)
    history.save()
    keys = "reward,held_out/score,held_out/low,held_out/high,test/score,test/low"
    reply = owner_client.get(f"/sessions/{session.pk}/series/", {"keys": keys}).json()
    score = dict(zip(reply["steps"], reply["series"]["held_out/score"], strict=True))
    assert {step: value for step, value in score.items() if value is not None} == {10: 0.2, 20: 0.4, 30: 0.6}
    test = dict(zip(reply["steps"], reply["series"]["test/score"], strict=True))
    assert [step for step, value in test.items() if value is not None] == [0, 30]
    assert reply["series"]["test/low"][0] < test[0]


def test_a_reward_that_does_not_say_what_is_right_is_drawn_by_its_mean(team) -> None:
    session = make_session(team)
    history = History(session)
    for step in range(1, 4):
        history.step(step, 3)
    for label, status, mean in (("base", Status.STARTING, 0.5), ("adapter", Status.FINISHING, 1.5)):
        history.evaluate(label, status, 0.5)
        summary = history.rows[-1].data["summary"]
        summary |= {"accuracy": None, "correct": None, "low": None, "high": None, "mean_reward": mean}
    history.save()
    found = series.metrics(session, ["test/score", "test/low"])
    assert dict(zip(found.axis, found.columns["test/score"], strict=True))[3] == 1.5
    assert [value for value in found.columns["test/score"] if value is not None] == [0.5, 1.5]
    assert not any(found.columns["test/low"])


def test_every_held_out_score_survives_thinning(team) -> None:
    session = make_run(team)
    history = History(session)
    for step in range(20, 1000, 20):
        history.held_out(step, step / 1000)
    history.save()
    found = series.metrics(session, ["reward", "held_out/score"], points=200)
    assert len(found.axis) <= 200
    assert sum(value is not None for value in found.columns["held_out/score"]) == 49
