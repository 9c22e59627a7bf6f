import importlib

import pytest
from django.apps import apps
from django.http import Http404
from django.urls import reverse

from rewards import differences, presets, shipped
from rewards.composition import Composition
from rewards.models import PresetVersion, RewardPreset
from rewards.presets import PresetChanged, PresetMissing

MATH = {"parts": [{"name": "answer", "function": "math_answer", "weight": 2.0}]}
GOLDEN = [{"instruction": "1 + 1?", "reference": "2", "answers": [{"text": "2", "rank": 1}]}]
LENGTH = {"name": "length", "function": "length", "weight": 0.5}


@pytest.fixture
def own(team, owner):
    return presets.create(team, owner, name="Sums", definition=MATH, note="A start")


def with_parts(*parts, **shared):
    return Composition.model_validate({"parts": list(parts), **shared})


def answer(**changes):
    return MATH["parts"][0] | changes


class TestSaving:
    def test_a_new_preset_has_its_first_version(self, own, owner):
        version = own.versions.get()
        assert (version.number, version.definition, version.note) == (1, MATH, "A start")
        assert version.created_by == owner

    def test_changed_parts_are_a_version_and_the_old_one_stays(self, own, teammate):
        assert presets.update(own, teammate, composition=with_parts(answer(weight=3.0)), note="More for the answer")
        newest, oldest = own.versions.all()
        assert (newest.number, newest.note, newest.created_by) == (2, "More for the answer", teammate)
        assert newest.definition == own.definition and own.version == 2
        assert oldest.definition == MATH

    def test_another_name_alone_is_no_version(self, own, owner):
        assert not presets.update(own, owner, name="Our sums", description="Short.")
        assert (own.name, own.version, own.versions.count()) == ("Our sums", 1, 1)

    def test_the_same_reward_written_out_is_no_version(self, own, owner):
        same = with_parts(answer(gate=None, parameters={"tolerance": 1e-6}))
        assert not presets.update(own, owner, composition=same)
        assert own.versions.count() == 1

    def test_changed_golden_cases_are_a_version(self, own, owner):
        assert presets.update(own, owner, golden=GOLDEN)
        assert [len(version.golden) for version in own.versions.all()] == [1, 0]

    def test_of_two_who_save_at_once_one_is_told(self, own, owner, teammate):
        other = RewardPreset.objects.get(pk=own.pk)
        presets.update(own, owner, composition=with_parts(answer(weight=3.0)))
        with pytest.raises(PresetChanged, match="meanwhile"):
            presets.update(other, teammate, composition=with_parts(answer(weight=4.0)))
        assert RewardPreset.objects.get(pk=own.pk).definition["parts"][0]["weight"] == 3.0
        assert own.versions.count() == 2

    def test_a_row_written_in_another_way_keeps_what_it_was(self, team, owner):
        row = RewardPreset.objects.create(team=team, slug="w", name="W", category="x", definition=MATH)
        assert [version.number for version in presets.versions_of(row)] == [1]
        presets.update(row, owner, composition=with_parts(answer(weight=3.0)))
        assert [version.definition for version in row.versions.all()][1] == MATH

    def test_a_copy_says_what_it_was_copied_from(self, own, team, owner):
        copied = presets.copy(own, team, owner)
        assert copied.versions.get().note == "Copied from sums, version 1"

    def test_a_slug_that_is_taken_is_not_given_twice(self, own, team, owner):
        assert presets.create(team, owner, name="Sums", definition=MATH).slug == "sums-2"
        assert presets.create(team, owner, name="Math", definition=MATH).slug == "math-2"
        longest = [presets.create(team, owner, name="x" * 120, definition=MATH).slug for _ in range(2)]
        assert longest == ["x" * 80, f"{'x' * 78}-2"]
        assert presets.create(team, owner, name="数学", definition=MATH).slug == "reward"
        assert "Your team already has" in presets.slug_problem(team, "sums")
        assert "The program already has" in presets.slug_problem(team, "math")
        assert presets.slug_problem(team, "sums", own) == ""


