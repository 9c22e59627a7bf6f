"""The composer's page as a browser without scripts sends it, and the pieces that htmx asks for."""

import io
import json
import re
from typing import Any, Literal

import pytest
from django import forms
from django.urls import reverse
from django.utils.html import escape
from pydantic import Field

from datasets_app import importing
from rewards import presets
from rewards.composer_forms import Composer, as_posted
from rewards.exchange import Imported
from rewards.forms import field_for
from rewards.functions import custom
from rewards.library.cases import MARKERS
from rewards.models import RewardPreset
from rewards.registry import REGISTRY, Parameters, Score, batch_reward_function

pytestmark = pytest.mark.django_db
NEW, LIVE, PARTS = reverse("rewards:new"), reverse("rewards:compose-live"), reverse("rewards:compose-parts")
ROW, IMPORT = reverse("rewards:compose-sample"), reverse("rewards:import")
HTMX = {"HTTP_HX_REQUEST": "true"}
ANSWER = {"name": "answer", "function": "exact_match", "weight": 2.0}
SHORT = {"name": "short", "function": "length", "weight": 0.5, "parameters": {"longest": 5, "fade": 5}}
GOLDEN = [{"instruction": "Capital of France?", "reference": "Paris", "answers": [{"text": "Paris", "rank": 1}]}]


def posted(*parts: dict[str, Any], **more: Any) -> dict[str, Any]:
    """What the page sends for a definition with these parts."""
    start = Imported({"parts": list(parts)}, "a test", name="Cities", category="Own")
    composer = Composer.begun(start)
    data = {name: composer.data.getlist(name) for name in composer.data}
    data["part"] = [f"{key}:{function}" for key, function in composer.order]
    texts = {"sample-instruction": "Capital of France?", "sample-reference": "Paris", "sample-response": "Paris"}
    return {**data, **texts, **more}


def page_of(response) -> str:
    return response.content.decode()


def text_of(page: str) -> str:
    return " ".join(re.sub(r"<[^>]+>", " ", page).split())


@pytest.fixture
def own(team, owner):
    return presets.create(team, owner, name="Cities", definition={"parts": [ANSWER, SHORT]})


@pytest.fixture
def asked():
    """A function that judges in batches, as services do, and what it was asked."""
    seen: list[str] = []

    def costly(samples, parameters):
        """Costs money."""
        seen.extend(sample.response for sample in samples)
        return [Score(1.0) for _ in samples]

    batch_reward_function(title="Costly", category="Judge")(costly)
    yield seen
    del REGISTRY["costly"]


