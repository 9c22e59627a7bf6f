import io
import json
import re

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.urls import reverse

from datasets_app import importing, versions
from datasets_app.models import PromptTemplate
from training import drafts, lifecycle
from training.choices import Status
from training.models import CatalogueModel, SavedConfig, Session

HTMX = {"HTTP_HX_REQUEST": "true"}
README_CONFIG = {
    "name": "Maths",
    "model": {"name": "local/pretend", "lora_rank": 16, "lora_alpha": 32, "lora_dropout": 0.0},
    "training": {"num_epochs": 3, "batch_size": 1, "gradient_accumulation_steps": 8, "learning_rate": 2e-4},
    "grpo": {"kl_penalty": 0.05, "clip_range": 0.2, "importance_sampling_level": "token"},
    "reward": {"type": "preset", "preset_name": "math"},
    "pre_training": {"enabled": True, "epochs": 2, "max_samples": 100, "learning_rate": 5e-5},
}


def address(session, step):
    return reverse("training:setup", args=[session.pk, step])


@pytest.fixture
def empty(team, owner):
    return lifecycle.create_draft(team, owner, "Empty")


@pytest.fixture
def rows(team, owner):
    text = "\n".join(json.dumps({"question": f"{n} plus 1?", "answer": str(n + 1)}) for n in range(20))
    return importing.import_jsonl(team, owner, "real sums", io.BytesIO(text.encode())).dataset


def typed_as(client, session, step):
    """What a browser would post of this page: every input, select and textarea with its value."""
    form = client.get(address(session, step)).context["form"]
    posted = {"switches": "1"} if step == "config" else {}
    for bound in form:
        value = bound.value()
        if bound.field.is_switch:
            posted |= {bound.html_name: "on"} if value else {}
        else:
            posted[bound.html_name] = "" if value is None else value
    return posted


# Every step


@pytest.mark.parametrize("step", drafts.STEPS)
def test_each_step_opens_on_an_empty_draft(owner_client, empty, step):
    page = owner_client.get(address(empty, step))
    assert page.status_code == 200
    assert page.context["step"] == step
    text = page.content.decode()
    assert text.count('class="pill pill-') == 7
    assert "What the model is given" in text


@pytest.mark.parametrize("step", drafts.STEPS)
def test_the_strict_policy_holds_on_each_step(owner_client, draft, step):
    text = owner_client.get(address(draft, step)).content.decode()
    assert not re.search(r"\sstyle=|\son[a-z]+=|<script(?![^>]*\bsrc=)", text)


@pytest.mark.parametrize("step", [step for step in drafts.STEPS if step != "review"])
def test_posting_a_step_as_it_is_changes_nothing_that_counts(owner_client, draft, step):
    before = drafts.parsed(draft.config)
    owner_client.post(address(draft, step), typed_as(owner_client, draft, step))
    draft.refresh_from_db()
    after = drafts.parsed(draft.config)
    assert after.training == before.training
    assert (after.model, after.grpo, after.prompt, after.reward) == (
        before.model,
        before.grpo,
        before.prompt,
        before.reward,
    )


@pytest.mark.parametrize("step", drafts.STEPS)
def test_the_steps_of_a_draft_are_hidden_from_outsiders_closed_to_viewers_and_need_a_login(
    outsider_client, viewer_client, client, draft, step
):
    for method in ("get", "post"):
        assert getattr(outsider_client, method)(address(draft, step)).status_code == 404
        assert getattr(viewer_client, method)(address(draft, step)).status_code == 403
        assert getattr(client, method)(address(draft, step)).status_code == 302


VERBS = ["use_template", "import_config", "save_config", "load_config", "use_config_preset", "reset_config", "start"]


@pytest.mark.parametrize("verb", VERBS)
def test_the_verbs_of_a_draft_are_hidden_from_outsiders_closed_to_viewers_and_post_only(
    outsider_client, viewer_client, owner_client, client, draft, verb
):
    target = reverse(f"training:{verb}", args=[draft.pk])
    assert outsider_client.post(target).status_code == 404
    assert viewer_client.post(target).status_code == 403
    assert client.post(target).status_code == 302
    assert owner_client.get(target).status_code == 405
    draft.refresh_from_db()
    assert draft.status == Status.DRAFT


