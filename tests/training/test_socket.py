"""The WebSocket through the application that Daphne serves: who may watch, what arrives, in which order, how soon."""

import asyncio
import base64
import json
import time

import pytest
from channels.db import database_sync_to_async
from channels.testing import WebsocketCommunicator
from django.utils import timezone

from accounts.models import Membership
from loracraft.asgi import application
from training import consumers, hub
from training.models import Event, Session

pytestmark = pytest.mark.django_db(transaction=True)
ORIGIN = (b"origin", b"http://localhost")


@pytest.fixture
def session(draft):
    Session.objects.filter(pk=draft.pk).update(status="training", attempt=1)
    return draft


@pytest.fixture(autouse=True)
def fresh_hub(monkeypatch):
    monkeypatch.setattr(consumers, "hub", hub.Hub())


def write(session, *events):
    """Stores (kind, step, data) as the recorder does."""
    last = Session.objects.values_list("last_seq", flat=True).get(pk=session.pk)
    for seq, (kind, step, data) in enumerate(events, last + 1):
        Event.objects.create(
            session=session,
            seq=seq,
            attempt=1,
            kind=kind,
            phase="training",
            step=step,
            data=data,
            created_at=timezone.now(),
        )
    Session.objects.filter(pk=session.pk).update(last_seq=last + len(events))


awrite = database_sync_to_async(write)


def metrics(*steps):
    return [("metrics", step, {"reward": step / 10, "loss": 0.1}) for step in steps]


def basic(user):
    return (b"authorization", b"Basic " + base64.b64encode(f"{user.username}:a long password".encode()))


def socket(session, user, after=0, headers=()):
    path = f"/ws/sessions/{session.pk}/?after={after}"
    return WebsocketCommunicator(application, path, headers=[*([basic(user)] if user else []), *headers])


async def opened(session, user, after=0):
    client = socket(session, user, after)
    connected, _ = await client.connect(timeout=30)
    assert connected
    return client


async def received(client, count, timeout=30):
    return [json.loads(await client.receive_from(timeout)) for _ in range(count)]


async def closing_code(client):
    connected, _ = await client.connect(timeout=30)
    assert connected
    return (await client.receive_output(5))["code"]


async def test_history_then_live_in_order_and_once(session, owner):
    await awrite(session, *metrics(1, 2))
    client = await opened(session, owner)
    assert [m["seq"] for m in await received(client, 2)] == [1, 2]
    await awrite(session, *metrics(3, 4, 5))
    assert [m["step"] for m in await received(client, 3)] == [3, 4, 5]
    assert await client.receive_nothing(0.7)
    await client.disconnect()


async def test_a_message_has_the_documented_shape(session, owner):
    await awrite(session, *metrics(1), ("system", None, {"gpu_memory": None}), ("log", None, {"message": "hello"}))
    client = await opened(session, owner)
    training, system, log = await received(client, 3)
    assert training.pop("at").endswith("+00:00")
    assert training == {
        "type": "training_update", "seq": 1, "attempt": 1, "phase": "training", "step": 1, "reward": 0.1, "loss": 0.1,
    }  # fmt: skip
    assert (system["type"], log["type"], log["message"]) == ("system_update", "log", "hello")
    await client.disconnect()


async def test_a_client_that_comes_back_gets_what_it_missed(session, owner):
    await awrite(session, *metrics(1, 2, 3, 4))
    client = await opened(session, owner, after=2)
    assert [m["seq"] for m in await received(client, 2)] == [3, 4]
    await client.disconnect()


async def test_an_event_arrives_within_a_second_and_a_half(session, owner):
    client = await opened(session, owner)
    await asyncio.sleep(0.5)
    begun = time.monotonic()
    await awrite(session, *metrics(1))
    await received(client, 1)
    assert time.monotonic() - begun < 1.5
    await client.disconnect()


async def test_more_than_a_page_of_history_arrives_whole(session, owner, monkeypatch):
    monkeypatch.setattr(hub, "PAGE", 10)
    await awrite(session, *metrics(*range(1, 48)))
    client = await opened(session, owner)
    assert [m["seq"] for m in await received(client, 47)] == list(range(1, 48))
    await awrite(session, *metrics(48))
    assert [m["seq"] for m in await received(client, 1)] == [48]
    await client.disconnect()