class TestNew:
    def test_a_blank_page_offers_every_function_with_what_it_needs(self, teammate_client):
        page = text_of(page_of(teammate_client.get(NEW)))
        assert "No parts yet" in page
        for function in REGISTRY.values():
            assert escape(function.title) in page
        assert "needs a reference" in page and "form only: can be gamed" in page

    def test_a_function_that_this_machine_lacks_is_grey_with_the_reason(self, teammate_client, monkeypatch):
        lacking = REGISTRY["length"].__class__(
            **{**vars(REGISTRY["length"]), "unavailable": lambda: "The package wordcount is not installed."}
        )
        monkeypatch.setitem(REGISTRY, "length", lacking)
        page = page_of(teammate_client.get(NEW))
        assert "The package wordcount is not installed." in page
        assert re.search(r'value="add:length"[^>]*disabled', page)

    def test_it_is_saved_as_the_team_s_preset_with_its_first_version(self, teammate_client, team, teammate):
        response = teammate_client.post(NEW, posted(ANSWER, SHORT, slug="", note="For maps"))
        made = RewardPreset.objects.get(team=team)
        assert response.headers["Location"] == reverse("rewards:detail", args=[made.pk])
        assert (made.slug, made.name, made.created_by) == ("cities", "Cities", teammate)
        assert [part["name"] for part in made.definition["parts"]] == ["answer", "short"]
        assert made.definition["parts"][1]["parameters"]["longest"] == 5
        assert made.versions.get().note == "For maps"

    def test_it_starts_from_another_preset_with_its_golden_cases(self, owner_client, team):
        math = RewardPreset.objects.get(slug="math", team=None)
        page = page_of(owner_client.get(NEW, {"from": str(math.pk)}))
        assert 'value="Math (copy)"' in page and "math_answer" in page
        assert f'<option value="{math.pk}" selected>Math</option>' in page
        data = posted(ANSWER, golden=json.dumps(math.golden))
        owner_client.post(NEW, data)
        assert RewardPreset.objects.get(team=team).golden == math.golden

    def test_another_team_s_preset_is_no_start(self, outsider_client, own):
        assert outsider_client.get(NEW, {"from": str(own.pk)}).status_code == 404
        assert outsider_client.get(NEW, {"from": "x"}).status_code == 404

    def test_a_preset_that_no_longer_holds_is_no_start(self, owner_client, own):
        RewardPreset.objects.filter(pk=own.pk).update(definition={"parts": [{"name": "x", "function": "gone"}]})
        page = page_of(owner_client.get(NEW, {"from": str(own.pk)}))
        assert "no reward function" in page and "No parts yet" in page

    def test_golden_cases_that_somebody_broke_are_refused(self, owner_client, team):
        for broken in ("{", '[{"instruction": 1}]'):
            assert "Not saved. golden" in page_of(owner_client.post(NEW, posted(ANSWER, golden=broken)))
        assert not RewardPreset.objects.filter(team=team).exists()

    def test_the_page_holds_no_inline_script_or_style(self, owner_client):
        page = page_of(owner_client.post(NEW, posted(ANSWER, SHORT, do="score")))
        assert " style=" not in page and " onclick=" not in page and "<style" not in page

    def test_more_parts_and_presets_cost_no_more_queries(self, owner_client, own, django_assert_max_num_queries):
        with django_assert_max_num_queries(14):
            owner_client.post(NEW, posted(*[ANSWER | {"name": f"a{n}"} for n in range(20)], do="score"))


class TestEdit:
    def test_what_was_saved_is_in_its_fields(self, owner_client, own):
        page = page_of(owner_client.get(reverse("rewards:edit", args=[own.pk])))
        assert 'name="1-parameter-longest" value="5"' in page
        assert 'name="0-name" value="answer"' in page
        assert "Saving changed parts makes version" in page

    def test_gate_clip_formula_and_closed_total_are_saved(self, owner_client, own):
        data = posted(
            ANSWER, SHORT, base=presets.edition(own), slug="cities", formula="answer + short / 2", gated_total="-1"
        )
        data |= {"0-gate": "1", "1-clip_low": "0.1", "1-clip_high": "0.9"}
        owner_client.post(reverse("rewards:edit", args=[own.pk]), data)
        own.refresh_from_db()
        assert own.version == 2
        assert own.definition["formula"] == "answer + short / 2" and own.definition["gated_total"] == -1.0
        assert own.definition["parts"][0]["gate"] == 1.0 and own.definition["parts"][1]["clip"] == [0.1, 0.9]

    def test_renamed_and_reordered_parts_are_saved(self, owner_client, own):
        data = posted(ANSWER, SHORT, base=presets.edition(own), slug="cities") | {"part": ["1:length", "0:exact_match"]}
        data["0-name"] = "right city"
        owner_client.post(reverse("rewards:edit", args=[own.pk]), data)
        own.refresh_from_db()
        assert [part["name"] for part in own.definition["parts"]] == ["short", "right city"]

    def test_golden_cases_stay(self, owner_client, own):
        RewardPreset.objects.filter(pk=own.pk).update(golden=GOLDEN)
        owner_client.post(
            reverse("rewards:edit", args=[own.pk]), posted(ANSWER, base=presets.edition(own), slug="cities")
        )
        own.refresh_from_db()
        assert own.version == 2 and own.golden == GOLDEN

    def test_somebody_else_s_version_is_not_overwritten_unseen(self, owner_client, own, teammate):
        address, data = reverse("rewards:edit", args=[own.pk]), posted(ANSWER, base=presets.edition(own), slug="cities")
        presets.update(own, teammate, composition=presets.composition_of(own).model_copy(update={"gated_total": -2.0}))
        page = page_of(owner_client.post(address, data))
        assert "Not saved. bob saved version 2 meanwhile." in page
        own.refresh_from_db()
        newest = presets.edition(own)
        assert f'name="base" value="{newest}"' in page and 'name="0-name" value="answer"' in page
        owner_client.post(address, data | {"base": newest})
        own.refresh_from_db()
        assert own.version == 3

    def test_somebody_else_s_description_is_not_overwritten_unseen(self, owner_client, own, teammate):
        address = reverse("rewards:edit", args=[own.pk])
        data = posted(ANSWER, SHORT, base=presets.edition(own), slug="cities", description="mine")
        presets.update(presets.readable_or_404(teammate, own.pk), teammate, description="theirs")
        page = page_of(owner_client.post(address, data))
        assert "Not saved. Somebody saved another name, category or description meanwhile" in page
        assert "theirs" in page and ">\nmine</textarea>" in page
        own.refresh_from_db()
        assert own.description == "theirs"
        owner_client.post(address, data | {"base": presets.edition(own)})
        own.refresh_from_db()
        assert own.description == "mine"

    def test_a_new_name_for_configs_must_be_free_and_simple(self, owner_client, own):
        address = reverse("rewards:edit", args=[own.pk])
        for slug, message in (("math", "The program already has"), ("Big Sums", "such as big-sums")):
            assert message in page_of(owner_client.post(address, posted(ANSWER, base=presets.edition(own), slug=slug)))
        owner_client.post(address, posted(ANSWER, base=presets.edition(own), slug="towns"))
        own.refresh_from_db()
        assert own.slug == "towns"


