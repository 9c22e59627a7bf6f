"""S15: the calls of the readme, as a program makes them."""

import uuid

import pytest
from django.db import OperationalError
from django.test import Client
from knox.models import AuthToken

from accounts.models import Membership, Role, Team
from training import lifecycle
from training.models import SavedConfig, Session
from training.schema import SessionConfig


class Program:
    """A client with a token, as the readme's examples use it."""

    def __init__(self, user):
        self.headers = {"authorization": f"Token {AuthToken.objects.create(user)[1]}"} if user else {}
        self.client = Client()

    def get(self, path, **query):
        return self.client.get(f"/api/{path}", query, headers=self.headers)

    def post(self, path, *, key="", **data):
        headers = self.headers | ({"Idempotency-Key": key} if key else {})
        return self.client.post(f"/api/{path}", data, content_type="application/json", headers=headers)


@pytest.fixture
def as_owner(owner):
    return Program(owner)


@pytest.fixture
def as_viewer(viewer):
    return Program(viewer)


@pytest.fixture
def as_outsider(outsider):
    return Program(outsider)


# S15.1


def test_start_makes_and_queues_a_session(as_owner, config, owner, team):
    reply = as_owner.post("training/start", session_id="unique-id", config=config | {"name": "Sums"})
    assert reply.status_code == 201, reply.content
    session = Session.objects.get()
    assert reply.json()["session_id"] == str(session.pk)
    assert (reply.json()["status"], reply.json()["started"]) == ("queued", True)
    assert (session.name, session.team, session.created_by, session.status) == ("Sums", team, owner, "queued")


def test_start_sent_twice_is_one_session(as_owner, config):
    first = as_owner.post("training/start", session_id="unique-id", config=config)
    again = as_owner.post("training/start", session_id="unique-id", config=config)
    assert (first.status_code, again.status_code) == (201, 200)
    assert first.json()["session_id"] == again.json()["session_id"]
    assert again.json()["started"] is False
    assert Session.objects.count() == 1


def test_a_session_without_a_name_is_called_as_the_client_called_it(as_owner, config):
    as_owner.post("training/start", session_id="unique-id", config=config)
    assert Session.objects.get().name == "unique-id"


def test_start_takes_an_id_that_the_client_made(as_owner, config):
    given = uuid.uuid4()
    as_owner.post("training/start", session_id=str(given), config=config)
    assert Session.objects.get().pk == given


def test_start_without_an_id_makes_a_new_session_each_time(as_owner, config):
    for _ in range(2):
        assert as_owner.post("training/start", config=config).status_code == 201
    assert Session.objects.count() == 2


def test_start_queues_a_draft_of_the_stepper(as_owner, draft):
    reply = as_owner.post("training/start", session_id=str(draft.pk))
    assert (reply.status_code, reply.json()["status"]) == (200, "queued")


def test_what_is_wrong_with_a_config_is_said_field_by_field_and_nothing_is_kept(as_owner, config):
    config["training"]["gradient_accumulation_steps"] = 3
    config["model"]["name"] = "local/missing"
    reply = as_owner.post("training/start", session_id="x", config=config)
    assert reply.status_code == 400
    assert set(reply.json()["fields"]) == {"training.batch_size", "model.name"}
    assert reply.json()["error"]
    assert not Session.objects.exists()


def test_a_start_that_is_sent_again_with_its_key_is_one_session(as_owner, as_outsider, config):
    first, again = (as_owner.post("training/start", key="try-1", config=config) for _ in range(2))
    assert (first.status_code, again.status_code) == (201, 200)
    assert first.json()["session_id"] == again.json()["session_id"]
    assert (first.json()["started"], again.json()["started"]) == (True, False)
    other = as_owner.post("training/start", key="try-2", config=config)
    assert other.json()["session_id"] != first.json()["session_id"]
    assert as_outsider.post("training/start", key="try-1", config=config).json().get("session_id") is None
    assert Session.objects.count() == 2


def test_a_start_with_a_key_that_was_refused_can_be_sent_again(as_owner, config):
    wrong = config | {"model": {"name": "local/absent"}}
    assert as_owner.post("training/start", key="try-1", config=wrong).status_code == 400
    assert as_owner.post("training/start", key="try-1", config=config).status_code == 201


@pytest.mark.parametrize("data", [{}, {"config": "text"}, {"session_id": "x" * 300, "config": {}}, {"config": [1]}])
def test_a_malformed_start_is_refused(as_owner, data):
    reply = as_owner.post("training/start", **data)
    assert reply.status_code == 400 and reply.json()["fields"]


def test_an_unknown_session_without_a_config_is_not_found(as_owner, team):
    assert as_owner.post("training/start", session_id="nothing").status_code == 404


