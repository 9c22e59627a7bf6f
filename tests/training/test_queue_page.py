import pytest
from django.contrib.auth.models import User
from django.core.management import call_command
from django.urls import reverse
from django.utils import timezone

from accounts.models import Team
from tests.training.test_api import Program
from training import forecast, lifecycle, queue, slots
from training.choices import Priority
from training.models import Preflight, QueuePause, Session


@pytest.fixture
def line(team):
    return [make(team, f"Number {n}", rank=n) for n in (1, 2, 3)]


@pytest.fixture
def theirs(outsider):
    return make(outsider.teams.get(), "Their secret", rank=1)


def make(team, name, status="queued", **more):
    return Session.objects.create(team=team, name=name, status=status, queued_at=timezone.now(), **more)


def place(session):
    session.refresh_from_db()
    return forecast.place_of(session)


def run_one(team, **more):
    """A session on the only device of a living worker."""
    slots.beat()
    [slot] = slots.free_here()
    return make(team, "Busy", "training", device=slot.device, slot=slot.number, **more)


def post(client, name, *args, **data):
    return client.post(reverse(f"training:{name}", args=args), data)


def text_of(client, **query):
    return client.get(reverse("training:queue"), query).content.decode()


# Place, reason and expected start


def test_without_a_worker_it_says_how_to_start_one(line):
    found = place(line[0])
    assert (found.number, found.reason) == (1, "No worker is running: start one with make run.")
    assert found.expected == "Start unknown until a worker runs."


def test_the_start_of_each_follows_from_what_runs_and_from_those_before_it(line, team):
    run_one(team, seconds_left=600)
    Session.objects.filter(status="queued").update(expected_seconds=1200)
    first, second, third = (place(session) for session in line)
    assert first.reason == "Next: the only device is busy."
    assert (second.reason, third.reason) == (
        "1 session is before it on the only device.",
        "2 sessions are before it on the only device.",
    )
    waits = [(found.starts - timezone.now()).total_seconds() for found in (first, second, third)]
    assert waits == pytest.approx([600, 1800, 3000], abs=5)
    assert first.expected.startswith("Starts about ")


def test_of_what_nobody_knows_the_end_no_start_is_promised(line, team):
    run_one(team, seconds_left=600)
    assert place(line[0]).starts and place(line[1]).starts is None
    assert place(line[1]).expected == "Start unknown until a running session tells how long it takes."


def test_with_two_devices_the_first_two_begin_at_once(line, settings):
    settings.DEVICES = ["GPU-1", "GPU-2"]
    slots.beat()
    assert [place(session).reason for session in line] == [
        "Next: a worker takes it in a moment.",
        "Next: a worker takes it in a moment.",
        "2 sessions are before it on the 2 devices.",
    ]


def test_a_full_disk_and_a_pause_are_the_reason(line, team, owner, settings):
    slots.beat()
    Session.objects.filter(pk=line[0].pk).update(phase=lifecycle.NO_SPACE)
    settings.MIN_FREE_BYTES = 2**50
    assert "The disk is full" in place(line[0]).reason
    queue.pause(team, owner, "new disk")
    found = place(line[1])
    assert found.reason.startswith("The queue of Charlie's team is paused by charlie since ")
    assert found.reason.endswith(": new disk.")
    assert found.expected == "Start unknown until the queue goes on."


def test_what_was_interrupted_says_that_it_goes_on(line):
    slots.beat()
    Session.objects.filter(pk=line[2].pk).update(phase=lifecycle.WAITING)
    assert place(line[2]).reason.startswith("Waits to go on from its last checkpoint.")


def test_a_start_estimates_how_long_it_runs(draft, owner, config):
    assert lifecycle.start(draft, owner)
    assert draft.expected_seconds is None
    known = config | {"model": {"name": "local/SmolLM2-135M-Instruct"}}
    assert queue.expected_seconds(lifecycle.check(draft.team, config)) is None
    assert known