class TestErrors:
    @pytest.mark.parametrize(
        ("change", "place", "message"),
        [
            ({"name": ""}, "name", "Give the reward a name"),
            ({"0-name": ""}, "0-name", "This field is required."),
            ({"0-weight": "much"}, "0-weight", "Enter a number."),
            ({"0-weight": "1e9"}, "0-weight", "less than or equal to 1000"),
            ({"1-name": "answer"}, "1-name", "Another part has this name"),
            ({"0-gate": "0"}, "0-gate", "A limit that exact_match can pass and fail is above 0"),
            ({"0-gate": "2"}, "0-gate", "at most 1"),
            ({"0-clip_low": "0.5"}, "0-clip_high", "Give both ends, or none."),
            ({"0-clip_low": "0.5", "0-clip_high": "0.1"}, "0-clip_low", "Give the lower limit first"),
            ({"1-parameter-fade": "0"}, "1-parameter-fade", "greater than or equal to 1"),
            ({"1-parameter-unit": "pages"}, "1-parameter-unit", "Select a valid choice"),
            ({"formula": "answer + shrt"}, "formula", "names shrt, which is no part"),
            ({"formula": "answer"}, "formula", "It does not use short"),
            ({"formula": "__import__('os')"}, "formula", "A formula may hold"),
            ({"formula": "answer + short", "normalise": "range"}, "normalise", "Choose one of the two"),
            ({"gated_total": ""}, "gated_total", "This field is required."),
            ({"gated_total": "1e7"}, "gated_total", "less than or equal to"),
        ],
    )
    def test_each_is_said_at_its_field_and_nothing_is_saved(self, owner_client, team, change, place, message):
        response = owner_client.post(NEW, posted(ANSWER, SHORT, **change))
        assert response.status_code == 400
        [said] = re.findall(rf'id="error-{place}">([^<]*)<', page_of(response))
        assert message in said
        assert not RewardPreset.objects.filter(team=team).exists()

    def test_a_field_names_its_message_for_those_who_hear_the_page(self, owner_client):
        page = page_of(owner_client.post(NEW, posted(ANSWER)))
        for place in re.findall(r'aria-describedby="(error-[^"]+)"', page):
            assert f'id="{place}"' in page or place.startswith(("error-sample-s", "error-sample-p"))

    def test_what_was_typed_is_still_there(self, owner_client):
        data = posted(ANSWER, SHORT, description="For <maps>", formula="answer +")
        page = page_of(owner_client.post(NEW, data | {"0-weight": "1.75", "1-parameter-longest": "many"}))
        for kept in ("For &lt;maps&gt;", "answer +</textarea>", 'value="1.75"', 'value="many"', "Capital of France?"):
            assert kept in page

    def test_all_wrong_fields_are_told_at_once(self, owner_client):
        data = posted(ANSWER, SHORT, name="") | {"0-weight": "", "1-parameter-fade": "x"}
        page = page_of(owner_client.post(NEW, data))
        for place in ("name", "0-weight", "1-parameter-fade"):
            assert re.search(rf'id="error-{place}">[^<]+<', page)

    def test_a_rule_between_parameters_stands_on_its_part(self, owner_client):
        page = page_of(owner_client.post(NEW, posted(SHORT) | {"0-parameter-shortest": "9"}))
        assert "“At most” is below “at least”." in page

    def test_a_reward_without_parts_is_refused(self, owner_client):
        page = page_of(owner_client.post(NEW, posted()))
        assert "a reward needs at least one part" in page

    @pytest.mark.parametrize("part", ["x:length", "0:gone", ":", "0", "-1:length"])
    def test_a_part_that_there_is_not_is_left_out(self, owner_client, part):
        assert owner_client.post(NEW, posted(ANSWER) | {"part": [part]}).status_code == 400


