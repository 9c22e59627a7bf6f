"""A model answers for the test bench: asked, answered for real in a child process, cancelled, edited and scored."""

import io
import json
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from django.test import Client
from django.urls import reverse

from accounts.models import Membership, Role, Team
from datasets_app import importing
from evaluation import answer_sets, answering, tasks
from evaluation.models import AnswerSet
from evaluation.tasks import ANSWER_SETS
from jobs import running
from jobs.choices import JobStatus
from rewards import shipped
from rewards.bench_forms import LONGEST_ANSWER, MOST_COPIES, MOST_TOKENS
from rewards.models import RewardPreset
from tests.evaluation.test_trials import expected_text
from tests.exports.fixtures import MakeSession
from training.models import Session

pytestmark = pytest.mark.django_db(transaction=True)
HTMX = {"HX-Request": "true"}
QUESTION = "what is 3 plus 4?"
TURN = f"<|im_start|>user\n{QUESTION}<|im_end|>\n<|im_start|>assistant\n"
SYSTEM = "<|im_start|>system\nAnswer with a number between <SOLUTION> and </SOLUTION>.<|im_end|>\n"
ASK = {
    "ask-of": "typed",
    "ask-question": QUESTION,
    "ask-reference": "7",
    "ask-rows": "2",
    "ask-answers": "3",
    "ask-temperature": "1.5",
    "ask-max_new_tokens": "10",
    "ask-seed": "3",
    "ask-use_system_prompt": "on",
}