class TestRestoring:
    def test_an_old_version_comes_back_as_a_new_one(self, own, owner):
        presets.update(own, owner, composition=with_parts(answer(weight=3.0)), golden=GOLDEN)
        assert presets.restore(own, 1, owner)
        assert (own.version, own.golden) == (3, [])
        assert own.definition["parts"][0]["weight"] == 2.0
        assert own.versions.first().note == "Version 1 restored"

    def test_restoring_what_it_is_already_changes_nothing(self, own, owner):
        assert not presets.restore(own, 1, owner)
        assert own.version == 1

    def test_a_version_whose_function_is_gone_is_not_restored(self, own, owner):
        old = {"parts": [{"name": "x", "function": "gone"}]}
        PresetVersion.objects.create(preset=own, number=7, definition=old)
        with pytest.raises(PresetMissing, match=r"Version 7 can't be used: .*no reward function 'gone'"):
            presets.restore(own, 7, owner)

    def test_a_number_that_there_is_not_is_not_found(self, own, owner):
        with pytest.raises(Http404):
            presets.restore(own, 9, owner)


class TestDifferences:
    @pytest.mark.parametrize(
        ("after", "said"),
        [
            ([answer()], []),
            ([answer(weight=1.5)], ["“answer”: weight 2 → 1.5"]),
            ([answer(gate=1.0)], ["“answer”: gate none → 1"]),
            ([answer(clip=[0, 0.5])], ["“answer”: clip none → 0, 0.5"]),
            ([answer(parameters={"relative": True})], ["“answer”: relative: no → yes"]),
            ([answer(parameters={"tolerance": 0.25})], ["“answer”: tolerance: 1e-06 → 0.25"]),
            ([answer(), LENGTH], ["“length” added: Length, weight 0.5"]),
            ([answer(name="right")], ["“answer” is now called “right”"]),
            ([LENGTH], ["“answer” removed", "“length” added: Length, weight 0.5"]),
            (
                [answer(function="exact_match")],
                [
                    "“answer”: Right number or formula → Exact match",
                    "“answer”: tolerance: 1e-06 → none",
                    "“answer”: relative: no → none",
                    "“answer”: unworked: no → none",
                    "“answer”: normalise: none → yes",
                    "“answer”: numbers by value: none → yes",
                ],
            ),
        ],
    )
    def test_they_are_said_in_words(self, after, said):
        assert differences.between(MATH, {"parts": after}) == said

    def test_order_and_what_parts_share(self):
        before, after = {"parts": [answer(), LENGTH]}, {"parts": [LENGTH, answer()]}
        assert differences.between(before, after) == ["the parts are in another order"]
        formula = MATH | {"formula": "answer * 2", "gated_total": -1}
        assert differences.between(MATH, formula) == [
            "formula: none → answer * 2",
            "total of a closed gate: 0 → -1",
        ]
        assert differences.between(MATH, MATH | {"normalise": "range"}) == ["normalise: none → range"]

    def test_a_definition_that_no_longer_holds_is_compared_all_the_same(self):
        gone = {"parts": [{"name": "x", "function": "gone", "weight": 2}]}
        assert differences.between(gone, MATH) == [
            "“x” removed",
            "“answer” added: Right number or formula, weight 2",
        ]

    def test_long_texts_are_shortened(self):
        assert differences.shown("x" * 200) == "x" * 79 + "…"
        assert differences.shown("a\n b") == "a b"

    def test_golden_cases_are_counted(self):
        assert differences.of_golden([1], [1]) == []
        assert differences.of_golden([1], [1, 2]) == ["golden cases: 1 → 2"]
        assert differences.of_golden([1], [2]) == ["golden cases changed"]


