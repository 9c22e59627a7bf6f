"""The page of a session in each of its states, its events, groups, log and downloads."""

import csv
import io
import json
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from django.test import Client
from django.urls import reverse

from tests.training.factories import History, make_config, make_dataset_version, make_events, make_session
from training import annotations, session_views, slots
from training.charts import PART_COLOURS, TILES, charts, part_colours
from training.choices import Kind, Status
from training.glossary import GLOSSARY
from training.models import Session
from training.schema import PromptSection, SessionConfig
from training.session_groups import SHOWN_CHARACTERS, segments
from training.session_page import SessionState, boards

PAGES = [
    "session",
    "session_head",
    "checkpoints",
    "events",
    "series",
    "marks",
    "groups",
    "metrics_csv",
    "log",
    "config_json",
]


def url(name: str, session: Session, *args: Any) -> str:
    return reverse(f"training:{name}", args=[session.pk, *args])


def streamed(response: Any) -> str:
    """The body of an async streaming response."""

    async def read() -> bytes:
        return b"".join([part async for part in response.streaming_content])

    return async_to_sync(read)().decode()


@pytest.mark.parametrize("name", PAGES)
def test_an_outsider_finds_nothing(name: str, outsider_client: Client, team) -> None:
    assert outsider_client.get(url(name, make_session(team))).status_code == 404


@pytest.mark.parametrize("name", PAGES)
def test_who_is_not_signed_in_is_sent_to_the_sign_in(name: str, client: Client, team) -> None:
    response = client.get(url(name, make_session(team)))
    assert response.status_code == 302
    assert response.headers["Location"].startswith(reverse("login"))


@pytest.mark.parametrize("name", PAGES)
def test_nothing_here_takes_a_post(name: str, owner_client: Client, team) -> None:
    assert owner_client.post(url(name, make_session(team))).status_code == 405


def test_a_completion_of_another_team_is_not_found(outsider_client: Client, team) -> None:
    session = make_events(make_session(team), 1)
    event = session.events.get(kind=Kind.ROLLOUTS)
    assert outsider_client.get(url("completion", session, event.seq, 0, 0)).status_code == 404


@pytest.mark.parametrize("status", Status.values)
def test_every_state_has_a_page(status: str, owner_client: Client, team) -> None:
    session = make_session(team, status)
    response = owner_client.get(url("session", session))
    assert response.status_code == 200
    assert Status(status).label in response.content.decode()


@pytest.mark.parametrize(
    ("status", "there", "not_there"),
    [
        (Status.DRAFT, ["Start training", "Clone", "Delete"], ["Stop and save", "Resume"]),
        (Status.QUEUED, ["Cancel", "Clone"], ["Stop and save", "Delete"]),
        (Status.TRAINING, ["Stop and save", "Clone"], ["Resume<", "Delete", "Cancel"]),
        (Status.STOPPED, ["Start again", "Clone", "Delete"], ["Stop and save"]),
        (Status.COMPLETED, ["Clone", "Delete", "Try it"], ["Stop and save", "Resume"]),
    ],
)
def test_the_buttons_are_those_of_the_state(
    status: str, there: list[str], not_there: list[str], teammate_client: Client, team
) -> None:
    page = teammate_client.get(url("session_head", make_session(team, status))).content.decode()
    assert [word for word in there if word not in page] == []
    assert [word for word in not_there if word in page] == []


@pytest.mark.parametrize("status", [Status.DRAFT, Status.QUEUED, Status.TRAINING, Status.STOPPED])
def test_a_viewer_sees_no_button_that_changes_something(status: str, viewer_client: Client, team) -> None:
    page = viewer_client.get(url("session_head", make_session(team, status))).content.decode()
    assert "<form" not in page


def test_stop_and_delete_ask_first(owner_client: Client, team) -> None:
    running = owner_client.get(url("session_head", make_session(team))).content.decode()
    ended = owner_client.get(url("session_head", make_session(team, Status.COMPLETED))).content.decode()
    assert 'data-confirm="Stop' in running
    assert 'data-confirm="Delete' in ended


