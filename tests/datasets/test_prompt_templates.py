import json
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse

from accounts.models import Team
from datasets_app import chat_formats, prompt_templates
from datasets_app.chat_rendering import Chat
from datasets_app.models import DatasetVersion, PromptTemplate, TemplateType
from training.schema import PromptSection

HTMX = {"HTTP_HX_REQUEST": "true"}
# As the readme has it.
README = """You are given a problem.
Think about the problem and provide your working out.
Place it between <start_working_out> and <end_working_out>.
Then, provide your solution between <SOLUTION></SOLUTION>"""
CHAT = Chat(chat_formats.CHATML, {"eos_token": "<|im_end|>"})
FIELDS = {
    "name": "Ours",
    "template_type": "custom",
    "description": "For sums.",
    "system_prompt": "Think between {reasoning_start} and {reasoning_end}, answer in {solution_start}{solution_end}.",
    "reasoning_start": "<think>",
    "reasoning_end": "</think>",
    "solution_start": "<answer>",
    "solution_end": "</answer>",
    "chat_template": "",
}


@pytest.fixture
def template(team: Team, owner: User) -> PromptTemplate:
    return PromptTemplate.objects.create(team=team, created_by=owner, **FIELDS)


@pytest.fixture
def shipped(db: None) -> PromptTemplate:
    return PromptTemplate.objects.get(team=None, name="GRPO default")


def address(template: PromptTemplate, name: str = "prompt") -> str:
    return reverse(f"datasets:{name}", args=[template.pk])


def made(**fields: str) -> PromptTemplate:
    return PromptTemplate(**{**FIELDS, **fields})


# What ships


def test_the_default_prompt_is_the_readmes_word_for_word(shipped: PromptTemplate) -> None:
    assert shipped.rendered == README == PromptSection().rendered
    assert {name: getattr(shipped, name) for name in prompt_templates.FIELDS} == PromptSection().model_dump()


@pytest.mark.parametrize(
    ("name", "template_type", "markers"),
    [
        ("GRPO default", "grpo", ["<start_working_out>", "<end_working_out>", "<SOLUTION>", "</SOLUTION>"]),
        ("Qwen GRPO", "qwen", ["<think>", "</think>", "<answer>", "</answer>"]),
        ("LLaMA GRPO", "llama", ["[REASONING]", "[/REASONING]", "[ANSWER]", "[/ANSWER]"]),
        ("Phi GRPO", "phi", ["<reasoning>", "</reasoning>", "<output>", "</output>"]),
        ("GRPO math", "grpo", ["<start_working_out>", "<end_working_out>", "<SOLUTION>", "</SOLUTION>"]),
        ("GRPO technical analysis", "grpo", ["<start_working_out>", "<end_working_out>", "<SOLUTION>", "</SOLUTION>"]),
    ],
)
def test_the_variants_ship_with_their_markers(db: None, name: str, template_type: str, markers: list[str]) -> None:
    found = PromptTemplate.objects.get(team=None, name=name)
    assert found.template_type == template_type
    assert list(prompt_templates.markers_of(found).values()) == markers
    assert all(marker in found.rendered for marker in markers)


def test_nothing_that_ships_has_anything_to_mind(db: None) -> None:
    for shipped in PromptTemplate.objects.filter(team=None):
        assert not prompt_templates.marker_problems(shipped), shipped
        assert not prompt_templates.advice(shipped), shipped


# Markers


@pytest.mark.parametrize(
    ("fields", "field", "words"),
    [
        ({"reasoning_start": "<answer>"}, "solution_start", "same as “Reasoning starts with”"),
        ({"solution_start": "<think"}, "solution_start", "is a part of '<think>'"),
        ({"solution_end": ""}, "solution_end", "set both or neither"),
        ({"reasoning_start": "  "}, "reasoning_start", "spaces alone"),
        ({"reasoning_start": "", "reasoning_end": ""}, "reasoning_start", "but this marker is empty"),
    ],
)
def test_markers_that_could_not_be_told_apart_are_refused(fields: dict[str, str], field: str, words: str) -> None:
    found = prompt_templates.marker_problems(made(**fields))
    assert any(finding.field == field and words in finding.text for finding in found), found


