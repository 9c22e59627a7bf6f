"""Every route of datasets as an outsider, a viewer and nobody at all. A route that is not in the table fails."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from django.conf import settings
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse

from accounts import secrets
from accounts.api import routes as team_routes
from accounts.models import Team, TeamSecret
from datasets_app import checks, imports, uploads
from datasets_app.api import routes
from datasets_app.models import Check, Dataset, DatasetVersion, Import, ImportKind, PromptTemplate, Upload
from tests.datasets.conftest import Importer, jsonl, sums

PLACE = "00000000-0000-4000-8000-000000000000"
METHODS = ("get", "post", "put", "patch", "delete")


class Route(NamedTuple):
    """`of` names the row in the address, "" if there is none. `reads`: a viewer may."""

    of: str
    reads: bool
    rest: tuple[str, ...] = ()


ONE, FILE = ("1",), ("1", "jsonl")
TABLE = {
    ("api-datasets-list", "get"): Route("", True),
    ("api-datasets-upload", "post"): Route("", False),
    ("api-datasets-preview", "post"): Route("", True),
    ("api-dataset", "get"): Route("dataset", True),
    ("api-dataset", "patch"): Route("dataset", False),
    ("api-dataset", "delete"): Route("dataset", False),
    ("api-versions", "get"): Route("dataset", True),
    ("api-version", "get"): Route("dataset", True, ONE),
    ("api-version", "delete"): Route("dataset", False, ONE),
    ("api-mapping", "patch"): Route("dataset", False, ONE),
    ("api-auto-map", "post"): Route("dataset", False, ONE),
    ("api-split", "patch"): Route("dataset", False, ONE),
    ("api-accept", "post"): Route("dataset", False, ONE),
    ("api-filter", "post"): Route("dataset", False, ONE),
    ("api-remap", "post"): Route("dataset", False, ONE),
    ("api-rows", "get"): Route("dataset", True, ONE),
    ("api-download", "get"): Route("dataset", True, FILE),
    ("api-rejected", "get"): Route("dataset", True, FILE),
    ("api-checks", "get"): Route("dataset", True, ONE),
    ("api-checks", "post"): Route("dataset", False, ONE),
    ("api-check", "get"): Route("check", True),
    ("api-check-cancel", "post"): Route("check", False),
    ("api-uploads", "post"): Route("", False),
    ("api-upload", "get"): Route("upload", False),
    ("api-upload", "patch"): Route("upload", False),
    ("api-upload", "delete"): Route("upload", False),
    ("api-upload-import", "post"): Route("upload", False),
    ("api-imports", "get"): Route("", True),
    ("api-import", "get"): Route("import", True),
    ("api-import", "delete"): Route("import", False),
    ("api-import-cancel", "post"): Route("import", False),
    ("api-import-retry", "post"): Route("import", False),
    ("api-paste", "post"): Route("", False),
    ("api-generate", "post"): Route("", False),
    ("api-tasks", "get"): Route("", True),
    ("api-example", "post"): Route("", False),
    ("api-public", "get"): Route("", True),
    # A child process is started for these, with the team's token: no viewer's business, as on the pages.
    ("api-hub", "get"): Route("", False),
    ("api-hub-preview", "get"): Route("", False),
    ("api-hub-import", "post"): Route("", False),
    ("api-prompts", "get"): Route("", True),
    ("api-prompts", "post"): Route("", False),
    ("api-prompt", "get"): Route("prompt", True),
    ("api-prompt", "patch"): Route("prompt", False),
    ("api-prompt", "delete"): Route("prompt", False),
    # Whose copy it is, the one who copies decides: a viewer may not, an outsider finds nothing.
    ("api-prompt-copy", "post"): Route("prompt", False),
    ("api-prompt-validate", "post"): Route("", True),
    ("api-prompt-preview", "post"): Route("", True),
    ("api-hub-token", "get"): Route("", True),
    ("api-hub-token", "put"): Route("", False),
    ("api-hub-token", "delete"): Route("", False),
    ("api-judge-keys", "get"): Route("", True),
    ("api-judge-keys", "put"): Route("", False),
    ("api-judge-keys", "delete"): Route("", False),
}
BODIES: dict[str, dict[str, Any]] = {"api-datasets-preview": {"path": "sums"}}


@pytest.fixture
def world(imported: Importer, team: Team, owner: User) -> dict[str, str]:
    """One row of each kind in Charlie's team, by name."""
    version = imported(raw=jsonl(*sums(40)) + b"bad\n", name="sums.jsonl")
    prompt = PromptTemplate.objects.create(team=team, name="Ours", system_prompt="Say a secret word.")
    secrets.save(team, owner, secrets.HUGGINGFACE, "hf_a_secret_token_of_ours")
    rows = {
        "dataset": version.dataset,
        "check": checks.start(version, owner),
        "upload": uploads.from_bytes(team, owner, "sums.csv", b"question,answer\n1,2\n"),
        "import": imports.start(team, owner, ImportKind.HUB, "From the hub", request={"repo": "acme/sums"}),
        "prompt": prompt,
    }
    return {name: str(row.pk) for name, row in rows.items()}