def test_an_outsider_cannot_start_a_draft_or_learn_that_it_exists(as_outsider, draft, config):
    known = as_outsider.post("training/start", session_id=str(draft.pk))
    unknown = as_outsider.post("training/start", session_id=str(uuid.uuid4()))
    assert known.status_code == unknown.status_code == 404
    assert as_outsider.post("training/start", session_id=str(draft.pk), config=config).status_code in (404, 400)
    draft.refresh_from_db()
    assert draft.status == "draft"


def test_the_same_name_means_another_session_in_another_team(as_owner, as_outsider, config):
    as_owner.post("training/start", session_id="unique-id", config=config)
    assert as_outsider.post("training/stop", session_id="unique-id").status_code == 404


def test_a_viewer_starts_nothing(as_viewer, config, draft):
    assert as_viewer.post("training/start", config=config).status_code == 403
    assert as_viewer.post("training/start", session_id=str(draft.pk)).status_code == 403


# S15.2


def test_stop_asks_a_running_session(as_owner, queued):
    Session.objects.filter(pk=queued.pk).update(status="training")
    reply = as_owner.post("training/stop", session_id=str(queued.pk))
    assert (reply.status_code, reply.json()["stopping"], reply.json()["status"]) == (200, True, "training")
    queued.refresh_from_db()
    assert queued.stop_requested_at


def test_stop_takes_the_name_that_start_was_given(as_owner, config):
    as_owner.post("training/start", session_id="unique-id", config=config)
    assert as_owner.post("training/stop", session_id="unique-id").json()["status"] == "cancelled"


def test_stopping_what_does_not_run_says_so(as_owner, draft):
    assert as_owner.post("training/stop", session_id=str(draft.pk)).json()["stopping"] is False


def test_stop_is_closed_to_viewers_and_outsiders(as_viewer, as_outsider, queued):
    assert as_viewer.post("training/stop", session_id=str(queued.pk)).status_code == 403
    assert as_outsider.post("training/stop", session_id=str(queued.pk)).status_code == 404
    queued.refresh_from_db()
    assert queued.status == "queued"


def test_a_database_that_is_away_is_told_as_that_and_in_json(as_owner, queued, monkeypatch):
    def away(*_):
        raise OperationalError("connection refused")

    monkeypatch.setattr(lifecycle, "request_stop", away)
    reply = as_owner.post("training/stop", session_id=str(queued.pk))
    assert reply.status_code == 503
    assert "can't be reached" in reply.json()["error"]


@pytest.fixture
def with_checkpoints(queued):
    """Stopped, with two checkpoints that are whole."""
    for step in (2, 4):
        folder = queued.folder / "checkpoints" / f"training-{step:08d}"
        folder.mkdir(parents=True)
        (folder / "MANIFEST.json").write_text('{"files": {}}')
    Session.objects.filter(pk=queued.pk).update(status="stopped", attempt=1)
    return queued


def names_on_disk(session):
    return sorted(path.name for path in (session.folder / "checkpoints").iterdir())


def test_resume_goes_on_from_the_newest_checkpoint(as_owner, with_checkpoints):
    reply = as_owner.post("training/resume", session_id=str(with_checkpoints.pk))
    assert (reply.status_code, reply.json()["resumed"], reply.json()["status"]) == (200, True, "queued")
    assert names_on_disk(with_checkpoints) == ["training-00000002", "training-00000004"]
    again = as_owner.post("training/resume", session_id=str(with_checkpoints.pk))
    assert (again.status_code, again.json()["resumed"]) == (200, False)


def test_resume_from_an_older_checkpoint_removes_the_later_ones(as_owner, with_checkpoints):
    reply = as_owner.post("training/resume", session_id=str(with_checkpoints.pk), checkpoint="training-00000002")
    assert reply.json()["resumed"]
    assert names_on_disk(with_checkpoints) == ["training-00000002"]


@pytest.mark.parametrize("name", ["training-00000003", "../checkpoints", "training-00000004"])
def test_resume_refuses_a_checkpoint_that_is_gone_or_damaged(as_owner, with_checkpoints, name):
    (with_checkpoints.folder / "checkpoints" / "training-00000004" / "MANIFEST.json").unlink()
    reply = as_owner.post("training/resume", session_id=str(with_checkpoints.pk), checkpoint=name)
    assert reply.status_code == 400
    assert "can't be used" in reply.json()["fields"]["checkpoint"][0]
    with_checkpoints.refresh_from_db()
    assert with_checkpoints.status == "stopped"
    assert len(names_on_disk(with_checkpoints)) == 2