@pytest.fixture(autouse=True)
def rung(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Bells that would go to Huey."""
    rung: list[str] = []
    monkeypatch.setattr(tasks, "answer_set", rung.append)
    return rung


@pytest.fixture
def session(make_trained: MakeSession) -> Session:
    return make_trained()


def ask(client: Client, session: Session | None, **changes: Any) -> Any:
    model = {} if session is None else {"ask-model": f"session:{session.pk}"}
    return client.post(reverse("rewards:bench-ask"), {**ASK, **model, **changes}, headers=HTMX)


def asked(client: Client, session: Session | None, **changes: str) -> AnswerSet:
    response = ask(client, session, **changes)
    assert response.status_code == 200
    found = AnswerSet.objects.first()
    assert found is not None, response.content.decode()
    return found


def answered(client: Client, session: Session | None, **changes: str) -> AnswerSet:
    found = asked(client, session, **changes)
    assert running.run(ANSWER_SETS, str(found.pk))
    found.refresh_from_db()
    return found


def ready(client: Client, session: Session, *texts: str) -> AnswerSet:
    """As a child leaves it."""
    found = asked(client, session)
    made = [{"question": 0, "text": text, "tokens": 5, "seconds": 0.1, "cut_off": False} for text in texts]
    AnswerSet.objects.filter(pk=found.pk).update(status=JobStatus.READY, answers=made)
    found.refresh_from_db()
    return found


def url(name: str, found: AnswerSet) -> str:
    return reverse(f"rewards:bench-{name}", args=[found.pk])


def score(client: Client, found: AnswerSet, *edited: str) -> Any:
    preset = RewardPreset.objects.get(slug="math", team=None)
    data = {"preset": str(preset.pk), "take": "model", "asked": str(found.pk), "edited": edited, **shipped.MARKERS}
    return client.post(reverse("rewards:bench"), data)


def test_a_trained_model_answers_several_times_under_the_prompt_of_its_training(
    owner_client: Client, session: Session, tiny_base: Path, tiny_adapter: Path
) -> None:
    found = answered(owner_client, session)
    assert found.status == JobStatus.READY, found.error
    texts = [answer["text"] for answer in found.answers]
    assert len(texts) == 3 and len(set(texts)) > 1, "each is a sample of its own"
    assert all(1 <= answer["tokens"] <= 10 and answer["seconds"] > 0 for answer in found.answers)
    (alone,) = answered(owner_client, session, **{"ask-answers": "1"}).answers
    assert alone["text"] == expected_text(tiny_base, tiny_adapter, SYSTEM + TURN, temperature=1.5)
    assert found.settings["markers"]["solution_start"] == "<SOLUTION>"


def test_its_base_model_answers_the_same_question_without_the_adapter(
    owner_client: Client, session: Session, tiny_base: Path
) -> None:
    plain = {"ask-answers": "1", "ask-temperature": "0", "ask-without_adapter": "on", "ask-use_system_prompt": ""}
    (answer,) = answered(owner_client, session, **plain).answers
    assert answer["text"] == expected_text(tiny_base, None, TURN, temperature=0.0)


def test_a_base_model_on_this_machine_answers_rows_with_their_references(
    owner_client: Client, session: Session, team: Team
) -> None:
    lines = [{"question": f"what is {n} plus 1?", "answer": str(n + 1), "level": n} for n in range(5)]
    file = io.BytesIO("".join(f"{json.dumps(line)}\n" for line in lines).encode())
    version = importing.import_jsonl(team, None, "Sums", file)
    base = f"base:{session.config['model']['name']}"
    rows = {"ask-of": "rows", "ask-source": str(version.pk), "ask-model": base, "ask-answers": "2"}
    found = answered(owner_client, None, **rows)
    assert found.status == JobStatus.READY, found.error
    assert found.session is None and [answer["question"] for answer in found.answers] == [0, 0, 1, 1]
    known = answer_sets.answered(team.users.get(), str(found.pk))
    assert [sample.reference for sample in known.samples] == ["1", "1", "2", "2"]
    assert known.samples[2].columns["level"] == 1
    assert known.labels[2:] == ["Question 2, answer 1", "Question 2, answer 2"]


def test_a_model_that_is_gone_is_explained(owner_client: Client, session: Session) -> None:
    found = asked(owner_client, session)
    AnswerSet.objects.filter(pk=found.pk).update(base_model="/nowhere/model")
    assert running.run(ANSWER_SETS, str(found.pk))
    page = owner_client.get(url("answers", found)).content.decode()
    assert "/nowhere/model" in page and 'role="alert"' in page and "hx-trigger" not in page


def test_what_was_answered_before_an_error_is_kept(
    owner_client: Client, session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = asked(owner_client, session)
    AnswerSet.objects.filter(pk=found.pk).update(status=JobStatus.RUNNING)
    made = [{"question": 0, "text": "7", "tokens": 1, "seconds": 0.1, "cut_off": False}]

    def break_down(job: AnswerSet) -> None:
        running.report(job, 0.5, "1 of 3 answers", answers=made)
        raise MemoryError("out of memory")

    monkeypatch.setattr(answering, "_answer_all", break_down)
    answering.answer_all(found)
    page = owner_client.get(url("answers", found)).content.decode()
    assert "The memory was full" in page and 'name="edited"' in page
    assert len(score(owner_client, found).context["lines"]) == 1


def test_progress_is_shown_until_it_is_cancelled_and_what_was_said_stays(
    teammate_client: Client, session: Session, rung: list[str]
) -> None:
    found = asked(teammate_client, session)
    assert rung == [str(found.pk)]
    made = [{"question": 0, "text": "7", "tokens": 1, "seconds": 0.1, "cut_off": False}]
    AnswerSet.objects.filter(pk=found.pk).update(
        status=JobStatus.RUNNING, progress=0.4, message="1 of 3 answers", answers=made
    )
    page = teammate_client.get(url("answers", found)).content.decode()
    assert "1 of 3 answers" in page and 'hx-trigger="every 1s"' in page and 'name="edited"' not in page
    assert "still answers" in score(teammate_client, found).context["problem"]
    page = teammate_client.post(url("cancel", found), headers=HTMX).content.decode()
    found.refresh_from_db()
    assert found.status == JobStatus.CANCELLED and "Cancelled" in page and 'name="edited"' in page


def test_answers_are_scored_as_they_were_left_and_kept_when_that_is_asked(
    owner_client: Client, session: Session
) -> None:
    found = ready(owner_client, session, "<SOLUTION>7</SOLUTION>", "\nno\r\nidea")
    assert [each.line.result.correct for each in score(owner_client, found).context["lines"]] == [True, False]
    edited = ["<SOLUTION>8</SOLUTION>", "\nno\r\nidea"]
    lines = score(owner_client, found, *edited).context["lines"]
    assert [each.line.result.correct for each in lines] == [False, False]
    found.refresh_from_db()
    assert not any("edited" in answer for answer in found.answers), "scoring changes nothing"
    page = owner_client.post(url("keep", found), {"edited": edited}, headers=HTMX).content.decode()
    assert "1 of the answers differ" in page and "SOLUTION&gt;8" in page
    found.refresh_from_db()
    assert found.answers[0]["text"] == "<SOLUTION>7</SOLUTION>"
    assert found.answers[0]["edited"] == "<SOLUTION>8</SOLUTION>" and "edited" not in found.answers[1]
    owner_client.post(url("keep", found), {"edited": ["<SOLUTION>7</SOLUTION>", "\nno\nidea"]})
    found.refresh_from_db()
    assert not any("edited" in answer for answer in found.answers)


def test_a_length_is_counted_by_the_model_unless_the_answer_was_changed(owner_client: Client, session: Session) -> None:
    found = ready(owner_client, session, "seven")
    (line,) = score(owner_client, found, "seven").context["lines"]
    assert line.line.item.sample.tokens == 5
    (line,) = score(owner_client, found, "x" * 41).context["lines"]
    assert line.line.item.sample.tokens == 11


def test_changed_answers_stay_on_the_page_when_something_else_is_wrong(owner_client: Client, session: Session) -> None:
    found = ready(owner_client, session, "seven", "eight")
    left = {"asked": str(found.pk), "edited": ["seven and a half", "eight"], "take": "model"}
    page = ask(owner_client, session, **{"ask-question": ""}, **left).content.decode()
    assert "Type a question" in page and "seven and a half</textarea>" in page
    assert AnswerSet.objects.count() == 1
    without_scripts = owner_client.post(reverse("rewards:bench"), left).content.decode()
    assert "This field is required" in without_scripts and "seven and a half</textarea>" in without_scripts


def test_answers_are_deleted_once_the_model_is_done_and_what_was_typed_stays(
    owner_client: Client, viewer_client: Client, outsider_client: Client, session: Session
) -> None:
    found = ready(owner_client, session, "7")
    assert viewer_client.post(url("remove", found)).status_code == 403
    assert outsider_client.post(url("remove", found)).status_code == 404
    AnswerSet.objects.filter(pk=found.pk).update(status=JobStatus.RUNNING)
    assert 'id="bench-cancel"' in owner_client.post(url("remove", found), headers=HTMX).content.decode()
    assert AnswerSet.objects.exists(), "it is cancelled first"
    AnswerSet.objects.filter(pk=found.pk).update(status=JobStatus.READY)
    typed = {"ask-question": "And what is 9 + 9?", "ask-temperature": "0.3"}
    page = owner_client.post(url("remove", found), typed, headers=HTMX).content.decode()
    assert "And what is 9 + 9?" in page and 'value="0.3"' in page and str(found.pk) not in page
    assert not AnswerSet.objects.exists()
    again = ready(owner_client, session, "7")
    assert "Test bench" in owner_client.post(url("remove", again)).content.decode()


def test_half_of_the_answers_are_not_kept(owner_client: Client, session: Session) -> None:
    found = ready(owner_client, session, "7", "8")
    page = owner_client.post(url("keep", found), {"edited": ["9"]}, headers=HTMX).content.decode()
    assert "changed meanwhile" in page
    found.refresh_from_db()
    assert [answer.get("edited") for answer in found.answers] == [None, None]


def test_earlier_answers_are_opened_again(owner_client: Client, outsider_client: Client, session: Session) -> None:
    found = ready(owner_client, session, "seven")
    page = owner_client.get(reverse("rewards:bench"), {"answers": str(found.pk)}).content.decode()
    assert "seven</textarea>" in page and f'name="asked" value="{found.pk}"' in page
    other = outsider_client.get(reverse("rewards:bench"), {"answers": str(found.pk)}).content.decode()
    assert "seven" not in other and str(found.pk) not in other.split('id="bench-asked"')[1]
    assert "No model has answered yet" in score(outsider_client, found).context["problem"]


def test_without_scripts_the_whole_page_comes_back_with_all_that_was_typed(
    owner_client: Client, session: Session
) -> None:
    data = {**ASK, "ask-model": f"session:{session.pk}", "answers": "pasted before", "take": "model"}
    page = owner_client.post(reverse("rewards:bench-ask"), data).content.decode()
    found = AnswerSet.objects.get()
    assert "pasted before" in page and f'name="asked" value="{found.pk}"' in page and QUESTION in page
    wrong = owner_client.post(reverse("rewards:bench-ask"), {**data, "ask-question": ""}).content.decode()
    assert "Type a question" in wrong and "pasted before" in wrong


@pytest.mark.parametrize(
    ("changes", "field", "said"),
    [
        ({"ask-question": " "}, "question", "Type a question"),
        ({"ask-model": ""}, "model", "Choose a model"),
        ({"ask-model": "session:nonsense"}, "model", "not offered"),
        ({"ask-model": f"session:{uuid4()}"}, "model", "not offered"),
        ({"ask-model": "base:/etc"}, "model", "not offered"),
        ({"ask-of": "rows"}, "source", "Choose a dataset"),
        ({"ask-temperature": "0"}, "temperature", "all answers are the same"),
        ({"ask-answers": str(MOST_COPIES + 1)}, "answers", str(MOST_COPIES)),
        ({"ask-max_new_tokens": str(LONGEST_ANSWER + 1)}, "max_new_tokens", str(LONGEST_ANSWER)),
    ],
)
def test_what_can_not_be_asked_is_said_at_its_field(
    owner_client: Client, session: Session, changes: dict[str, str], field: str, said: str
) -> None:
    response = ask(owner_client, session, **changes)
    assert said in response.context["ask"].errors[field][0]
    assert said.split("{")[0] in response.content.decode()
    assert not AnswerSet.objects.exists()


def test_more_tokens_than_somebody_waits_for_are_refused_with_what_fits(owner_client: Client, session: Session) -> None:
    version = importing.import_jsonl(session.team, None, "Sums", io.BytesIO(b'{"question": "1 + 1?", "answer": "2"}\n'))
    wanted = {"ask-of": "rows", "ask-source": str(version.pk), "ask-rows": "10", "ask-answers": "8"}
    response = ask(owner_client, session, **wanted, **{"ask-max_new_tokens": "1000"})
    assert f"may have {MOST_TOKENS // 80} tokens each" in response.context["ask"].errors["max_new_tokens"][0]


def test_a_session_without_adapter_can_not_be_asked(owner_client: Client, make_trained: MakeSession) -> None:
    assert "no adapter yet" in ask(owner_client, make_trained(adapter=False)).content.decode()


def test_models_are_found_by_their_names_and_only_those_that_can_answer(
    owner_client: Client, outsider_client: Client, make_trained: MakeSession, settings: Any, tmp_path: Path
) -> None:
    settings.MODELS_DIR = tmp_path
    make_trained(name="Riddles")
    make_trained(name="Untrained", adapter=False)
    folder = tmp_path / "of-mine"
    folder.mkdir()
    for name in ("config.json", "tokenizer_config.json"):
        (folder / name).write_text("{}")
    (folder / "model.safetensors").write_bytes(b"")

    def found(client: Client, text: str) -> str:
        return client.get(reverse("rewards:bench-models"), {"model_search": text}).content.decode()

    assert "Riddles" in found(owner_client, "riddles") and "of-mine" not in found(owner_client, "riddles")
    assert "base:local/of-mine" in found(owner_client, "MINE")
    assert "Untrained" not in found(owner_client, "") and "Qwen" not in found(owner_client, "qwen")
    assert "Riddles" not in found(outsider_client, "")
    assert "No model on this machine" in found(owner_client, "qwen")


def test_a_dataset_and_a_model_of_two_teams_are_not_mixed(owner_client: Client, session: Session, owner: Any) -> None:
    other = Team.objects.create(name="Elsewhere")
    Membership.objects.create(team=other, user=owner, role=Role.OWNER)
    version = importing.import_jsonl(other, None, "Sums", io.BytesIO(b'{"question": "1 + 1?", "answer": "2"}\n'))
    rows = {"ask-of": "rows", "ask-source": str(version.pk)}
    assert "different teams" in ask(owner_client, session, **rows).context["ask"].errors["source"][0]
    base = asked(owner_client, None, **rows, **{"ask-model": f"base:{session.config['model']['name']}"})
    assert base.team == other, "its questions are rows of that team"


def test_a_viewer_reads_and_scores_but_neither_asks_nor_changes(
    owner_client: Client, viewer_client: Client, session: Session
) -> None:
    found = ready(owner_client, session, "<SOLUTION>7</SOLUTION>")
    page = viewer_client.get(reverse("rewards:bench"), {"answers": str(found.pk)}).content.decode()
    assert "SOLUTION&gt;7" in page and "Let it answer" not in page and "Keep the changes" not in page
    assert len(score(viewer_client, found).context["lines"]) == 1
    assert ask(viewer_client, session).status_code == 403
    assert viewer_client.post(url("cancel", found)).status_code == 403
    assert viewer_client.post(url("keep", found), {"edited": ["x"]}).status_code == 403
    assert AnswerSet.objects.count() == 1


def test_a_viewer_of_the_models_team_does_not_ask_it_in_the_name_of_another(
    owner_client: Client, session: Session, viewer_client: Client, viewer: Any
) -> None:
    Membership.objects.create(team=Team.objects.create(name="Own"), user=viewer, role=Role.OWNER)
    assert ask(viewer_client, session).status_code == 403
    assert not AnswerSet.objects.exists()


def test_outsiders_find_nothing_and_nobody_is_let_in_unknown(
    owner_client: Client, outsider_client: Client, client: Client, session: Session
) -> None:
    found = ready(owner_client, session, "7")
    assert outsider_client.get(url("answers", found)).status_code == 404
    assert outsider_client.post(url("cancel", found)).status_code == 404
    assert outsider_client.post(url("keep", found), {"edited": ["x"]}).status_code == 404
    assert "not offered" in ask(outsider_client, session).context["ask"].errors["model"][0]
    for name in ("bench", "bench-models"):
        assert client.get(reverse(f"rewards:{name}")).status_code == 302
    assert client.get(url("answers", found)).status_code == 302
    for address in (reverse("rewards:bench-ask"), reverse("rewards:bench"), url("cancel", found), url("keep", found)):
        assert client.post(address).status_code == 302
    assert AnswerSet.objects.count() == 1


def test_the_page_asks_the_database_the_same_for_few_and_for_many_models(
    owner_client: Client, make_trained: MakeSession, django_assert_max_num_queries: Any
) -> None:
    for number in range(6):
        make_trained(name=f"Session {number}")
    with django_assert_max_num_queries(20):
        assert owner_client.get(reverse("rewards:bench")).status_code == 200
    found = asked(owner_client, Session.objects.first())
    with django_assert_max_num_queries(8):
        owner_client.get(url("answers", found))