def test_a_failure_says_what_happened_what_now_and_what_is_kept(owner_client: Client, team) -> None:
    session = make_events(make_session(team, Status.FAILED, error="Out of memory."), 23, of=60)
    history = History(session)
    history.add(Kind.ERROR, Status.TRAINING, message="The GPU is full.", hint="Lower the batch size.", trace="e-12")
    history.save()
    page = owner_client.get(url("session", session)).content.decode()
    for words in ("The GPU is full.", "Lower the batch size.", "e-12", "Nothing up to step 20 is lost"):
        assert words in page


def test_a_failure_without_an_event_shows_the_error_of_the_session(owner_client: Client, team) -> None:
    session = make_session(team, Status.FAILED, error="The worker that ran it stopped answering.")
    assert "stopped answering" in owner_client.get(url("session", session)).content.decode()


def test_a_stopped_session_says_from_where_it_goes_on(owner_client: Client, team) -> None:
    session = make_events(make_session(team, Status.STOPPED), 34, of=60)
    page = owner_client.get(url("session", session)).content.decode()
    assert "Resume goes on from step 30 of 60" in page


def test_a_waiting_session_says_how_many_run_first(owner_client: Client, team) -> None:
    slots.beat()
    for _ in range(2):
        make_session(team, Status.QUEUED)
    session = make_session(team, Status.QUEUED, rank=1)
    assert "2 sessions are before it on the only device" in owner_client.get(url("session", session)).content.decode()


def test_a_session_that_lost_its_worker_says_why_it_waits_and_from_where_it_goes_on(owner_client: Client, team) -> None:
    session = make_events(make_session(team, Status.TRAINING), 25, of=60)
    Session.objects.update(status=Status.QUEUED, error="The worker that ran it stopped answering.")
    page = owner_client.get(url("session", session)).content.decode()
    assert "Waiting to go on from step 20" in page
    assert "stopped answering" in page


def test_text_of_the_model_and_of_people_is_never_markup(owner_client: Client, team) -> None:
    evil = "</script><img src=x onerror=alert(1)>"
    session = make_session(team, name=evil)
    history = History(session)
    history.begin(Status.TRAINING, "GRPO", 1)
    history.step(1, 1, parts=[evil])
    history.rollouts(1, 1, text=evil)
    history.log(evil)
    history.save(reward={"parts": [{"name": evil, "function": "length", "weight": 1, "parameters": {}}]})
    for name in ("session", "groups"):
        assert "<img src=x" not in owner_client.get(url(name, session)).content.decode()


def test_the_page_of_a_long_run_needs_few_queries_and_little_room(
    owner_client: Client, team, django_assert_max_num_queries
) -> None:
    session = make_events(make_session(team, Status.COMPLETED), 5000, rollouts_every=500)
    with django_assert_max_num_queries(26):
        page = owner_client.get(url("session", session)).content
    assert len(page) < 400_000


def stage_states(session: Session, user) -> dict[str, str]:
    return {stage.id: stage.state for stage in SessionState(session, user).stages}


def test_the_stages_follow_the_events(team, owner) -> None:
    session = make_session(team, Status.STARTING)
    history = History(session)
    history.begin(Status.STARTING, "Loading")
    history.save()
    assert SessionState(session, owner).current == "loading"
    history.evaluate("base", Status.STARTING, 0.3, done=32)
    history.save()
    state = SessionState(session, owner)
    assert (state.current, state.counted) == ("base", (32, 96, "question"))
    history.warm_up(3)
    history.save(status=Status.PRETRAINING, step=3, total_steps=3)
    assert SessionState(session, owner).counted == (3, 3, "step")
    history.begin(Status.TRAINING, "GRPO", 60)
    history.save(status=Status.TRAINING)
    assert stage_states(session, owner) == {
        "loading": "done",
        "base": "done",
        "sft": "done",
        "grpo": "current",
        "saving": "ahead",
        "after": "ahead",
    }
    history.begin(Status.FINISHING, "Saving")
    history.save(status=Status.FINISHING)
    assert SessionState(session, owner).current == "saving"
    history.evaluate("adapter", Status.FINISHING, 0.7, done=32)
    history.save()
    assert SessionState(session, owner).current == "after"
    history.save(status=Status.COMPLETED)
    assert set(stage_states(session, owner).values()) == {"done"}


