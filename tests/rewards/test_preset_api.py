import json

import pytest

from rewards import presets
from rewards.models import RewardPreset
from rewards.registry import REGISTRY
from training.choices import Status
from training.models import SavedConfig, Session

pytestmark = pytest.mark.django_db
PRESETS, FUNCTIONS = "/api/rewards/presets", "/api/rewards/functions"
DEFINITION = {"parts": [{"name": "answer", "function": "exact_match", "weight": 2.0}]}
GOLDEN = [{"instruction": "Capital?", "reference": "Paris", "answers": [{"text": "Paris", "rank": 1}]}]
GRADER = {
    "type": "string_check",
    "name": "Right",
    "operation": "eq",
    "input": "{{sample.output_text}}",
    "reference": "{{item.city}}",
    "seed": 1,
}


@pytest.fixture
def own(team, owner):
    return presets.create(team, owner, name="Cities", definition=DEFINITION, description="Towns.")


def send(client, how, address, body=None):
    return getattr(client, how)(address, body if body is not None else {}, content_type="application/json")


def of(preset, *more):
    return "/".join([PRESETS, str(preset.pk), *map(str, more)])


class TestReading:
    def test_a_preset_is_told_with_what_it_needs(self, viewer_client, own):
        told = viewer_client.get(of(own)).json()
        assert (told["slug"], told["version"], told["team"]) == ("cities", 1, "Charlie's team")
        assert told["definition"] == DEFINITION and told["golden"] == []
        assert told["judges_answer"] and told["needs_reference"] and told["columns"] == []
        assert (told["best_total"], told["worst_total"]) == (2.0, 0.0)
        assert told["formula"] == "Total = 2 × answer" and told["problem"] == ""

    def test_one_that_no_longer_holds_says_why(self, viewer_client, own):
        RewardPreset.objects.filter(pk=own.pk).update(definition={"parts": [{"name": "x", "function": "gone"}]})
        assert "no reward function 'gone'" in viewer_client.get(of(own)).json()["problem"]

    def test_the_list_is_searched_and_filtered(self, viewer_client, own):
        def slugs(**asked):
            return {row["slug"] for row in viewer_client.get(PRESETS, asked).json()["presets"]}

        assert {"cities", "math"} <= slugs()
        assert slugs(search="towns") == {"cities"}
        assert slugs(whose="own") == {"cities"}
        assert "cities" not in slugs(whose="shipped")
        assert "format-only" in slugs(judges="form") and "cities" not in slugs(judges="form")
        assert slugs(category="Own") == {"cities"}

    def test_functions_come_with_the_schema_of_their_parameters(self, viewer_client):
        rows = {row["name"]: row for row in viewer_client.get(FUNCTIONS).json()["functions"]}
        assert set(rows) == set(REGISTRY)
        length = rows["length"]
        assert length["parameters"]["properties"]["longest"]["default"] == 200
        assert not length["judges_answer"] and rows["exact_match"]["needs_reference"]


