import json
import re
from datetime import timedelta
from types import SimpleNamespace

import pytest
from django.test import RequestFactory
from django.urls import reverse
from django.utils import timezone

from accounts.models import Team
from loracraft.views import server_error
from training import overview
from training.choices import RESUMABLE, Kind, Status
from training.models import CatalogueModel, Event, SavedConfig, Session

LONG = "a very long name " * 11 + "of 200 letters"
PAGES = [
    "home",
    "help",
    "training:sessions",
    "training:base_models",
    "training:configs",
    "training:now",
    "training:recent",
]


@pytest.fixture
def make(team, owner):
    def session(name="Sums", status=Status.COMPLETED, **fields):
        config = fields.pop("config", {"model": {"name": "local/SmolLM2-135M-Instruct"}})
        return Session.objects.create(
            team=fields.pop("team", team), created_by=owner, name=name, status=status, config=config, **fields
        )

    return session


@pytest.fixture
def summarised(make):
    def session(before, after, **fields):
        row = make(finished_at=timezone.now(), **fields)
        for seq, (label, share) in enumerate((("base", before), ("adapter", after)), 1):
            summary = {"questions": 96, "accuracy": share, "low": share - 0.1, "high": share + 0.1, "mean_reward": 1.0}
            event(row, seq, Kind.EVALUATION, label=label, summary=summary)
        return row

    return session


def event(session, seq, kind, step=None, phase="training", superseded=False, **data):
    return Event.objects.create(
        session=session,
        seq=seq,
        attempt=1,
        kind=kind,
        step=step,
        phase=phase,
        data=data,
        superseded=superseded,
        created_at=timezone.now(),
    )


def text_of(client, route, **query):
    return client.get(reverse(route), query).content.decode()


# The frame


@pytest.mark.parametrize("route", PAGES)
def test_every_page_needs_a_login(client, route):
    reply = client.get(reverse(route))
    assert reply.status_code == 302
    assert reply.url.startswith(reverse("login"))


@pytest.mark.parametrize("route", PAGES)
def test_every_page_opens_for_each_role_and_for_a_user_without_a_team(
    route, owner_client, teammate_client, viewer_client, outsider_client, client, django_user_model
):
    client.force_login(django_user_model.objects.create_user("loner"))
    for visitor in (owner_client, teammate_client, viewer_client, outsider_client, client):
        assert visitor.get(reverse(route)).status_code == 200


@pytest.mark.parametrize("route", PAGES)
def test_no_page_shows_what_belongs_to_another_team(route, outsider_client, summarised, make, team):
    summarised(0.2, 0.6, name="Secret session")
    make("Secret run", Status.TRAINING, started_at=timezone.now(), last_reward=0.777)
    make("Secret wait", Status.QUEUED, queued_at=timezone.now())
    SavedConfig.objects.create(team=team, name="Secret config", config={})
    text = outsider_client.get(reverse(route)).content.decode()
    assert "Secret" not in text
    assert "0.777" not in text


@pytest.mark.parametrize("route", ["home", "help", "training:sessions", "training:base_models", "training:configs"])
def test_the_strict_policy_holds_on_every_page(owner_client, summarised, make, route):
    summarised(0.2, 0.6)
    make("Live", Status.TRAINING, step=3, total_steps=9, started_at=timezone.now())
    reply = owner_client.get(reverse(route))
    assert not re.search(r"\sstyle=|\son[a-z]+=|<script(?![^>]*\bsrc=)|javascript:", reply.content.decode())
    policy = reply["Content-Security-Policy"]
    assert "default-src 'self'" in policy
    assert "unsafe" not in policy


def test_names_are_escaped_and_long_ones_clipped_on_every_list(owner_client, summarised, make):
    summarised(0.2, 0.6, name="<b>bold</b>")
    make(LONG[:200], Status.TRAINING, started_at=timezone.now())
    for route in ("home", "training:sessions"):
        text = text_of(owner_client, route)
        assert "<b>bold</b>" not in text
        assert "&lt;b&gt;bold" in text


def test_the_navigation_marks_where_you_are(owner_client):
    text = text_of(owner_client, "training:base_models")
    assert re.search(r'href="/models/" class="active" aria-current="page"', text)
    assert text.count('aria-current="page"') == 1