def test_stages_that_the_config_leaves_out_are_not_shown(team, owner) -> None:
    config = make_config(pre_training={"enabled": False}, evaluation={"enabled": False})
    assert list(stage_states(make_session(team, config=config), owner)) == ["loading", "grpo", "saving"]


def test_a_session_that_ended_shows_where(team, owner) -> None:
    session = make_events(make_session(team, Status.FAILED), 5, of=60)
    assert stage_states(session, owner)["grpo"] == "ended"


# Events


def events(client: Client, session: Session, **query: Any) -> dict[str, Any]:
    response = client.get(url("events", session), query)
    assert response.status_code == 200, response.content
    return response.json()


def test_events_after_a_cursor_come_in_order_and_say_how_far_there_is(viewer_client: Client, team) -> None:
    session = make_events(make_session(team), 5, rollouts_every=0)
    reply = events(viewer_client, session, after=3, limit=4)
    assert [event["seq"] for event in reply["events"]] == [4, 5, 6, 7]
    assert (reply["last_seq"], reply["status"], reply["attempt"]) == (session.last_seq, "training", 1)


def test_without_a_cursor_the_newest_come_and_before_goes_back(owner_client: Client, team) -> None:
    session = make_events(make_session(team), 5, rollouts_every=0)
    newest = [event["seq"] for event in events(owner_client, session, limit=3)["events"]]
    assert newest == [session.last_seq - 2, session.last_seq - 1, session.last_seq]
    earlier = [event["seq"] for event in events(owner_client, session, limit=3, before=newest[0])["events"]]
    assert earlier == [newest[0] - 3, newest[0] - 2, newest[0] - 1]


def test_events_have_the_shape_of_the_socket(owner_client: Client, team) -> None:
    session = make_events(make_session(team), 1, warm_up=0)
    reply = events(owner_client, session, after=0, kinds="metrics,system,log")
    assert {event["type"] for event in reply["events"]} == {"training_update", "system_update", "log"}
    metrics = next(event for event in reply["events"] if event["type"] == "training_update")
    assert metrics["step"] == 1
    assert metrics["phase"] == "training"
    assert metrics["reward"] == session.events.get(kind=Kind.METRICS).data["reward"]


def test_superseded_steps_are_left_out_but_the_log_stays(owner_client: Client, team) -> None:
    session = make_events(make_session(team), 10, rollouts_every=0)
    session.events.filter(kind__in=[Kind.METRICS, Kind.LOG]).update(superseded=True)
    types = {event["type"] for event in events(owner_client, session, after=0)["events"]}
    assert "training_update" not in types
    assert "log" in types


@pytest.mark.parametrize(
    ("query", "named"),
    [
        ({"limit": session_views.MAX_EVENTS + 1}, f"to {session_views.MAX_EVENTS}"),
        ({"limit": 0}, "limit"),
        ({"after": "-1"}, "after"),
        ({"after": "9" * 40}, "after"),
        ({"before": "x"}, "before"),
        ({"kinds": "metrics,secrets"}, "secrets"),
    ],
)
def test_events_refuse_what_they_do_not_know_and_name_the_limit(owner_client: Client, team, query, named) -> None:
    response = owner_client.get(url("events", make_session(team)), query)
    assert response.status_code == 400
    assert named in response.json()["error"]