class TestButtons:
    """Each works as a plain form button, and as a piece of the page for htmx."""

    def act(self, client, do, *parts, **more):
        page = page_of(client.post(PARTS, posted(*parts, do=do, **more), **HTMX))
        assert "<html" not in page
        return page, re.findall(r'name="part" value="([^"]+)"', page)

    def test_a_function_is_added_with_its_defaults_under_a_free_name(self, owner_client):
        page, order = self.act(owner_client, "add:length", ANSWER, SHORT | {"name": "length"})
        assert order == ["0:exact_match", "1:length", "2:length"]
        assert 'name="2-name" value="length_2"' in page and 'name="2-parameter-longest" value="200"' in page

    def test_what_has_no_default_is_asked_for_only_when_somebody_saves(self, owner_client):
        page, _ = self.act(owner_client, "add:regex")
        assert "This field is required." not in page
        live = page_of(
            owner_client.post(LIVE, posted() | {"part": ["0:regex"], "0-name": "r", "0-weight": "1"}, **HTMX)
        )
        assert "Still to fill in: Pattern of “r”" in text_of(live)
        assert re.search(r'id="error-0-parameter-pattern"[^>]*></p>', live)

    def test_parts_move_up_and_down(self, owner_client):
        assert self.act(owner_client, "down:0", ANSWER, SHORT)[1] == ["1:length", "0:exact_match"]
        assert self.act(owner_client, "up:1", ANSWER, SHORT)[1] == ["1:length", "0:exact_match"]
        assert self.act(owner_client, "up:0", ANSWER, SHORT)[1] == ["0:exact_match", "1:length"]
        assert self.act(owner_client, "down:7", ANSWER, SHORT)[1] == ["0:exact_match", "1:length"]

    def test_a_removed_part_comes_back_with_what_was_typed(self, owner_client):
        page, order = self.act(owner_client, "remove:0", ANSWER, SHORT, **{"0-weight": "7.5"})
        assert order == ["1:length"] and "“answer” is removed." in text_of(page)
        [kept] = re.findall(r'name="removed" value="([^"]+)"', page)
        data = posted(ANSWER, SHORT, removed=kept.replace("&quot;", '"'), do="undo") | {"part": ["1:length"]}
        for name in [name for name in data if name.startswith("0-")]:
            del data[name]
        page = page_of(owner_client.post(PARTS, data, **HTMX))
        assert re.findall(r'name="part" value="([^"]+)"', page) == ["0:exact_match", "1:length"]
        assert 'name="0-weight" value="7.5"' in page and "is removed" not in page

    @pytest.mark.parametrize("removed", ["", "{", "[]", "null", '{"key": "x"}', '{"key": 1, "at": 0, "values": 3}'])
    def test_an_undo_that_somebody_broke_does_nothing(self, owner_client, removed):
        assert self.act(owner_client, "undo", ANSWER, removed=removed)[1] == ["0:exact_match"]

    @pytest.mark.parametrize("do", ["add:gone", "add:", "remove:9", "dance", "", "up:"])
    def test_an_unknown_button_does_nothing(self, owner_client, do):
        assert self.act(owner_client, do, ANSWER)[1] == ["0:exact_match"]

    def test_more_parts_than_a_reward_may_have_are_not_added(self, owner_client):
        parts = [SHORT | {"name": f"p{n}"} for n in range(50)]
        assert len(self.act(owner_client, "add:length", *parts)[1]) == 50
        assert len(self.act(owner_client, "add:length", *parts[1:])[1]) == 50

    def test_without_scripts_the_whole_page_answers_and_nothing_is_saved(self, owner_client, team):
        page = page_of(owner_client.post(NEW, posted(ANSWER, do="add:length")))
        assert "<html" in page and 'value="1:length"' in page and "data-dirty" in page
        assert "is required" not in page
        assert not RewardPreset.objects.filter(team=team).exists()