@pytest.mark.django_db
class TestShipped:
    def test_each_has_its_version_with_what_it_is(self):
        for preset in RewardPreset.objects.filter(team=None):
            newest = preset.versions.first()
            assert (newest.number, newest.definition) == (preset.version, preset.definition)

    def test_writing_them_again_changes_nothing(self):
        before = list(PresetVersion.objects.values_list("preset", "number").order_by("pk"))
        shipped.write(RewardPreset.objects, PresetVersion.objects)
        assert list(PresetVersion.objects.values_list("preset", "number").order_by("pk")) == before

    def test_an_older_database_keeps_what_its_preset_was(self):
        """The migration finds a preset without versions whose parts have changed since."""
        preset = RewardPreset.objects.get(team=None, slug="math")
        preset.versions.all().delete()
        newest = preset.definition
        RewardPreset.objects.filter(pk=preset.pk).update(definition=MATH)
        importlib.import_module("rewards.migrations.0004_first_versions").add(apps, None)
        preset.refresh_from_db()
        assert preset.definition == newest
        assert [version.definition for version in preset.versions.all()] == [newest, MATH]


class TestPages:
    def test_each_version_says_what_it_changed(self, owner_client, own, owner):
        presets.update(own, owner, composition=with_parts(answer(weight=3.0), LENGTH), note="<b>Length</b>")
        for page in ("detail", "versions"):
            text = owner_client.get(reverse(f"rewards:{page}", args=[own.pk])).content.decode()
            assert "weight 2 → 3" in text and "“length” added" in text
            assert "&lt;b&gt;Length&lt;/b&gt;" in text and "The first version." in text

    def test_two_versions_are_compared(self, viewer_client, own, owner):
        presets.update(own, owner, composition=with_parts(answer(weight=3.0)))
        presets.update(own, owner, composition=with_parts(answer(weight=5.0)))
        address = reverse("rewards:versions", args=[own.pk])
        assert "weight 2 → 5" in viewer_client.get(address, {"from": "1", "to": "3"}).content.decode()
        assert "weight 5 → 2" in viewer_client.get(address, {"from": "3", "to": "1"}).content.decode()
        assert "score alike" in viewer_client.get(address, {"from": "2", "to": "2"}).content.decode()
        for odd in ({"from": "9", "to": "1"}, {"from": "x", "to": "²"}, {"from": "-1"}):
            assert viewer_client.get(address, odd).status_code == 200

    def test_of_very_many_versions_the_newest_are_listed_and_all_compared(self, owner_client, own):
        versions = [PresetVersion(preset=own, number=n, definition=MATH, note=f"note {n}.") for n in range(2, 131)]
        PresetVersion.objects.bulk_create(versions)
        RewardPreset.objects.filter(pk=own.pk).update(version=130)
        page = owner_client.get(reverse("rewards:versions", args=[own.pk]), {"from": "1", "to": "130"}).content.decode()
        assert "note 130." in page and "note 31." in page and "note 30." not in page
        assert "The newest 100 of 130." in page and '<option value="1" selected>' in page
        page = owner_client.get(reverse("rewards:detail", args=[own.pk])).content.decode()
        assert "note 126." in page and "note 125." not in page

    def test_a_member_restores_and_a_viewer_does_not(self, teammate_client, viewer_client, own, owner):
        presets.update(own, owner, composition=with_parts(answer(weight=3.0)))
        address = reverse("rewards:restore", args=[own.pk, 1])
        assert viewer_client.post(address).status_code == 403
        assert teammate_client.get(address).status_code == 405
        page = teammate_client.post(address, follow=True).content.decode()
        assert "Version 1 is back, as version 3." in page
        assert teammate_client.post(reverse("rewards:restore", args=[own.pk, 99])).status_code == 404

    def test_a_version_that_can_not_be_restored_says_why(self, owner_client, own):
        old = {"parts": [{"name": "x", "function": "gone"}]}
        PresetVersion.objects.create(preset=own, number=7, definition=old)
        page = owner_client.post(reverse("rewards:restore", args=[own.pk, 7]), follow=True).content.decode()
        assert "Nothing was restored. Version 7 can" in page

    def test_nobody_restores_a_shipped_one(self, owner_client):
        math = RewardPreset.objects.get(team=None, slug="math")
        assert owner_client.post(reverse("rewards:restore", args=[math.pk, 1])).status_code == 403