def test_a_reply_with_huge_completions_is_cut_between_events(owner_client: Client, team, monkeypatch) -> None:
    monkeypatch.setattr(session_views, "MAX_REPLY_BYTES", 50_000)
    session = make_session(team)
    history = History(session)
    for step in range(1, 6):
        history.rollouts(step, 5, groups=1, text="x" * 5000)
    history.save()
    seen, after = [], 0
    while found := events(owner_client, session, after=after)["events"]:
        assert len(found) < 5
        seen += [event["step"] for event in found]
        after = found[-1]["seq"]
    assert seen == [1, 2, 3, 4, 5]


# Groups


def test_the_newest_groups_come_first_and_steps_lead_to_their_neighbours(owner_client: Client, team) -> None:
    session = make_events(make_session(team), 30, rollouts_every=10)
    newest = owner_client.get(url("groups", session)).content.decode()
    assert 'data-step="30" data-previous="20" data-next=""' in newest
    between = owner_client.get(url("groups", session), {"step": 25}).content.decode()
    assert 'data-step="20" data-previous="10" data-next="30" data-first="10" data-last="30"' in between
    assert 'data-step="10"' in owner_client.get(url("groups", session), {"step": 1}).content.decode()


def test_groups_of_a_superseded_step_are_gone(owner_client: Client, team) -> None:
    session = make_events(make_session(team), 3)
    session.events.filter(kind=Kind.ROLLOUTS, step=3).update(superseded=True)
    assert 'data-step="2"' in owner_client.get(url("groups", session)).content.decode()


def one_group(session: Session, completions: list[dict[str, Any]]) -> None:
    history = History(session)
    group = {"question": "2 + 2?", "prompt": "p", "reference": "4", "completions": completions}
    history.add(Kind.ROLLOUTS, Status.TRAINING, 1, groups=[group])
    history.save()


def answer(text: str, total: float | None, **more: Any) -> dict[str, Any]:
    standard = {"parts": {"correct": total}, "errors": {}, "advantage": total, "length": 3, "cut_off": False}
    return {"text": text, "total": total, **standard, **more}


def test_answers_are_ordered_best_or_worst_first_and_unscored_is_worst(owner_client: Client, team) -> None:
    session = make_session(team)
    one_group(session, [answer("middling", 0.5), answer("unscored", None), answer("splendid", 1.0)])
    best = owner_client.get(url("groups", session)).content.decode()
    worst = owner_client.get(url("groups", session), {"order": "worst"}).content.decode()
    assert best.index("splendid") < best.index("middling") < best.index("unscored")
    assert worst.index("unscored") < worst.index("middling") < worst.index("splendid")


def test_an_error_of_a_part_is_shown_as_one_and_not_as_zero(owner_client: Client, team) -> None:
    session = make_session(team)
    one_group(session, [answer("what", None, errors={"correct": "No number was found."}, cut_off=True)])
    page = owner_client.get(url("groups", session)).content.decode()
    assert "No number was found." in page
    assert "not scored" in page
    assert "cut off" in page


def test_a_group_of_equal_answers_says_that_it_taught_nothing(owner_client: Client, team) -> None:
    session = make_session(team)
    one_group(session, [answer("a", 1.0, advantage=0.0), answer("b", 1.0, advantage=0.0)])
    assert "no signal" in owner_client.get(url("groups", session)).content.decode()


def test_a_very_long_completion_comes_shortened_and_whole_on_demand(owner_client: Client, team) -> None:
    session = make_session(team)
    long = "<start_working_out>" + "so then " * 20_000 + "<end_working_out><SOLUTION>4</SOLUTION>"
    one_group(session, [answer(long, 1.0)])
    page = owner_client.get(url("groups", session)).content.decode()
    assert len(page) < SHOWN_CHARACTERS + 10_000
    assert "&lt;SOLUTION&gt;4&lt;/SOLUTION&gt;" in page
    assert "Show all" in page
    whole = owner_client.get(url("completion", session, session.last_seq, 0, 0)).content.decode()
    assert whole.count("so then ") == 20_000