class TestLive:
    def live(self, client, *parts, **more):
        page = page_of(client.post(LIVE, posted(*parts, **more), **HTMX))
        assert "<html" not in page
        return page, text_of(page)

    def test_it_shows_each_part_its_feedback_and_the_total(self, owner_client):
        _, said = self.live(owner_client, ANSWER, SHORT)
        assert "Total 2.5 of 2.5" in said and "counts as right" in said
        assert "1 × 2 = 2" in said and "“Paris” is right." in said
        assert "Weights add up to 2.5" in said

    def test_shares_and_names_for_the_formula_come_along(self, owner_client):
        page, _ = self.live(owner_client, ANSWER, SHORT)
        assert re.search(r'id="share-0" hx-swap-oob="true">80 %<', page)
        assert re.search(r'id="formula-names" hx-swap-oob="true">answer, short<', page)

    def test_a_closed_gate_gives_its_total_and_says_which(self, owner_client):
        gated = SHORT | {"gate": 0.5}
        long = "word " * 50
        _, said = self.live(owner_client, ANSWER, gated, gated_total="-1", **{"sample-response": long})
        assert "Total -1" in said and "The gate “short” did not hold." in said

    def test_an_error_is_no_zero(self, owner_client):
        _, said = self.live(owner_client, ANSWER, **{"sample-reference": ""})
        assert "Total not judged" in said and "This row has no reference answer." in said

    def test_form_alone_is_warned_of(self, owner_client):
        assert "a model can earn all of it by form" in self.live(owner_client, SHORT)[1]
        assert "by form" not in self.live(owner_client, ANSWER)[1]

    def test_what_is_wrong_is_said_at_its_field_at_once(self, owner_client):
        page, said = self.live(owner_client, ANSWER, **{"0-weight": "x"})
        assert re.search(r'id="error-0-weight" hx-swap-oob="true">Enter a number.<', page)
        assert "There is no score while something is not right." in said

    def test_columns_that_are_no_object_are_said_at_their_field(self, owner_client):
        for columns in ("{", "[1]"):
            page, _ = self.live(owner_client, ANSWER, **{"sample-columns": columns})
            assert re.search(r'id="error-sample-columns" hx-swap-oob="true">(This is not JSON|Write an object)', page)

    def test_columns_and_markers_reach_the_functions(self, owner_client):
        check = {"name": "c", "function": "string_check", "parameters": {"reference": "{{item.city}}"}}
        assert "Total 1 " in self.live(owner_client, check, **{"sample-columns": '{"city": "Paris"}'})[1]
        marked = {
            "sample-response": "Paris or <a>Lyon</a>",
            "sample-solution_start": "<a>",
            "sample-solution_end": "</a>",
        }
        assert "counts as wrong" in self.live(owner_client, ANSWER, **marked)[1]

    def test_services_are_asked_only_when_somebody_presses(self, owner_client, asked):
        costly = {"name": "judge", "function": "costly"}
        _, said = self.live(owner_client, ANSWER, costly)
        assert "judge is only asked when you press “Score now”" in said and asked == []
        assert "1 × 2 = 2" in said and "Total –" in said
        _, said = self.live(owner_client, ANSWER, costly, do="score")
        assert "Total 3 of 3" in said and asked == ["Paris"]

    def test_opening_and_saving_ask_no_service(self, owner_client, team, owner, asked):
        own = presets.create(team, owner, name="J", definition={"parts": [{"name": "judge", "function": "costly"}]})
        owner_client.get(reverse("rewards:edit", args=[own.pk]))
        owner_client.post(NEW, posted({"name": "judge", "function": "costly"}))
        assert asked == []


