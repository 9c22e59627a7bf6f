import pytest
from django.core.management import call_command
from django.db import IntegrityError, transaction

from rewards import golden, presets, shipped
from rewards.composition import Composition
from rewards.models import RewardPreset
from rewards.presets import PresetMissing
from rewards.registry import Sample
from training.schema import PromptSection, RewardSection

pytestmark = pytest.mark.django_db
BY_SLUG = {preset["slug"]: preset for preset in shipped.SHIPPED}
FORM_ONLY = [
    "citation-format",
    "creative-writing",
    "format-only",
    "markdown",
    "python-style",
    "step-by-step-instructions",
    "technical-documentation",
]


@pytest.fixture
def own(team):
    parts = [{"name": "only", "function": "length", "weight": 5.0}]
    return RewardPreset.objects.create(team=team, slug="math", name="Ours", category="x", definition={"parts": parts})


def test_the_migration_wrote_the_shipped_presets():
    rows = {row.slug: row for row in RewardPreset.objects.filter(team=None)}
    assert set(rows) == set(BY_SLUG) >= {"math", "math-short-answer", "question-answering", "chain-of-thought"}
    assert rows["math"].definition == BY_SLUG["math"]["definition"]


def test_writing_again_changes_nothing_and_a_changed_definition_is_a_new_version():
    RewardPreset.objects.filter(slug="math").update(definition={"parts": []})
    shipped.write(RewardPreset.objects)
    assert RewardPreset.objects.filter(team=None).count() == len(BY_SLUG)
    assert RewardPreset.objects.get(slug="math").version == 2
    assert RewardPreset.objects.get(slug="format-only").version == 1


@pytest.mark.parametrize("slug", BY_SLUG)
def test_golden_cases_are_put_in_order(slug):
    composition = Composition.model_validate(BY_SLUG[slug]["definition"])
    runs = golden.run(composition, BY_SLUG[slug]["golden"])
    assert runs and [run.problems for run in runs] == [[]] * len(runs)


@pytest.mark.parametrize("slug", FORM_ONLY)
def test_what_looks_at_form_alone_says_so(slug):
    composition = Composition.model_validate(BY_SLUG[slug]["definition"])
    assert not composition.judges_answer and not composition.needs_reference
    description = BY_SLUG[slug]["description"].casefold()
    assert "form alone" in description or "never what is between" in description
    for run in golden.run(composition, BY_SLUG[slug]["golden"]):
        totals = {answer.label: answer.result.total for answer in run.answers}
        assert None not in totals.values() and run.answers[0].result.total == max(totals.values())


@pytest.mark.parametrize("slug", [slug for slug in BY_SLUG if slug not in FORM_ONLY])
def test_the_right_answer_beats_wrong_empty_echo_and_list(slug):
    composition = Composition.model_validate(BY_SLUG[slug]["definition"])
    assert composition.judges_answer and (composition.needs_reference or composition.columns)
    for run in golden.run(composition, BY_SLUG[slug]["golden"]):
        judged = {answer.label: answer.result for answer in run.answers}
        right = [result for label, result in judged.items() if label.startswith("right") and "only" not in label]
        others = [result for result in judged.values() if result not in right]
        assert {"wrong", "empty", "echo of the question", "list of all answers"} <= {
            label.removesuffix(", with reasoning") for label in judged
        }
        if any(part.judges_answer for part in composition.parts):
            assert all(result.correct for result in right) and not any(result.correct for result in others)
        assert min(result.total for result in right) > max(result.total for result in others)


def test_a_golden_case_that_is_not_in_order_says_which():
    composition = Composition.model_validate({"parts": [{"name": "length", "function": "length"}]})
    answers = [{"text": "", "rank": 1, "label": "empty"}, {"text": "words", "rank": 2, "label": "full"}]
    (run,) = golden.run(composition, [{"instruction": "?", "answers": answers}])
    assert not run.passed
    assert run.problems == ["“empty” (0) must score more than “full” (1)."]


def test_the_markers_of_the_golden_cases_are_the_defaults_of_the_prompt():
    prompt = PromptSection()
    assert {name: getattr(prompt, name) for name in shipped.MARKERS} == shipped.MARKERS