@pytest.mark.parametrize("place", [(99, 0, 0), (1, 7, 0), (1, 0, 7)])
def test_a_completion_that_is_not_there_is_not_found(owner_client: Client, team, place) -> None:
    session = make_session(team)
    one_group(session, [answer("a", 1.0)])
    assert owner_client.get(url("completion", session, *place)).status_code == 404


def test_without_groups_the_page_says_when_they_come(owner_client: Client, team) -> None:
    assert "No answers yet" in owner_client.get(url("groups", make_session(team))).content.decode()


TAGS = PromptSection()


@pytest.mark.parametrize(
    ("text", "kinds"),
    [
        ("", []),
        ("plain", ["text"]),
        ("<start_working_out>a<end_working_out>b<SOLUTION>4</SOLUTION>", ["reasoning", "text", "solution"]),
        ("a<end_working_out><SOLUTION>4</SOLUTION>", ["reasoning", "solution"]),
        ("<start_working_out>never ends", ["reasoning"]),
        ("x<SOLUTION>4", ["text", "solution"]),
        ("<SOLUTION>1</SOLUTION><SOLUTION>2</SOLUTION>", ["solution", "solution"]),
    ],
)
def test_text_is_cut_at_the_markers_and_nothing_is_lost(text: str, kinds: list[str]) -> None:
    found = segments(text, TAGS)
    assert [segment.kind for segment in found] == kinds
    assert "".join(segment.text for segment in found) == text


def test_a_prompt_without_markers_leaves_the_text_alone() -> None:
    bare = PromptSection(reasoning_start="", reasoning_end="", solution_start="", solution_end="")
    assert [segment.kind for segment in segments("<SOLUTION>4</SOLUTION>", bare)] == ["text"]


# Downloads


def test_the_csv_has_every_step_and_nothing_a_spreadsheet_would_run(owner_client: Client, team) -> None:
    session = make_session(team)
    history = History(session)
    history.step(1, 2, parts=["=HYPERLINK(1)"], reward=-0.5, kl=None)
    history.add(Kind.METRICS, Status.TRAINING, 2, **{"loss": 0.25, "=cmd|x": 1.0, "note": "@SUM(A1)"})
    history.save()
    response = owner_client.get(url("metrics_csv", session))
    rows = list(csv.DictReader(io.StringIO(streamed(response))))
    assert [row["step"] for row in rows] == ["1", "2"]
    assert float(rows[0]["reward"]) == -0.5
    assert rows[0]["kl"] == ""
    assert rows[1]["'=cmd|x"] == "1.0"
    assert rows[1]["note"] == "'@SUM(A1)"
    assert response.headers["Content-Disposition"].startswith("attachment")


def csv_of(client: Client, session: Session, **query: Any) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(streamed(client.get(url("metrics_csv", session), query)))))


def test_the_csv_of_a_chart_has_its_columns_for_every_step_that_is_shown(owner_client: Client, team) -> None:
    session = make_events(make_session(team), 30)
    rows = csv_of(owner_client, session, key=["reward", "rewards/correct/mean"], **{"from": 11, "to": 20})
    assert [row["step"] for row in rows] == [str(step) for step in range(11, 21)]
    assert list(rows[0]) == ["step", "reward", "rewards/correct/mean"]
    stored = session.events.get(kind=Kind.METRICS, phase=Status.TRAINING, step=11).data
    assert float(rows[0]["reward"]) == stored["reward"]


def test_the_csv_of_the_warm_up_of_the_machine_and_of_held_out_scores(owner_client: Client, team) -> None:
    session = make_events(make_session(team), 5, warm_up=7, until=Status.FINISHING)
    assert len(csv_of(owner_client, session, key="loss", phase="pretraining")) == 7
    machine = csv_of(owner_client, session, key="cpu_percent", kind="system")
    assert len(machine) == 5
    assert machine[0]["time"].startswith("20")
    scores = csv_of(owner_client, session, key=["test/score", "test/low"])
    assert [row["step"] for row in scores] == ["0", "5"]
    assert float(scores[0]["test/low"]) < float(scores[0]["test/score"]) < 1


