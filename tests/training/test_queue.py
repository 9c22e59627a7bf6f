import random
from collections import Counter
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from django.utils import timezone

from accounts.models import Role, Team
from jobs import leases
from training import lifecycle, queue
from training.choices import Priority
from training.models import QueuePause, Session

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


def ticket(number, team=1, priority=Priority.NORMAL, waits=timedelta(minutes=1), rank=None, **more):
    rank = number if rank is None else rank
    return queue.Ticket(UUID(int=number), team, priority, rank, NOW - waits, **more)


def numbers(waiting, begun=None, now=NOW):
    return [ticket.pk.int for ticket in queue.order(waiting, begun or {}, now)]


def test_a_higher_priority_goes_first():
    assert numbers([ticket(1, priority=2), ticket(2, priority=0), ticket(3, priority=1)]) == [2, 3, 1]


def test_within_a_priority_teams_take_turns():
    assert numbers([ticket(n, team=1) for n in (1, 2, 3)] + [ticket(n, team=2) for n in (4, 5)]) == [1, 4, 2, 5, 3]


def test_a_team_that_began_fewer_sessions_lately_goes_first():
    waiting = [ticket(n, team=1) for n in (1, 2)] + [ticket(n, team=2) for n in (3, 4, 5)]
    assert numbers(waiting, {1: 2}) == [3, 4, 1, 5, 2]


def test_what_was_interrupted_goes_on_before_others_of_its_priority():
    waiting = [ticket(1), ticket(2, phase=lifecycle.WAITING), ticket(3, priority=0)]
    assert numbers(waiting, {1: 9}) == [3, 2, 1]


def test_the_order_depends_on_nothing_but_what_waits():
    dice = random.Random(1)
    waiting = [ticket(n, team=n % 4, priority=n % 3, rank=n % 7) for n in range(60)]
    first = numbers(waiting, {1: 3, 2: 1})
    for _ in range(20):
        dice.shuffle(waiting)
        assert numbers(waiting, {1: 3, 2: 1}) == first


def test_a_low_priority_rises_as_it_waits(settings):
    settings.PRIORITY_RISES_SECONDS = 3600
    old = ticket(9, team=2, priority=2, waits=timedelta(hours=2, minutes=1))
    assert numbers([ticket(1, priority=0), ticket(2, priority=0), old]) == [9, 1, 2]
    assert numbers([ticket(1, priority=0), ticket(9, team=2, priority=2)]) == [1, 9]


def simulated(arrivals, devices=2, begun_for=timedelta(hours=24)):
    """(team, priority, seconds waited) of each session in the order they began, and the last moment of each.

    `arrivals`: (minute, team, priority, minutes it runs)."""
    arrivals, waiting, running, started, done = sorted(arrivals), [], [], [], []
    minute = 0
    while arrivals or waiting:
        now = NOW + timedelta(minutes=minute)
        while arrivals and arrivals[0][0] <= minute:
            at, team, priority, length = arrivals.pop(0)
            number = len(done) + len(waiting) + len(arrivals) + 1000 * minute
            since = NOW + timedelta(minutes=at)
            waiting.append((queue.Ticket(UUID(int=number), team, priority, number, since), length))
        running = [end for end in running if end > minute]
        while waiting and len(running) < devices:
            begun = Counter(team for team, at in started if at > now - begun_for)
            [first, *_] = queue.order([each for each, _ in waiting], begun, now)
            length = next(length for each, length in waiting if each is first)
            waiting = [pair for pair in waiting if pair[0] is not first]
            running.append(minute + length)
            started.append((first.team, now))
            done.append((first.team, first.priority, minute - (first.since - NOW).total_seconds() / 60))
        minute += 1
    return done


def test_one_team_that_floods_the_queue_keeps_no_other_from_its_share():
    dice = random.Random(7)
    flood = [(0, 1, 1, dice.randint(5, 15)) for _ in range(200)]
    others = [(0, team, 1, dice.randint(5, 15)) for team in (2, 3) for _ in range(60)]
    done = simulated(flood + others)
    assert len(done) == 320
    shares = Counter(team for team, _, _ in done[:180])
    assert all(59 <= shares[team] <= 61 for team in (1, 2, 3)), shares


def test_a_team_that_comes_late_to_a_full_queue_waits_for_one_device_only():
    flood = [(0, 1, 1, 10) for _ in range(200)]
    late = [(30 * n, 2, 1, 10) for n in range(1, 12)]
    waits = [waited for team, _, waited in simulated(flood + late) if team == 2]
    assert len(waits) == 11 and max(waits) <= 10


