import pytest
from django.contrib.auth.models import User
from django.urls import reverse

from rewards import presets, shipped
from rewards.models import RewardPreset
from rewards.templatetags.scores import score
from training.choices import Status
from training.models import SavedConfig, Session

pytestmark = pytest.mark.django_db
BENCH = {"instruction": "What is 12 + 7?", "reference": "19", "response": "<SOLUTION>19</SOLUTION>", **shipped.MARKERS}


@pytest.fixture
def math() -> RewardPreset:
    return RewardPreset.objects.get(slug="math", team=None)


@pytest.fixture
def own(math, team, owner) -> RewardPreset:
    return presets.copy(math, team, owner)


def url(page: str, preset: RewardPreset) -> str:
    return reverse(f"rewards:{page}", args=[preset.pk])


def fields_of(preset: RewardPreset, **changes: str) -> dict[str, str | list[str]]:
    """What the composer of a copy of `math` sends."""
    return {
        "name": preset.name,
        "slug": preset.slug,
        "category": preset.category,
        "description": preset.description,
        "normalise": "none",
        "gated_total": "0",
        "base": presets.edition(preset),
        "part": ["0:math_answer", "1:markers"],
        "0-name": "answer",
        "0-weight": "2",
        "0-parameter-look_in": "auto",
        "0-parameter-tolerance": "0.000001",
        "1-name": "format",
        "1-weight": "1",
        **changes,
    }


class TestLibrary:
    def test_it_shows_shipped_and_own_presets_by_category(self, owner_client, own):
        page = owner_client.get(reverse("rewards:list")).content.decode()
        assert "Math &amp; science" in page and "Question answering" in page
        assert own.name in page and "Charlie&#x27;s team" in page

    def test_presets_that_form_alone_can_satisfy_say_so(self, owner_client):
        page = owner_client.get(reverse("rewards:list"), {"q": "format-only"}).content.decode()
        assert "can be gamed" in page
        page = owner_client.get(reverse("rewards:list"), {"q": "multiple-choice"}).content.decode()
        assert "can be gamed" not in page

    def test_search_finds_words_of_name_and_description(self, owner_client):
        page = owner_client.get(reverse("rewards:list"), {"q": "punctuation"}).content.decode()
        assert "Question answering" in page and "Chain of thought" not in page

    @pytest.mark.parametrize(
        ("asked", "shown", "hidden"),
        [
            ({"category": "Reasoning"}, ["Chain of thought"], ["Multiple choice"]),
            ({"whose": "own"}, ["Math (copy)"], ["Multiple choice"]),
            ({"whose": "shipped"}, ["Multiple choice"], ["Math (copy)"]),
            ({"judges": "form"}, ["Format only"], ["Multiple choice"]),
            ({"judges": "answer"}, ["Multiple choice"], ["Format only"]),
            ({"judges": "answer", "whose": "shipped", "q": "chain"}, ["Chain of thought"], ["Multiple choice"]),
        ],
    )
    def test_it_is_filtered(self, owner_client, own, asked, shown, hidden):
        page = owner_client.get(reverse("rewards:list"), asked).content.decode()
        assert all(name in page for name in shown) and not any(f"{name}</a>" in page for name in hidden)

    def test_who_may_not_write_is_offered_no_new_reward(self, viewer_client, owner_client):
        new = reverse("rewards:new")
        assert new in owner_client.get(reverse("rewards:list")).content.decode()
        assert new not in viewer_client.get(reverse("rewards:list")).content.decode()

    def test_an_empty_search_says_what_to_do(self, owner_client):
        page = owner_client.get(reverse("rewards:list"), {"q": "<b>zz"}).content.decode()
        assert "No preset matches “&lt;b&gt;zz”" in page and "Show all presets" in page

    def test_an_outsider_sees_the_shipped_ones_only(self, outsider_client, own):
        page = outsider_client.get(reverse("rewards:list")).content.decode()
        assert own.name not in page and "Multiple choice" in page

    def test_a_user_without_a_team_sees_the_shipped_ones(self, client, db):
        client.force_login(User.objects.create_user("nobody"))
        assert "Multiple choice" in client.get(reverse("rewards:list")).content.decode()

    def test_a_preset_that_no_longer_holds_does_not_break_the_page(self, owner_client, own):
        RewardPreset.objects.filter(pk=own.pk).update(definition={"parts": [{"name": "x", "function": "gone"}]})
        assert "be used any more" in owner_client.get(reverse("rewards:list")).content.decode()
        assert "no reward function" in owner_client.get(url("detail", own)).content.decode()
        assert owner_client.get(url("edit", own)).headers["Location"] == url("detail", own)
        assert owner_client.post(url("score", own), BENCH).status_code == 200

    def test_more_presets_cost_no_more_queries(self, owner_client, own, team, owner, django_assert_max_num_queries):
        for _ in range(5):
            presets.copy(own, team, owner)
        with django_assert_max_num_queries(8):
            owner_client.get(reverse("rewards:list"))