@pytest.mark.parametrize("query", [{"key": "loss", "phase": "lunch"}, {"key": "loss", "from": "x"}])
def test_a_csv_of_nonsense_is_refused(owner_client: Client, team, query) -> None:
    assert owner_client.get(url("metrics_csv", make_session(team)), query).status_code == 400


def test_the_file_of_a_chart_is_named_after_it_and_nothing_else(owner_client: Client, team) -> None:
    session = make_events(make_session(team), 2)
    response = owner_client.get(url("metrics_csv", session), {"key": "kl", "name": 'kl"; x=../y'})
    assert response.headers["Content-Disposition"] == f'attachment; filename="session-{session.pk}-kl-xy.csv"'


# The log


def logged(client: Client, session: Session, **query: Any) -> list[str]:
    return [event["message"] for event in events(client, session, kinds="log,error", **query)["events"]]


def make_log(team) -> Session:
    session = make_session(team)
    history = History(session)
    history.log("Step 1 is done")
    history.log("Memory is short at 100 %", "warning")
    history.log("One answer was lost", "error")
    history.add(Kind.ERROR, Status.TRAINING, message="The GPU is full.", hint="Lower the BATCH size.", trace=None)
    return history.save()


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ({"level": "info"}, 4),
        ({"level": "warning"}, 3),
        ({"level": "error"}, 2),
        ({"search": "step"}, 1),
        ({"search": "batch"}, 1),
        ({"search": "100 %"}, 1),
        ({"search": "_"}, 0),
        ({"search": "is", "level": "warning"}, 2),
        ({"search": "x" * 5000}, 0),
    ],
)
def test_the_log_is_searched_by_words_and_level(owner_client: Client, team, query, found: int) -> None:
    assert len(logged(owner_client, make_log(team), **query)) == found


def test_an_unknown_level_is_refused_by_name(owner_client: Client, team) -> None:
    response = owner_client.get(url("events", make_log(team)), {"level": "fatal"})
    assert response.status_code == 400
    assert response.json()["error"].startswith("level")


# Marks


def marks_of(client: Client, session: Session) -> list[tuple[str, str, str, int | None]]:
    found = client.get(url("marks", session)).json()["marks"]
    return [(mark["kind"], mark["title"], mark["phase"], mark["step"]) for mark in found]


def test_marks_say_where_phases_began_and_where_checkpoints_are(viewer_client: Client, team) -> None:
    session = make_events(make_session(team), 20, warm_up=12)
    assert marks_of(viewer_client, session) == [
        ("phase", "Loading", "", None),
        ("phase", "SFT begins", "pretraining", 0),
        ("phase", "SFT to GRPO", "training", 0),
        ("phase", "SFT to GRPO", "pretraining", 12),
        ("checkpoint", "Checkpoint 10", "training", 10),
        ("checkpoint", "Checkpoint 20", "training", 20),
    ]


@pytest.mark.parametrize(
    ("status", "title", "kind"),
    [("stopped", "Stopped", "ended"), ("failed", "Failed", "ended"), ("queued", "Interrupted", "interrupted")],
)
def test_a_stop_and_what_follows_are_marked_at_their_steps(
    owner_client: Client, team, status: str, title: str, kind: str
) -> None:
    session = make_events(make_session(team), 14, warm_up=0, of=60)
    history = History(session)
    history.add(Kind.PHASE, status, status=status, label=title, ended=True)
    session.attempt = 2
    history.begin(Status.TRAINING, "GRPO", 60, resumed_from=10)
    history.save()
    found = marks_of(owner_client, session)
    assert (kind, title, "training", 14) in found
    assert ("resumed", "Resumed from step 10", "training", 10) in found