def test_a_stream_of_high_priorities_starves_no_low_one(settings):
    settings.PRIORITY_RISES_SECONDS = 3600
    # More of them than the devices can run, so the queue of high ones never empties while they come.
    high = [(3 * n, 1 + n % 2, 0, 10) for n in range(300)]
    low = [(60, 3, 2, 10) for _ in range(20)]
    waits = sorted(waited for _, priority, waited in simulated(high + low) if priority == 2)
    # Two rises, then a turn in three for its team.
    assert waits[0] >= 120
    assert waits[-1] <= 120 + 20 * 3 * 10


# Rows


@pytest.fixture
def line(team):
    return [make(team, f"Number {n}", rank=n) for n in (1, 2, 3)]


def make(team, name, **more):
    return Session.objects.create(team=team, name=name, status="queued", queued_at=timezone.now(), **more)


def names():
    return [Session.objects.get(pk=pk).name[-1] for pk in lifecycle.waiting()]


@pytest.mark.parametrize(
    ("number", "to", "then"),
    [
        (2, "up", "132"),
        (1, "up", "213"),
        (0, "down", "213"),
        (2, "front", "312"),
        (1, "front", "213"),
    ],
)
def test_a_waiting_session_is_moved_among_its_teams_own(line, number, to, then, owner):
    assert queue.move(line[number], owner, to)
    assert "".join(names()) == then


@pytest.mark.parametrize(("number", "to"), [(0, "up"), (2, "down"), (0, "front")])
def test_the_ends_of_the_line_move_no_further(line, number, to, owner):
    assert not queue.move(line[number], owner, to)
    assert "".join(names()) == "123"


def test_what_does_not_wait_is_not_moved(line, owner):
    Session.objects.filter(pk=line[1].pk).update(status="training")
    assert not queue.move(line[1], owner, "up")


def test_moving_passes_no_session_of_another_team(line, owner):
    other = Team.objects.create(name="Other")
    make(other, "Number x", rank=1)
    assert "".join(names()) == "1x23"
    queue.move(line[2], owner, "front")
    assert "".join(names()) == "3x12"


def test_who_starts_last_is_last_of_the_team(draft, line, owner):
    assert lifecycle.start(draft, owner)
    assert lifecycle.waiting()[-1] == draft.pk


def test_a_priority_is_set_while_it_waits_and_not_later(line, owner):
    assert queue.set_priority(line[2], owner, Priority.HIGH)
    assert "".join(names()) == "312"
    Session.objects.filter(pk=line[2].pk).update(status="training")
    assert not queue.set_priority(line[2], owner, Priority.LOW)


def test_an_owner_answers_for_a_high_priority():
    assert queue.role_for(Priority.HIGH) == Role.OWNER
    assert queue.role_for(Priority.NORMAL) == queue.role_for(Priority.LOW) == Role.MEMBER


def test_a_team_that_runs_much_lets_others_go_first(line, team):
    other = Team.objects.create(name="Other")
    make(other, "Number x", rank=5)
    Session.objects.create(team=team, name="busy", status="training")
    assert names()[0] == "x"
    long_ago = timezone.now() - timedelta(days=2)
    Session.objects.filter(name="busy").update(status="completed", started_at=long_ago)
    assert names()[0] == "1"


# Pauses


def test_nothing_of_a_paused_team_begins_and_others_go_on(line, team, owner):
    other = make(Team.objects.create(name="Other"), "Number x", rank=1)
    assert queue.pause(team, owner, "The disk is being replaced")
    assert lifecycle.waiting() == [other.pk]
    assert lifecycle.claim(line[0].pk) is None
    assert lifecycle.claim(other.pk) == 1
    assert queue.go_on(team, owner)
    assert len(lifecycle.waiting()) == 3


def test_a_pause_of_everything_holds_every_team_back(line, owner):
    assert queue.pause(None, owner)
    assert lifecycle.waiting() == []
    assert not queue.pause(None, owner)
    assert QueuePause.objects.count() == 1
    assert queue.go_on(None, owner) and not queue.go_on(None, owner)


def test_what_runs_goes_on_while_the_queue_is_paused(line, owner):
    attempt = lifecycle.claim(line[0].pk)
    queue.pause(None, owner)
    assert leases.renew(Session, line[0].pk, attempt)


def test_the_pause_of_a_team_ends_no_other(line, team, owner):
    queue.pause(None, owner)
    assert queue.pause(team, owner)
    queue.go_on(None, owner)
    assert lifecycle.waiting() == []