def test_a_step_that_does_not_exist_is_not_found(owner_client, draft):
    assert owner_client.get(f"/sessions/{draft.pk}/setup/nothing/").status_code == 404


@pytest.mark.parametrize("step", drafts.STEPS)
def test_a_step_needs_a_fixed_number_of_queries(owner_client, draft, step, django_assert_max_num_queries, team):
    for number in range(30):
        PromptTemplate.objects.create(team=team, name=f"Template {number}")
        SavedConfig.objects.create(team=team, name=f"Config {number}", config={})
    with django_assert_max_num_queries(22):
        owner_client.get(address(draft, step))


# Beginning


def test_new_makes_a_draft_and_opens_the_first_step(teammate_client, team):
    reply = teammate_client.post(reverse("training:new"))
    session = Session.objects.get(team=team)
    assert reply.url == address(session, "model")
    assert (session.status, session.created_by.username) == (Status.DRAFT, "bob")


def test_new_is_for_members_and_post_only(viewer_client, client, owner_client):
    assert viewer_client.post(reverse("training:new")).status_code == 403
    assert client.post(reverse("training:new")).status_code == 302
    assert owner_client.get(reverse("training:new")).url == reverse("training:sessions")
    assert not Session.objects.exists()


def test_new_takes_over_a_model_or_dataset_that_a_button_names(owner_client):
    owner_client.post(reverse("training:new"), {"model": "Qwen/Qwen3-0.6B", "dataset": "sums"})
    assert Session.objects.get().config == {"model": {"name": "Qwen/Qwen3-0.6B"}, "dataset": {"source": "sums"}}


def test_new_with_a_saved_config_opens_its_review(owner_client, outsider_client, team):
    saved = SavedConfig.objects.create(team=team, name="Good one", config={"training": {"top_p": 0.5}})
    assert outsider_client.post(reverse("training:new"), {"config": saved.pk}).status_code == 404
    reply = owner_client.post(reverse("training:new"), {"config": saved.pk})
    session = Session.objects.get()
    assert reply.url == address(session, "review")
    assert (session.name, session.config["training"]) == ("Good one", {"top_p": 0.5})


# Saving


def test_a_change_is_saved_at_once_and_answered_with_preview_pills_and_messages(owner_client, draft):
    reply = owner_client.post(address(draft, "config"), {"training.batch_size": "2"}, **HTMX)
    draft.refresh_from_db()
    assert draft.config["training"]["batch_size"] == 2
    text = reply.content.decode()
    assert 'id="preview"' in text
    assert '2</span> × <span title="gradient accumulation">8</span> = 16 answers' in text
    # Pills, mark and presets, and for each field its error and its note.
    assert text.count("hx-swap-oob") == 3 + 2 * len(drafts.STEPS["config"])


def test_a_wrong_value_stays_in_the_draft_with_its_message_at_the_field(owner_client, draft):
    reply = owner_client.post(address(draft, "config"), {"training.batch_size": "two", "training.top_p": "0.5"}, **HTMX)
    message = '<p class="field-error" id="error-training-batch_size" hx-swap-oob="true">Write a whole number.</p>'
    assert message in reply.content.decode()
    draft.refresh_from_db()
    assert draft.config["training"]["batch_size"] == "two"
    page = owner_client.get(address(draft, "config")).content.decode()
    assert 'value="two"' in page
    assert "Write a whole number." in page
    assert 'value="0.5"' in page


def test_values_that_do_not_go_together_are_explained_at_their_field(owner_client, draft):
    owner_client.post(
        address(draft, "config"), {"training.batch_size": "3", "training.gradient_accumulation_steps": "1"}
    )
    page = owner_client.get(address(draft, "config"))
    assert "multiple of the answers per question" in page.context["form"].errors["training.batch_size"][0]
    assert page.context["pills"][3].state == "attention"


