"""The pages of batches: bringing prompts, choosing, looking at rows, exporting; and who may."""

import csv
import io
import json
from pathlib import Path
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from django.contrib.auth.models import User
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.urls import reverse

from accounts.models import Team
from evaluation import batches, prompt_files, tasks
from evaluation.batch_rows import FILTERS, SORTS
from evaluation.batches import Wanted
from evaluation.choices import RowStatus
from evaluation.models import Batch, PromptFile
from jobs.choices import JobStatus
from tests.exports.fixtures import MakeSession
from training.choices import Status
from training.models import Session

pytestmark = pytest.mark.django_db
HTMX = {"HX-Request": "true"}
CSV = b"prompt,reference,level\nwhat is 3 plus 4?,7,1\nwhat is 1 plus 1?,2,2\n=SUM(1),3,3\nlong one,4,4\n"
FORM = {
    "temperature": "0",
    "top_p": "1",
    "top_k": "0",
    "max_new_tokens": "10",
    "seed": "0",
    "use_system_prompt": "on",
}


@pytest.fixture(autouse=True)
def rung(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    rung: list[str] = []
    monkeypatch.setattr(tasks, "answer_batch", rung.append)
    return rung


@pytest.fixture
def session(make_trained: MakeSession) -> Session:
    return make_trained()


@pytest.fixture
def batch(owner: User, session: Session) -> Batch:
    """As a child leaves it: right, wrong and cut off, with a formula in it, and an error."""
    parsed = prompt_files.read(CSV, "sums.csv")
    wanted = Wanted(f"session:{session.pk}", "prompt", "reference", max_new_tokens=10)
    made = batches.create(owner, parsed, "sums.csv", wanted)
    reward = {"parts": [{"name": "length", "function": "length", "weight": 1.0, "parameters": {}}]}
    Batch.objects.filter(pk=made.pk).update(
        status=JobStatus.READY, progress=1, generation_seconds=2.0, reward=reward, reward_name="Own"
    )
    said = [("7", True, 3, 1.0, False), ("=3", False, 9, 0.5, True), ("-1+2", None, 1, None, False)]
    for number, (answer, right, tokens, total, cut_off) in enumerate(said, 1):
        part = {"name": "length", "value": total, "feedback": "Fine <b>length</b>.", "error": "" if total else "No."}
        made.rows.filter(number=number).update(
            status=RowStatus.ANSWERED,
            rendered=f"<|user|>{number}",
            answer=answer,
            tokens=tokens,
            seconds=0.5,
            exact=right,
            exact_feedback="Said.",
            right=right,
            total=total,
            unjudged=total is None,
            cut_off=cut_off,
            prompt_tokens=5,
            parts=[part],
        )
    made.rows.filter(number=4).update(status=RowStatus.FAILED, error="The prompt has 900 tokens.")
    made.refresh_from_db()
    return made


def url(name: str, *args: Any) -> str:
    return reverse(f"evaluation:{name}", args=args)


def upload(client: Client, content: bytes = CSV, name: str = "sums.csv", **more: Any) -> Any:
    return client.post(url("batch_file"), {"upload": SimpleUploadedFile(name, content), **more}, headers=HTMX)


def start(client: Client, session: Session | None, **more: Any) -> Any:
    model = {} if session is None else {"model": f"session:{session.pk}"}
    return client.post(url("batch_new"), {**FORM, **model, **more})


def test_a_file_is_brought_its_columns_chosen_and_the_batch_started(
    owner_client: Client, owner: User, session: Session, rung: list[str], django_capture_on_commit_callbacks: Any
) -> None:
    page = upload(owner_client)
    assert page.context["prompt_column"] == "prompt" and page.context["reference_column"] == "reference"
    assert "4 prompts, 4 with a reference" in page.content.decode()
    kept = PromptFile.objects.get()
    columns = {"file": str(kept.pk), "prompt_column": "reference", "reference_column": ""}
    again = owner_client.post(url("batch_file"), columns, headers=HTMX)
    assert again.context["prompt_column"] == "reference" and again.context["reference_column"] == ""
    with django_capture_on_commit_callbacks(execute=True):
        response = start(owner_client, session, file=str(kept.pk), prompt_column="prompt", reference_column="level")
    batch = Batch.objects.get()
    assert response.url == url("batch", batch.pk) and rung == [str(batch.pk)]
    assert batch.name == "sums.csv" and batch.created_by == owner and batch.row_count == 4
    assert [row.reference for row in batch.rows.all()] == ["1", "2", "3", "4"]
    assert not PromptFile.objects.exists()


def test_without_scripts_file_and_settings_come_together_and_nothing_is_lost_by_an_error(
    owner_client: Client, session: Session
) -> None:
    page = start(owner_client, None, upload=SimpleUploadedFile("sums.csv", CSV), name="Mine", seed="77")
    text = page.content.decode()
    assert "Choose a model of the list" in text and 'value="Mine"' in text and 'value="77"' in text
    kept = PromptFile.objects.get()
    assert f'name="file" value="{kept.pk}"' in text, "the file is not asked for again"
    done = start(owner_client, session, file=str(kept.pk), prompt_column="prompt", reference_column="reference")
    assert done.status_code == 302
    assert start(owner_client, session, upload=SimpleUploadedFile("sums.csv", CSV)).status_code == 302
    assert [batch.source["reference"] for batch in Batch.objects.all()] == ["reference", "reference"]


def test_a_text_that_can_not_be_read_stays_where_it_was_typed(owner_client: Client, session: Session) -> None:
    page = start(owner_client, session, text='{"prompt": "a"').content.decode()
    assert "The file seems to be cut off" in page and "{&quot;prompt&quot;: &quot;a&quot;</textarea>" in page
    assert not Batch.objects.exists() and not PromptFile.objects.exists()
    assert "Choose a file, or paste prompts" in start(owner_client, session).content.decode()
    assert start(owner_client, session, text="One?\nTwo?").status_code == 302
    assert Batch.objects.get().name == "Pasted prompts"


@pytest.mark.parametrize(
    ("content", "said"),
    [(b"", "It is empty"), (b"\x89PNG\r\n", "a picture"), (b"a\n" * 100_000, "100\u202f000 rows")],
)
def test_a_file_that_is_none_is_explained(owner_client: Client, content: bytes, said: str) -> None:
    page = upload(owner_client, content, "rows.txt").content.decode()
    assert said in page and "rows.txt" in page and 'type="file"' in page


def test_faulty_lines_are_listed_and_left_out_when_that_is_ticked(owner_client: Client, session: Session) -> None:
    page = upload(owner_client, b"prompt,reference\na,1\n,2\n").content.decode()
    assert "Line 3, column “prompt”: there is no prompt." in page
    named = {"file": str(PromptFile.objects.get().pk), "prompt_column": "prompt", "reference_column": "reference"}
    page = start(owner_client, session, **named).content.decode()
    assert "leave them out" in page and not Batch.objects.exists()
    assert start(owner_client, session, **named, skip_faulty="on").status_code == 302
    assert Batch.objects.get().row_count == 1


def test_a_file_is_given_back_and_one_that_is_gone_is_said(owner_client: Client, session: Session) -> None:
    upload(owner_client)
    kept = str(PromptFile.objects.get().pk)
    page = owner_client.post(url("batch_file"), {"file": kept, "another": "yes"}, headers=HTMX).content.decode()
    assert 'type="file"' in page and not PromptFile.objects.exists()
    assert "is gone. Choose it again" in start(owner_client, session, file=kept).content.decode()
    assert "is gone. Choose it again" in start(owner_client, session, file="nonsense").content.decode()


def test_a_link_from_a_session_chooses_it_with_its_weights(
    owner_client: Client, outsider_client: Client, session: Session
) -> None:
    page = owner_client.get(url("batch_new"), {"session": str(session.pk)}).content.decode()
    assert f'value="session:{session.pk}" checked' in page and "Newest: the trained adapter" in page
    assert 'value="12"' in page, "as many tokens as in its training"
    assert outsider_client.get(url("batch_new"), {"session": str(session.pk)}).status_code == 404
    assert owner_client.get(url("batch_new"), {"session": "nonsense"}).status_code == 404
    for link in (reverse("training:session", args=[session.pk]), url("try", session.pk)):
        assert f"{url('batch_new')}?session={session.pk}" in owner_client.get(link).content.decode()


def test_weights_of_a_session_that_trains_say_so(owner_client: Client, make_trained: MakeSession) -> None:
    session = make_trained(Status.TRAINING)
    checkpoint = session.folder / "checkpoints" / "checkpoint-8"
    checkpoint.parent.mkdir(parents=True)
    session.adapter.rename(checkpoint)
    page = owner_client.get(url("batch_weights"), {"model": f"session:{session.pk}"}).content.decode()
    assert "Newest: checkpoint-8" in page and "is being trained" in page and 'value="base"' in page
    none = owner_client.get(url("batch_weights"), {"model": "base:x"}).content.decode()
    assert "<select" not in none


def test_rows_are_filtered_searched_and_sorted(owner_client: Client, batch: Batch) -> None:
    def numbers(**asked: str) -> list[int]:
        return [row.number for row in owner_client.get(url("batch", batch.pk), asked).context["page"].object_list]

    assert numbers() == [1, 2, 3, 4]
    wanted = {"right": [1], "wrong": [2], "errors": [3, 4], "truncated": [2], "waiting": []}
    assert {name: numbers(show=name) for name in wanted} == wanted
    assert numbers(q="SUM") == [3] and numbers(q="plus") == [1, 2] and numbers(q="nothing") == []
    assert numbers(sort="-tokens") == [2, 1, 3, 4] and numbers(sort="tokens") == [3, 1, 2, 4]
    assert numbers(sort="total") == [2, 1, 3, 4], "those without one come last"
    assert numbers(show="nonsense", sort="drop table") == [1, 2, 3, 4]
    assert all(numbers(sort=sort) for sort in SORTS) and set(wanted) | {""} == set(FILTERS)


def test_the_summary_has_shares_with_intervals(owner_client: Client, batch: Batch) -> None:
    response = owner_client.get(url("batch", batch.pk))
    found, page = response.context["summary"], response.content.decode()
    assert (found.exact.right, found.exact.of, found.reward, found.errors) == (1, 2, 0.75, 2)
    assert found.tokens_per_second == pytest.approx(13 / 2)
    assert "50.0 %" in page and "9.5 %" in page and "90.5 %" in page, "Wilson's interval of 1 in 2"
    assert "every 2s" not in page


def test_one_that_runs_asks_again_until_it_has_ended(owner_client: Client, batch: Batch) -> None:
    Batch.objects.filter(pk=batch.pk).update(status=JobStatus.RUNNING, message="3 of 4 rows")
    page = owner_client.get(url("batch", batch.pk), {"q": "plus"}, headers=HTMX).content.decode()
    assert "3 of 4 rows" in page and 'hx-trigger="every 2s"' in page and "?q=plus" in page and "<html" not in page
    owner_client.post(url("batch_cancel", batch.pk))
    batch.refresh_from_db()
    assert batch.status == JobStatus.CANCELLED
    assert "every 2s" not in owner_client.get(url("batch", batch.pk)).content.decode()


def test_one_that_failed_says_why_and_goes_on(owner_client: Client, batch: Batch) -> None:
    Batch.objects.filter(pk=batch.pk).update(status=JobStatus.FAILED, error="The memory was full.")
    batch.rows.filter(number=2).update(status=RowStatus.WAITING)
    page = owner_client.get(url("batch", batch.pk)).content.decode()
    assert "The memory was full." in page and "Go on with the other 1" in page
    owner_client.post(url("batch_go_on", batch.pk))
    batch.refresh_from_db()
    assert batch.status == JobStatus.QUEUED and not batch.error


def test_a_row_shows_the_prompt_as_the_model_saw_it_with_parts_and_feedback(owner_client: Client, batch: Batch) -> None:
    page = owner_client.get(url("batch_row", batch.pk, 2), {"show": "wrong"}).content.decode()
    assert "&lt;|user|&gt;2" in page and "Fine &lt;b&gt;length" in page and "Said." in page and "level" in page
    assert 'rel="next"' not in page, "no other row of this filter"
    page = owner_client.get(url("batch_row", batch.pk, 2)).content.decode()
    assert 'rel="next"' in page and 'rel="prev"' in page
    assert "900 tokens" in owner_client.get(url("batch_row", batch.pk, 4)).content.decode()
    assert owner_client.get(url("batch_row", batch.pk, 5)).status_code == 404


def body(response: Any) -> str:
    async def read() -> bytes:
        return b"".join([part async for part in response.streaming_content])

    return async_to_sync(read)().decode()


@pytest.mark.django_db(transaction=True)
def test_the_csv_holds_every_row_and_no_formula(owner_client: Client, batch: Batch) -> None:
    response = owner_client.get(url("batch_csv", batch.pk))
    assert response["Content-Disposition"] == 'attachment; filename="batch-sums.csv"'
    rows = list(csv.DictReader(io.StringIO(body(response))))
    assert len(rows) == 4 and rows[0]["prompt"] == "what is 3 plus 4?" and rows[0]["right"] == "yes"
    assert (rows[1]["answer"], rows[2]["prompt"], rows[2]["answer"]) == ("'=3", "'=SUM(1)", "'-1+2")
    assert rows[0]["reward: length"] == "1.0" and rows[1]["cut_off"] == "yes" and rows[3]["error"]
    assert rows[2]["exact_match"] == "" and "No." in rows[2]["feedback"]


@pytest.mark.django_db(transaction=True)
def test_the_json_holds_everything_as_it_is(owner_client: Client, batch: Batch) -> None:
    found = json.loads(body(owner_client.get(url("batch_json", batch.pk))))
    assert found["batch"]["summary"]["exact_match"]["right"] == 1 and len(found["rows"]) == 4
    assert found["rows"][2]["prompt"] == "=SUM(1)" and found["rows"][0]["parts"][0]["name"] == "length"
    assert found["rows"][0]["columns"] == {"level": "1"}


def test_the_list_shows_batches_of_the_team_and_no_more_queries_for_more_of_them(
    owner_client: Client, outsider_client: Client, batch: Batch, owner: User, django_assert_max_num_queries: Any
) -> None:
    assert "sums.csv" in owner_client.get(url("batches")).content.decode()
    assert "No batch test yet" in outsider_client.get(url("batches")).content.decode()
    with django_assert_max_num_queries(12):
        owner_client.get(url("batch", batch.pk))


def test_a_batch_is_deleted_once_it_has_ended(owner_client: Client, batch: Batch) -> None:
    Batch.objects.filter(pk=batch.pk).update(status=JobStatus.RUNNING)
    page = owner_client.post(url("batch_delete", batch.pk), follow=True).content.decode()
    assert "Cancel it first" in page and Batch.objects.exists()
    Batch.objects.filter(pk=batch.pk).update(status=JobStatus.READY)
    assert "was deleted" in owner_client.post(url("batch_delete", batch.pk), follow=True).content.decode()
    assert not Batch.objects.exists()


def test_an_outsider_finds_nothing_and_a_viewer_changes_nothing(
    outsider_client: Client, viewer_client: Client, batch: Batch, owner_client: Client
) -> None:
    seen = [url(name, batch.pk) for name in ("batch", "batch_csv", "batch_json")] + [url("batch_row", batch.pk, 1)]
    changes = [url(name, batch.pk) for name in ("batch_cancel", "batch_go_on", "batch_delete")]
    assert {outsider_client.get(each).status_code for each in seen} == {404}
    assert {viewer_client.get(each).status_code for each in seen} == {200}
    assert {outsider_client.post(each).status_code for each in changes} == {404}
    assert {viewer_client.post(each).status_code for each in changes} == {403}
    assert viewer_client.get(url("batch_new")).status_code == 403
    assert upload(viewer_client).status_code == 403
    assert "New batch test" not in viewer_client.get(url("batches")).content.decode()
    upload(owner_client)
    kept = {"file": str(PromptFile.objects.get().pk), "prompt_column": "prompt"}
    page = outsider_client.post(url("batch_file"), kept, headers=HTMX).content.decode()
    assert "is gone" in page and "what is 3" not in page
    assert {client.get(url("batches")).status_code for client in (Client(),)} == {302}


def test_a_session_of_another_team_can_not_be_asked(outsider_client: Client, session: Session, team: Team) -> None:
    page = start(outsider_client, session, text="One?").content.decode()
    assert "not offered" in page and not Batch.objects.exists()


def test_a_model_is_found_by_its_name(owner_client: Client, make_trained: MakeSession, tiny_base: Path) -> None:
    make_trained(name="Riddles")
    page = owner_client.get(url("batch_models"), {"model_search": "riddles"}).content.decode()
    assert "Riddles" in page
    assert "No model on this machine" in owner_client.get(url("batch_models"), {"model_search": "zzz"}).content.decode()