def test_scores_are_shown_without_trailing_zeros():
    assert [score(value) for value in (0.25, 1.35, 2.0, 0.333333, -0.5, None)] == [
        "0.25", "1.35", "2", "0.3333", "-0.5", "not judged",
    ]  # fmt: skip


class TestDetail:
    def test_it_explains_parts_formula_and_golden_cases(self, viewer_client, math):
        page = viewer_client.get(url("detail", math)).content.decode()
        assert "Total = 2 × answer + 1 × format" in page
        assert "The best answer earns 3." in page
        assert "1 if the answer equals the reference" in page
        assert "in order" in page and "not in order" not in page
        assert "list of all answers" in page

    def test_the_test_bench_opens_with_the_preset_chosen(self, viewer_client, owner_client, math, own):
        bench = f"{reverse('rewards:bench')}?preset={own.pk}"
        for page in (viewer_client.get(url("detail", own)), owner_client.get(url("edit", own))):
            assert f'href="{bench}"' in page.content.decode().split("<main")[1].split("</header>")[0]
        assert f'<option value="{own.pk}" selected>' in viewer_client.get(bench).content.decode()
        assert (
            reverse("rewards:bench") not in owner_client.get(reverse("rewards:new")).content.decode().split("<main")[1]
        )

    def test_a_gameable_preset_warns(self, viewer_client):
        preset = RewardPreset.objects.get(slug="format-only")
        assert "by form alone" in viewer_client.get(url("detail", preset)).content.decode()

    def test_verbs_are_offered_to_those_who_may(self, owner_client, viewer_client, math, own):
        assert url("edit", own) in owner_client.get(url("detail", own)).content.decode()
        assert url("edit", own) not in viewer_client.get(url("detail", own)).content.decode()
        assert url("edit", math) not in owner_client.get(url("detail", math)).content.decode()

    def test_it_loads_without_inline_scripts_or_styles(self, owner_client, own):
        page = owner_client.get(url("detail", own)).content.decode()
        assert " style=" not in page and " onclick=" not in page and "<style" not in page


class TestBench:
    def test_htmx_gets_the_score_of_each_part(self, viewer_client, math):
        page = viewer_client.post(url("score", math), BENCH, HTTP_HX_REQUEST="true").content.decode()
        assert "<html" not in page
        assert "counts as right" in page and "19 is right" in page and "2.25" in page

    def test_a_wrong_answer_says_what_was_found(self, viewer_client, math):
        wrong = BENCH | {"response": "<SOLUTION>81</SOLUTION>"}
        page = viewer_client.post(url("score", math), wrong, HTTP_HX_REQUEST="true").content.decode()
        assert "counts as wrong" in page and "Expected 19, found 81 in the solution block." in page

    def test_without_a_reference_there_is_an_error_and_no_zero(self, viewer_client, math):
        page = viewer_client.post(
            url("score", math), BENCH | {"reference": ""}, HTTP_HX_REQUEST="true"
        ).content.decode()
        assert "not judged" in page and "This row has no reference answer." in page

    def test_without_scripts_the_whole_page_answers(self, viewer_client, math):
        page = viewer_client.post(url("score", math), BENCH).content.decode()
        assert "<html" in page and "counts as right" in page

    def test_too_much_text_is_refused_on_its_field(self, viewer_client, math):
        page = viewer_client.post(
            url("score", math), BENCH | {"response": "x" * 100_001}, HTTP_HX_REQUEST="true"
        ).content.decode()
        assert "Answer of the model: Ensure this value has at most 100000 characters" in page

    def test_markup_in_an_answer_stays_text(self, viewer_client, math):
        evil = BENCH | {"response": "<SOLUTION><script>alert(1)</script></SOLUTION>"}
        page = viewer_client.post(url("score", math), evil, HTTP_HX_REQUEST="true").content.decode()
        assert "<script>" not in page and "&lt;script&gt;" in page


class TestCopy:
    def test_a_shipped_preset_is_copied_to_the_team(self, teammate_client, math, team):
        response = teammate_client.post(url("copy", math))
        copied = RewardPreset.objects.get(team=team)
        assert response.headers["Location"] == url("edit", copied)
        assert copied.definition == math.definition

    def test_a_viewer_may_not_copy(self, viewer_client, math):
        assert viewer_client.post(url("copy", math)).status_code == 403
        assert not RewardPreset.objects.exclude(team=None).exists()