def test_viewers_see_no_button_that_they_may_not_press(viewer_client, owner_client, make, team):
    make()
    SavedConfig.objects.create(team=team, name="Mine", config={})
    for route in ("home", "training:sessions", "training:base_models", "training:configs"):
        assert reverse("training:new") not in text_of(viewer_client, route)
        assert reverse("training:new") in text_of(owner_client, route)
        assert "/delete/" not in text_of(viewer_client, route)


def test_the_buttons_follow_the_team_in_which_one_may_edit(viewer, viewer_client):
    other = Team.objects.create(name="Her own team")
    other.memberships.create(user=viewer, role="owner")
    text = text_of(viewer_client, "home")
    assert reverse("training:new") in text
    assert "Her own team · owner" in text


def test_messages_become_toasts(owner_client, make):
    session = make()
    text = owner_client.post(reverse("training:cancel", args=[session.pk]), {"next": "/sessions/"}, follow=True)
    assert "It is not waiting any more." in text.content.decode()
    assert "lc-toast-warning" in text.content.decode()


# Side bar


def test_the_side_bar_lists_the_newest_sessions_with_their_live_status(owner_client, make):
    for number in range(15):
        make(f"Old {number:02}")
    make("Live", Status.TRAINING, phase="GRPO", step=3, total_steps=9, last_reward=0.5)
    text = text_of(owner_client, "training:recent")
    assert text.count('class="recent-session') == 12
    assert "GRPO · step 3 of 9" in text
    assert '<progress class="bar" value="3" max="9"' in text
    assert "Old 00" not in text


def test_a_poll_that_finds_nothing_new_gets_no_content(owner_client, make):
    session = make("Live", Status.TRAINING, step=3, total_steps=9)
    seen = re.search(r"seen=(\w+)", text_of(owner_client, "training:recent"))[1]
    assert owner_client.get(reverse("training:recent"), {"seen": seen}).status_code == 204
    Session.objects.filter(pk=session.pk).update(step=4)
    assert owner_client.get(reverse("training:recent"), {"seen": seen}).status_code == 200


def test_the_side_bar_marks_the_session_that_is_open_also_when_polled(owner_client, make):
    session = make("Live", Status.TRAINING)
    here = reverse("training:session", args=[session.pk])
    headers = {"HTTP_HX_REQUEST": "true", "HTTP_HX_CURRENT_URL": f"http://testserver{here}?tab=log"}
    text = owner_client.get(reverse("training:recent"), **headers).content.decode()
    assert 'class="recent-session active"' in text


# Home


def test_a_new_team_is_shown_its_first_three_steps(owner_client, make, dataset):
    text = text_of(owner_client, "home")
    assert "Train your first model" in text
    assert text.count('<li class="first-step') == 3
    assert text.count('class="first-step done"') == 1
    make("Draft", Status.DRAFT)
    assert "Train your first model" in text_of(owner_client, "home")
    make("Ran", Status.FAILED)
    assert "Train your first model" not in text_of(owner_client, "home")


def test_home_shows_what_runs_with_its_rewards(owner_client, make):
    session = make("Live", Status.TRAINING, phase="GRPO", step=3, total_steps=9, last_reward=0.834, seconds_left=512)
    for step, reward in enumerate((0.1, 0.5, 0.3), 1):
        event(session, step, Kind.METRICS, step=step, reward=reward)
    event(session, 4, Kind.METRICS, step=4, reward=99.0, superseded=True)
    text = text_of(owner_client, "home")
    assert "step 3 of 9 · 8 min 32 s left" in text.replace("\n", "")
    assert "0.834" in text
    assert re.search(r'class="sparkline".*?<path d="M2\.0 34\.0 L80\.0 2\.0 L158\.0 18\.0"', text, re.S)


def test_the_device_line_is_the_one_of_the_readme(owner_client, monkeypatch):
    device = SimpleNamespace(
        status="CPU Mode (No GPU Detected)",
        mode="No GPU detected - running in CPU mode",
        unsloth_line="Unsloth optimizations: DISABLED (requires CUDA)",
    )
    monkeypatch.setattr(overview, "detect", lambda: device)
    text = text_of(owner_client, "home")
    assert "No GPU detected - running in CPU mode" in text
    assert "Unsloth optimizations: DISABLED (requires CUDA)" in text