def test_a_config_gets_the_shipped_preset_it_names(team):
    composition = presets.composition_for(team, RewardSection(preset_name="math"))
    assert [part.name for part in composition.parts] == ["answer", "format"]


def test_a_team_s_own_preset_comes_first_and_only_for_that_team(own, team, outsider):
    section = RewardSection(preset_name="math")
    assert presets.composition_for(team, section).parts[0].name == "only"
    assert presets.composition_for(outsider.teams.get(), section).parts[0].name == "answer"
    assert presets.composition_for(None, section).parts[0].name == "answer"


def test_an_unknown_preset_names_those_there_are(team):
    with pytest.raises(PresetMissing, match=r"'maths'.*format-only.*math, "):
        presets.composition_for(team, RewardSection(preset_name="maths"))


def test_a_custom_reward_is_made_of_its_parts(team):
    parts = [{"name": "short", "function": "length", "weight": 2, "parameters": {"longest": 3}}]
    composition = presets.composition_for(team, RewardSection(type="custom", parts=parts))
    assert composition.score(Sample("?", "one two three")).total == 2.0


def test_a_custom_reward_with_a_wrong_part_says_where(team):
    section = RewardSection(type="custom", parts=[{"name": "x", "function": "magic"}])
    with pytest.raises(PresetMissing, match=r"parts\.0: There is no reward function 'magic'"):
        presets.composition_for(team, section)


def test_a_stored_definition_that_no_longer_holds_is_explained(own, team):
    RewardPreset.objects.filter(pk=own.pk).update(definition={"parts": [{"name": "x", "function": "gone"}]})
    with pytest.raises(PresetMissing, match="'math' can't be used"):
        presets.composition_for(team, RewardSection(preset_name="math"))


@pytest.mark.parametrize(
    ("more", "total"),
    [({}, 2.0), ({"normalise": "weights"}, 1.0), ({"formula": "answer / 4"}, 0.25), ({"gated_total": -1.0}, 2.0)],
)
def test_how_a_config_s_own_parts_make_one_number_is_the_config_s_to_say(team, more, total):
    parts = [{"name": "answer", "function": "math_answer", "weight": 2.0, "gate": 1.0}]
    made = presets.composition_for(team, RewardSection(type="custom", parts=parts, **more))
    assert made.score(Sample("What is 1 + 1?", "2", "2")).total == total
    assert made.score(Sample("What is 1 + 1?", "3", "2")).total == more.get("gated_total", 0.0)


def test_a_copy_takes_a_name_of_its_own(team, owner):
    math = RewardPreset.objects.get(slug="math", team=None)
    first, second = presets.copy(math, team, owner), presets.copy(math, team, owner)
    assert (first.slug, second.slug) == ("math-copy", "math-copy-2")
    assert first.definition == math.definition and first.created_by == owner and first.team == team


def test_a_long_name_can_be_copied_again_and_again(team, owner):
    row = RewardPreset.objects.create(
        team=team, slug="s" * 80, name="n" * 120, category="x", definition=BY_SLUG["math"]["definition"]
    )
    for _ in range(3):
        row = presets.copy(row, team, owner)
    assert len(row.slug) <= 80 and len(row.name) <= 120


def test_saving_changed_parts_is_a_new_version_and_a_new_name_is_not(own, teammate):
    composition = presets.composition_of(own)
    presets.update(own, teammate, name="Renamed", description="", composition=composition)
    changed = Composition.model_validate({"parts": [{"name": "only", "function": "length", "weight": 1.0}]})
    before = own.version
    presets.update(own, teammate, name="Renamed", description="", composition=changed)
    own.refresh_from_db()
    assert (own.name, own.version - before) == ("Renamed", 1)


def test_the_app_has_all_its_migrations():
    call_command("makemigrations", "rewards", check=True, dry_run=True)


def test_no_two_presets_have_one_name_in_a_team_or_among_the_shipped(team):
    """On SQLite, too, where every null is another one."""
    made = {"slug": "twice", "name": "Twice", "category": "x", "definition": {}}
    for owner in (team, None):
        RewardPreset.objects.create(team=owner, **made)
        with pytest.raises(IntegrityError), transaction.atomic():
            RewardPreset.objects.create(team=owner, **made)
    assert RewardPreset.objects.filter(slug="twice").count() == 2