class TestEdit:
    def test_the_form_has_the_fields_of_the_parameter_models(self, owner_client, own):
        page = owner_client.get(url("edit", own)).content.decode()
        for field in ("weight", *(f"parameter-{name}" for name in ("look_in", "tolerance", "relative", "unworked"))):
            assert f'name="0-{field}"' in page
        assert 'name="1-weight"' in page
        assert "Largest difference that still counts." in page

    def test_changed_weights_and_parameters_are_a_new_version(self, teammate_client, own):
        fields = fields_of(own, **{"name": "Ours", "0-weight": "3.5"})
        fields |= {"0-parameter-tolerance": "0.5", "0-parameter-relative": "on"}
        assert teammate_client.post(url("edit", own), fields).headers["Location"] == url("detail", own)
        own.refresh_from_db()
        assert (own.name, own.version) == ("Ours", 2)
        answer = own.definition["parts"][0]
        assert answer["weight"] == 3.5
        assert (answer["parameters"]["tolerance"], answer["parameters"]["relative"]) == (0.5, True)

    @pytest.mark.parametrize(
        ("field", "value", "message"),
        [
            ("0-weight", "many", "Enter a number."),
            ("0-weight", "5000", "less than or equal to 1000"),
            ("0-weight", "nan", "Enter a number."),
            ("0-parameter-tolerance", "-1", "greater than or equal to 0"),
            ("0-parameter-look_in", "elsewhere", "Select a valid choice"),
            ("name", "", "Give the reward a name"),
        ],
    )
    def test_wrong_values_are_explained_on_their_field(self, owner_client, own, field, value, message):
        page = owner_client.post(url("edit", own), fields_of(own, **{field: value})).content.decode()
        assert message in page
        own.refresh_from_db()
        assert own.version == 1

    def test_rules_between_parameters_are_explained_too(self, owner_client, team, owner):
        short = RewardPreset.objects.get(slug="math-short-answer")
        own = presets.copy(short, team, owner)
        given = {"unit": "words", "shortest": "9", "longest": "3", "fade": "5", "place": "response"}
        fields = fields_of(own) | {f"2-parameter-{name}": value for name, value in given.items()}
        fields |= {"part": ["0:math_answer", "1:markers", "2:length"], "2-name": "length", "2-weight": "1"}
        page = owner_client.post(url("edit", own), fields).content.decode()
        assert "“At most” is below “at least”." in page

    def test_lists_are_edited_one_a_line(self, owner_client, team):
        parts = [{"name": "words", "function": "contains", "parameters": {"phrases": ["because", "so"]}}]
        own = RewardPreset.objects.create(team=team, slug="w", name="W", category="x", definition={"parts": parts})
        assert "because\nso</textarea>" in owner_client.get(url("edit", own)).content.decode()
        given = {"phrases": "thus\n\nhence", "mode": "any", "place": "response"}
        fields = fields_of(own) | {f"0-parameter-{name}": value for name, value in given.items()}
        fields |= {"part": ["0:contains"], "0-name": "words"}
        owner_client.post(url("edit", own), fields)
        own.refresh_from_db()
        assert own.definition["parts"][0]["parameters"]["phrases"] == ["thus", "hence"]


class TestDelete:
    def test_a_member_deletes_the_team_s_preset(self, teammate_client, own):
        assert teammate_client.post(url("delete", own)).headers["Location"] == reverse("rewards:list")
        assert not RewardPreset.objects.filter(pk=own.pk).exists()

    def test_it_asks_first_and_says_that_nobody_uses_it(self, owner_client, own):
        page = owner_client.get(url("delete", own)).content.decode()
        assert "No session, draft or saved config uses it." in page
        assert RewardPreset.objects.filter(pk=own.pk).exists()

    def test_it_says_who_uses_it_and_who_would_miss_it(self, owner_client, own, team):
        config = {"reward": {"type": "preset", "preset_name": own.slug}}
        Session.objects.create(team=team, name="Ran with it", status=Status.COMPLETED, config=config)
        Session.objects.create(team=team, name="A draft", status=Status.DRAFT, config=config)
        Session.objects.create(team=team, name="Other reward", config={"reward": {"preset_name": "math"}})
        SavedConfig.objects.create(team=team, name="Our config", config=config)
        # Without the side bar, which names the newest sessions whatever they train with.
        page = owner_client.get(url("delete", own)).content.decode().split('id="content"')[1]
        assert "Ran with it" in page and "keeps its copy" in page and "Other reward" not in page
        assert "A draft" in page and "Our config" in page and page.count("would need another one") == 2

    def test_sessions_of_another_team_are_not_named(self, owner_client, own, outsider):
        other = outsider.memberships.get().team
        config = {"reward": {"preset_name": own.slug}}
        Session.objects.create(team=other, name="Secret", status=Status.COMPLETED, config=config)
        assert "Secret" not in owner_client.get(url("delete", own)).content.decode()