def test_the_forecast_costs_the_same_however_many_wait(team, django_assert_max_num_queries):
    for number in range(30):
        waits = make(team, f"Number {number}", rank=number)
        Preflight.objects.create(team=team, session=waits)
    slots.beat()
    with django_assert_max_num_queries(10 + len(slots.HOLDERS)):
        assert len(forecast.Forecast().places) == 30


# The page


def test_the_page_shows_the_order_and_names_no_session_of_another_team(owner_client, line, theirs):
    text = text_of(owner_client, part="waiting")
    assert text.index("Number 1") < text.index("Another team's session") < text.index("Number 2")
    assert "Their secret" not in text and str(theirs.pk) not in text


def test_another_teams_running_session_is_not_named_either(owner_client, outsider_client, team):
    session = run_one(team, total_steps=10, step=5, seconds_left=60)
    assert "Busy" in text_of(owner_client)
    text = text_of(outsider_client)
    assert "Busy" not in text and str(session.pk) not in text and "Another team's session" in text


def test_a_viewer_sees_the_queue_and_no_controls(viewer_client, line):
    text = text_of(viewer_client)
    assert "Number 1" in text
    assert "Move Number 1" not in text and "Pause" not in text


def test_an_empty_queue_says_so(owner_client):
    text = text_of(owner_client)
    assert "Nothing waits" in text and "No device" in text


@pytest.mark.parametrize("part", ["waiting", "devices"])
def test_a_part_that_did_not_change_is_not_sent_again(owner_client, line, part):
    url = reverse("training:queue")
    text = owner_client.get(url, {"part": part}).content.decode()
    seen = text.split("seen=")[1].split('"')[0]
    assert owner_client.get(url, {"part": part, "seen": seen}).status_code == 204
    slots.beat()
    assert owner_client.get(url, {"part": part, "seen": seen}).status_code == 200


def test_a_member_moves_and_cancels_what_waits(teammate_client, line):
    assert post(teammate_client, "move", line[2].pk, to="front").status_code == 302
    assert lifecycle.waiting()[0] == line[2].pk
    assert post(teammate_client, "cancel", line[2].pk, next=reverse("training:queue")).url == reverse("training:queue")
    assert lifecycle.waiting() == [line[0].pk, line[1].pk]


def test_only_an_owner_sets_a_high_priority(owner_client, teammate_client, line):
    assert post(teammate_client, "priority", line[2].pk, priority=Priority.HIGH).status_code == 403
    assert post(teammate_client, "priority", line[0].pk, priority=Priority.LOW).status_code == 302
    assert post(owner_client, "priority", line[2].pk, priority=Priority.HIGH).status_code == 302
    assert lifecycle.waiting() == [line[2].pk, line[1].pk, line[0].pk]


@pytest.mark.parametrize(
    ("name", "data"), [("move", {"to": "sideways"}), ("priority", {"priority": "7"}), ("move", {})]
)
def test_a_wrong_word_is_refused(owner_client, line, name, data):
    assert post(owner_client, name, line[0].pk, **data).status_code == 400


@pytest.mark.parametrize(("name", "data"), [("move", {"to": "front"}), ("priority", {"priority": 2})])
def test_an_outsider_finds_nothing_and_a_viewer_may_not(outsider_client, viewer_client, line, name, data):
    assert post(outsider_client, name, line[2].pk, **data).status_code == 404
    assert post(viewer_client, name, line[2].pk, **data).status_code == 403
    assert lifecycle.waiting()[0] == line[0].pk


def test_an_owner_pauses_the_team_and_lets_it_go_on(owner_client, team, line):
    assert post(owner_client, "queue_pause", team=team.pk, reason="a new disk").status_code == 302
    text = text_of(owner_client)
    assert "is paused by charlie" in text and "a new disk" in text
    assert lifecycle.waiting() == []
    post(owner_client, "queue_resume", team=team.pk)
    assert not QueuePause.objects.exists()


@pytest.mark.parametrize("name", ["queue_pause", "queue_resume"])
def test_others_do_not_pause_a_team(outsider_client, teammate_client, viewer_client, team, name):
    codes = [post(c, name, team=team.pk).status_code for c in (outsider_client, teammate_client, viewer_client)]
    assert codes == [404, 403, 403]
    assert post(outsider_client, name, team="x").status_code == 404