def test_a_waiting_session_says_why_it_waits(owner_client, make, outsider):
    now = timezone.now()
    make("Theirs", Status.QUEUED, queued_at=now - timedelta(seconds=9), team=outsider.teams.get())
    make("Mine", Status.QUEUED, queued_at=now)
    text = text_of(owner_client, "training:now")
    assert '<span class="queue-place num">2</span>' in text
    assert "No worker is running: start one with make run." in text
    assert "Theirs" not in text


def test_the_live_part_of_home_answers_only_when_something_changed(owner_client, make):
    session = make("Live", Status.TRAINING, step=3)
    seen = re.search(r"seen=(\w+)", text_of(owner_client, "training:now"))[1]
    assert owner_client.get(reverse("training:now"), {"seen": seen}).status_code == 204
    Session.objects.filter(pk=session.pk).update(step=4)
    assert owner_client.get(reverse("training:now"), {"seen": seen}).status_code == 200


def test_latest_models_show_before_and_after(owner_client, summarised):
    summarised(0.292, 0.688)
    text = text_of(owner_client, "home")
    assert "29.2 %" in text
    assert "68.8 %" in text
    assert "+39.6 pts" in text


# Scores


def test_of_several_summaries_the_newest_that_counts_is_taken(summarised):
    session = summarised(0.2, 0.5)
    event(session, 8, Kind.EVALUATION, label="adapter", summary={"questions": 96, "accuracy": 0.6})
    event(session, 9, Kind.EVALUATION, label="adapter", summary={"accuracy": 0.9}, superseded=True)
    event(session, 10, Kind.EVALUATION, label="adapter", done=3, total=9, answers=[])
    scores = overview.scores_of([session.pk])[session.pk]
    assert (scores["base"].accuracy, scores["adapter"].accuracy) == (0.2, 0.6)


def test_without_a_judged_answer_there_is_no_gain(make):
    session = make()
    for seq, label in enumerate(("base", "adapter"), 1):
        event(
            session, seq, Kind.EVALUATION, label=label, summary={"questions": 9, "accuracy": None, "mean_reward": 0.5}
        )
    row = overview.rows([session], with_scores=True)[0]
    assert row.gain is None
    assert row.after.value == 0.5


@pytest.mark.parametrize("config", [{}, {"model": None}, {"model": "x", "dataset": 5}, {"dataset": {"source": None}}])
def test_a_row_can_be_made_of_any_draft(make, config):
    assert overview.rows([make("Draft", Status.DRAFT, config=config)])[0].model == ""


def test_a_row_names_its_dataset_only_within_its_team(make, dataset, outsider):
    config = {"dataset": {"source": str(dataset.pk)}}
    mine, theirs = make(config=config), make(config=config, team=outsider.teams.get())
    assert [row.dataset for row in overview.rows([mine, theirs])] == ["sums", ""]


# Sessions


def test_sessions_can_be_searched_filtered_and_sorted(owner_client, make):
    make("Sums one", Status.COMPLETED, last_reward=0.5)
    make("Sums two", Status.FAILED, last_reward=0.9)
    make("Other", Status.DRAFT)

    def names(**query):
        return [row.session.name for row in owner_client.get(reverse("training:sessions"), query).context["rows"]]

    assert names() == ["Other", "Sums two", "Sums one"]
    assert names(q="sUMs") == ["Sums two", "Sums one"]
    assert names(status="failed") == ["Sums two"]
    assert names(sort="-reward") == ["Sums two", "Sums one", "Other"]
    assert names(sort="reward") == ["Sums one", "Sums two", "Other"]
    assert names(sort="name", q="sums") == ["Sums one", "Sums two"]
    assert names(sort="nonsense", status="nonsense", page="999") == names()


def test_the_filters_count_what_the_search_found(owner_client, make):
    make("Sums", Status.COMPLETED)
    make("Other", Status.COMPLETED)
    filters = owner_client.get(reverse("training:sessions"), {"q": "sums"}).context["filters"]
    assert {title: count for _, title, count in filters} == {
        "All": 1, "Active": 0, "Completed": 1, "Stopped": 0, "Failed": 0, "Drafts": 0,
        "Archived": 0,
    }  # fmt: skip


def test_every_status_belongs_to_one_filter(owner_client, make):
    for status in Status.values:
        make(status, status)
    filters = owner_client.get(reverse("training:sessions")).context["filters"]
    assert sum(count for key, _, count in filters if key) == len(Status.values)


