"""The pages and routes of evaluations: choosing, watching, reading, exporting; and who may."""

import csv
import io
import json
from typing import Any
from xml.etree import ElementTree

import pytest
from asgiref.sync import async_to_sync
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse

from evaluation.models import EvaluatedAnswer, Evaluation, EvaluationSet
from jobs.choices import JobStatus
from tests.evaluation.evaluation_fixtures import *  # noqa: F403
from tests.evaluation.evaluation_fixtures import HELD_OUT, as_answered, keys_of, queued
from training.models import Session

pytestmark = pytest.mark.django_db
HTMX = {"HX-Request": "true"}
LIST, SETS = "/api/evaluations", "/api/evaluation-sets"
FORM = {"max_new_tokens": "8", "seed": "3", "samples": "0", "temperature": "0.7", "top_p": "0.95", "top_k": "0"}
HALF = [number % 2 == 0 for number in range(HELD_OUT)]
BETTER = [number % 2 == 0 or number < 12 for number in range(HELD_OUT)]


def url(name: str, *args: Any) -> str:
    return reverse(f"evaluation:{name}", args=args)


def body(response: Any) -> str:
    async def read() -> bytes:
        return b"".join([part async for part in response.streaming_content])

    return async_to_sync(read)().decode()


@pytest.fixture
def evaluation(owner: User, held_out: EvaluationSet, session: Session) -> Evaluation:
    """Six answers gained, of 24; none lost."""
    made = queued(owner, held_out, session, samples=2)
    as_answered(made, [[*HALF], [*BETTER]], [[1] * HELD_OUT, [2] * HELD_OUT])
    return made


def test_models_are_chosen_and_the_evaluation_started(
    owner_client: Client,
    held_out: EvaluationSet,
    session: Session,
    rung: list[str],
    django_capture_on_commit_callbacks: Any,
) -> None:
    page = owner_client.get(url("evaluation_new"), {"session": session.pk, "set": held_out.pk}).content.decode()
    assert all(f'value="{key}" checked' in page for key in keys_of(session)), "the session and its base are proposed"
    form = {**FORM, "evaluation_set": held_out.pk, "models": keys_of(session)}
    with django_capture_on_commit_callbacks(execute=True):
        response = owner_client.post(url("evaluation_new"), form)
    made = Evaluation.objects.get()
    assert response.url == url("evaluation", made.pk) and rung == [str(made.pk)]
    assert [model.key for model in made.models.all()] == keys_of(session)
    assert made.settings["max_new_tokens"] == 8 and made.reward_name == "Exact match"


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"models": []}, "Choose one to 6 models"),
        ({"evaluation_set": ""}, "This field is required"),
        ({"models": ["base:/etc"]}, "not offered"),
        ({"samples": "900"}, "less than or equal to 64"),
    ],
)
def test_what_is_wrong_is_said_and_nothing_typed_is_lost(
    owner_client: Client, held_out: EvaluationSet, session: Session, changed: dict[str, Any], said: str
) -> None:
    form = {**FORM, "evaluation_set": held_out.pk, "models": keys_of(session), "name": "Mine", "seed": "77"}
    page = owner_client.post(url("evaluation_new"), {**form, **changed}).content.decode()
    assert said in page and 'value="Mine"' in page and 'value="77"' in page
    assert not Evaluation.objects.exists()


def test_a_chosen_session_shows_its_weights_and_what_it_would_cost(
    owner_client: Client, held_out: EvaluationSet, session: Session
) -> None:
    asked = {**FORM, "evaluation_set": held_out.pk, "models": keys_of(session)[1:], "samples": "3"}
    page = owner_client.get(url("evaluation_models"), asked, headers=HTMX)
    assert page.context["cost"]["answers"] == 4 * HELD_OUT
    below = [option.choice.value for option in page.context["options"] if option.below]
    assert below == [keys_of(session)[0]]
    none = owner_client.get(url("evaluation_models"), {**asked, "model_search": "zzz", "models": []})
    assert "No model on this machine has" in none.content.decode()