def test_only_an_administrator_pauses_everything(owner_client, client, outsider_client, line):
    assert post(owner_client, "queue_pause").status_code == 403
    client.force_login(User.objects.create_superuser("root"))
    assert post(client, "queue_pause", reason="new cards").status_code == 302
    for visitor in (owner_client, outsider_client):
        assert "paused by root" in text_of(visitor)
    post(client, "queue_resume")
    assert not QueuePause.objects.exists()


def test_the_pause_of_another_team_is_not_told(outsider_client, team, owner):
    queue.pause(team, owner)
    assert "Charlie" not in text_of(outsider_client)


# Where sessions are shown


def test_the_line_on_the_page_of_a_session_is_live(owner_client, outsider_client, line):
    assert "Number 2 in" in owner_client.get(reverse("training:session", args=[line[1].pk])).content.decode()
    assert "Number 2 in" in owner_client.get(reverse("training:place", args=[line[1].pk])).content.decode()
    assert outsider_client.get(reverse("training:place", args=[line[1].pk])).status_code == 404
    Session.objects.filter(pk=line[1].pk).update(status="training")
    assert owner_client.get(reverse("training:place", args=[line[1].pk])).status_code == 286


def test_the_side_bar_shows_the_place(owner_client, line):
    assert "Number 3 in the queue" in owner_client.get(reverse("training:recent")).content.decode()


# The API and the command


def test_the_api_tells_places_and_hides_others(owner, outsider, line, theirs):
    reply = Program(owner).get("queue").json()
    assert [row["name"] for row in reply["waiting"]] == ["Number 1", None, "Number 2", "Number 3"]
    assert reply["waiting"][1]["session_id"] is None
    assert reply["waiting"][0]["position"] == 1
    found = Program(owner).get(f"training/sessions/{line[2].pk}").json()
    assert found["queue"]["position"] == 4 and found["priority"] == "normal"
    assert Program(None).get("queue").status_code == 401


def test_the_api_moves_pauses_and_sets_priorities(owner, line):
    program = Program(owner)
    assert program.post("queue/move", session_id=str(line[2].pk), to="front").json() == {"moved": True}
    assert program.post("queue/priority", session_id=str(line[1].pk), priority="high").json() == {"changed": True}
    assert lifecycle.waiting() == [line[1].pk, line[2].pk, line[0].pk]
    assert program.post("queue/pause", reason="a new disk").json() == {"paused": True}
    assert program.post("queue/pause").json() == {"paused": False}
    assert program.post("queue/resume").json() == {"resumed": True}


def test_the_api_refuses_who_may_not(outsider, viewer, teammate, line, team):
    move = {"session_id": str(line[2].pk), "to": "front"}
    high = {"session_id": str(line[2].pk), "priority": "high"}
    for path, data in (("queue/move", move), ("queue/priority", high)):
        assert Program(outsider).post(path, **data).status_code == 404
        assert Program(viewer).post(path, **data).status_code == 403
    assert Program(teammate).post("queue/priority", **high).status_code == 403
    for path in ("queue/pause", "queue/resume"):
        assert Program(outsider).post(path, team=team.name).status_code == 404
        assert Program(teammate).post(path).status_code == 403
        assert Program(teammate).post(path, everything=True).status_code == 403
    assert lifecycle.waiting()[0] == line[0].pk


def test_the_command_lists_pauses_and_goes_on(line, team, capsys):
    call_command("queue", "pause", "--reason", "a new disk")
    call_command("queue")
    shown = capsys.readouterr().out
    assert "is paused since" in shown and "1. Number 1 (Charlie's team)" in shown
    call_command("queue", "resume")
    call_command("queue", "pause", "--team", team.name)
    assert QueuePause.objects.get().team == team


def test_teams_are_told_apart(db):
    Team.objects.create(name="Unused")
    assert forecast.positions([]) == {}