def test_good_markers_and_none_at_all_are_fine() -> None:
    assert not prompt_templates.marker_problems(made())
    none = dict.fromkeys(prompt_templates.MARKERS, "")
    assert not prompt_templates.marker_problems(made(system_prompt="Answer.", **none))


def test_a_marker_that_the_model_is_not_told_of_is_mentioned() -> None:
    (finding, *_) = prompt_templates.advice(made(system_prompt="Answer in {solution_start}{solution_end}."))
    assert (finding.level, finding.field) == ("warning", "reasoning_start")
    assert finding.text.startswith("<think> is not in the system prompt")


def test_a_misspelt_marker_name_is_mentioned() -> None:
    (finding,) = prompt_templates.advice(made(system_prompt=f"{FIELDS['system_prompt']} {{solution_begin}}"))
    assert "{solution_begin} is no marker's name" in finding.text


# Chat templates


@pytest.mark.parametrize("known", sorted(chat_formats.FORMATS))
def test_the_families_formats_pass_their_own_check(known: str) -> None:
    found = chat_formats.FORMATS[known]
    assert prompt_templates.template_problem(Chat("", {"bos_token": "<s>", "eos_token": "</s>"}), found.template) == ""


@pytest.mark.parametrize(
    ("template", "words"),
    [
        ("{% for m in messages %}{{ m.content }}", "Line 1: This is no valid Jinja"),
        ("Hello", "The question is not in the text"),
        ("{{ messages[-1].content }}>", "The system prompt is not in the text"),
        (
            "{% for m in messages %}<|{{ m.role }}|>{{ m.content }}<|end|>{% endfor %}",
            "does not end where the answer begins",
        ),
        ("{% for i in range(10**9) %}x{% endfor %}", "repeats something too often"),
        ("{{ ''.__class__.__mro__ }}", "may not do this"),
    ],
)
def test_a_chat_template_that_would_mislead_the_model_is_refused(template: str, words: str) -> None:
    assert words in prompt_templates.template_problem(CHAT, template)


# Sample answers


def test_sample_answers_are_scored_by_the_format_rewards() -> None:
    found = {sample.title: sample for sample in prompt_templates.samples(made(), "17 + 4 = 21", "21")}
    assert found["As asked for"].text == "<think>17 + 4 = 21</think>\n<answer>21</answer>"
    assert not found["As asked for"].problems
    assert [verdict.value for verdict in found["As asked for"].verdicts] == [1.0, 1.0]
    assert [verdict.value for verdict in found["Markers missing"].verdicts] == [0.0, 0.0]
    assert found["Wrong order"].problems == ["the markers are in the wrong order"]
    assert [verdict.value for verdict in found["Wrong order"].verdicts] == [0.5, 1.0]
    assert found["Cut off"].problems == ["</answer> is missing"]
    assert all(verdict.feedback for sample in found.values() for verdict in sample.verdicts)


def test_an_answer_that_somebody_typed_is_judged_too() -> None:
    *_, own = prompt_templates.samples(made(), "", "", "<answer>21</answer><answer>22</answer>")
    assert own.title == "Your answer"
    assert "<answer> occurs 2 times" in own.problems


def test_without_markers_there_is_nothing_to_judge() -> None:
    none = dict.fromkeys(prompt_templates.MARKERS, "")
    found = prompt_templates.samples(made(system_prompt="", **none), "", "21")
    assert [sample.title for sample in found] == ["As asked for", "Markers missing"]
    assert not any(sample.verdicts or sample.problems for sample in found)


# Pages


def test_the_list_has_the_teams_first_and_the_shipped_ones(
    teammate_client: Client, template: PromptTemplate, shipped: PromptTemplate
) -> None:
    page = teammate_client.get(reverse("datasets:prompts"))
    names = [row.name for row in page.context["page"]]
    assert names[0] == "Ours"
    assert "GRPO default" in names
    assert len(names) == PromptTemplate.objects.count()


@pytest.mark.parametrize(("search", "expected"), [("OURS", ["Ours"]), ("for sums", ["Ours"]), ("zebra", [])])
def test_search_looks_at_name_description_and_text(
    owner_client: Client, template: PromptTemplate, search: str, expected: list[str]
) -> None:
    page = owner_client.get(reverse("datasets:prompts"), {"q": search}, **HTMX)
    assert [row.name for row in page.context["page"]] == expected
    assert b"<html" not in page.content
    assert (b"No template holds" in page.content) == (not expected)