def test_resume_is_closed_to_viewers_outsiders_and_strangers(as_viewer, as_outsider, client, with_checkpoints):
    asked = {"session_id": str(with_checkpoints.pk), "checkpoint": "training-00000002"}
    assert as_viewer.post("training/resume", **asked).status_code == 403
    assert as_outsider.post("training/resume", **asked).status_code == 404
    assert client.post("/api/training/resume", asked).status_code == 401
    assert len(names_on_disk(with_checkpoints)) == 2


# S15.3


def test_sessions_lists_those_of_the_team(as_viewer, as_outsider, queued, django_assert_max_num_queries):
    with django_assert_max_num_queries(10):
        rows = as_viewer.get("training/sessions").json()["sessions"]
    assert [row["session_id"] for row in rows] == [str(queued.pk)]
    assert (rows[0]["model"], rows[0]["status"]) == ("local/pretend", "queued")
    assert as_outsider.get("training/sessions").json() == {"sessions": []}


def test_a_single_session_shows_its_config(as_viewer, as_outsider, queued):
    assert as_viewer.get(f"training/sessions/{queued.pk}").json()["config"] == queued.config
    assert as_outsider.get(f"training/sessions/{queued.pk}").status_code == 404


# S15.10 to S15.12


def test_a_config_is_saved_listed_loaded_and_replaced(as_owner, config, team):
    assert as_owner.post("configs/save", name="my-config", config=config).status_code == 201
    assert [row["name"] for row in as_owner.get("configs/list").json()["configs"]] == ["my-config"]
    assert as_owner.get("configs/load", name="my-config").json()["config"] == config
    config["training"]["max_steps"] = 9
    assert as_owner.post("configs/save", name="my-config", config=config).status_code == 200
    assert as_owner.get("configs/load", name="my-config").json()["config"]["training"]["max_steps"] == 9
    assert SavedConfig.objects.get().team == team


def test_the_readmes_own_config_file_is_saved_as_it_is(as_owner, readme_config, team):
    assert as_owner.post("configs/save", name="readme", config=readme_config).status_code == 201
    loaded = as_owner.get("configs/load", name="readme").json()["config"]
    assert loaded == readme_config
    assert SessionConfig.model_validate(loaded).training.optim == "paged_adamw_32bit"


def test_a_config_with_a_value_out_of_range_is_not_saved(as_owner, team):
    reply = as_owner.post("configs/save", name="bad", config={"training": {"num_epochs": 0}})
    assert reply.status_code == 400
    assert list(reply.json()["fields"]) == ["training.num_epochs"]
    assert not SavedConfig.objects.exists()


def test_configs_are_the_teams_own(as_owner, as_viewer, as_outsider, config):
    as_owner.post("configs/save", name="mine", config=config)
    assert as_viewer.get("configs/load", name="mine").status_code == 200
    assert as_viewer.post("configs/save", name="other", config=config).status_code == 403
    assert as_outsider.get("configs/list").json() == {"configs": []}
    assert as_outsider.get("configs/load", name="mine").status_code == 404
    assert as_outsider.post("configs/save", name="mine", config=config).status_code == 201
    assert SavedConfig.objects.count() == 2


def test_a_config_that_is_not_there_is_not_found(as_owner):
    reply = as_owner.get("configs/load", name="nothing")
    assert reply.status_code == 404 and "nothing" in reply.json()["error"]


# All of them


CALLS = [
    ("post", "training/start"), ("post", "training/stop"), ("get", "training/sessions"), ("post", "configs/save"),
    ("get", "configs/load"), ("get", "configs/list"), ("get", f"training/sessions/{uuid.UUID(int=7)}"),
]  # fmt: skip


@pytest.mark.parametrize(("method", "path"), CALLS)
@pytest.mark.parametrize("slash", ["", "/"])
def test_every_call_answers_with_and_without_a_slash_and_wants_a_token(db, method, path, slash):
    assert getattr(Program(None), method)(path + slash).status_code == 401


@pytest.mark.parametrize(("method", "path"), CALLS)
def test_only_the_documented_method_is_allowed(as_owner, method, path):
    other = {"get": "post", "post": "get"}[method]
    assert getattr(as_owner, other)(path).status_code == 405


def test_new_sessions_go_to_the_first_team_in_which_the_user_may_work(viewer, config, dataset):
    own = Team.objects.create(name="Own")
    Membership.objects.create(team=own, user=viewer, role=Role.OWNER)
    Program(viewer).post("training/start", session_id="x", config=config)
    assert not Session.objects.exists()
    dataset.team = own
    dataset.save()
    assert Program(viewer).post("training/start", session_id="x", config=config).status_code == 201
    assert Session.objects.get().team == own
    assert lifecycle.waiting()