def test_a_search_without_a_result_says_so_and_an_empty_team_is_helped(owner_client, make):
    assert "No sessions yet" in text_of(owner_client, "training:sessions")
    make()
    assert "No session matches" in text_of(owner_client, "training:sessions", q="nothing like it")


def test_typing_in_the_search_fetches_only_the_list(owner_client, make):
    make()
    text = owner_client.get(reverse("training:sessions"), {"q": "sums"}, HTTP_HX_REQUEST="true").content.decode()
    assert "<html" not in text
    assert 'id="session-list"' in text


def test_a_thousand_sessions_are_paged_with_a_fixed_number_of_queries(
    owner_client, team, owner, dataset, django_assert_max_num_queries
):
    config = {"model": {"name": "local/SmolLM2-135M-Instruct"}, "dataset": {"source": str(dataset.pk)}}
    Session.objects.bulk_create(
        Session(team=team, created_by=owner, name=f"S {n}", status=Status.values[n % 10], config=config)
        for n in range(1000)
    )
    with django_assert_max_num_queries(16):
        page = owner_client.get(reverse("training:sessions"), {"page": 20})
    assert len(page.context["rows"]) == 50
    assert "951" in page.content.decode()
    seen = {row.session.pk for number in range(1, 21) for row in rows_of(owner_client, number)}
    assert len(seen) == 1000


def rows_of(client, number):
    return client.get(reverse("training:sessions"), {"page": number, "sort": "status"}).context["rows"]


def test_many_models_on_home_need_no_more_queries_than_one(owner_client, summarised, django_assert_max_num_queries):
    for _ in range(12):
        summarised(0.2, 0.6)
    with django_assert_max_num_queries(16):
        owner_client.get(reverse("home"))


# Base models and configs


def test_the_page_of_base_models_lists_the_catalogue(owner_client):
    text = text_of(owner_client, "training:base_models")
    for row in CatalogueModel.objects.all():
        assert row.hub_id in text


def test_an_empty_catalogue_says_what_to_do(owner_client):
    CatalogueModel.objects.all().delete()
    assert "The catalogue is empty" in text_of(owner_client, "training:base_models")


@pytest.fixture
def saved(team, owner):
    return SavedConfig.objects.create(
        team=team, name='Ünïcode "one"', config={"training": {"top_p": 0.5}}, created_by=owner
    )


def test_a_saved_config_is_listed_and_downloaded(owner_client, viewer_client, saved):
    assert "Ünïcode" in text_of(owner_client, "training:configs")
    reply = viewer_client.get(reverse("training:config_file", args=[saved.pk]))
    assert json.loads(reply.content) == {"name": saved.name, "training": {"top_p": 0.5}}
    assert reply["Content-Disposition"] == f'attachment; filename="loracraft-{str(saved.pk)[:8]}.json"'


def test_a_saved_config_is_hidden_from_outsiders_and_deleted_by_members_only(
    outsider_client, viewer_client, teammate_client, client, saved
):
    target = reverse("training:config_delete", args=[saved.pk])
    assert outsider_client.get(reverse("training:config_file", args=[saved.pk])).status_code == 404
    assert outsider_client.post(target).status_code == 404
    assert viewer_client.post(target).status_code == 403
    assert client.post(target).status_code == 302
    assert teammate_client.get(target).status_code == 405
    assert SavedConfig.objects.exists()
    teammate_client.post(target)
    assert not SavedConfig.objects.exists()


def test_without_saved_configs_the_page_says_where_they_come_from(owner_client):
    assert "No saved configs yet" in text_of(owner_client, "training:configs")


# Verbs


VERBS = ["stop", "resume", "cancel", "delete", "clone", "rename"]


@pytest.mark.parametrize("verb", VERBS)
def test_the_verbs_are_hidden_from_outsiders_closed_to_viewers_and_post_only(
    outsider_client, viewer_client, owner_client, client, draft, verb
):
    target = reverse(f"training:{verb}", args=[draft.pk])
    assert outsider_client.post(target).status_code == 404
    assert viewer_client.post(target).status_code == 403
    assert client.post(target).status_code == 302
    assert owner_client.get(target).status_code == 405
    assert Session.objects.count() == 1


