"""The evaluation partial, the Try it page and the API calls of models (N5, S12, S15.7, S15.8)."""

import re
import shutil
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from django.test import Client
from django.urls import reverse

from evaluation import trying, views
from evaluation.models import Trial
from jobs.choices import JobStatus
from tests.exports.fixtures import MakeSession
from tests.training.factories import History, make_session
from training.choices import Status
from training.models import Session

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("rung")]
HTMX = {"HX-Request": "true"}
SETTINGS = {"temperature": 0.0, "top_p": 1.0, "max_new_tokens": 8, "seed": 1, "use_system_prompt": True, "expected": ""}
FORM = {"prompt": "What is 2 + 2?", "temperature": "0", "top_p": "1", "max_new_tokens": "8", "seed": "1"}


def partial(client: Client, session: Session, **query: str) -> str:
    response = client.get(reverse("evaluation:before_after", args=[session.pk]), query)
    assert response.status_code == 200
    return response.content.decode()


def try_url(session: Session) -> str:
    return reverse("evaluation:try", args=[session.pk])


def make_trial(session: Session, **fields: Any) -> Trial:
    return Trial.objects.create(team=session.team, session=session, prompt="Why?", settings=SETTINGS, **fields)


def test_before_any_answer_the_partial_says_what_will_be_there(owner_client: Client, make_trained: MakeSession) -> None:
    page = partial(owner_client, make_trained(Status.TRAINING))
    assert "No answers yet" in page
    assert 'hx-trigger="every 5s"' in page


def test_finished_partial_has_verdict_plot_table_and_changed_answers(owner_client: Client, session: Session) -> None:
    page = partial(owner_client, session)
    assert "Better: " in page
    assert page.count("<svg viewBox") >= 2
    assert "95 % interval" in page
    assert "Wrong, now right" in page
    assert "hx-trigger" not in page
    assert "style=" not in page


def test_changed_answers_are_filtered_both_ways(
    owner_client: Client, session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(views, "SHOWN_CHANGES", 500)
    everything = partial(owner_client, session)
    gained, lost = partial(owner_client, session, changed="gained"), partial(owner_client, session, changed="lost")
    count = everything.count('changed-answer"')
    assert gained.count("status-good") + lost.count("status-bad") == count
    assert gained.count("status-bad") == 0 == lost.count("status-good")
    assert partial(owner_client, session, changed="nonsense").count('changed-answer"') == count


def test_partial_shows_progress_while_answers_come(owner_client: Client, make_trained: MakeSession) -> None:
    session = make_trained(Status.STARTING)
    history = History(session)
    history.evaluate("base", Status.STARTING, 0.3, questions=200, done=120)
    history.save()
    page = partial(owner_client, session)
    assert "120 of 200" in page
    assert 'value="120"' in page


def test_long_answers_are_folded_and_markup_is_shown_as_text(owner_client: Client, team: Any) -> None:
    session = make_session(team, Status.COMPLETED)
    history = History(session)
    base = {"row": 1, "question": "<script>alert(1)</script>", "reference": "4", "completion": "x" * 5000}
    for label, correct in (("base", False), ("adapter", True)):
        answers = [{**base, "correct": correct, "reward": 1.0, "cut_off": True}]
        history.add("evaluation", label=label, done=1, total=1, answers=answers)
        history.add("evaluation", label=label, summary={"questions": 1})
    history.save()
    page = partial(owner_client, session)
    assert len(re.findall("Show all, 5.000 characters", page)) == 2
    assert "<script>" not in page
    assert "&lt;script&gt;" in page


def test_try_page_prefills_from_the_training_and_offers_held_out_questions(
    owner_client: Client, session: Session
) -> None:
    page = owner_client.get(try_url(session)).content.decode()
    assert 'name="max_new_tokens"' in page
    assert 'value="12"' in page
    assert page.count("data-question=") == trying.EXAMPLES
    assert "style=" not in page


def test_a_prompt_becomes_a_trial_and_a_bell(teammate_client: Client, session: Session, rung: list[str]) -> None:
    response = teammate_client.post(
        try_url(session), {**FORM, "expected": "4", "use_system_prompt": "on"}, headers=HTMX
    )
    trial = Trial.objects.get()
    assert response.status_code == 200
    assert f'id="trial-{trial.pk}"' in response.content.decode()
    assert trial.settings == {**SETTINGS, "max_new_tokens": 8, "expected": "4"}
    assert trial.created_by and trial.created_by.username == "bob"


def test_without_scripts_the_form_redirects_to_the_page(owner_client: Client, session: Session) -> None:
    assert owner_client.post(try_url(session), FORM).status_code == 302


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"prompt": "   "}, "Write a prompt first."),
        ({"temperature": "9"}, "less than or equal to 5"),
        ({"max_new_tokens": "0"}, "greater than or equal to 1"),
        ({"top_p": "2"}, "less than or equal to 1"),
        ({"seed": "-1"}, "greater than or equal to 0"),
    ],
)
def test_a_wrong_value_is_explained_on_its_field(
    owner_client: Client, session: Session, changes: dict[str, str], words: str
) -> None:
    page = owner_client.post(try_url(session), {**FORM, **changes}, headers=HTMX).content.decode()
    assert words in page
    assert "is-invalid" in page
    assert not Trial.objects.exists()