def test_a_switch_can_be_turned_off_and_is_left_alone_by_other_posts(owner_client, draft):
    owner_client.post(address(draft, "config"), {"switches": "1", "training.batch_size": "1"})
    draft.refresh_from_db()
    switches = ("enabled", "validate_format", "adaptive")
    assert draft.config["pre_training"] == dict.fromkeys(switches, False)
    owner_client.post(address(draft, "config"), {"training.batch_size": "1", "pre_training.enabled": "on"})
    owner_client.post(address(draft, "config"), {"training.batch_size": "1"})
    draft.refresh_from_db()
    assert draft.config["pre_training"] == {**dict.fromkeys(switches, False), "enabled": True}


def test_continue_stays_where_something_is_wrong_and_pills_go_anywhere(owner_client, empty):
    reply = owner_client.post(address(empty, "dataset"), {"go": "next"})
    assert reply.url == address(empty, "dataset") + "?check=1"
    assert "Choose a dataset." in owner_client.get(reply.url).content.decode()
    assert "Choose a dataset." not in owner_client.get(address(empty, "dataset")).content.decode()
    assert owner_client.post(address(empty, "dataset"), {"go": "config"}).url == address(empty, "config")
    assert owner_client.post(address(empty, "reward"), {"go": "next"}).url == address(empty, "config")


def test_a_step_of_the_wrong_name_goes_nowhere_else(owner_client, empty):
    assert owner_client.post(address(empty, "model"), {"go": "//evil.example"}).url == address(empty, "model")


def test_the_chosen_level_is_remembered(owner_client, draft):
    owner_client.post(address(draft, "config"), {"level": "advanced"}, **HTMX)
    assert owner_client.get(address(draft, "config")).context["level"] == "advanced"
    owner_client.post(address(draft, "config"), {"level": "nonsense"}, **HTMX)
    assert owner_client.get(address(draft, "config")).context["level"] == "advanced"


def test_a_started_session_is_frozen(owner_client, queued):
    before = queued.config
    assert owner_client.get(address(queued, "config")).url == reverse("training:session", args=[queued.pk])
    reply = owner_client.post(address(queued, "config"), {"training.batch_size": "4"}, **HTMX)
    assert reply["HX-Redirect"] == reverse("training:session", args=[queued.pk])
    queued.refresh_from_db()
    assert queued.config == before


# Model, dataset, prompt, reward


def test_the_catalogue_is_shown_with_what_matters_for_choosing(owner_client, empty):
    text = owner_client.get(address(empty, "model")).content.decode()
    for row in CatalogueModel.objects.all():
        assert row.name in text
        assert row.licence in text
    assert "40K context" in text


def test_a_card_chooses_its_model_and_a_typed_one_wins_beside_it(owner_client, empty, model_folder):
    owner_client.post(address(empty, "model"), {"model.choice": "Qwen/Qwen3-0.6B", "model.name": "old/name"})
    empty.refresh_from_db()
    assert empty.config["model"]["name"] == "Qwen/Qwen3-0.6B"
    owner_client.post(address(empty, "model"), {"model.choice": "own", "model.name": str(model_folder)})
    empty.refresh_from_db()
    assert empty.config["model"]["name"] == str(model_folder)


@pytest.mark.parametrize("name", ["", "no model", "../../etc", "/does/not/exist"])
def test_an_unusable_model_is_explained_at_its_field(owner_client, empty, name):
    owner_client.post(address(empty, "model"), {"model.choice": "own", "model.name": name})
    page = owner_client.get(address(empty, "model") + "?check=1")
    assert page.context["form"].errors["model.name"]
    assert page.context["form"]["model.name"].value() == name


def test_a_chosen_dataset_brings_its_own_columns(owner_client, empty, rows):
    reply = owner_client.post(address(empty, "dataset"), {"dataset.source": str(rows.pk)}, **HTMX)
    text = reply.content.decode()
    assert '<option value="question" selected>' in text
    assert '<option value="answer" selected>' in text
    assert " plus 1?" in text


def test_another_dataset_forgets_the_columns_of_the_first(owner_client, empty, rows):
    columns = {"dataset.instruction_field": "answer", "dataset.response_field": "question"}
    owner_client.post(address(empty, "dataset"), {"dataset.source": str(rows.pk)})
    owner_client.post(address(empty, "dataset"), {"dataset.source": str(rows.pk), **columns})
    empty.refresh_from_db()
    assert empty.config["dataset"]["instruction_field"] == "answer"
    owner_client.post(address(empty, "dataset"), {"dataset.source": "another", **columns})
    empty.refresh_from_db()
    assert empty.config["dataset"] == {"source": "another"}


