"""The pages of the model registry: list, one model, promotion (issue 6, point 7)."""

import re
from uuid import uuid4

import pytest
from django.test import Client
from django.urls import reverse

from accounts.models import Team
from evaluation.models import Batch
from tests.exports.registry_models import (
    make_evaluation,
    make_export,
    make_model,
    measure,
    save_checkpoint,
    write_adapter,
)
from tests.training.factories import make_session
from training import adapters, keeping, lifecycle, tags
from training.choices import Status
from training.models import Session

pytestmark = pytest.mark.django_db
LIST = reverse("exports:models")
SEVERAL = reverse("training:several")


def names(client: Client, **query: str) -> list[str]:
    return [model.session.name for model in client.get(LIST, query).context["models"]]


def page(client: Client, session: Session) -> str:
    response = client.get(reverse("exports:model", args=[session.pk]))
    assert response.status_code == 200
    return response.content.decode()


def promote(client: Client, session: Session, action: str = "promote") -> int:
    body = {"action": action, "session": str(session.pk), "next": LIST}
    return client.post(SEVERAL, body).status_code


# Which there are


def test_the_list_has_what_was_finished_and_what_has_a_checkpoint(owner_client: Client, team: Team) -> None:
    make_model(team, "Finished")
    for name, status in (("Running", Status.TRAINING), ("Stopped", Status.STOPPED), ("Failed", Status.FAILED)):
        save_checkpoint(make_model(team, name, status), 20)
    make_model(team, "Nothing saved", Status.STOPPED)
    make_session(team, Status.DRAFT, name="A draft")
    assert set(names(owner_client)) == {"Finished", "Running", "Stopped", "Failed"}
    assert names(owner_client, show="finished") == ["Finished"]
    assert set(names(owner_client, show="unfinished")) == {"Running", "Stopped", "Failed"}
    text = owner_client.get(LIST, {"q": "Running"}).content.decode()
    assert "step" in text and re.search(r'class="num">20</span>', text)


def test_a_checkpoint_that_a_later_attempt_replaced_makes_no_model(owner_client: Client, team: Team) -> None:
    session = make_model(team, status=Status.STOPPED)
    save_checkpoint(session, 20)
    session.events.update(superseded=True)
    assert names(owner_client) == []


def test_a_row_says_what_it_was_made_of_and_how_good_it_is(owner_client: Client, team: Team) -> None:
    session = make_model(team, "Sums", before=0.25, after=0.75, reward_preset={"slug": "math", "version": 3})
    make_export(session)
    make_export(session, "q4_k_m", status="failed")
    text = owner_client.get(LIST).content.decode()
    for words in ("SmolLM2", "Chain sums", "v1", "math v3", "25 % → 75 %", "+50.0 pts", "GGUF Q8_0", "files are gone"):
        assert words in text
    assert "GGUF Q4_K_M" not in text
    write_adapter(session.adapter)
    assert "files are gone" not in owner_client.get(LIST).content.decode()


def test_a_deleted_dataset_is_still_named_and_found(owner_client: Client, team: Team) -> None:
    session = make_model(team)
    session.dataset_fingerprint = session.dataset_version.fingerprint
    session.save()
    session.dataset_version.dataset.delete()
    text = owner_client.get(LIST, {"q": "chain"}).content.decode()
    assert "Chain sums" in text and "(deleted)" in text
    assert "deleted since" in page(owner_client, session)


@pytest.mark.parametrize("text", ["sums", "smollm2", "CHAIN", "baseline", "overfits", "sums baseline"])
def test_search_finds_name_base_dataset_tags_and_notes(owner_client: Client, team: Team, text: str) -> None:
    session = make_model(team, "Sums")
    tags.replace(session, None, ["baseline"])
    keeping.write_notes(session, None, "It overfits after step 40", 0)
    make_model(team, "Other", config={"model": {"name": "local/other"}}, dataset_version=None)
    assert names(owner_client, q=text) == ["Sums"]


def test_models_are_sorted_by_age_name_score_and_gain_with_unmeasured_ones_last(
    owner_client: Client, team: Team
) -> None:
    make_model(team, "B small gain", before=0.8, after=0.9)
    make_model(team, "C large gain", before=0.1, after=0.6)
    save_checkpoint(make_model(team, "A unmeasured", Status.STOPPED), 10)
    assert names(owner_client) == ["A unmeasured", "C large gain", "B small gain"]
    assert names(owner_client, sort="name") == ["A unmeasured", "B small gain", "C large gain"]
    assert names(owner_client, sort="-score") == ["B small gain", "C large gain", "A unmeasured"]
    assert names(owner_client, sort="score") == ["C large gain", "B small gain", "A unmeasured"]
    assert names(owner_client, sort="-gain") == ["C large gain", "B small gain", "A unmeasured"]
    assert names(owner_client, sort="nonsense") == names(owner_client)


