"""A search over all answers of a session, on the page and over the API."""

import pytest
from django.urls import reverse

from tests.training.factories import History, make_session
from training import completions
from training.choices import Kind, Status
from training.completions import Filters, search, snippet
from training.models import Event

pytestmark = pytest.mark.django_db


@pytest.fixture
def session(team):
    session = make_session(team, Status.COMPLETED)
    history = History(session)
    for step in range(1, 31):
        answers = [
            {"text": f"Step {step} says 100% {word}", "total": step / 10, "parts": {}, "errors": {}, "length": 3}
            | {"advantage": 0.0, "cut_off": word == "Tea"}
            for word in ("Tea", "coffee")
        ]
        answers[1]["errors"] = {"correct": "no"} if step == 7 else {}
        group = {"question": "q", "prompt": "p", "reference": "r", "completions": answers}
        history.add(Kind.ROLLOUTS, Status.TRAINING, step, groups=[group, group])
    return history.save()


def steps(session, **filters):
    return [row.step for row in search(session, Filters(**filters), limit=100).rows]


def test_words_steps_totals_and_kinds_narrow_the_search(session) -> None:
    assert steps(session, text="step 30 SAYS") == [30] * 4
    assert steps(session, text="tea", first_step=9, last_step=10) == [10, 10, 9, 9]
    assert set(steps(session, lowest=0.25, highest=0.45)) == {3, 4}
    assert all(row.text.endswith("Tea") for row in search(session, Filters(cut_off=True)).rows)
    assert steps(session, failed=True) == [7, 7]
    assert steps(session, text="100% t", first_step=30) == [30, 30]
    assert steps(session, text="100_") == []


@pytest.mark.parametrize("stretch", [3, 7, 5000])
def test_the_cursor_leads_through_all_of_them_once(session, monkeypatch, stretch) -> None:
    monkeypatch.setattr(completions, "STRETCH", stretch)
    seen, before = list[int](), None
    while True:
        page = search(session, Filters(text="coffee"), before, limit=7)
        seen += [row.pk for row in page.rows]
        if page.cursor is None:
            break
        before = page.cursor
    assert len(seen) == len(set(seen)) == 60
    assert seen == sorted(seen, reverse=True)


def test_a_search_that_takes_too_long_says_how_far_it_came(session, monkeypatch, owner_client) -> None:
    monkeypatch.setattr(completions, "STRETCH", 3)
    clock = iter(range(1000))
    monkeypatch.setattr(completions.time, "monotonic", lambda: next(clock) * 0.9)
    page = search(session, Filters(text="nothing"))
    assert (page.rows, page.complete) == ([], False)
    assert page.cursor is not None
    reply = owner_client.get(reverse("training:completions", args=[session.pk]), {"q": "nothing"}).content.decode()
    assert "Looked through the answers down to step" in reply
    assert "Search on" in reply


def test_steps_that_were_done_again_are_not_found(session) -> None:
    Event.objects.filter(session=session, step=30, kind=Kind.ROLLOUTS).update(superseded=True)
    assert steps(session, text="Step 30") == []


def test_a_snippet_shows_what_is_around_the_words() -> None:
    found = snippet("a" * 500 + "Needle" + "b" * 500, "nEEdle")
    assert (found.hit, found.begins, found.ends) == ("Needle", False, False)
    assert len(found.before) == len(found.after) == completions.AROUND
    assert snippet("İ needle", "needle").hit == "needle"


def test_the_page_says_where_an_answer_is_and_marks_the_words(viewer_client, session) -> None:
    url = reverse("training:completions", args=[session.pk])
    page = viewer_client.get(url, {"q": "step 7 says 100% c"}).content.decode()
    assert 'data-found-step="7" data-found-prompt="2" data-found-answer="2"' in page
    assert "<mark>Step 7 says 100% c</mark>" in page
    assert "No stored answer" in viewer_client.get(url, {"q": "no such"}).content.decode()
    assert "from_step" in viewer_client.get(url, {"from_step": "x"}).content.decode()


def api(session):
    return f"/api/sessions/{session.pk}/completions"


def test_the_api_gives_pages_with_a_cursor(viewer_client, session) -> None:
    first = viewer_client.get(api(session), {"q": "tea", "limit": 3, "from_step": 30, "cut_off": "true"}).json()
    assert [(row["step"], row["prompt"], row["answer"]) for row in first["completions"]] == [(30, 2, 1), (30, 1, 1)]
    assert first["next"] is None
    page = viewer_client.get(api(session), {"limit": 2}).json()
    rest = viewer_client.get(api(session), {"limit": 2, "before": page["next"]}).json()
    assert {row["id"] for row in page["completions"]}.isdisjoint(row["id"] for row in rest["completions"])
    assert set(page["completions"][0]) >= {"text", "total", "advantage", "length", "characters", "failed"}


def test_the_api_refuses_what_it_can_not_read(viewer_client, session) -> None:
    for query in ({"limit": 1000}, {"before": "x"}, {"cut_off": "perhaps"}, {"lowest": "low"}, {"lowest": "nan"}):
        reply = viewer_client.get(api(session), query)
        assert reply.status_code == 400, query
        assert set(reply.json()["fields"]) == set(query)


def test_strangers_find_nothing(outsider_client, client, session) -> None:
    assert outsider_client.get(api(session)).status_code == 404
    assert outsider_client.get(reverse("training:completions", args=[session.pk])).status_code == 404
    assert client.get(api(session)).status_code in (401, 403)