def test_a_version_of_the_dataset_can_be_chosen_and_is_forgotten_with_it(owner_client, owner, empty, rows):
    first = rows.latest
    versions.remap(first, owner, instruction="answer", response="question")
    page = owner_client.post(address(empty, "dataset"), {"dataset.source": str(rows.pk)}, **HTMX).content.decode()
    assert f'<option value="{rows.pk}@1">Version 1</option>' in page
    chosen = {"dataset.source": str(rows.pk), "dataset.version": f"{rows.pk}@1"}
    page = owner_client.post(address(empty, "dataset"), chosen, **HTMX).content.decode()
    empty.refresh_from_db()
    assert empty.config["dataset"] == {"source": f"{rows.pk}@1"}
    assert f'<option value="{rows.pk}@1" selected>Version 1</option>' in page
    assert '<option value="question" selected>' in page
    page = owner_client.get(address(empty, "dataset")).content.decode()
    assert f'value="{rows.pk}" checked' in page
    owner_client.post(address(empty, "dataset"), {**chosen, "dataset.source": "another"})
    empty.refresh_from_db()
    assert empty.config["dataset"] == {"source": "another"}


def test_what_to_train_on_can_be_chosen_where_the_source_says(owner_client, empty, team):
    lines = [{"question": f"{n}?", "answer": n, "split": ["train", "test", "extra"][n % 3]} for n in range(30)]
    raw = "".join(json.dumps(line) + "\n" for line in lines).encode()
    version = importing.import_jsonl(team, None, "parts.jsonl", io.BytesIO(raw))
    source = {"dataset.source": str(version.dataset_id)}
    page = owner_client.post(address(empty, "dataset"), source, **HTMX).content.decode()
    assert '<option value="extra">extra</option>' in page
    assert '<option value="test">' not in page
    owner_client.post(address(empty, "dataset"), {**source, "dataset.split": "extra"}, **HTMX)
    empty.refresh_from_db()
    assert empty.config["dataset"]["split"] == "extra"


def test_another_teams_dataset_can_not_be_chosen(outsider, outsider_client, rows):
    session = lifecycle.create_draft(outsider.teams.get(), outsider, "Spy")
    reply = outsider_client.post(address(session, "dataset"), {"dataset.source": str(rows.pk)}, **HTMX)
    assert " plus 1?" not in reply.content.decode()
    assert (
        "has no dataset" in outsider_client.get(address(session, "dataset")).context["form"].errors["dataset.source"][0]
    )


def test_a_team_without_datasets_is_shown_the_way_to_one(owner_client, empty):
    text = owner_client.get(address(empty, "dataset")).content.decode()
    assert "has no dataset yet" in text
    back = address(empty, "dataset").replace("/", "%2F")
    assert f"?next={back}" in text or f"?next={address(empty, 'dataset')}" in text


def test_a_template_fills_the_prompt(owner_client, empty, team, outsider_client):
    template = PromptTemplate.objects.create(team=team, name="Short", system_prompt="Answer.", solution_start="[")
    owner_client.post(reverse("training:use_template", args=[empty.pk]), {"template": template.pk})
    empty.refresh_from_db()
    assert empty.config["prompt"]["system_prompt"] == "Answer."
    assert empty.config["prompt"]["solution_start"] == "["


def test_a_template_of_another_team_or_none_changes_nothing(owner_client, empty, outsider):
    foreign = PromptTemplate.objects.create(team=outsider.teams.get(), name="Theirs", system_prompt="Secret")
    for chosen in (foreign.pk, "nonsense", ""):
        owner_client.post(reverse("training:use_template", args=[empty.pk]), {"template": chosen})
    empty.refresh_from_db()
    assert empty.config == {}


