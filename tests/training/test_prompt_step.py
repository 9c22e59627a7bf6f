"""The stepper's prompt step: templates loaded and saved, the exact text, and a chat template of one's own."""

import io
import json
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse

from accounts.models import Team
from datasets_app import importing
from datasets_app.models import Dataset, PromptTemplate
from tests.engine.conftest import make_tokenizer
from training import drafts, lifecycle, readiness
from training.models import Session
from training.schema import SessionConfig

HTMX = {"HTTP_HX_REQUEST": "true"}
OWN = "{% for m in messages %}[{{ m.role }}: {{ m.content }}]\n{% endfor %}{{ '[answer: ' if add_generation_prompt }}"
FIELDS = {
    "prompt.system_prompt": "Answer in {solution_start}{solution_end}.",
    "prompt.reasoning_start": "",
    "prompt.reasoning_end": "",
    "prompt.solution_start": "[[",
    "prompt.solution_end": "]]",
    "prompt.chat_template": "",
}


def address(session: Session, name: str = "prompt_preview") -> str:
    return reverse(f"training:{name}", args=[session.pk])


def step(session: Session) -> str:
    return reverse("training:setup", args=[session.pk, "prompt"])


@pytest.fixture
def sums(team: Team, owner: User) -> Dataset:
    text = "\n".join(json.dumps({"question": f"{n} plus 1?", "answer": str(n + 1)}) for n in range(20))
    return importing.import_jsonl(team, owner, "sums", io.BytesIO(text.encode())).dataset


@pytest.fixture
def tiny(tmp_path: Any, settings: Any) -> str:
    settings.MODELS_DIR = tmp_path
    make_tokenizer().save_pretrained(tmp_path / "tiny")
    return "local/tiny"


@pytest.fixture
def begun(team: Team, owner: User, sums: Dataset, tiny: str) -> Session:
    config = {"dataset": {"source": str(sums.pk)}, "model": {"name": tiny}}
    return lifecycle.create_draft(team, owner, "Begun", config=config)


# The exact text


def test_the_step_shows_what_the_drafts_model_is_given(owner_client: Client, begun: Session) -> None:
    text = owner_client.get(step(begun)).context["given"]["preview"].text
    assert text.startswith("<|system|>You are given a problem.")
    assert text.endswith("<|end|><|user|>0 plus 1?<|end|><|assistant|>")


def test_the_preview_follows_what_is_typed_and_saves_nothing(owner_client: Client, begun: Session) -> None:
    page = owner_client.post(address(begun), {**FIELDS, "row": "3", "tokens": "1"}, **HTMX)
    preview = page.context["preview"]
    assert preview.text == "<|system|>Answer in [[]].<|end|><|user|>3 plus 1?<|end|><|assistant|>"
    assert "".join(token.text for token in preview.tokens) == preview.text
    assert preview.samples[0].text == "[[4]]"
    begun.refresh_from_db()
    assert "prompt" not in begun.config


def test_the_preview_warns_of_a_marker_that_no_reward_would_see(owner_client: Client, begun: Session) -> None:
    page = owner_client.post(address(begun), {**FIELDS, "prompt.solution_end": "<|end|>"}, **HTMX)
    worst = page.context["preview"].findings[0]
    assert worst.level == "bad"
    assert "special token" in worst.text


def test_the_preview_uses_a_chat_template_of_ones_own(owner_client: Client, begun: Session) -> None:
    posted = {**FIELDS, "prompt.chat_template": OWN.replace("\n", "\r\n")}
    page = owner_client.post(address(begun), posted, **HTMX)
    assert page.context["preview"].text == "[system: Answer in [[]].]\n[user: 0 plus 1?]\n[answer: "
    page = owner_client.post(address(begun), {**posted, "prompt.chat_template": "\n{{ messages }"}, **HTMX)
    assert "Line 2: This is no valid Jinja" in page.content.decode()


# Templates