def send(client: Client, world: dict[str, str], name: str, method: str) -> Any:
    if method == "get":
        return client.get(address(world, name, method))
    return getattr(client, method)(address(world, name, method), json.dumps(BODIES.get(name, {})), "application/json")


def address(world: dict[str, str], name: str, method: str) -> str:
    route = TABLE[name, method]
    return reverse(name, args=[*([world[route.of]] if route.of else []), *route.rest])


def everything() -> list[Any]:
    models = [Dataset, DatasetVersion, Upload, Import, Check, PromptTemplate, TeamSecret]
    return [list(model._default_manager.order_by("pk").values()) for model in models]


def test_every_route_is_in_the_table() -> None:
    there = {
        (route.name, method)
        for route in [*routes, *team_routes]
        for method in METHODS
        if hasattr(route.callback.cls, method)
    }
    assert there == set(TABLE)


def codes(client: Client, world: dict[str, str], keys: Iterable[tuple[str, str]]) -> dict[tuple[str, str], int]:
    return {key: send(client, world, *key).status_code for key in keys}


OF_A_ROW = [key for key, route in TABLE.items() if route.of]
OF_THE_TEAM = [key for key, route in TABLE.items() if not route.of]


def test_every_route_is_documented(world: dict[str, str]) -> None:
    text = (Path(settings.BASE_DIR) / "docs" / "api.md").read_text(encoding="utf-8")
    missing = []
    for name, method in TABLE:
        path = address(dict.fromkeys(world, PLACE), name, method)
        shown = path.replace(PLACE, "{id}").replace("/versions/1", "/versions/{n}").replace("/jsonl", "/{format}")
        if f"| {method.upper()} | `{shown}` |" not in text:
            missing.append(f"| {method.upper()} | `{shown}` |")
    assert not missing


def test_nobody_gets_an_answer_without_credentials(client: Client, world: dict[str, str]) -> None:
    before = everything()
    assert codes(client, world, TABLE) == dict.fromkeys(TABLE, 401)
    assert everything() == before


def test_an_outsider_finds_no_row(outsider_client: Client, world: dict[str, str]) -> None:
    before = everything()
    assert codes(outsider_client, world, OF_A_ROW) == dict.fromkeys(OF_A_ROW, 404)
    assert everything() == before


def test_an_outsider_sees_and_changes_nothing_of_the_team(
    outsider_client: Client, world: dict[str, str], team: Team
) -> None:
    before = everything()
    secret = (*world.values(), team.name, "hf_a_secret", "secret word", "oken_of")
    for key in OF_THE_TEAM:
        response = send(outsider_client, world, *key)
        assert response.status_code < 500
        assert not [word for word in secret if word in response.content.decode()], key
    assert everything() == before


def test_a_viewer_reads_and_changes_nothing(viewer_client: Client, world: dict[str, str]) -> None:
    before = everything()
    assert codes(viewer_client, world, TABLE) == {key: 200 if route.reads else 403 for key, route in TABLE.items()}
    assert everything() == before


def test_a_row_that_is_not_there_is_not_found(owner_client: Client, world: dict[str, str]) -> None:
    nothing = dict.fromkeys(world, PLACE)
    assert codes(owner_client, nothing, OF_A_ROW) == dict.fromkeys(OF_A_ROW, 404)


@pytest.mark.parametrize("path", ["datasets/", "datasets/prompts/", "datasets/imports/", "datasets/checks/"])
def test_an_address_that_is_no_id_is_not_found(owner_client: Client, path: str) -> None:
    for pk in ("0" * 8 + "-" + "0" * 27, "x" * 36, "%00", "../list"):
        assert owner_client.get(f"/api/{path}{pk}").status_code == 404


def test_every_refusal_has_the_one_shape(
    client: Client, outsider_client: Client, viewer_client: Client, world: dict[str, str]
) -> None:
    for someone in (client, outsider_client, viewer_client):
        for key in TABLE:
            response = send(someone, world, *key)
            if response.status_code >= 400:
                assert response.json().keys() >= {"error", "fields"}, key
                assert response.json()["error"].endswith((".", "?")), key


@pytest.mark.parametrize("raw", [b"[1]", b"{", b"5", b"null", b"\xff", b'{"no such field": 1}', b'{"name": {"a": 1}}'])
def test_a_body_that_means_nothing_is_no_error_of_ours(owner_client: Client, world: dict[str, str], raw: bytes) -> None:
    for name, method in TABLE:
        if method not in ("get", "delete"):
            response = getattr(owner_client, method)(address(world, name, method), raw, "application/json")
            assert response.status_code < 500, name
            if response.status_code >= 400:
                assert response.json().keys() >= {"error", "fields"}, name