def test_open_trial_polls_and_finished_one_does_not(owner_client: Client, session: Session) -> None:
    trial = make_trial(session)
    url = reverse("evaluation:trial", args=[trial.pk])
    assert 'hx-trigger="every 1s"' in owner_client.get(url).content.decode()
    answers = {
        label: {"text": f"<b>{label}", "tokens": 8, "seconds": 2.0, "speed": 4.0, "cut_off": True, "score": None}
        for label in ("base", "adapter")
    }
    Trial.objects.update(status=JobStatus.READY, answers=answers)
    page = owner_client.get(url).content.decode()
    assert "hx-trigger" not in page
    assert "&lt;b&gt;adapter" in page
    assert "8 tokens" in page
    assert "tokens/s" in page
    assert "cut off" in page


def test_trial_shows_score_and_feedback(owner_client: Client, session: Session) -> None:
    score = {
        "total": 1.5,
        "correct": True,
        "error": "",
        "parts": [{"name": "math", "value": 1.0, "feedback": "4 equals 4", "error": ""}],
    }
    answer = {"text": "4", "tokens": 1, "seconds": 1.0, "speed": 1.0, "cut_off": False, "score": score}
    trial = make_trial(session, status=JobStatus.READY, answers={"base": answer, "adapter": answer})
    page = owner_client.get(reverse("evaluation:trial", args=[trial.pk])).content.decode()
    assert "4 equals 4" in page
    assert "Right" in page


def test_cancelling_a_trial(owner_client: Client, session: Session) -> None:
    trial = make_trial(session)
    page = owner_client.post(reverse("evaluation:cancel_trial", args=[trial.pk])).content.decode()
    trial.refresh_from_db()
    assert trial.status == JobStatus.CANCELLED
    assert "Cancelled" in page


def test_session_without_adapter_can_not_be_tried(owner_client: Client, make_trained: MakeSession) -> None:
    session = make_trained(adapter=False)
    assert "Nothing to try yet" in owner_client.get(try_url(session)).content.decode()
    page = owner_client.post(try_url(session), FORM, headers=HTMX).content.decode()
    assert "no adapter yet" in page
    assert not Trial.objects.exists()


def test_running_session_is_tried_with_its_newest_checkpoint(
    owner_client: Client, make_trained: MakeSession, tiny_adapter: Path
) -> None:
    session = make_trained(Status.TRAINING, adapter=False)
    shutil.copytree(tiny_adapter, session.folder / "checkpoints" / "checkpoint-20")
    page = owner_client.get(try_url(session)).content.decode()
    assert "checkpoint-20" in page
    assert "slows the training" in page