def test_stop_asks_a_running_session_to_end(owner_client, draft):
    Session.objects.filter(pk=draft.pk).update(status=Status.TRAINING)
    owner_client.post(reverse("training:stop", args=[draft.pk]))
    draft.refresh_from_db()
    assert draft.stop_requested_at


def test_cancel_takes_a_session_out_of_the_queue(owner_client, queued):
    reply = owner_client.post(reverse("training:cancel", args=[queued.pk]))
    queued.refresh_from_db()
    assert queued.status == Status.CANCELLED
    assert reply.url == reverse("training:session", args=[queued.pk])


@pytest.mark.parametrize("status", RESUMABLE)
@pytest.mark.parametrize("verb", ["resume", "start"])
def test_a_stopped_or_failed_session_goes_on(owner_client, queued, status, verb, monkeypatch):
    monkeypatch.setattr("training.readiness._version_problem", lambda version: "")
    Session.objects.filter(pk=queued.pk).update(status=status)
    owner_client.post(reverse(f"training:{verb}", args=[queued.pk]))
    queued.refresh_from_db()
    assert queued.status == Status.QUEUED


def test_a_session_that_can_not_go_on_says_why(owner_client, queued):
    Session.objects.filter(pk=queued.pk).update(
        status=Status.STOPPED, config={**queued.config, "model": {"name": "local/gone"}}
    )
    for verb in ("resume", "start"):
        reply = owner_client.post(reverse(f"training:{verb}", args=[queued.pk]), {"next": "/sessions/"}, follow=True)
        assert "There is no folder" in reply.content.decode()
    queued.refresh_from_db()
    assert queued.status == Status.STOPPED


def test_delete_removes_a_draft_but_nothing_that_runs(owner_client, draft, make):
    running = make("Live", Status.TRAINING)
    reply = owner_client.post(reverse("training:delete", args=[running.pk]), {"next": "/sessions/"}, follow=True)
    assert "stop it first" in reply.content.decode()
    assert owner_client.post(reverse("training:delete", args=[draft.pk])).url == reverse("training:sessions")
    assert list(Session.objects.all()) == [running]


def test_a_clone_is_a_draft_of_ones_own_with_the_same_config(teammate_client, queued):
    reply = teammate_client.post(reverse("training:clone", args=[queued.pk]))
    copy = Session.objects.exclude(pk=queued.pk).get()
    assert reply.url == reverse("training:setup", args=[copy.pk, "review"])
    assert (copy.status, copy.config, copy.created_by.username) == (Status.DRAFT, queued.config, "bob")


def test_a_button_never_leads_to_another_site(owner_client, make):
    session = make()
    for target in ("https://evil.example/", "//evil.example", "javascript:alert(1)"):
        reply = owner_client.post(reverse("training:cancel", args=[session.pk]), {"next": target})
        assert reply.url == reverse("training:session", args=[session.pk])


# Error pages


def test_not_found_and_not_allowed_have_pages_of_their_own(owner_client, viewer_client, draft, settings):
    settings.DEBUG = False
    missing = owner_client.get("/no/such/page/")
    assert (missing.status_code, "There is nothing here" in missing.content.decode()) == (404, True)
    refused = viewer_client.post(reverse("training:stop", args=[draft.pk]))
    assert refused.status_code == 403
    assert "Your role in Charlie&#x27;s team does not allow this" in refused.content.decode()


def test_an_error_page_names_a_reference_that_stands_in_the_log(caplog):
    try:
        raise RuntimeError("broken for the test")
    except RuntimeError:
        reply = server_error(RequestFactory().get("/somewhere/"))
    reference = re.search(r"<code>(\w{8})</code>", reply.content.decode())[1]
    assert reply.status_code == 500
    assert reference in caplog.text
    assert "broken for the test" in caplog.text
    assert "broken for the test" not in reply.content.decode()


def test_the_login_page_explains_a_wrong_password_and_keeps_the_name(client, owner):
    reply = client.post(reverse("login"), {"username": "charlie", "password": "wrong"})
    text = reply.content.decode()
    assert "Name or password is wrong" in text
    assert 'value="charlie"' in text
    assert client.post(reverse("login"), {"username": "charlie", "password": "a long password"}).url == reverse("home")


def test_help_has_the_concepts_and_the_glossary(owner_client):
    text = text_of(owner_client, "help")
    for words in ("How GRPO works", "What LoRA changes", "What makes a good reward", "Glossary", "term-vram"):
        assert words in text