def test_models_without_accuracy_are_shown_and_sorted_by_reward_after_the_others(
    owner_client: Client, team: Team
) -> None:
    make_model(team, "Judged", before=0.1, after=0.2)
    for name, reward in (("Weak", 0.5), ("Strong", 2.5)):
        session = make_session(team, Status.COMPLETED, name=name)
        measure(session, "base", accuracy=None, mean_reward=0.25)
        measure(session, "adapter", accuracy=None, mean_reward=reward)
    assert names(owner_client, sort="-score") == ["Judged", "Strong", "Weak"]
    text = owner_client.get(LIST).content.decode()
    assert "mean reward" in text and "+2.25" in text


def test_archived_models_are_out_of_the_list_and_in_a_filter(owner_client: Client, team: Team) -> None:
    session = make_model(team)
    keeping.archive(Session.objects.filter(pk=session.pk), None)
    assert names(owner_client) == []
    assert "All models are archived" in owner_client.get(LIST).content.decode()
    assert names(owner_client, show="archived") == ["Sums"]


def test_an_empty_registry_says_what_to_do(owner_client: Client, viewer_client: Client, team: Team) -> None:
    assert reverse("training:new") in owner_client.get(LIST).content.decode()
    text = viewer_client.get(LIST).content.decode()
    assert "No trained model yet" in text and reverse("training:new") not in text
    make_model(team)
    assert "No model matches" in owner_client.get(LIST, {"q": "zzz"}).content.decode()
    assert "No model is promoted" in owner_client.get(LIST, {"show": "promoted"}).content.decode()


def test_htmx_gets_the_list_alone(owner_client: Client, team: Team) -> None:
    make_model(team)
    text = owner_client.get(LIST, headers={"HX-Request": "true"}).content.decode()
    assert text.lstrip().startswith('<div id="model-list">')


def test_many_models_need_no_more_queries_than_one(
    owner_client: Client, team: Team, django_assert_max_num_queries
) -> None:
    for number in range(12):
        session = make_model(team, f"Model {number}", reward_preset={"slug": "math", "version": 1, "shipped": True})
        make_export(session)
        tags.replace(session, None, ["one", "two"])
        promote(owner_client, session)
    for sort in ("-trained", "-score"):
        with django_assert_max_num_queries(22):
            assert len(names(owner_client, sort=sort)) == 12


def test_names_are_escaped(owner_client: Client, team: Team) -> None:
    session = make_model(team, "<b>bold</b>")
    for text in (owner_client.get(LIST).content.decode(), page(owner_client, session)):
        assert "<b>bold" not in text and "&lt;b&gt;bold" in text
        assert "style=" not in text


# One of them


def test_a_model_s_page_has_its_lineage_scores_exports_and_uses(owner_client: Client, team: Team) -> None:
    session = make_model(team)
    write_adapter(session.adapter)
    save_checkpoint(session, 20)
    export = make_export(session)
    make_export(session, "f16", status="failed", error="The disk is full.", file="", files=[])
    batch = Batch.objects.create(
        team=team, session=session, name="prompts.csv", base_model="x", settings={"with_adapter": True}
    )
    copy = lifecycle.clone(session, None)
    text = page(owner_client, session)
    for url in (
        reverse("training:session", args=[session.pk]),
        reverse("datasets:detail", args=[session.dataset_version.dataset_id]),
        reverse("evaluation:batch", args=[batch.pk]),
        reverse("training:session", args=[copy.pk]),
        reverse("evaluation:try", args=[session.pk]),
        f"{reverse('evaluation:compare')}?session={session.pk}",
        reverse("exports:download", args=[export.pk, f"gguf-q8_0-{str(export.pk)[:8]}.zip"]),
    ):
        assert url in text
    for words in ("llama-cli -m", "ollama create", "The disk is full.", "training-00000020", "ab" * 32, "5.0 MB"):
        assert words in text


def test_evaluations_in_which_it_answered_are_named_once(owner_client: Client, team: Team) -> None:
    session, other = make_model(team), make_model(team, "Other")
    for each in (session, other):
        write_adapter(each.adapter)
    evaluation, elsewhere = make_evaluation(session), make_evaluation(other)
    text = page(owner_client, session)
    assert text.count(reverse("evaluation:evaluation", args=[evaluation.pk])) == 1
    assert reverse("evaluation:evaluation", args=[elsewhere.pk]) not in text
    found = owner_client.get(f"/api/models/{session.pk}").json()["lineage"]["evaluations"]
    assert [each["id"] for each in found] == [str(evaluation.pk)]
    gone = owner_client.get(reverse("exports:model_delete", args=[session.pk])).content.decode()
    assert "the answers in" in gone


def test_a_model_s_page_draws_the_intervals_of_before_and_after(owner_client: Client, team: Team) -> None:
    session = make_model(team)
    for label, right in (("base", 1), ("adapter", 9)):
        answers = [{"row": row, "correct": row < right, "reward": 1.0} for row in range(10)]
        measure(session, label, accuracy=right / 10)
        session.events.filter(data__label=label).update(
            data={"label": label, "done": 10, "answers": answers, "summary": {"questions": 10}}
        )
    text = page(owner_client, session)
    assert "Better: 90 % against 10 % right" in text
    assert text.count('class="interval-row') == 2