def test_the_list_takes_the_same_queries_for_one_template_and_for_many(
    owner_client: Client, team: Team, django_assert_max_num_queries: Any
) -> None:
    for number in range(30):
        PromptTemplate.objects.create(team=team, name=f"Number {number}")
    with django_assert_max_num_queries(15):
        owner_client.get(reverse("datasets:prompts"))


def test_a_new_template_starts_as_the_default_and_is_saved_as_typed(owner_client: Client, team: Team) -> None:
    page = owner_client.get(reverse("datasets:prompt-new"))
    assert "You are given a problem." in page.content.decode()
    posted = {**FIELDS, "system_prompt": FIELDS["system_prompt"] + "\r\nBe brief. "}
    owner_client.post(reverse("datasets:prompt-new"), posted)
    saved = PromptTemplate.objects.get(team=team, name="Ours")
    assert saved.system_prompt == FIELDS["system_prompt"] + "\nBe brief. "
    assert saved.created_by is not None


def test_a_chat_template_is_kept_to_the_last_line_end(owner_client: Client, template: PromptTemplate) -> None:
    own = chat_formats.CHATML + "\n\n"
    reply = owner_client.post(address(template), {**FIELDS, "chat_template": own.replace("\n", "\r\n")})
    assert reply.status_code == 302, reply.context["form"].errors
    template.refresh_from_db()
    assert template.chat_template == own


@pytest.mark.parametrize(
    ("field", "value", "words"),
    [
        ("name", " ", "Give the template a name"),
        ("name", "x" * 121, "at most 120 characters"),
        ("solution_end", "<answer>", "same as"),
        ("chat_template", "{{ messages }", "Line 1: This is no valid Jinja"),
        ("chat_template", "{% for i in range(10**9) %}x{% endfor %}", "too often"),
        ("system_prompt", "x" * 20_001, "at most 20000 characters"),
    ],
)
def test_what_is_wrong_is_said_at_its_field_and_nothing_is_saved(
    owner_client: Client, template: PromptTemplate, field: str, value: str, words: str
) -> None:
    page = owner_client.post(address(template), {**FIELDS, "description": "changed", field: value})
    assert page.status_code == 400
    assert words in page.context["form"].errors[field][0]
    template.refresh_from_db()
    assert template.description == "For sums."


def test_what_was_refused_is_still_previewed_as_it_was_typed(owner_client: Client, template: PromptTemplate) -> None:
    posted = {**FIELDS, "name": "", "system_prompt": "One.\r\nTwo.", "chat_template": "a\r\n{{ messages }"}
    page = owner_client.post(address(template), posted)
    assert "Line 2: This is no valid Jinja" in page.context["preview"].problem
    assert set(page.context["form"].errors) >= {"name", "chat_template"}
    page = owner_client.post(address(template), {**posted, "chat_template": ""})
    assert "One.\nTwo." in page.context["preview"].text


def test_a_name_is_used_once_in_a_team(owner_client: Client, template: PromptTemplate, team: Team) -> None:
    page = owner_client.post(reverse("datasets:prompt-new"), {**FIELDS, "name": "OURS"})
    assert "already has a template called" in page.context["form"].errors["name"][0]
    PromptTemplate.objects.create(team=Team.objects.create(name="Elsewhere"), name="Free here")
    owner_client.post(reverse("datasets:prompt-new"), {**FIELDS, "name": "Free here"})
    assert PromptTemplate.objects.filter(team=team, name="Free here").exists()


def test_choosing_a_type_fills_the_fields_and_can_be_undone(owner_client: Client, template: PromptTemplate) -> None:
    posted = {**FIELDS, "template_type": "llama", "type_before": "custom", "fill": "1"}
    page = owner_client.post(address(template), posted, **HTMX)
    form = page.context["form"]
    assert form["reasoning_start"].value() == "[REASONING]"
    assert page["HX-Trigger-After-Settle"] == '{"filled": {}}'

    undone = owner_client.post(address(template), {**posted, "undo": "1", "before": page.context["before"]}, **HTMX)
    assert undone.context["form"]["reasoning_start"].value() == "<think>"
    assert undone.context["form"]["template_type"].value() == "custom"
    template.refresh_from_db()
    assert template.reasoning_start == "<think>"