def test_without_a_set_the_page_says_what_to_do_first(owner_client: Client, outsider_client: Client) -> None:
    assert "New evaluation set" in owner_client.get(url("evaluations")).content.decode()
    assert "There is no evaluation set yet" in outsider_client.get(url("evaluation_new")).content.decode()


def test_while_it_waits_the_page_says_why_and_asks_again(
    owner_client: Client, owner: User, held_out: EvaluationSet, session: Session
) -> None:
    waits = queued(owner, held_out, session)
    page = owner_client.get(url("evaluation", waits.pk)).content.decode()
    assert "No worker" in page and 'hx-trigger="every 2s"' in page and f"0 of {HELD_OUT} answers" in page
    Evaluation.objects.update(status=JobStatus.FAILED, error="The base is gone.")
    page = owner_client.get(url("evaluation", waits.pk), headers=HTMX).content.decode()
    assert "The base is gone." in page and "Go on" in page and "every 2s" not in page and "<html" not in page


def test_the_report_shows_the_verdict_the_intervals_and_what_changed(
    owner_client: Client, evaluation: Evaluation
) -> None:
    page = owner_client.get(url("evaluation", evaluation.pk))
    text = page.content.decode()
    assert "Better: " in text and "pass@2" in text and "95 % interval" in text
    assert {name: count for name, _, count in page.context["beside"].filters} == {
        "": 6,
        "gained": 6,
        "lost": 0,
        "wrong": 6,
        "errors": 0,
        "all": HELD_OUT,
    }
    assert text.count("Wrong, now right</span>") == 6 and "no &lt;b&gt;idea" in text


def test_another_pair_a_filter_and_a_search_show_other_answers(owner_client: Client, evaluation: Evaluation) -> None:
    def numbers(**asked: Any) -> list[int]:
        return [
            line["row"].number for line in owner_client.get(url("evaluation", evaluation.pk), asked).context["lines"]
        ]

    assert numbers() == numbers(show="gained") == [2, 4, 6, 8, 10, 12]
    assert numbers(first=2, second=1, show="lost") == [2, 4, 6, 8, 10, 12]
    assert numbers(first=1, second=1) == numbers(first=1, second=1, show="all") == list(range(1, 21))
    row = evaluation.evaluation_set.rows.get(number=5)
    assert numbers(show="all", q=f"={row.reference}")[:1] and 5 in numbers(show="all", q=row.instruction)


def test_a_model_that_was_trained_on_the_rows_is_warned_about(owner_client: Client, evaluation: Evaluation) -> None:
    evaluation.report["models"][1]["trained_on"] = 7
    evaluation.save()
    assert "was trained on 7 of these" in owner_client.get(url("evaluation", evaluation.pk)).content.decode()


def test_the_picture_stands_alone_and_shows_each_interval(owner_client: Client, evaluation: Evaluation) -> None:
    evaluation.report["models"][0]["title"] = "<b>"
    evaluation.save()
    response = owner_client.get(url("evaluation_picture", evaluation.pk))
    assert response["Content-Type"] == "image/svg+xml" and ".svg" in response["Content-Disposition"]
    root = ElementTree.fromstring(response.content)  # noqa: S314 - our own
    # A ground for the picture; ground, range and mark of two models in four plots.
    assert len(root.findall("{*}rect")) == 1 + 3 * 2 * 4
    assert all(0 <= float(rect.get("x", "0")) <= 960 for rect in root.findall("{*}rect"))


@pytest.mark.django_db(transaction=True)
def test_files_hold_every_answer_and_no_formula(owner_client: Client, evaluation: Evaluation) -> None:
    rows = list(csv.DictReader(io.StringIO(body(owner_client.get(url("evaluation_csv", evaluation.pk))))))
    assert len(rows) == 2 * 3 * HELD_OUT and rows[0]["sample"] == "greedy"
    assert rows[0]["answer"].startswith("'=") and rows[0]["right"] == "yes"
    found = json.loads(body(owner_client.get(url("evaluation_json", evaluation.pk))))
    assert found["evaluation"]["report"]["pairs"][0]["accuracy"]["gained"] == 6
    assert len(found["answers"]) == len(rows) and found["answers"][0]["answer"].startswith("=")