def test_the_preview_shows_prompt_with_markers_question_and_expected_answer(owner_client, empty, rows):
    owner_client.post(address(empty, "dataset"), {"dataset.source": str(rows.pk)})
    owner_client.post(
        address(empty, "prompt"), {"prompt.system_prompt": "Put it in {solution_start}", "prompt.solution_start": "[["}
    )
    text = owner_client.get(address(empty, "prompt")).content.decode()
    assert "Put it in [[" in text
    assert re.search(r'class="reference">\d+<', text)


def test_a_reward_card_chooses_its_preset(owner_client, empty):
    cards = owner_client.get(address(empty, "reward")).context["categories"]
    slugs = [card.preset.slug for group in cards.values() for card in group]
    assert len(slugs) > 1
    owner_client.post(address(empty, "reward"), {"reward.choice": slugs[-1]}, **HTMX)
    empty.refresh_from_db()
    assert drafts.parsed(empty.config).reward.preset_name == slugs[-1]


def test_parts_of_a_loaded_config_stay_until_a_preset_is_chosen(owner_client, draft):
    assert "Parts of its own" in owner_client.get(address(draft, "reward")).content.decode()
    owner_client.post(address(draft, "reward"), {"reward.choice": "custom"})
    draft.refresh_from_db()
    assert drafts.parsed(draft.config).reward.type == "custom"
    owner_client.post(address(draft, "reward"), {"reward.choice": "math"})
    draft.refresh_from_db()
    assert drafts.parsed(draft.config).reward.type == "preset"


# Config files


def upload(client, session, content, name="config.json"):
    file = SimpleUploadedFile(name, content if isinstance(content, bytes) else json.dumps(content).encode())
    return client.post(reverse("training:import_config", args=[session.pk]), {"file": file}, follow=True)


def test_s17_the_config_file_of_the_original_loads(owner_client, empty):
    upload(owner_client, empty, README_CONFIG)
    empty.refresh_from_db()
    assert empty.name == "Maths"
    config = drafts.parsed(empty.config)
    assert (config.training.learning_rate, config.grpo.kl_penalty, config.pre_training.max_samples) == (2e-4, 0.05, 100)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "empty"),
        (b"{", "no valid JSON"),
        (b"[1]", "one JSON object"),
        (b"\xff\xfe\x00", "no text in UTF-8"),
        (b'{"training": {"top_p": NaN}}', "NaN is no JSON number"),
        (b'{"name": "\\ud800"}', "no valid JSON"),
        (b"[" * 100_000, "nested too deeply"),
        (b" " * 1_000_001, "larger than 1 MB"),
    ],
)
def test_a_file_that_is_no_config_is_explained_and_changes_nothing(owner_client, draft, content, words):
    before = draft.config
    reply = upload(owner_client, draft, content)
    assert words in reply.content.decode()
    draft.refresh_from_db()
    assert draft.config == before


def test_unknown_settings_of_a_file_are_named_and_left_out_and_wrong_ones_kept_to_mend(owner_client, empty):
    reply = upload(owner_client, empty, {"training": {"batch": 2, "top_p": "high"}, "model": "x", "fun": {}})
    text = reply.content.decode()
    assert "training.batch" in text
    assert "fun" in text
    empty.refresh_from_db()
    assert empty.config == {"training": {"top_p": "high"}}
    assert reply.context["form"].errors["training.top_p"]


def test_a_config_is_saved_by_name_replaced_and_loaded(owner_client, draft, team, empty):
    target = reverse("training:save_config", args=[draft.pk])
    for _ in range(2):
        owner_client.post(target, {"config_name": "Mine"})
    saved = SavedConfig.objects.get(team=team)
    assert (saved.name, saved.config, saved.created_by.username) == ("Mine", draft.config, "charlie")
    owner_client.post(reverse("training:load_config", args=[empty.pk]), {"config": saved.pk})
    empty.refresh_from_db()
    assert empty.config == draft.config


def test_a_config_needs_a_name(owner_client, draft):
    reply = owner_client.post(reverse("training:save_config", args=[draft.pk]), {"config_name": " "}, follow=True)
    assert "Give the config a name" in reply.content.decode()
    assert not SavedConfig.objects.exists()