def test_viewer_reads_but_can_not_ask(viewer_client: Client, session: Session) -> None:
    trial = make_trial(session)
    page = viewer_client.get(try_url(session)).content.decode()
    assert "<form" not in page.split('id="content"')[1]
    assert viewer_client.post(try_url(session), FORM).status_code == 403
    assert viewer_client.post(reverse("evaluation:cancel_trial", args=[trial.pk])).status_code == 403
    body = {"model_path": f"outputs/{session.pk}/", "prompt": "Hi"}
    assert viewer_client.post("/api/models/test", body, "application/json").status_code == 403


def test_outsider_gets_404_everywhere(outsider_client: Client, session: Session) -> None:
    trial = make_trial(session)
    for url in (
        reverse("evaluation:before_after", args=[session.pk]),
        try_url(session),
        reverse("evaluation:trial", args=[trial.pk]),
        f"/api/models/test/{trial.pk}",
    ):
        assert outsider_client.get(url).status_code == 404
    assert outsider_client.post(try_url(session), FORM).status_code == 404
    assert outsider_client.post(reverse("evaluation:cancel_trial", args=[trial.pk])).status_code == 404
    body = {"model_path": f"outputs/{session.pk}/", "prompt": "Hi"}
    assert outsider_client.post("/api/models/test", body, "application/json").status_code == 404
    assert outsider_client.get("/api/models/list").json() == {"models": []}
    assert Trial.objects.count() == 1


@pytest.mark.parametrize("slash", ["", "/"])
def test_api_lists_trained_models_with_their_scores(
    owner_client: Client, session: Session, make_trained: MakeSession, slash: str, django_assert_max_num_queries: Any
) -> None:
    make_trained(adapter=False)
    make_trained(Status.TRAINING, name="Second")
    with django_assert_max_num_queries(6):
        models = owner_client.get(f"/api/models/list{slash}").json()["models"]
    assert [model["name"] for model in models] == ["Second", session.name]
    found = models[1]
    assert found["path"] == f"outputs/{session.pk}/"
    assert found["base"] == session.config["model"]["name"]
    assert found["score"] == found["scores"]["adapter"]["accuracy"] > found["scores"]["base"]["accuracy"]
    assert models[0]["score"] is None


def test_api_answers_202_with_an_id_when_it_takes_too_long(owner_client: Client, session: Session) -> None:
    body = {"model_path": f"outputs/{session.pk}/", "prompt": "Hi", "temperature": 0.1, "max_tokens": 5, "wait": 0}
    response = owner_client.post("/api/models/test", body, "application/json")
    assert response.status_code == 202
    trial = Trial.objects.get()
    assert (trial.settings["max_new_tokens"], trial.settings["temperature"]) == (5, 0.1)
    assert response.json()["id"] == str(trial.pk)
    assert owner_client.get(f"/api/models/test/{trial.pk}/").json()["status"] == "queued"


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"prompt": "Hi"}, 400),
        ({"model_path": "{session}"}, 400),
        ({"model_path": "{session}", "prompt": "  "}, 400),
        ({"model_path": "{session}", "prompt": "Hi", "max_tokens": 0}, 400),
        ({"model_path": "{session}", "prompt": "Hi", "temperature": "hot"}, 400),
        ({"model_path": "/etc/passwd", "prompt": "Hi"}, 404),
        ({"model_path": f"outputs/{uuid4()}/", "prompt": "Hi"}, 404),
    ],
)
def test_api_explains_a_wrong_body(owner_client: Client, session: Session, body: dict[str, Any], status: int) -> None:
    body = {
        key: value.replace("{session}", str(session.pk)) if isinstance(value, str) else value
        for key, value in body.items()
    }
    response = owner_client.post("/api/models/test", body, "application/json")
    assert response.status_code == status
    assert response.json()["error"]
    assert not Trial.objects.exists()


def test_api_needs_a_sign_in(session: Session) -> None:
    assert Client().get("/api/models/list").status_code == 401
    assert Client().post("/api/models/test", {}).status_code == 401