def test_the_list_takes_no_more_queries_for_more_of_them(
    owner_client: Client, owner: User, evaluation: Evaluation, session: Session, django_assert_max_num_queries: Any
) -> None:
    for _ in range(4):
        queued(owner, evaluation.evaluation_set, session)
    with django_assert_max_num_queries(14):
        page = owner_client.get(url("evaluations")).content.decode()
    assert "75.0 %" in page and page.count("Queued") >= 4
    with django_assert_max_num_queries(24):
        owner_client.get(url("evaluation", evaluation.pk))


def test_it_is_cancelled_gone_on_with_and_deleted(
    owner_client: Client, owner: User, held_out: EvaluationSet, session: Session
) -> None:
    made = queued(owner, held_out, session)
    assert "Cancel it first" in owner_client.post(url("evaluation_delete", made.pk), follow=True).content.decode()
    owner_client.post(url("evaluation_cancel", made.pk))
    assert Evaluation.objects.get().status == JobStatus.CANCELLED
    owner_client.post(url("evaluation_go_on", made.pk))
    assert Evaluation.objects.get().status == JobStatus.QUEUED
    assert "nothing to go on" in owner_client.post(url("evaluation_go_on", made.pk), follow=True).content.decode()
    owner_client.post(url("evaluation_cancel", made.pk))
    assert "was deleted" in owner_client.post(url("evaluation_delete", made.pk), follow=True).content.decode()
    assert not Evaluation.objects.exists() and EvaluationSet.objects.exists()


def test_an_outsider_finds_nothing_and_a_viewer_changes_nothing(
    outsider_client: Client, viewer_client: Client, teammate_client: Client, evaluation: Evaluation
) -> None:
    names = ("evaluation", "evaluation_csv", "evaluation_json", "evaluation_picture")
    seen = [url(name, evaluation.pk) for name in names]
    changes = [url(name, evaluation.pk) for name in ("evaluation_cancel", "evaluation_go_on", "evaluation_delete")]
    assert {outsider_client.get(each).status_code for each in seen} == {404}
    assert {viewer_client.get(each).status_code for each in seen} == {200}
    assert {outsider_client.post(each).status_code for each in changes} == {404}
    assert {viewer_client.post(each).status_code for each in changes} == {403}
    assert viewer_client.get(url("evaluation_new")).status_code == 403
    assert evaluation.name not in outsider_client.get(url("evaluations")).content.decode()
    form = {**FORM, "evaluation_set": evaluation.evaluation_set.pk, "models": [evaluation.models.get(number=2).key]}
    assert outsider_client.post(url("evaluation_new"), form).status_code == 200, "the set is not offered"
    assert evaluation.models.get(number=2).title not in outsider_client.get(url("evaluation_models")).content.decode()
    assert {teammate_client.post(each).status_code for each in changes} == {302}
    assert Client().get(url("evaluations")).status_code == 302


def test_session_and_dataset_lead_to_it_for_those_who_may(
    owner_client: Client, viewer_client: Client, session: Session, version: Any
) -> None:
    tab, dataset = url("before_after", session.pk), reverse("datasets:detail", args=[version.dataset_id])
    links = [
        (tab, f"{url('evaluation_new')}?session={session.pk}"),
        (dataset, f"{url('set_new')}?version={version.pk}"),
    ]
    for page, link in links:
        assert link in owner_client.get(page).content.decode()
        assert link not in viewer_client.get(page).content.decode()


# REST


def post(client: Client, address: str, **data: Any) -> Any:
    return client.post(address, json.dumps(data), content_type="application/json")


def test_a_set_is_made_read_and_deleted_over_rest(owner_client: Client, version: Any) -> None:
    made = post(owner_client, SETS, version_id=version.pk, sample=9, seed=2)
    assert made.status_code == 201 and (made.json()["rows"], made.json()["origin"]["seed"]) == (9, 2)
    address = f"{SETS}/{made.json()['id']}"
    shown = owner_client.get(address, {"limit": 2, "offset": 1}).json()
    assert (shown["found"], [row["row"] for row in shown["shown"]]) == (9, [2, 3])
    assert owner_client.get(SETS).json()["total"] == 1
    assert post(owner_client, SETS, version_id=version.pk, sample=999).json()["fields"]["sample"]
    assert "no such field" in post(owner_client, SETS, version=1).json()["fields"]["version"][0]
    assert owner_client.delete(address).status_code == 204 and owner_client.get(address).status_code == 404