def test_another_teams_config_can_not_be_loaded(owner_client, empty, outsider):
    foreign = SavedConfig.objects.create(team=outsider.teams.get(), name="x", config={"training": {"top_p": 0.5}})
    for chosen in (foreign.pk, "", "nonsense"):
        owner_client.post(reverse("training:load_config", args=[empty.pk]), {"config": chosen})
    empty.refresh_from_db()
    assert empty.config == {}


# Review and start


def test_the_review_lists_every_problem_with_a_link_to_its_step(owner_client, empty):
    empty.config = {"training": {"temperature": "hot"}, "model": {"name": "local/none"}}
    empty.save()
    text = owner_client.get(address(empty, "review")).content.decode()
    assert f"{address(empty, 'config')}?check=1#field-training-temperature" in text
    assert f"{address(empty, 'dataset')}?check=1#field-dataset-source" in text
    assert f"{address(empty, 'model')}?check=1#field-model-name" in text
    assert re.search(r'form="start-form" disabled', text)


def test_starting_an_unready_draft_shows_the_problems_and_starts_nothing(owner_client, empty):
    reply = owner_client.post(reverse("training:start", args=[empty.pk]), {"name": "Named"})
    assert reply.status_code == 422
    assert "Choose a dataset." in reply.content.decode()
    empty.refresh_from_db()
    assert (empty.status, empty.name) == (Status.DRAFT, "Named")


def test_starting_a_ready_draft_queues_it_once(owner_client, draft):
    reply = owner_client.post(reverse("training:start", args=[draft.pk]), {"name": "First run"})
    assert reply.url == reverse("training:session", args=[draft.pk])
    draft.refresh_from_db()
    assert (draft.status, draft.name) == (Status.QUEUED, "First run")
    again = owner_client.post(reverse("training:start", args=[draft.pk]), {"name": "Second"})
    assert again.status_code == 302
    draft.refresh_from_db()
    assert draft.name == "First run"


def test_from_new_to_the_queue_with_nothing_but_the_pages(teammate_client, rows, model_folder, team):
    teammate_client.post(reverse("training:new"))
    session = Session.objects.get(team=team)
    for step, posted in [
        ("model", {"model.choice": "own", "model.name": "local/pretend"}),
        ("dataset", {"dataset.source": str(rows.pk)}),
        ("prompt", {}),
        ("reward", {"reward.choice": "math"}),
        ("config", {"training.max_steps": "5"}),
    ]:
        form = typed_as(teammate_client, session, step) | posted | {"go": "next"}
        if step == "dataset":
            form = posted | {"go": "next"}
        reply = teammate_client.post(address(session, step), form)
        assert reply.url == address(session, list(drafts.STEPS)[list(drafts.STEPS).index(step) + 1])
    review = teammate_client.get(address(session, "review"))
    assert review.context["problems"] == []
    assert review.context["preview"].plan.steps == 5
    teammate_client.post(reverse("training:start", args=[session.pk]))
    session.refresh_from_db()
    assert session.status == Status.QUEUED
    assert session.parsed_config.dataset.instruction_field == "question"


def test_return_in_a_field_goes_on_because_the_first_button_of_the_form_does(owner_client, draft):
    text = owner_client.get(address(draft, "model")).content.decode()
    first = re.search(r'<button[^>]*form="setup-form"[^>]*>', text)[0]
    assert 'value="next"' in first
    assert text.index(first) < text.index('id="setup-form"')


@pytest.mark.parametrize("step", [step for step in drafts.STEPS if step != "review"])
def test_each_part_that_a_reply_to_a_change_replaces_is_on_the_page(owner_client, draft, step):
    page = owner_client.get(address(draft, step)).content.decode()
    reply = owner_client.post(address(draft, step), {}, **HTMX).content.decode()
    replaced = re.findall(r'id="([\w-]+)"[^>]*hx-swap-oob', reply)
    assert len(replaced) > 2 or step == "reward"
    assert [name for name in replaced if f'id="{name}"' not in page] == []


def test_only_the_form_of_its_own_can_start_a_session(owner_client, draft):
    """htmx sends an autosave to the formaction of the button that was clicked last."""
    text = owner_client.get(address(draft, "review")).content.decode()
    assert "formaction" not in text
    assert (
        f'id="start-form" method="post" action="{reverse("training:start", args=[draft.pk])}" data-before-leave' in text
    )