class TestCreating:
    def test_a_member_creates_one_for_the_team(self, teammate_client, team):
        body = {"name": "Towns", "definition": DEFINITION, "golden": GOLDEN, "note": "First", "category": "Maps"}
        response = send(teammate_client, "post", PRESETS, body)
        assert response.status_code == 201
        made = RewardPreset.objects.get(team=team)
        assert response.json()["id"] == str(made.pk)
        assert (made.slug, made.category, made.golden) == ("towns", "Maps", GOLDEN)
        assert made.versions.get().note == "First"

    @pytest.mark.parametrize(
        ("change", "field", "message"),
        [
            ({"name": ""}, "name", "can't be empty"),
            ({"definition": {"parts": []}}, "definition", "Give 1 or more"),
            ({"definition": {"parts": [{"name": "a", "function": "gone"}]}}, "definition", "no reward function"),
            ({"golden": [{"instruction": "?"}]}, "golden", "answers: This is missing"),
            ({"slug": "math"}, "slug", "The program already has"),
            ({"slug": "Two Words"}, "slug", "lower case"),
            ({"wieght": 1}, "wieght", "no such setting"),
        ],
    )
    def test_a_wrong_field_is_named(self, owner_client, change, field, message):
        response = send(owner_client, "post", PRESETS, {"name": "A", "definition": DEFINITION, **change})
        assert response.status_code == 400
        assert message in response.json()["fields"][field][0]

    def test_a_copy_and_the_way_out_and_in_again(self, owner_client, own):
        copied = send(owner_client, "post", of(own, "copy"))
        assert copied.status_code == 201 and copied.json()["slug"] == "cities-copy"
        file = owner_client.get(of(own, "export")).json()
        made = send(owner_client, "post", f"{PRESETS}/import", {"content": file})
        assert made.status_code == 201 and made.json()["slug"] == "cities-2"
        assert presets.differences.same(made.json()["definition"], DEFINITION)


class TestChanging:
    def test_a_changed_definition_is_a_new_version(self, teammate_client, own):
        changed = {"parts": [{**DEFINITION["parts"][0], "weight": 3.0}]}
        told = send(teammate_client, "patch", of(own), {"definition": changed, "note": "More", "version": 1}).json()
        assert told["version"] == 2 and told["name"] == "Cities"
        assert own.versions.first().note == "More"

    def test_texts_alone_are_no_new_version(self, owner_client, own):
        told = send(owner_client, "patch", of(own), {"name": "Towns", "slug": "towns"}).json()
        assert (told["name"], told["slug"], told["version"]) == ("Towns", "towns", 1)

    def test_changes_of_an_older_version_are_a_conflict(self, owner_client, own):
        send(owner_client, "patch", of(own), {"golden": GOLDEN})
        response = send(owner_client, "patch", of(own), {"golden": [], "version": 1})
        assert response.status_code == 409 and "is version 2 by now" in response.json()["error"]

    def test_versions_are_listed_compared_and_restored(self, owner_client, viewer_client, own):
        send(owner_client, "patch", of(own), {"definition": {**DEFINITION, "gated_total": -1.0}})
        newest, oldest = viewer_client.get(of(own, "versions")).json()["versions"]
        assert newest["changes"] == ["total of a closed gate: 0 → -1"] and oldest["changes"] == []
        assert (newest["created_by"], newest["number"]) == ("charlie", 2)
        assert viewer_client.get(of(own, "versions", 1)).json()["definition"] == DEFINITION
        compared = viewer_client.get(of(own, "versions", 1), {"against": "2"}).json()
        assert compared["changes"] == ["total of a closed gate: -1 → 0"]
        told = send(owner_client, "post", of(own, "versions", 1, "restore")).json()
        assert told["version"] == 3
        assert presets.differences.same(told["definition"], DEFINITION)

    def test_a_version_that_there_is_not_is_404(self, owner_client, own):
        assert owner_client.get(of(own, "versions", 9)).status_code == 404
        assert owner_client.get(of(own, "versions", 1), {"against": "9"}).status_code == 404
        assert owner_client.get(of(own, "versions", 1), {"against": "x"}).status_code == 400
        assert send(owner_client, "post", of(own, "versions", 9, "restore")).status_code == 404

    def test_a_version_that_no_longer_holds_is_not_restored(self, owner_client, own):
        own.versions.create(number=7, definition={"parts": [{"name": "x", "function": "gone"}]})
        response = send(owner_client, "post", of(own, "versions", 7, "restore"))
        assert response.status_code == 409 and "no reward function" in response.json()["error"]


