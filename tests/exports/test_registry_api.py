"""The model registry over REST."""

import pytest
from django.test import Client

from accounts.models import Team
from tests.exports.registry_models import make_export, make_model, write_adapter
from training import keeping, lifecycle, tags
from training.models import Session

pytestmark = pytest.mark.django_db


def path(session: Session, more: str = "") -> str:
    return f"/api/models/{session.pk}{more}"


@pytest.mark.parametrize("slash", ["", "/"])
def test_models_are_listed_filtered_ordered_and_paged(owner_client: Client, team: Team, slash: str) -> None:
    low, high = make_model(team, "Low", after=0.4), make_model(team, "High", after=0.9)
    tags.replace(low, None, ["old"])
    keeping.promote(Session.objects.filter(pk=high.pk), None)

    def listed(**query: str) -> list[str]:
        return [model["name"] for model in owner_client.get(f"/api/models{slash}", query).json()["models"]]

    assert listed(ordering="-score") == ["High", "Low"]
    assert listed(ordering="score", limit="1") == ["Low"]
    assert listed(ordering="score", limit="1", offset="1") == ["High"]
    assert listed(search="low") == listed(tag="old") == ["Low"]
    assert listed(show="promoted") == ["High"]
    assert owner_client.get(f"/api/models{slash}", {"limit": 1}).json()["total"] == 2


@pytest.mark.parametrize("query", [{"ordering": "size"}, {"show": "x"}, {"limit": "0"}, {"serach": "typo"}])
def test_what_the_list_does_not_know_is_refused(owner_client: Client, query: dict[str, str]) -> None:
    response = owner_client.get("/api/models", query)
    assert response.status_code == 400
    assert list(response.json()["fields"]) == list(query)


def test_one_model_comes_with_its_lineage(owner_client: Client, team: Team) -> None:
    session = make_model(team, reward_preset={"slug": "math", "version": 2, "shipped": True})
    write_adapter(session.adapter)
    export, copy = make_export(session), lifecycle.clone(session, None)
    found = owner_client.get(path(session)).json()
    assert found["scores"]["adapter"]["accuracy"] == 0.7
    assert found["gain"] == pytest.approx(0.4)
    lineage = found["lineage"]
    assert lineage["dataset"]["sha256"] == "0" * 64 and lineage["dataset"]["version"] == 1
    assert (lineage["reward"]["preset"], lineage["reward"]["version"]) == ("math", 2)
    assert [each["id"] for each in lineage["exports"]] == [str(export.pk)]
    assert lineage["clones"] == [str(copy.pk)]
    assert lineage["bytes_on_disk"] == keeping.bytes_on_disk(session) >= 1002


def test_promoting_twice_is_promoting_once_and_deleting_takes_it_back(teammate_client: Client, team: Team) -> None:
    session = make_model(team)
    for body in ({"note": "For sums"}, {}):
        promoted = teammate_client.post(path(session, "/promote"), body, "application/json").json()["promoted"]
        assert (promoted["by"], promoted["note"]) == ("bob", "For sums")
    assert teammate_client.delete(path(session, "/promote")).json()["promoted"] is None
    response = teammate_client.post(path(session, "/promote"), {"note": "x" * 201}, "application/json")
    assert response.status_code == 400 and "note" in response.json()["fields"]


def test_deleting_needs_the_name_of_what_others_rely_on(teammate_client: Client, team: Team) -> None:
    session = make_model(team)
    keeping.promote(Session.objects.all(), None)
    refused = teammate_client.delete(path(session))
    assert refused.status_code == 409 and "Type its name" in refused.json()["error"]
    done = teammate_client.delete(path(session), {"name": "Sums"}, "application/json")
    assert done.status_code == 200 and done.json() == {"freed_bytes": 0}
    assert teammate_client.get(path(session)).status_code == 404


def test_outsiders_find_nothing_viewers_change_nothing_and_nobody_comes_without_a_token(
    outsider_client: Client, viewer_client: Client, team: Team
) -> None:
    session = make_model(team)
    assert outsider_client.get("/api/models").json() == {"total": 0, "models": []}
    assert viewer_client.get("/api/models").json()["total"] == 1
    assert viewer_client.get(path(session)).status_code == 200
    assert outsider_client.get(path(session)).status_code == 404
    assert Client().get("/api/models").status_code == 401
    for client, code in ((outsider_client, 404), (viewer_client, 403), (Client(), 401)):
        assert client.delete(path(session)).status_code == code
        assert client.post(path(session, "/promote")).status_code == code
        assert client.delete(path(session, "/promote")).status_code == code
    assert Session.objects.filter(pk=session.pk, promoted_at=None).exists()


def test_the_list_of_the_readme_stays_as_it_was(owner_client: Client, team: Team) -> None:
    session = make_model(team)
    write_adapter(session.adapter)
    (model,) = owner_client.get("/api/models/list").json()["models"]
    assert set(model) == {"session_id", "name", "status", "base", "path", "adapter", "score", "scores", "created_at"}