def test_the_checkpoints_of_a_long_run_are_thinned_to_the_newest(owner_client: Client, team, monkeypatch) -> None:
    monkeypatch.setattr(annotations, "MOST_CHECKPOINTS", 7)
    session = make_events(make_session(team), 200, warm_up=0, rollouts_every=0)
    found = [step for kind, _, _, step in marks_of(owner_client, session) if kind == "checkpoint"]
    assert len(found) == 7
    assert found[-1] == 200


def test_the_page_brings_its_marks_along(owner_client: Client, team) -> None:
    session = make_events(make_session(team), 10)
    page = owner_client.get(url("session", session)).content.decode()
    assert '"title": "Checkpoint 10"' in page


def test_the_log_downloads_as_text_in_order(owner_client: Client, team) -> None:
    session = make_events(make_session(team), 10)
    lines = streamed(owner_client.get(url("log", session))).splitlines()
    assert lines[0].endswith("No GPU detected - running in CPU mode")
    assert " WARNING " in lines[1]
    assert len(lines) == session.events.filter(kind=Kind.LOG).count()


def test_the_config_downloads_as_it_is(owner_client: Client, team) -> None:
    session = make_session(team)
    assert json.loads(owner_client.get(url("config_json", session)).content) == session.config


def test_the_config_tab_marks_what_differs_from_the_defaults(owner_client: Client, team) -> None:
    page = owner_client.get(url("session", make_session(team))).content.decode()
    changed = page.split('class="config-row changed"')[1:]
    assert len(changed) == 1
    assert "training.max_steps" in changed[0]


def test_an_incomplete_draft_still_has_a_page(owner_client: Client, team) -> None:
    session = make_session(team, Status.DRAFT, config={"model": {"name": ""}})
    assert "not complete yet" in owner_client.get(url("session", session)).content.decode()


# Charts


def test_a_part_has_the_same_colour_wherever_its_neighbours_allow_it() -> None:
    assert part_colours(["correct", "format"]) == part_colours(["format", "correct"])
    alone = part_colours(["correct"])["correct"]
    assert 1 <= alone <= PART_COLOURS


def test_parts_of_a_session_differ_in_colour_while_there_are_enough() -> None:
    names = [f"part {place}" for place in range(PART_COLOURS)]
    assert len(set(part_colours(names).values())) == PART_COLOURS


def test_charts_explain_lines_that_settings_keep_flat_or_away() -> None:
    config = SessionConfig()
    config.grpo.kl_penalty = 0
    notes = {chart.id: chart.note for chart in charts(config, {})}
    assert "penalty" in notes["kl"]
    assert "Flat at 0" in notes["clip"]
    config.grpo.num_iterations = 2
    assert not {chart.id: chart.note for chart in charts(config, {})}["clip"]


def test_every_tile_is_explained_by_the_glossary_and_no_two_words_mean_the_same() -> None:
    terms = [tile.term for tile in TILES]
    assert set(terms) <= set(GLOSSARY)
    assert len(set(terms)) == len(terms)
    titles = {tile.key: tile.title for tile in TILES}
    assert "Truncated" in titles["completions/clipped_ratio"]
    assert "clip" in titles["clip_ratio/region_mean"]
    assert "nothing to do with" in GLOSSARY["truncated"].definition


def test_the_warm_up_comes_first_only_while_there_is_nothing_else(team) -> None:
    session = make_session(team, Status.PRETRAINING)
    drawn = charts(SessionConfig(), {})
    assert [board.phase for board in boards(session, drawn)] == ["training", "pretraining"]
    history = History(session)
    history.warm_up(3)
    history.save()
    assert [board.phase for board in boards(session, drawn)] == ["pretraining", "training"]
    history.step(1, 5)
    history.save()
    assert [board.phase for board in boards(session, drawn)] == ["training", "pretraining"]