def test_choosing_custom_changes_nothing(owner_client: Client, template: PromptTemplate) -> None:
    page = owner_client.post(address(template), {**FIELDS, "reasoning_start": "[[", "fill": "1"}, **HTMX)
    assert page.context["form"]["reasoning_start"].value() == "[["


@pytest.mark.parametrize("before", ["", "[]", "{", '{"id": "x", "system_prompt": 5}', "null"])
def test_an_undo_that_makes_no_sense_changes_nothing_else(
    owner_client: Client, template: PromptTemplate, before: str
) -> None:
    page = owner_client.post(address(template), {**FIELDS, "undo": "1", "before": before}, **HTMX)
    assert page.status_code == 200
    assert page.context["form"]["reasoning_start"].value() == "<think>"


@pytest.mark.parametrize("template_type", TemplateType.values)
def test_every_type_has_a_shipped_template_but_for_custom(db: None, template_type: str) -> None:
    assert bool(prompt_templates.of_type(template_type)) == (template_type != "custom")


def test_shipped_templates_are_read_only_and_can_be_copied(
    owner_client: Client, shipped: PromptTemplate, team: Team
) -> None:
    page = owner_client.get(address(shipped))
    assert b"Copy and change" in page.content
    assert b"<textarea name=" not in page.content.replace(b"own_answer", b"")
    assert owner_client.post(address(shipped), FIELDS).status_code == 403
    assert owner_client.get(address(shipped, "prompt-delete")).status_code == 403
    assert owner_client.post(address(shipped, "prompt-delete")).status_code == 403
    for expected in ("GRPO default (copy)", "GRPO default (copy) 2"):
        owner_client.post(address(shipped, "prompt-copy"))
        assert PromptTemplate.objects.get(team=team, name=expected).rendered == README


def test_deleting_asks_first(owner_client: Client, template: PromptTemplate) -> None:
    assert b"Delete this prompt template?" in owner_client.get(address(template, "prompt-delete")).content
    assert PromptTemplate.objects.filter(pk=template.pk).exists()
    owner_client.post(address(template, "prompt-delete"))
    assert not PromptTemplate.objects.filter(pk=template.pk).exists()


# The preview


def previewed(client: Client, **posted: str) -> Any:
    return client.post(reverse("datasets:prompt-preview"), {**FIELDS, **posted}, **HTMX)


def test_the_preview_has_a_real_row_and_goes_through_them(owner_client: Client, version: DatasetVersion) -> None:
    page = previewed(owner_client, dataset=str(version.dataset_id))
    assert "What is 0 + 1?" in page.content.decode()
    page = previewed(owner_client, dataset=str(version.dataset_id), row="7")
    assert "What is 7 + 1?" in page.context["preview"].text
    assert page.context["preview"].samples[0].text.endswith("<answer>8</answer>")
    page = previewed(owner_client, dataset=str(version.dataset_id), row="99999999")
    assert page.context["preview"].example.place == 0


def test_without_a_dataset_there_is_a_sum(owner_client: Client) -> None:
    assert "What is 17 + 4?" in previewed(owner_client).content.decode()
    assert "What is 17 + 4?" in previewed(owner_client, dataset="none").content.decode()


@pytest.mark.parametrize("row", ["-1", "x", "1e9", "²", ""])
def test_a_row_that_is_none_is_the_first(owner_client: Client, version: DatasetVersion, row: str) -> None:
    assert "What is 0 + 1?" in previewed(owner_client, row=row).content.decode()


def test_the_preview_says_what_is_wrong_with_the_chat_template(owner_client: Client) -> None:
    text = previewed(owner_client, chat_template="a\n{{ messages }").content.decode()
    assert "Line 2: This is no valid Jinja" in text


def test_the_preview_escapes_what_it_shows(owner_client: Client) -> None:
    text = previewed(owner_client, system_prompt="<script>alert(1)</script>", tokens="1").content.decode()
    assert "<script>" not in text