def test_an_evaluation_is_asked_for_over_rest(owner_client: Client, held_out: EvaluationSet, session: Session) -> None:
    made = post(owner_client, LIST, set=str(held_out.pk), models=keys_of(session), samples=1)
    assert made.status_code == 202, made.content
    shown = owner_client.get(f"{LIST}/{made.json()['id']}").json()
    assert (shown["status"], shown["report"], len(shown["models"])) == ("queued", None, 2)
    assert shown["settings"]["samples"] == 1 and shown["settings"]["top_p"] == 0.95
    address = f"{LIST}/{shown['id']}"
    assert owner_client.delete(address).status_code == 409 == owner_client.delete(f"{SETS}/{held_out.pk}").status_code
    assert owner_client.post(f"{address}/go-on").status_code == 409
    assert owner_client.post(f"{address}/cancel").json()["status"] == "cancelled"
    assert owner_client.post(f"{address}/cancel").status_code == 409
    assert owner_client.post(f"{address}/go-on").status_code == 202
    owner_client.post(f"{address}/cancel")
    assert owner_client.delete(address).status_code == 204


@pytest.mark.parametrize(
    ("data", "field"),
    [({"models": []}, "models"), ({"set": "none"}, "set"), ({"modles": []}, "modles"), ({"samples": -1}, "samples")],
)
def test_what_is_wrong_is_said_at_its_field_over_rest(
    owner_client: Client, held_out: EvaluationSet, session: Session, data: dict[str, Any], field: str
) -> None:
    response = post(owner_client, LIST, **{"set": str(held_out.pk), "models": keys_of(session), **data})
    assert response.status_code == 400 and response.json()["fields"][field]
    assert not Evaluation.objects.exists()


def test_rows_come_with_the_answers_of_all_models(owner_client: Client, evaluation: Evaluation) -> None:
    rows = f"{LIST}/{evaluation.pk}/rows"
    found = owner_client.get(rows, {"limit": 2}).json()
    assert found["total"] == HELD_OUT and [row["row"] for row in found["rows"]] == [1, 2]
    answers = [(answer["model"], answer["sample"]) for answer in found["rows"][0]["answers"]]
    assert answers == [(1, 0), (1, 1), (1, 2), (2, 0), (2, 1), (2, 2)]
    assert owner_client.get(rows, {"show": "gained", "first": 1, "second": 2}).json()["total"] == 6
    assert owner_client.get(rows, {"show": "none"}).status_code == 400


def test_over_rest_outsiders_find_nothing_and_viewers_change_nothing(
    outsider_client: Client, viewer_client: Client, evaluation: Evaluation, version: Any
) -> None:
    address, asked = f"{LIST}/{evaluation.pk}", f"{SETS}/{evaluation.evaluation_set.pk}"
    for path in (address, asked, f"{address}/rows", f"{address}/export/csv", f"{address}/export/json"):
        assert outsider_client.get(path).status_code == 404
        assert viewer_client.get(path).status_code == 200
    for path in ("/cancel", "/go-on"):
        assert outsider_client.post(address + path).status_code == 404
        assert viewer_client.post(address + path).status_code == 403
    for path in (address, asked):
        assert outsider_client.delete(path).status_code == 404
        assert viewer_client.delete(path).status_code == 403
    for client in (outsider_client, viewer_client):
        assert post(client, SETS, version_id=version.pk).status_code == 400, "it is not offered to them"
        data = {"set": str(evaluation.evaluation_set.pk), "models": [evaluation.models.get(number=1).key]}
        assert post(client, LIST, **data).status_code == 400
    assert outsider_client.get(LIST).json()["total"] == 0 == outsider_client.get(SETS).json()["total"]
    assert Client().get(LIST).status_code == 401
    assert EvaluatedAnswer.objects.count() == 2 * 3 * HELD_OUT
