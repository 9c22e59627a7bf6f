"""Batches over REST: the same verbs, the same checks."""

import base64
import json
from typing import Any
from uuid import uuid4

import pytest
from django.contrib.auth.models import User
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client

from evaluation import tasks
from evaluation.choices import RowStatus
from evaluation.models import Batch
from jobs.choices import JobStatus
from tests.exports.fixtures import MakeSession
from training.models import Session

pytestmark = pytest.mark.django_db
LIST = "/api/batches"


@pytest.fixture(autouse=True)
def rung(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    rung: list[str] = []
    monkeypatch.setattr(tasks, "answer_batch", rung.append)
    return rung


@pytest.fixture
def session(make_trained: MakeSession) -> Session:
    return make_trained()


def post(client: Client, session: Session, **data: Any) -> Any:
    body = {"model": f"session:{session.pk}", **data}
    return client.post(LIST, json.dumps(body), content_type="application/json")


def made(client: Client, session: Session) -> Batch:
    prompts = [{"prompt": "1 + 1?", "reference": "2"}, {"prompt": "2 + 2?", "reference": "4"}]
    response = post(client, session, prompts=prompts, max_new_tokens=5, temperature=0.5)
    assert response.status_code == 202, response.content
    return Batch.objects.get(pk=response.json()["id"])


def test_prompts_in_the_body_are_queued_with_their_references(owner_client: Client, session: Session) -> None:
    batch = made(owner_client, session)
    assert [(row.prompt, row.reference) for row in batch.rows.all()] == [("1 + 1?", "2"), ("2 + 2?", "4")]
    assert batch.settings["temperature"] == 0.5 and batch.settings["top_p"] == 1
    assert batch.settings["use_system_prompt"] is True
    shown = owner_client.get(f"{LIST}/{batch.pk}").json()
    assert shown["status"] == "queued" and shown["summary"]["waiting"] == 2 and shown["session_id"] == str(session.pk)
    listed = owner_client.get(LIST).json()
    assert listed["total"] == 1 and listed["batches"][0]["id"] == str(batch.pk)


def test_a_file_is_sent_as_a_form_and_text_as_text(owner_client: Client, session: Session) -> None:
    file = SimpleUploadedFile("sums.csv", b"q,a,b\none,1,2\n")
    form = {"model": f"session:{session.pk}", "file": file, "prompt_column": "b", "reference_column": "a"}
    response = owner_client.post(LIST, {**form, "use_system_prompt": "false"})
    assert response.status_code == 202, response.content
    batch = Batch.objects.get()
    assert (batch.name, batch.settings["use_system_prompt"]) == ("sums.csv", False)
    assert [(row.prompt, row.reference) for row in batch.rows.all()] == [("2", "1")]
    assert post(owner_client, session, text="a, b\nc, d", lines=True).json()["summary"]["rows"] == 2
    assert post(owner_client, session, prompts=["a", "b", "c"]).json()["summary"]["rows"] == 3


@pytest.mark.parametrize(
    ("data", "field", "said"),
    [
        ({}, "file", "one of file, text and prompts"),
        ({"text": "a", "prompts": ["b"]}, "file", "one of"),
        ({"text": " "}, "text", "It is empty"),
        ({"prompts": "a"}, "prompts", "a list"),
        ({"prompts": [{"prompt": ""}]}, "prompt_column", "there is no prompt"),
        ({"prompts": ["a", ""]}, "skip_faulty", "Row 2"),
        ({"text": "a", "temprature": 1}, "temprature", "no such field"),
        ({"text": "a", "top_p": 7}, "top_p", "less than or equal to 1"),
        ({"text": "a", "reward": "none"}, "reward", "Select a valid choice"),
        ({"text": "a", "model": "base:/etc"}, "model", "not offered"),
    ],
)
def test_what_is_wrong_is_said_at_its_field(
    owner_client: Client, session: Session, data: dict[str, Any], field: str, said: str
) -> None:
    response = post(owner_client, session, **data)
    assert response.status_code == 400, response.content
    assert said in response.json()["fields"][field][0]
    assert not Batch.objects.exists()


def test_it_is_cancelled_gone_on_with_and_deleted(owner_client: Client, session: Session) -> None:
    batch = made(owner_client, session)
    address = f"{LIST}/{batch.pk}"
    assert owner_client.delete(address).status_code == 409
    assert owner_client.post(f"{address}/go-on").status_code == 409
    assert owner_client.post(f"{address}/cancel").json()["status"] == "cancelled"
    assert owner_client.post(f"{address}/cancel").status_code == 409
    response = owner_client.post(f"{address}/go-on")
    assert (response.status_code, response.json()["status"]) == (202, "queued")
    owner_client.post(f"{address}/cancel")
    assert owner_client.delete(address).status_code == 204
    assert owner_client.get(address).status_code == 404


def test_rows_are_paged_filtered_and_shown_alone(owner_client: Client, session: Session) -> None:
    batch = made(owner_client, session)
    batch.rows.filter(number=2).update(status=RowStatus.ANSWERED, answer="4", right=True, exact=True, tokens=1)
    rows = f"{LIST}/{batch.pk}/rows"
    assert owner_client.get(rows, {"limit": 1, "offset": 1}).json()["rows"][0]["number"] == 2
    assert [row["number"] for row in owner_client.get(rows, {"show": "right"}).json()["rows"]] == [2]
    assert owner_client.get(rows, {"q": "1 +"}).json()["total"] == 1
    assert owner_client.get(rows, {"sort": "-number"}).json()["rows"][0]["number"] == 2
    for wrong in ({"show": "all"}, {"sort": "prompt"}, {"limit": "0"}, {"offset": "x"}):
        assert owner_client.get(rows, wrong).status_code == 400
    assert owner_client.get(f"{rows}/2").json()["exact_match"] is True
    assert owner_client.get(f"{rows}/3").status_code == 404


def test_outsiders_find_nothing_and_viewers_change_nothing(
    owner_client: Client, outsider_client: Client, viewer_client: Client, session: Session
) -> None:
    batch = made(owner_client, session)
    address = f"{LIST}/{batch.pk}"
    for path in ("", "/rows", "/rows/1", "/export/csv", "/export/json"):
        assert outsider_client.get(address + path).status_code == 404
        assert viewer_client.get(address + path).status_code == 200
    for path in ("/cancel", "/go-on"):
        assert outsider_client.post(address + path).status_code == 404
        assert viewer_client.post(address + path).status_code == 403
    assert outsider_client.delete(address).status_code == 404
    assert viewer_client.delete(address).status_code == 403
    assert post(viewer_client, session, text="a").status_code == 403
    assert post(outsider_client, session, text="a").status_code == 400, "the model is not offered to them"
    assert outsider_client.get(LIST).json()["total"] == 0
    assert Client().get(LIST).status_code == 401
    assert owner_client.get(f"{LIST}/{uuid4()}").status_code == 404


@pytest.mark.django_db(transaction=True)
def test_a_program_signs_in_and_gets_the_file(owner: User, owner_client: Client, session: Session) -> None:
    batch = made(owner_client, session)
    Batch.objects.filter(pk=batch.pk).update(status=JobStatus.READY)
    basic = base64.b64encode(b"charlie:a long password").decode()
    response = Client().get(f"{LIST}/{batch.pk}/export/csv", headers={"Authorization": f"Basic {basic}"})
    assert response.status_code == 200 and response["Content-Type"].startswith("text/csv")