def test_a_model_that_is_not_offered_is_not_looked_at(owner_client: Client, tmp_path: Any) -> None:
    (tmp_path / "tokenizer_config.json").write_text(json.dumps({"chat_template": "a secret"}))
    assert "a secret" not in previewed(owner_client, model=str(tmp_path)).content.decode()


def test_anothers_dataset_is_no_source_of_rows(outsider_client: Client, version: DatasetVersion) -> None:
    assert previewed(outsider_client, dataset=str(version.dataset_id)).status_code == 404


# Who may


GET_PAGES = ["prompt", "prompt-delete"]


@pytest.mark.parametrize("name", ["prompt", "prompt-delete", "prompt-copy"])
@pytest.mark.parametrize("method", ["get", "post"])
def test_an_outsider_finds_nothing(outsider_client: Client, template: PromptTemplate, name: str, method: str) -> None:
    if name == "prompt-copy" and method == "get":
        return
    assert getattr(outsider_client, method)(address(template, name), FIELDS).status_code == 404
    assert b"Ours" not in outsider_client.get(reverse("datasets:prompts")).content
    template.refresh_from_db()
    assert PromptTemplate.objects.filter(name__startswith="Ours").count() == 1


def test_a_viewer_looks_and_changes_nothing(
    viewer_client: Client, template: PromptTemplate, shipped: PromptTemplate
) -> None:
    page = viewer_client.get(address(template))
    assert page.status_code == 200
    assert b"Your role can look at it but not change it." in page.content
    assert b"Copy and change" not in page.content
    assert previewed(viewer_client).status_code == 200
    assert viewer_client.get(reverse("datasets:prompts")).status_code == 200
    assert b"New template" not in viewer_client.get(reverse("datasets:prompts")).content
    for request in (
        viewer_client.get(reverse("datasets:prompt-new")),
        viewer_client.post(reverse("datasets:prompt-new"), FIELDS),
        viewer_client.post(address(template), FIELDS),
        viewer_client.get(address(template, "prompt-delete")),
        viewer_client.post(address(template, "prompt-delete")),
        viewer_client.post(address(template, "prompt-copy")),
        viewer_client.post(address(shipped, "prompt-copy")),
    ):
        assert request.status_code == 403


def test_nobody_in_particular_is_sent_to_sign_in(client: Client, template: PromptTemplate) -> None:
    for path in (reverse("datasets:prompts"), reverse("datasets:prompt-new"), address(template)):
        assert client.get(path).status_code == 302
    assert client.post(reverse("datasets:prompt-preview"), FIELDS).status_code in (302, 403)


@pytest.mark.parametrize("name", ["prompt-preview"])
def test_the_preview_only_answers_a_post(owner_client: Client, name: str) -> None:
    assert owner_client.get(reverse(f"datasets:{name}")).status_code == 405


# Admin


@pytest.fixture
def admin_client_here(db: None) -> Client:
    User.objects.create_superuser("root", password="a long password")
    client = Client()
    client.login(username="root", password="a long password")
    return client


def test_the_admin_checks_what_the_page_checks(admin_client_here: Client, template: PromptTemplate) -> None:
    change = reverse("admin:datasets_app_prompttemplate_change", args=[template.pk])
    posted = {**FIELDS, "team": str(template.team_id)}
    page = admin_client_here.post(change, {**posted, "solution_end": "<answer>", "description": "changed"})
    assert "same as" in str(page.context["errors"])
    page = admin_client_here.post(change, {**posted, "chat_template": "{{ messages }"})
    assert "no valid Jinja" in str(page.context["errors"])
    assert admin_client_here.post(change, {**posted, "description": "changed"}).status_code == 302
    template.refresh_from_db()
    assert template.description == "changed"


def test_the_admin_adds_a_shipped_one_where_the_name_is_free(admin_client_here: Client) -> None:
    add = reverse("admin:datasets_app_prompttemplate_add")
    page = admin_client_here.post(add, {**FIELDS, "team": "", "name": "GRPO default"})
    assert "already has a template" in str(page.context["errors"])
    assert admin_client_here.post(add, {**FIELDS, "team": ""}).status_code == 302
    assert PromptTemplate.objects.filter(team=None, name="Ours").exists()