class TestCode:
    CODE = "def reward(completions, **columns):\n    return [columns['unit']]\n"

    def part(self, code=CODE):
        return {"name": "own", "function": "custom_python", "parameters": {"code": code}}

    def test_the_editor_has_its_signature_examples_and_place_for_an_error(self, owner_client):
        page = page_of(owner_client.post(PARTS, posted(ANSWER, self.part()), **HTMX))
        assert page.count("data-code-editor") == 1 and 'data-problem="code-said-1"' in page
        assert 'aria-describedby="error-1-parameter-code code-said-1"' in page
        assert "reward(completions, **columns)" in page
        for title, code in custom.EXAMPLES:
            assert escape(title) in page and escape(code) in page

    def test_the_line_that_python_can_not_read_is_told_at_once(self, owner_client):
        broken = posted(self.part()) | {"0-parameter-code": "def reward(completions):\n    return [\n"}
        page = page_of(owner_client.post(LIVE, broken, **HTMX))
        assert 'id="code-said-0" data-line="2" hx-swap-oob="true"></p>' in page
        assert "Line 2 is no Python" in page

    def test_the_line_that_failed_is_told_when_somebody_asked_for_the_score(self, owner_client):
        assert 'id="code-said-0" data-line=""' in page_of(owner_client.post(LIVE, posted(self.part()), **HTMX))
        page = page_of(owner_client.post(LIVE, posted(self.part(), do="score"), **HTMX))
        assert 'id="code-said-0" data-line="2"' in page and text_of(page).count("KeyError: &#x27;unit&#x27;") == 2

    def test_code_that_works_has_no_wrong_line(self, owner_client):
        page = page_of(owner_client.post(LIVE, posted(self.part(custom.TEMPLATE), do="score"), **HTMX))
        assert 'id="code-said-0" data-line="" hx-swap-oob="true"></p>' in page


class TestShort:
    """The score in a few words, for the bar of a narrow page."""

    @pytest.mark.parametrize(
        ("parts", "more", "said"),
        [
            ([ANSWER], {}, "2 of 2"),
            ([], {}, "no parts yet"),
            ([ANSWER], {"0-weight": "much"}, "something is not right"),
            ([ANSWER | {"gate": 0.5}], {"sample-response": "Lyon"}, "0 of 2 gate closed"),
            ([TestCode().part()], {}, "press Score now"),
        ],
    )
    def test_it_says_where_the_reward_stands(self, owner_client, parts, more, said):
        page = page_of(owner_client.post(LIVE, posted(*parts, **more), **HTMX))
        [short] = re.findall(r'<span class="score-short num".*?hx-swap-oob="true">(.*?)</span>\s*\n', page)
        assert text_of(short) == said