def test_a_session_without_a_warm_up_has_no_charts_of_one(owner_client: Client, team) -> None:
    session = make_session(team, config=make_config(pre_training={"enabled": False}))
    page = owner_client.get(url("session", session)).content.decode()
    assert 'data-chart="sft_loss"' not in page
    assert 'data-toolbar="pretraining"' not in page


def test_all_keys_of_a_page_can_be_asked_for_at_once() -> None:
    drawn = charts(SessionConfig(), part_colours([f"p{place}" for place in range(50)]))
    keys = {key for chart in drawn for key in chart.keys} | {tile.key for tile in TILES}
    assert len(keys) <= session_views.series.MAX_KEYS


def test_what_it_was_trained_on_stays_on_the_page_after_its_dataset(owner_client, team):
    version = make_dataset_version(team, "Sums of old")
    session = make_session(
        team, Status.COMPLETED, dataset_version=version, dataset_fingerprint=version.fingerprint | {"sha256": "ab" * 32}
    )
    address = reverse("training:session", args=[session.pk])
    page = " ".join(owner_client.get(address).content.decode().split())
    assert "Trained on" in page and "frozen at start" in page
    version.dataset.delete()
    page = " ".join(owner_client.get(address).content.decode().split())
    assert "Sums of old v1 (deleted)" in page
    assert "deleted since" in page
    assert "ab" * 32 in page
    assert "question → answer" in page
    assert "by seed 42, 96 held out" in page


# Checkpoints


def stopped_with_checkpoints(team: Any) -> Session:
    """Three on the disk, of which the middle one is the best, and one that was removed."""
    session = make_session(team, Status.STOPPED)
    history = History(session)
    for step, reward in ((10, 0.1), (20, 0.9), (30, 0.5), (40, 0.2)):
        name = f"training-{step:08d}"
        folder = session.folder / "checkpoints" / name
        if step > 10:
            folder.mkdir(parents=True, exist_ok=True)
            (folder / "MANIFEST.json").write_text(json.dumps({"reward": reward, "files": {}}))
        history.add(Kind.CHECKPOINT, Status.TRAINING, step, path=f"checkpoints/{name}", bytes=1, reward=reward)
    history.save()
    return session


def test_every_checkpoint_on_the_disk_can_be_resumed_from(teammate_client: Client, team) -> None:
    page = teammate_client.get(url("checkpoints", stopped_with_checkpoints(team))).content.decode()
    assert [f'value="training-{step:08d}"' in page for step in (10, 20, 30, 40)] == [False, True, True, True]
    assert page.count("removed</td>") == 1
    assert page.count(">best<") == 1
    assert page.index("0.900") < page.index(">best<") < page.index("0.100")
    # Of the newest nothing is lost.
    assert page.count("data-confirm=") == 2


@pytest.mark.parametrize("name", ["checkpoints", "session"])
def test_a_viewer_resumes_from_no_checkpoint(name: str, viewer_client: Client, team) -> None:
    page = viewer_client.get(url(name, stopped_with_checkpoints(team))).content.decode()
    assert "training-00000040" in page
    assert 'name="checkpoint"' not in page


def test_a_running_session_offers_no_checkpoint_to_resume_from(owner_client: Client, team) -> None:
    session = stopped_with_checkpoints(team)
    Session.objects.filter(pk=session.pk).update(status=Status.TRAINING)
    assert 'name="checkpoint"' not in owner_client.get(url("checkpoints", session)).content.decode()


def test_a_session_that_was_stuck_says_so_while_it_goes_on(owner_client: Client, team) -> None:
    session = make_events(make_session(team), 5)
    history = History(session)
    history.add(Kind.ERROR, Status.TRAINING, message="It was stuck.", stalled={"doing": "rewarding", "seconds": 1800})
    history.save()
    assert "It was stuck while" not in owner_client.get(url("session_head", session)).content.decode()
    Session.objects.filter(pk=session.pk).update(attempt=2)
    page = owner_client.get(url("session_head", session)).content.decode()
    assert "It was stuck while rewarding and was started again" in page
