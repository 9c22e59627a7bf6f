"""Notes on where to look: each is there on a run that has it, and hardly ever on noise."""

import math
import random

import pytest
from django.urls import reverse

from tests.training.factories import History, make_session
from training import divergence
from training.choices import Kind, Status

WEIGHTS = {"right": 1.0, "brevity": 0.5}
STEPS = 200


def noisy(seed, steps=STEPS, **trends):
    """Values of neighbouring steps are alike, as in a real run; `trends` are functions of the share of the run."""
    chance, drift = random.Random(seed), 0.0
    rows = []
    for step in range(1, steps + 1):
        drift = 0.6 * drift + chance.gauss(0, 0.08)
        flat = {"reward": 0.5, "rewards/right/mean": 0.4, "rewards/brevity/mean": 0.2, "kl": 0.05, "entropy": 1.2}
        flat["completions/mean_length"] = 120.0
        share = step / steps
        row = {key: value * (1 + drift + chance.gauss(0, 0.1)) for key, value in flat.items()}
        for key, trend in trends.items():
            row[key] = trend(share) * (1 + 0.5 * drift)
        rows.append((step, row))
    return rows


def score(step, value, spread=0.05):
    return step, {"held_out/score": value, "held_out/low": value - spread, "held_out/high": value + spread}


def kinds(rows, held_out=()):
    return [note.kind for note in divergence.notes_of(rows, list(held_out), WEIGHTS)]


def test_flat_noise_rings_hardly_ever():
    chance = random.Random(9)
    rung = 0
    for seed in range(400):
        held_out = [score(step, 0.5 + chance.gauss(0, 0.025)) for step in range(0, STEPS, 20)]
        rung += bool(kinds(noisy(seed), held_out))
    assert rung <= 4


@pytest.mark.parametrize(
    ("kind", "trends"),
    [
        ("length", {"completions/mean_length": lambda share: 100 + 150 * share}),
        ("length", {"completions/mean_length": lambda share: 200 - 150 * share}),
        ("kl", {"kl": lambda share: 0.01 * math.exp(6 * share)}),
        ("entropy", {"entropy": lambda share: 1.2 * math.exp(-4 * share)}),
        (
            "one_part",
            {
                "reward": lambda share: 0.5 + 0.4 * share,
                "rewards/brevity/mean": lambda share: 0.2 + 0.8 * share,
                "rewards/right/mean": lambda share: 0.5 - 0.3 * share,
            },
        ),
    ],
)
def test_a_run_that_has_it_is_noted(kind, trends):
    assert all(kind in kinds(noisy(seed, **trends)) for seed in range(50))
    assert kind in divergence.KINDS


def test_a_healthy_run_has_no_note():
    healthy = {
        "reward": lambda share: 0.2 + 0.6 * share,
        "rewards/right/mean": lambda share: 0.2 + 0.5 * share,
        "rewards/brevity/mean": lambda share: 0.1 + 0.3 * share,
        "kl": lambda share: 0.01 + 0.1 * share,
        "entropy": lambda share: 1.2 - 0.4 * share,
    }
    assert sum(bool(kinds(noisy(seed, **healthy))) for seed in range(100)) <= 1


def test_a_reward_that_rises_while_the_score_falls_is_noted_with_both_and_the_better_step():
    rows = noisy(1, reward=lambda share: 0.3 + 0.5 * share)
    held_out = [score(0, 0.3), score(50, 0.6), score(100, 0.5), score(200, 0.4)]
    (note,) = divergence.notes_of(rows, held_out, {})
    assert note.kind == "reward_without_score" and (note.first, note.last) == (50, 200)
    assert "from 0.6 to 0.4" in note.text and "step 50" in note.text


def test_a_fall_within_the_interval_is_no_note():
    rows = noisy(1, reward=lambda share: 0.3 + 0.5 * share)
    assert kinds(rows, [score(0, 0.3, 0.2), score(50, 0.6, 0.2), score(200, 0.5, 0.2)]) == []


def test_a_short_run_has_none():
    assert kinds(noisy(1, steps=divergence.ENOUGH_STEPS - 1, kl=lambda share: math.exp(9 * share))) == []


@pytest.fixture
def session(team):
    return make_session(team, Status.COMPLETED)


def recorded(session, steps):
    history = History(session)
    for step, row in noisy(4, steps=steps, **{"completions/mean_length": lambda share: 100 + 200 * share}):
        history.add(Kind.METRICS, Status.TRAINING, step, **row)
    history.save()


def test_a_long_run_is_looked_at_every_so_many_steps(session):
    recorded(session, 3500)
    rows = divergence.sampled(session)
    assert len(rows) == 875 and {step % 4 for step, _ in rows} == {0}
    assert [note.kind for note in divergence.notes(session)] == ["length"]


def test_page_and_api_say_where_to_look_and_lead_there(owner_client, session):
    recorded(session, 100)
    page = owner_client.get(reverse("training:inspect", args=[session.pk])).content.decode()
    assert "Answers got much longer" in page and 'href="#groups?step=100"' in page and "hack" not in page.lower()
    told = owner_client.get(f"/api/sessions/{session.pk}/signal").json()["inspect"]
    assert told[0]["kind"] == "length" and (told[0]["first"], told[0]["last"]) == (81, 100)


def test_a_note_is_put_away_for_all_and_brought_back(owner_client, viewer_client, session):
    recorded(session, 100)
    inspect, marks = (reverse(f"training:{name}", args=[session.pk]) for name in ("inspect", "marks"))
    dismiss = reverse("training:dismiss", args=[session.pk])
    noted = {"at": None, "kind": "note", "title": "Inspect: Answers got much longer", "phase": "training", "step": 100}
    assert noted in owner_client.get(marks).json()["marks"]

    put_away = owner_client.post(dismiss, {"kind": "length"}).content.decode()
    assert "Bring back" in put_away
    seen = viewer_client.get(inspect).content.decode()
    assert "dismissed by charlie" in seen and "Look at the answers" not in seen and "Bring back" not in seen
    assert noted not in owner_client.get(marks).json()["marks"]
    assert owner_client.get(f"/api/sessions/{session.pk}/signal").json()["inspect"][0]["dismissed"] is True

    assert "Look at the answers" in owner_client.post(dismiss, {"kind": "length", "back": "1"}).content.decode()
    session.refresh_from_db()
    assert session.dismissed == {}


def test_only_members_put_notes_away_and_only_notes_there_are(outsider_client, viewer_client, owner_client, session):
    address = reverse("training:dismiss", args=[session.pk])
    codes = [c.post(address, {"kind": "kl"}).status_code for c in (outsider_client, viewer_client, owner_client)]
    assert codes == [404, 403, 200]
    assert owner_client.post(address, {"kind": "mood"}).status_code == 400


def test_others_see_no_notes(outsider_client, client, session):
    address = reverse("training:inspect", args=[session.pk])
    assert outsider_client.get(address).status_code == 404
    assert reverse("login") in client.get(address)["Location"]