class TestRows:
    @pytest.fixture
    def version(self, team, owner):
        rows = [
            {"question": f"What is {n} + 1?", "answer": f"Add one. #### {n + 1}", "topic": "sums"} for n in range(9)
        ]
        file = io.BytesIO("".join(f"{json.dumps(row)}\n" for row in rows).encode())
        return importing.import_jsonl(team, owner, "Sums", file)

    def take(self, client, version, do="row:0", **more):
        data = posted(ANSWER, do=do, **{"sample-source": str(version.pk), "sample-response": "", **more})
        return page_of(client.post(ROW, data, **HTMX))

    def test_datasets_of_the_team_are_offered(self, owner_client, outsider_client, version):
        assert "Sums, version 1" in page_of(owner_client.get(NEW))
        assert "Sums, version 1" not in page_of(outsider_client.get(NEW))

    def test_a_row_is_mapped_as_training_gets_it(self, owner_client, version):
        page = self.take(owner_client, version)
        assert "What is 0 + 1?" in page and "topic" in page
        assert re.search(r'name="sample-reference"[^>]*>\s*1</textarea>', page)
        assert 'Row <span class="num">1</span>' in page

    def test_its_answer_is_suggested_between_the_markers(self, owner_client, version):
        page = self.take(owner_client, version, **{f"sample-{name}": text for name, text in MARKERS.items()})
        assert "&lt;start_working_out&gt;Add one.&lt;end_working_out&gt;\n&lt;SOLUTION&gt;1&lt;/SOLUTION&gt;" in page

    def test_the_next_row_replaces_a_suggested_answer_but_none_that_was_written(self, owner_client, version):
        page = self.take(owner_client, version, "row:1", **{"sample-response": "mine", "sample-suggested": "1"})
        assert "What is 1 + 1?" in page and "mine</textarea>" in page
        page = self.take(owner_client, version, "row:1", **{"sample-response": "1\r\n", "sample-suggested": "1\n"})
        assert "SOLUTION&gt;2&lt;/SOLUTION&gt;</textarea>" in page

    def test_the_last_row_has_no_next_one(self, owner_client, version):
        page = self.take(owner_client, version, "row:50")
        assert "What is 8 + 1?" in page
        assert re.search(r'id="row-next"[^>]*disabled', page)

    def test_a_dataset_of_another_team_is_not_found(self, outsider_client, version):
        page = self.take(outsider_client, version)
        assert "That dataset is gone." in page and "What is 0" not in page

    @pytest.mark.parametrize("source", ["x", "0", "99999999999999999999"])
    def test_a_source_that_there_is_not_is_said(self, owner_client, version, source):
        assert "That dataset is gone." in self.take(owner_client, version, **{"sample-source": source})

    def test_a_file_that_is_gone_is_said(self, owner_client, version):
        version.path.unlink()
        assert "The file of Sums is gone." in self.take(owner_client, version)

    def test_without_scripts_the_whole_page_takes_the_row(self, owner_client, version):
        data = posted(ANSWER, do="row:0", **{"sample-source": str(version.pk), "sample-response": ""})
        page = page_of(owner_client.post(NEW, data))
        assert "<html" in page and "What is 0 + 1?" in page and "counts as right" in page


class TestImport:
    GRADER = {
        "type": "multi",
        "name": "City",
        "calculate_output": "0.5 * right + 0.5 * named",
        "graders": {
            "right": {
                "type": "string_check", "name": "r", "operation": "eq",
                "input": "{{sample.output_text}}", "reference": "{{item.city}}", "seed": 1,
            },
            "named": {
                "type": "string_check", "name": "n", "operation": "like",
                "input": "{{sample.output_text}}", "reference": "Paris",
            },
        },
    }  # fmt: skip

    def test_a_grader_opens_in_the_composer_with_what_differs(self, teammate_client, team):
        page = page_of(teammate_client.post(IMPORT, {"pasted": json.dumps(self.GRADER)}))
        assert "Read from an OpenAI grader." in page and "“right”: seed has no counterpart here" in page
        assert "0.5 * right + 0.5 * named</textarea>" in page and 'value="City"' in page
        assert f'action="{NEW}"' in page and "data-dirty" in page
        assert not RewardPreset.objects.filter(team=team).exists()

    def test_an_exported_file_comes_back(self, owner_client, own):
        response = owner_client.get(reverse("rewards:export", args=[own.pk]))
        assert response.headers["Content-Disposition"] == 'attachment; filename="cities-v1.reward.json"'
        file = io.BytesIO(response.content)
        file.name = "cities.json"
        page = page_of(owner_client.post(IMPORT, {"file": file}))
        assert "Read from an exported preset." in page and 'name="1-parameter-longest" value="5"' in page

    def test_what_is_wrong_is_said_and_the_text_stays(self, owner_client):
        response = owner_client.post(IMPORT, {"pasted": '{"parts": [}'})
        assert response.status_code == 400
        assert "Line 1, column 12" in page_of(response) and "{&quot;parts&quot;: [}" in page_of(response)

    def test_each_thing_that_is_wrong_is_a_line(self, owner_client):
        wrong = {"parts": [{"name": "a", "function": "gone"}, {"name": "b", "function": "length", "weight": "x"}]}
        page = text_of(page_of(owner_client.post(IMPORT, {"pasted": json.dumps(wrong)})))
        assert "parts.0: There is no reward function" in page and "parts.1.weight" in page

    def test_a_file_that_is_no_text_is_refused(self, owner_client):
        file = io.BytesIO(b"\xff\xfe\x00\x01")
        file.name = "x.json"
        assert "This is no text in UTF-8" in page_of(owner_client.post(IMPORT, {"file": file}))

    def test_nothing_at_all_is_refused(self, owner_client):
        assert "There is nothing to read" in page_of(owner_client.post(IMPORT, {"pasted": ""}))

    def test_an_export_of_a_shipped_preset_is_for_everybody(self, viewer_client):
        math = RewardPreset.objects.get(slug="math", team=None)
        file = json.loads(viewer_client.get(reverse("rewards:export", args=[math.pk])).content)
        assert (file["format"], file["format_version"], file["golden"]) == ("loracraft-reward", 1, math.golden)