class TestAccess:
    @pytest.mark.parametrize("page", ["detail", "score", "copy", "edit", "delete", "versions", "export", "restore"])
    def test_an_outsider_gets_404_for_a_team_s_preset(self, outsider_client, own, page):
        call = outsider_client.post if page in ("score", "copy", "restore") else outsider_client.get
        address = reverse("rewards:restore", args=[own.pk, 1]) if page == "restore" else url(page, own)
        assert call(address).status_code == 404
        if page in ("edit", "delete"):
            assert outsider_client.post(address).status_code == 404
        assert RewardPreset.objects.filter(pk=own.pk).exists()

    @pytest.mark.parametrize("page", ["edit", "delete"])
    def test_nobody_changes_a_shipped_preset(self, owner_client, math, page):
        response = owner_client.post(url(page, math), fields_of(math))
        assert response.status_code == 403
        assert "copy this one" in response.content.decode()
        assert RewardPreset.objects.filter(pk=math.pk, version=math.version).exists()

    @pytest.mark.parametrize("page", ["edit", "delete"])
    def test_a_viewer_changes_nothing(self, viewer_client, own, page):
        assert viewer_client.post(url(page, own), fields_of(own)).status_code == 403
        assert RewardPreset.objects.filter(pk=own.pk, version=1).exists()

    @pytest.mark.parametrize("page", ["list", "detail", "score", "copy", "edit", "delete"])
    def test_everything_is_behind_login(self, client, math, page):
        address = reverse("rewards:list") if page == "list" else url(page, math)
        for call in (client.get, client.post):
            assert call(address).headers["Location"].startswith(reverse("login"))


class TestAdmin:
    @pytest.fixture
    def admin_client(self, client, db):
        client.force_login(User.objects.create_superuser("root"))
        return client

    def test_shipped_presets_are_read_only(self, admin_client, math, own):
        page = admin_client.get(reverse("admin:rewards_rewardpreset_change", args=[math.pk])).content.decode()
        assert 'name="_save"' not in page
        page = admin_client.get(reverse("admin:rewards_rewardpreset_change", args=[own.pk])).content.decode()
        assert 'name="_save"' in page

    def test_a_wrong_definition_is_explained(self, admin_client, own, team):
        fields = {
            "team": team.pk, "slug": "x", "name": "X", "category": "x", "golden": "[]",
            "definition": '{"parts": [{"name": "a", "function": "magic"}]}',
        }  # fmt: skip
        page = admin_client.post(reverse("admin:rewards_rewardpreset_change", args=[own.pk]), fields).content.decode()
        assert "There is no reward function" in page

    def test_wrong_golden_cases_are_explained(self, admin_client, own, team):
        fields = {
            "team": team.pk, "slug": "x", "name": "X", "category": "x", "golden": '[{"instruction": "?"}]',
            "definition": '{"parts": [{"name": "a", "function": "length"}]}',
        }  # fmt: skip
        page = admin_client.post(reverse("admin:rewards_rewardpreset_change", args=[own.pk]), fields).content.decode()
        assert "0.answers: This is missing" in page

    def test_a_preset_made_here_needs_a_team(self, admin_client):
        fields = {"slug": "x", "name": "X", "category": "x", "golden": "[]", "definition": '{"parts": []}'}
        page = admin_client.post(reverse("admin:rewards_rewardpreset_add"), fields).content.decode()
        assert "This field is required." in page
        assert not RewardPreset.objects.filter(slug="x").exists()

    def test_parts_and_versions_are_shown_in_words(self, admin_client, own, math):
        for preset in (own, math):
            address = reverse("admin:rewards_rewardpreset_change", args=[preset.pk])
            page = admin_client.get(address).content.decode()
            assert "answer: Right number or formula, weight 2" in page
            assert "Total = 2 × answer + 1 × format" in page
        assert (
            "Copied from math, version"
            in admin_client.get(reverse("admin:rewards_rewardpreset_change", args=[own.pk])).content.decode()
        )

    def test_parts_changed_here_are_a_new_version(self, admin_client, own, team):
        fields = {
            "team": team.pk, "slug": own.slug, "name": own.name, "category": own.category, "golden": "[]",
            "definition": '{"parts": [{"name": "a", "function": "length"}]}',
            "versions-TOTAL_FORMS": "0", "versions-INITIAL_FORMS": "0",
        }  # fmt: skip
        address = reverse("admin:rewards_rewardpreset_change", args=[own.pk])
        assert admin_client.post(address, fields).status_code == 302
        own.refresh_from_db()
        assert own.version == 2
        assert own.versions.first().note == "Changed in the admin"
        assert admin_client.post(address, fields).status_code == 302
        own.refresh_from_db()
        assert own.version == 2