async def test_a_burst_longer_than_the_hub_keeps_has_no_gap(session, owner, monkeypatch):
    monkeypatch.setattr(hub, "KEPT", 5)
    monkeypatch.setattr(hub, "PAGE", 4)
    client = await opened(session, owner)
    await asyncio.sleep(0.4)
    await awrite(session, *metrics(*range(1, 31)))
    assert [m["seq"] for m in await received(client, 30)] == list(range(1, 31))
    await client.disconnect()


async def test_superseded_events_are_not_sent(session, owner):
    await awrite(session, *metrics(1, 2, 3))
    await database_sync_to_async(Event.objects.filter(seq=2).update)(superseded=True)
    client = await opened(session, owner)
    assert [m["seq"] for m in await received(client, 2)] == [1, 3]
    await client.disconnect()


async def test_all_watchers_are_served_by_one_reading(session, owner, teammate, viewer, monkeypatch):
    clients = [await opened(session, user) for user in (owner, teammate, viewer)]
    await asyncio.sleep(0.5)
    reads = []
    real = hub.read_frames

    async def counted(*args):
        reads.append(args)
        return await real(*args)

    monkeypatch.setattr(hub, "read_frames", counted)
    await awrite(session, *metrics(1, 2))
    for client in clients:
        assert [m["seq"] for m in await received(client, 2)] == [1, 2]
        await client.disconnect()
    assert len(reads) == 1


async def test_nothing_of_another_session_arrives(session, owner, team):
    other = await database_sync_to_async(Session.objects.create)(team=team, name="Other", status="training")
    client, other_client = await opened(session, owner), await opened(other, owner)
    await awrite(other, *metrics(1))
    assert (await received(other_client, 1))[0]["step"] == 1
    assert await client.receive_nothing(0.7)
    await client.disconnect()
    await other_client.disconnect()


async def test_the_hub_is_idle_when_nobody_watches(session, owner):
    client = await opened(session, owner)
    watched = consumers.hub
    await asyncio.sleep(0.3)
    assert list(watched._topics) == [session.pk]
    await client.disconnect()
    await asyncio.sleep(0.8)
    assert watched._topics == {} and watched._poller.done()


async def test_sockets_survive_a_database_that_is_away_for_a_moment(session, owner, monkeypatch):
    client = await opened(session, owner)
    await asyncio.sleep(0.3)
    real = hub.newest_seqs
    failures = []

    async def away(ids):
        failures.append(1)
        raise ConnectionError("away")

    monkeypatch.setattr(hub, "newest_seqs", away)
    await asyncio.sleep(0.8)
    monkeypatch.setattr(hub, "newest_seqs", real)
    assert failures
    await awrite(session, *metrics(1))
    assert (await received(client, 1))[0]["step"] == 1
    await client.disconnect()


# Who may watch


async def test_an_outsider_is_told_that_there_is_no_such_session(session, outsider):
    await awrite(session, *metrics(1))
    assert await closing_code(socket(session, outsider)) == 4404


async def test_an_unknown_session_and_a_foreign_one_look_alike(session, outsider):
    session.pk = "00000000-0000-0000-0000-000000000000"
    assert await closing_code(socket(session, outsider)) == 4404


async def test_somebody_who_is_not_signed_in_is_told_to(session):
    assert await closing_code(socket(session, None, headers=[ORIGIN])) == 4401


@pytest.mark.parametrize("after", ["-1", "x", "1e3", "9" * 30])
async def test_nonsense_after_is_refused(session, owner, after):
    assert await closing_code(socket(session, owner, after)) == 4400


async def test_a_program_needs_no_origin_but_a_foreign_page_is_refused(session, owner):
    client = await opened(session, owner)
    await client.disconnect()
    foreign = socket(session, None, headers=[(b"origin", b"https://evil.example")])
    connected, _ = await foreign.connect(timeout=30)
    assert not connected


async def test_whoever_leaves_the_team_is_shut_out(session, teammate, monkeypatch):
    monkeypatch.setattr(consumers, "ACCESS_SECONDS", 0.2)
    client = await opened(session, teammate)
    await database_sync_to_async(Membership.objects.filter(user=teammate).delete)()
    assert (await client.receive_output(5))["code"] == 4404
    await awrite(session, *metrics(1))
    assert await client.receive_nothing(0.7)


async def test_what_a_client_says_is_ignored(session, owner):
    client = await opened(session, owner)
    await client.send_to(text_data='{"type": "training_update"}')
    await awrite(session, *metrics(1))
    assert (await received(client, 1))[0]["step"] == 1
    await client.disconnect()