class TestAccess:
    @pytest.mark.parametrize("address", [NEW, IMPORT])
    def test_a_viewer_composes_and_imports_nothing(self, viewer_client, address):
        assert viewer_client.get(address).status_code == 403
        assert viewer_client.post(address, posted(ANSWER)).status_code == 403

    @pytest.mark.parametrize("address", [LIVE, PARTS, ROW])
    def test_a_viewer_is_scored_nothing(self, viewer_client, owner_client, address):
        assert viewer_client.post(address, posted(ANSWER)).status_code == 403
        assert owner_client.get(address).status_code == 405

    @pytest.mark.parametrize("address", [NEW, IMPORT, LIVE, PARTS, ROW])
    def test_everything_is_behind_login(self, client, address):
        for call in (client.get, client.post):
            assert call(address).headers["Location"].startswith(reverse("login"))

    def test_an_outsider_can_not_save_over_a_preset(self, outsider_client, own):
        assert (
            outsider_client.post(
                reverse("rewards:edit", args=[own.pk]), posted(ANSWER, base=presets.edition(own))
            ).status_code
            == 404
        )
        own.refresh_from_db()
        assert own.version == 1


class TestFields:
    class Odd(Parameters):
        code: str = Field("pass", title="Code")
        rubric: str = Field("{}")
        long: str = Field("", json_schema_extra={"multiline": True})
        short: str = ""
        must: str = Field(min_length=1)
        maybe: float | None = None
        choice: Literal["a", "b"] | None = None
        pairs: list[dict[str, int]] = Field(default_factory=list)

    def field(self, name: str) -> forms.Field:
        return field_for(name, self.Odd.model_fields[name], None)

    @pytest.mark.parametrize("name", ["code", "rubric", "long"])
    def test_code_rubrics_and_long_texts_get_more_than_a_line(self, name):
        assert isinstance(self.field(name).widget, forms.Textarea)
        assert "data-mono" in self.field(name).widget.attrs

    def test_line_ends_of_browsers_are_those_of_python(self):
        assert self.field("code").clean("def f():\r\n    return 1\r\n") == "def f():\n    return 1\n"

    def test_only_what_must_be_there_is_required(self):
        assert [self.field(name).required for name in ("short", "must", "maybe", "choice", "pairs")] == [
            False, True, False, False, False,
        ]  # fmt: skip

    def test_what_may_be_none_can_be_left_empty(self):
        assert self.field("maybe").clean("") is None and self.field("maybe").clean("1.5") == 1.5
        assert ("", "none") in self.field("choice").choices

    def test_anything_else_is_json(self):
        assert self.field("pairs").clean('[{"a": 1}]') == [{"a": 1}]
        with pytest.raises(forms.ValidationError, match="not JSON"):
            self.field("pairs").clean("[")

    def test_every_parameter_survives_the_way_through_a_form(self):
        """What a definition says, the form sends and the model reads is one and the same."""
        for function in REGISTRY.values():
            for example in function.examples[:2]:
                part = {"name": "p", "function": function.name, "parameters": example.parameters}
                composer = Composer.begun(Imported({"parts": [part]}, "a test", name="n", category="c"))
                composition = composer.composition
                assert composition is not None, (function.name, composer.parts[0].errors)
                expected = function.parameters.model_validate(example.parameters)
                assert composition.parts[0].parsed == expected, function.name

    def test_values_are_written_as_a_browser_would(self):
        assert [as_posted(value) for value in (True, False, None, 0.25, 3, ["a", "b"], [{"a": 1}])] == [
            ["on"], [], [""], ["0.25"], ["3"], ["a\nb"], ['[\n  {\n    "a": 1\n  }\n]'],
        ]  # fmt: skip