def test_loading_a_template_brings_its_chat_template(owner_client: Client, begun: Session, team: Team) -> None:
    template = PromptTemplate.objects.create(team=team, name="Own", system_prompt="Answer.", chat_template=OWN)
    owner_client.post(address(begun, "use_template"), {"template": template.pk})
    begun.refresh_from_db()
    assert drafts.parsed(begun.config).prompt.chat_template == OWN
    assert drafts.parsed(begun.config).prompt.rendered == "Answer."


def test_a_prompt_is_saved_as_a_template_for_the_team(
    owner_client: Client, teammate_client: Client, begun: Session, team: Team
) -> None:
    owner_client.post(step(begun), {**FIELDS, "prompt.chat_template": OWN})
    owner_client.post(address(begun, "save_template"), {"template_name": " Ours "})
    saved = PromptTemplate.objects.get(team=team)
    assert (saved.name, saved.rendered, saved.chat_template) == ("Ours", "Answer in [[]].", OWN)
    assert "Ours" in teammate_client.get(step(begun)).content.decode()


@pytest.mark.parametrize(("name", "words"), [("", "Give the template a name"), ("OURS", "already has a template")])
def test_a_template_needs_a_name_of_its_own(
    owner_client: Client, begun: Session, team: Team, name: str, words: str
) -> None:
    PromptTemplate.objects.create(team=team, name="Ours")
    page = owner_client.post(address(begun, "save_template"), {"template_name": name}, follow=True)
    assert words in page.content.decode()
    assert PromptTemplate.objects.filter(team=team).count() == 1


# What must not reach a trainer


def prompt_problem(team: Team, template: str, model: str) -> str:
    config = SessionConfig().model_dump()
    config["prompt"]["chat_template"] = template
    config["model"]["name"] = model
    with pytest.raises(readiness.NotReady) as caught:
        readiness.check(team, config)
    return next((p.message for p in caught.value.problems if p.field == "prompt.chat_template"), "")


@pytest.mark.parametrize(
    ("template", "words"),
    [
        ("{{ messages }", "Line 1: This is no valid Jinja"),
        ("{% for i in range(10**9) %}x{% endfor %}", "too often"),
        ("{% for i in range(99999) %}{% for j in range(99999) %}{% endfor %}{% endfor %}", "was ended"),
        ("{{ ''.__class__.__mro__ }}", "may not do this"),
        ("no question", "The question is not in the text"),
        (OWN, ""),
        ("", ""),
    ],
)
def test_a_session_with_a_bad_chat_template_does_not_start(team: Team, tiny: str, template: str, words: str) -> None:
    found = prompt_problem(team, template, tiny)
    assert words in found if words else not found


def test_the_problem_is_shown_at_its_field(owner_client: Client, begun: Session) -> None:
    page = owner_client.post(step(begun), {**FIELDS, "prompt.chat_template": "{{ messages }"}, **HTMX)
    assert "Line 1: This is no valid Jinja" in page.context["fields"]["chat_template"].errors[0]


def test_a_chat_template_is_in_the_exported_config_and_comes_back(owner_client: Client, begun: Session) -> None:
    owner_client.post(step(begun), {**FIELDS, "prompt.chat_template": OWN})
    begun.refresh_from_db()
    file = json.loads(json.dumps(drafts.parsed(begun.config).model_dump()))
    assert file["prompt"]["chat_template"] == OWN
    assert SessionConfig.model_validate(file).prompt.chat_template == OWN


def test_a_config_of_the_original_has_no_chat_template_and_loads(readme_config: dict[str, Any]) -> None:
    assert SessionConfig.model_validate(readme_config).prompt.chat_template == ""


# Who may


@pytest.mark.parametrize("name", ["prompt_preview", "save_template"])
def test_only_members_of_the_team_may(
    outsider_client: Client, viewer_client: Client, begun: Session, name: str
) -> None:
    posted = {**FIELDS, "template_name": "Ours"}
    assert outsider_client.post(address(begun, name), posted).status_code == 404
    assert viewer_client.post(address(begun, name), posted).status_code == 403
    assert not PromptTemplate.objects.exclude(team=None).exists()


@pytest.mark.parametrize("name", ["prompt_preview", "save_template"])
def test_they_only_answer_a_post(owner_client: Client, begun: Session, name: str) -> None:
    assert owner_client.get(address(begun, name)).status_code == 405