class TestDeleting:
    def test_it_is_gone_at_once_where_only_sessions_used_it(self, teammate_client, own, team):
        config = {"reward": {"preset_name": "cities"}}
        Session.objects.create(team=team, name="Ran", status=Status.COMPLETED, config=config)
        assert teammate_client.delete(of(own)).status_code == 204
        assert not RewardPreset.objects.filter(pk=own.pk).exists()

    def test_what_would_miss_it_has_to_be_confirmed(self, owner_client, own, team):
        SavedConfig.objects.create(team=team, name="Our config", config={"reward": {"preset_name": "cities"}})
        response = owner_client.delete(of(own))
        assert response.status_code == 409 and "Our config" in response.json()["error"]
        assert owner_client.delete(f"{of(own)}?confirm=true").status_code == 204


class TestImporting:
    def test_a_grader_becomes_a_preset_and_says_what_differs(self, owner_client, team):
        told = send(owner_client, "post", f"{PRESETS}/import", {"content": GRADER}).json()
        assert told["kind"] == "an OpenAI grader"
        assert told["notes"] == ["“Right”: seed has no counterpart here and is left out."]
        made = RewardPreset.objects.get(team=team)
        assert made.name == "Right" and made.versions.get().note == "Imported from an OpenAI grader"

    def test_a_dry_run_saves_nothing(self, owner_client, team):
        told = send(owner_client, "post", f"{PRESETS}/import", {"content": json.dumps(GRADER), "dry_run": True}).json()
        assert told["definition"]["parts"][0]["function"] == "string_check"
        assert not RewardPreset.objects.filter(team=team).exists()

    @pytest.mark.parametrize(
        ("content", "message"),
        [
            ({"type": "label_model", "name": "x"}, "label_model.model: This is missing"),
            ({"a": 1}, "none of the kinds"),
            ("{", "Line 1, column 2"),
            ({"parts": [{"name": "a", "function": "gone"}]}, "parts.0: There is no reward function"),
        ],
    )
    def test_what_is_wrong_is_said(self, owner_client, content, message):
        response = send(owner_client, "post", f"{PRESETS}/import", {"content": content})
        assert response.status_code == 400
        assert message in response.json()["fields"]["content"][0]


class TestAccess:
    READ = [(), ("export",), ("versions",), ("versions", 1)]
    WRITE = [("patch", ()), ("delete", ()), ("post", ("copy",)), ("post", ("versions", 1, "restore"))]

    @pytest.mark.parametrize("place", READ)
    def test_a_viewer_reads_and_an_outsider_finds_nothing(self, viewer_client, outsider_client, own, place):
        assert viewer_client.get(of(own, *place)).status_code == 200
        assert outsider_client.get(of(own, *place)).status_code == 404

    @pytest.mark.parametrize(("how", "place"), WRITE)
    def test_a_viewer_writes_nothing_and_an_outsider_finds_nothing(
        self, viewer_client, outsider_client, own, how, place
    ):
        assert send(viewer_client, how, of(own, *place)).status_code == 403
        assert send(outsider_client, how, of(own, *place)).status_code == 404
        own.refresh_from_db()
        assert own.version == 1

    @pytest.mark.parametrize("address", [PRESETS, f"{PRESETS}/import"])
    def test_a_viewer_makes_none(self, viewer_client, address):
        body = {"name": "A", "definition": DEFINITION} if address == PRESETS else {"content": DEFINITION}
        assert send(viewer_client, "post", address, body).status_code == 403

    @pytest.mark.parametrize("how", ["patch", "delete"])
    def test_nobody_changes_a_shipped_one(self, owner_client, how):
        math = RewardPreset.objects.get(team=None, slug="math")
        response = send(owner_client, how, of(math))
        assert response.status_code == 403 and "copy this one" in response.json()["error"]

    def test_everything_needs_credentials(self, client, own):
        for place in self.READ:
            assert client.get(of(own, *place)).status_code == 401
        for how, place in self.WRITE:
            assert send(client, how, of(own, *place)).status_code == 401
        assert client.get(FUNCTIONS).status_code == 401
        assert send(client, "post", f"{PRESETS}/import", {"content": GRADER}).status_code == 401