def test_a_running_one_says_that_it_stands_on_a_checkpoint(owner_client: Client, team: Team) -> None:
    session = make_model(team, status=Status.TRAINING)
    save_checkpoint(session, 20)
    text = page(owner_client, session)
    assert "It is being trained" in text and "files are gone" not in text


def test_lost_files_are_said_and_nothing_is_offered_that_needs_them(owner_client: Client, team: Team) -> None:
    session = make_model(team)
    text = page(owner_client, session)
    assert "Its files are gone" in text
    assert reverse("evaluation:try", args=[session.pk]) not in text


def test_outsiders_and_sessions_without_a_model_are_not_found(
    owner_client: Client, outsider_client: Client, team: Team
) -> None:
    session, empty = make_model(team), make_session(team, Status.STOPPED)
    assert "Sums" not in outsider_client.get(LIST).content.decode()
    for name in ("model", "model_delete"):
        assert outsider_client.get(reverse(f"exports:{name}", args=[session.pk])).status_code == 404
        assert owner_client.get(reverse(f"exports:{name}", args=[empty.pk])).status_code == 404
    for name in ("model_note", "model_delete"):
        assert outsider_client.post(reverse(f"exports:{name}", args=[session.pk])).status_code == 404
    assert owner_client.get(reverse("exports:model", args=[uuid4()])).status_code == 404
    assert promote(outsider_client, session) == 404


def test_viewers_see_it_all_and_change_nothing(viewer_client: Client, team: Team) -> None:
    session = make_model(team)
    keeping.promote(Session.objects.all(), None)
    write_adapter(session.adapter)
    for text in (viewer_client.get(LIST).content.decode(), page(viewer_client, session)):
        assert "Sums" in text and "Promoted" in text
        assert SEVERAL not in text and "/delete/" not in text and "/try/" not in text
    for name in ("model_note", "model_delete"):
        assert viewer_client.post(reverse(f"exports:{name}", args=[session.pk])).status_code == 403
    assert viewer_client.get(reverse("exports:model_delete", args=[session.pk])).status_code == 403
    assert promote(viewer_client, session, "unpromote") == 403


# Promotion


def test_a_click_promotes_says_who_and_can_be_taken_back(teammate_client: Client, team: Team) -> None:
    session, other = make_model(team), make_model(team, "Other")
    assert promote(teammate_client, session) == 302
    text = teammate_client.get(LIST).content.decode()
    assert "1 model promoted." in text and 'value="unpromote">Undo' in text
    assert "Promoted by bob" in text
    promote(teammate_client, other)
    assert set(names(teammate_client, show="promoted")) == {"Sums", "Other"}
    promote(teammate_client, session, "unpromote")
    assert names(teammate_client, show="promoted") == ["Other"]


def test_a_second_click_keeps_who_promoted_it_first(teammate_client: Client, owner_client: Client, team: Team) -> None:
    session = make_model(team)
    promote(teammate_client, session)
    promote(owner_client, session)
    session.refresh_from_db()
    assert session.promoted_by.username == "bob"


def test_what_has_no_model_can_not_be_promoted(owner_client: Client, team: Team) -> None:
    session = make_session(team, Status.STOPPED)
    promote(owner_client, session)
    session.refresh_from_db()
    assert session.promoted_at is None


def test_the_note_of_a_promotion_survives_an_undone_click_and_has_a_limit(teammate_client: Client, team: Team) -> None:
    session = make_model(team)
    target = reverse("exports:model_note", args=[session.pk])
    promote(teammate_client, session)
    teammate_client.post(target, {"note": "  For short   sums "})
    promote(teammate_client, session, "unpromote")
    promote(teammate_client, session)
    assert ": For short sums" in page(teammate_client, session)
    text = teammate_client.post(target, {"note": "x" * 201}, follow=True).content.decode()
    assert "at most 200 characters" in text and ": For short sums" in text


def test_operators_filter_and_promote_in_the_admin(admin_client: Client, team: Team) -> None:
    session, other = make_model(team), make_model(team, "Other")
    body = {"action": "promote", "_selected_action": [str(session.pk)]}
    path = "/admin/training/session/"
    assert "Promoted: 1." in admin_client.post(path, body, follow=True).content.decode()
    text = admin_client.get(path, {"promoted_at__isempty": "0"}).content.decode()
    assert str(session.pk) in text and str(other.pk) not in text
    admin_client.post(path, {**body, "action": "unpromote"})
    session.refresh_from_db()
    assert session.promoted_at is None


# The files


def test_checkpoints_are_found_by_the_names_that_training_gives_them(team: Team) -> None:
    session = make_session(team, Status.STOPPED)
    folder = session.folder / "checkpoints"
    names = ["pretraining-00000900", "training-00000008", "training-00000010", "damaged-training-00000012"]
    for name in names:
        write_adapter(folder / name)
    assert [path.name for path in adapters.checkpoints(session)] == [names[2], names[1], names[0]]
    assert adapters.newest(session) == folder / "training-00000010"
    assert adapters.has_any(session)
