"""The text that pages show is the text that the engine makes, and no template can harm the server."""

import json
import os
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings

from datasets_app import chat_formats, chat_rendering
from datasets_app.chat_rendering import Chat, TemplateProblem, chat_in, look, render, tokens
from datasets_app.prompt_templates import template_problem
from tests.engine.conftest import make_tokenizer
from training.engine import prompting
from training.schema import PromptSection

DEFAULT = Path(settings.BASE_DIR) / "data" / "models" / "SmolLM2-135M-Instruct"
STARTER = Path(os.environ.get("LORACRAFT_STARTER_MODEL") or DEFAULT)
QUESTIONS = ["2 + 2?", "Was heißt “日本” auf Deutsch? 🎉", " leading\n\nand trailing \n", "{{ messages }} <|end|>"]
SYSTEM = "Answer between <SOLUTION> and </SOLUTION>."


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tiny")
    make_tokenizer().save_pretrained(folder)
    return folder


# The starter model where it is prepared: its tokenizer is one of the hub's.
@pytest.fixture(params=["tiny", *(["starter"] if (STARTER / "tokenizer.json").is_file() else [])])
def folder(request: pytest.FixtureRequest) -> Path:
    return Path(request.getfixturevalue("tiny")) if request.param == "tiny" else STARTER


def loaded(folder: Path) -> Any:
    from training.engine.loading import load_tokenizer
    from training.schema import SessionConfig

    return load_tokenizer(str(folder), SessionConfig())


# The same text and tokens as in training


@pytest.mark.parametrize("prompt", [SYSTEM, ""])
@pytest.mark.parametrize("question", QUESTIONS)
def test_the_text_is_the_one_that_the_engine_sends(folder: Path, prompt: str, question: str) -> None:
    tokenizer = loaded(folder)
    sent = prompting.render(tokenizer, prompting.messages(PromptSection(system_prompt=prompt), question))

    assert render(folder, prompt, question) == sent
    assert [token.id for token in tokens(folder, sent)] == prompting.encode(tokenizer, sent)


@pytest.mark.parametrize("question", QUESTIONS)
def test_tokens_joined_are_the_text_again(folder: Path, question: str) -> None:
    found = look(folder, SYSTEM, question, with_tokens=True)
    assert found.tokens is not None
    assert "".join(token.text for token in found.tokens) == found.text


def test_without_the_start_of_an_answer_the_text_is_shorter(folder: Path) -> None:
    whole, bare = render(folder, SYSTEM, "2 + 2?"), render(folder, SYSTEM, "2 + 2?", add_generation_prompt=False)
    assert whole.startswith(bare)
    assert len(whole) > len(bare)


@pytest.mark.parametrize("name", sorted(set(chat_formats.FORMATS)))
def test_each_familys_format_gives_in_transformers_what_it_gives_here(name: str, tiny: Path) -> None:
    """Gemma's among them, which refuses a system message and gets it in the question."""
    known = chat_formats.FORMATS[name]
    tokenizer = loaded(tiny)
    tokenizer.chat_template = known.template
    tokenizer.bos_token = known.specials.get("bos_token")
    tokenizer.eos_token = known.specials.get("eos_token", "</s>")
    sent = prompting.render(tokenizer, prompting.messages(PromptSection(system_prompt=SYSTEM), "2 + 2?"))
    specials = {"eos_token": "</s>", **known.specials}

    assert render(Chat(known.template, specials), SYSTEM, "2 + 2?") == sent
    assert SYSTEM in sent
    assert "2 + 2?" in sent


@pytest.mark.parametrize(
    "template",
    [
        "  {% for m in messages %}\n    {% if loop.first %}{% continue %}{% endif %}\n{{ m | tojson }}\n{% endfor %}",
        "{% generation %}{{ messages[-1].content }}{% endgeneration %}|{{ bos_token }}|{{ pad_token }}",
        "{{ tools is none }}{{ documents is none }}{% if add_generation_prompt is defined %}yes{% endif %}",
        "{{ messages | map(attribute='role') | join(',') }}{{ strftime_now('%Y') }}",
    ],
)
def test_what_transformers_adds_to_jinja_is_there_and_white_space_is_kept_as_there(tiny: Path, template: str) -> None:
    tokenizer = loaded(tiny)
    tokenizer.chat_template = template
    sent = prompting.render(tokenizer, prompting.messages(PromptSection(system_prompt=SYSTEM), 'Say "é".'))

    assert render(chat_in(tiny).with_template(template), SYSTEM, 'Say "é".') == sent


def test_a_base_model_without_template_gets_the_engines_plain_layout(tmp_path: Path) -> None:
    tokenizer = make_tokenizer()
    tokenizer.chat_template = None
    tokenizer.save_pretrained(tmp_path)
    sent = prompting.render(loaded(tmp_path), prompting.messages(PromptSection(system_prompt=SYSTEM), "2 + 2?"))
    found = look(tmp_path, SYSTEM, "2 + 2?", with_tokens=True)

    assert found.text == sent == f"{SYSTEM}\n\nQuestion: 2 + 2?\n\nAnswer:"
    assert found.tokens is not None
    assert [token.id for token in found.tokens] == prompting.encode(loaded(tmp_path), sent)


def test_a_template_in_the_settings_is_found_where_it_has_no_file_of_its_own(tmp_path: Path, tiny: Path) -> None:
    settings_file = json.loads((tiny / "tokenizer_config.json").read_text())
    named = [{"name": "tool_use", "template": "no"}, {"name": "default", "template": "yes {{ eos_token }}"}]
    for template in (named, "yes {{ eos_token }}"):
        (tmp_path / "tokenizer_config.json").write_text(json.dumps({**settings_file, "chat_template": template}))
        assert render(tmp_path, "", "2 + 2?") == "yes <|end|>"


# Markers


def test_a_special_token_as_marker_is_found_out(tiny: Path) -> None:
    tokenizer = loaded(tiny)
    words = ["<SOLUTION>", "<|user|>", "é🎉"]
    found = look(tiny, SYSTEM, "2 + 2?", markers=words).markers
    assert found is not None
    for marker in found:
        ids = tokenizer(marker.word, add_special_tokens=False)["input_ids"]
        assert marker.tokens == len(ids)
        assert marker.decoded == tokenizer.batch_decode([ids], skip_special_tokens=True)[0]
    assert [marker.survives for marker in found] == [True, False, True]
    assert [marker.special for marker in found] == [False, True, False]


def test_without_a_tokenizer_there_is_the_text_and_nothing_else(tiny: Path, tmp_path: Path) -> None:
    (tmp_path / "tokenizer_config.json").write_text((tiny / "tokenizer_config.json").read_text())
    found = look(tmp_path, SYSTEM, "2 + 2?", markers=["a"], with_tokens=True)
    assert (found.tokens, found.markers) == (None, None)
    with pytest.raises(TemplateProblem, match=r"no tokenizer\.json"):
        tokens(tmp_path, "text")


def test_a_damaged_tokenizer_is_a_sentence_and_not_a_crash(tiny: Path, tmp_path: Path) -> None:
    (tmp_path / "tokenizer_config.json").write_text("{}")
    (tmp_path / "tokenizer.json").write_text("{")
    with pytest.raises(TemplateProblem, match=r"can't be read\. Copy or download"):
        tokens(tmp_path, "text")


# Templates that are wrong, and templates that are hostile


@pytest.mark.parametrize(
    ("template", "line", "words"),
    [
        ("a\n{% if x %}", 2, "no valid Jinja"),
        ("\n\n{{ messages | nope }}", 3, "No filter named 'nope'"),
        ("{% for m in messages %}\n{{ mesage.content }}\n{% endfor %}", 2, "'mesage' is undefined"),
        ("\n{{ 1 / 0 }}", 2, "division by zero"),
        ("{{ raise_exception('Only users here') }}", 1, "refuses this conversation: Only users here"),
        ("{% include 'other' %}", 1, "can't be carried out"),
    ],
)
def test_a_mistake_is_told_with_its_line(template: str, line: int, words: str) -> None:
    with pytest.raises(TemplateProblem) as caught:
        render(template, "", "2 + 2?")
    assert caught.value.line == line
    assert words in caught.value.message
    assert caught.value.sentence.startswith(f"Line {line}: ")


@pytest.mark.parametrize(
    "template",
    [
        "{{ ''.__class__.__mro__[1].__subclasses__() }}",
        "{{ cycler.__init__.__globals__.os.popen('id').read() }}",
        "{{ raise_exception.__globals__ }}",
        "{{ strftime_now.__code__ }}",
        "{{ messages.__class__ }}",
        "{{ messages.append({}) }}",
        "{{ messages[0].clear() }}",
        "{{ ''['__cla' ~ 'ss__'].__mro__ }}",
        "{{ ('%s' | attr('__class__')).x }}",
        "{{ self._TemplateReference__context }}",
        "{% import 'os' as os %}",
    ],
)
def test_a_template_can_not_leave_its_sandbox(template: str) -> None:
    """What it may not touch is an error, or nothing at all; and it could not be saved."""
    with suppress(TemplateProblem):
        assert render(template, "", "2 + 2?") == ""
    assert template_problem(Chat(), template)


@pytest.mark.parametrize(
    "template",
    [
        "{% for i in range(10**9) %}x{% endfor %}",
        "{{ 'a' * 10**9 }}",
        "{{ [1] * 10**10 }}",
        "{{ '%999999999d' % 1 }}",
        "{{ 'a' * 2000000 }}",
        "{% for i in range(99999) %}{{ messages }}{% endfor %}",
        "{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}",
        "{{" + "(" * 5000 + "1" + ")" * 5000 + "}}",
    ],
)
def test_a_template_that_wants_too_much_is_refused_at_once(template: str) -> None:
    begun = time.monotonic()
    with pytest.raises(TemplateProblem):
        render(template, "", "2 + 2?")
    assert time.monotonic() - begun < 20


@pytest.mark.parametrize(
    "template",
    [
        "{% for i in range(99999) %}{% for j in range(99999) %}{% endfor %}{% endfor %}",
        "{{ 3 ** (3 ** 18) }}",
    ],
)
def test_a_template_that_never_ends_is_ended(template: str) -> None:
    begun = time.monotonic()
    with pytest.raises(TemplateProblem, match="was ended: it takes more than 3 seconds"):
        render(template, "", "2 + 2?")
    assert time.monotonic() - begun < 30


def test_a_long_question_is_no_fault_of_the_template(tiny: Path) -> None:
    question = "word " * 500_000
    assert question in render(tiny, "", question)


def test_asking_the_same_again_starts_no_process(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    render(tiny, SYSTEM, "Once")
    monkeypatch.setattr(chat_rendering.parsing, "child", None)
    assert "Once" in render(tiny, SYSTEM, "Once")


# Models by name


@pytest.mark.parametrize(
    ("model", "start"),
    [
        ("Qwen/Qwen3-0.6B", "<|im_start|>system\n"),
        ("meta-llama/Llama-3.2-1B-Instruct", "<|begin_of_text|><|start_header_id|>system<|end_header_id|>\n\n"),
        ("microsoft/Phi-4-mini-instruct", "<|system|>"),
        ("microsoft/phi-4", "<|im_start|>system<|im_sep|>"),
        ("mistralai/Mistral-7B-Instruct-v0.3", f"<s>[INST] {SYSTEM}"),
        ("google/gemma-3-1b-it", f"<bos><start_of_turn>user\n{SYSTEM}"),
        ("somebody/unheard-of", "<|im_start|>system\n"),
    ],
)
def test_a_model_that_is_not_here_has_its_familys_format_and_that_is_said(model: str, start: str) -> None:
    chat = chat_rendering.chat_for(model)
    assert render(chat, SYSTEM, "2 + 2?").startswith(start)
    assert "the model is not on this machine yet" in chat.approximate
    assert not chat.with_template("{{ messages }}").approximate


def test_a_model_in_the_models_folder_has_its_own(tiny: Path, settings: Any, tmp_path: Path) -> None:
    settings.MODELS_DIR = tmp_path
    (tmp_path / "mine").symlink_to(tiny)
    chat = chat_rendering.chat_for("local/mine")
    assert (chat.folder, chat.approximate) == (tmp_path / "mine", "")
    assert render(chat, "", "2 + 2?") == "<|user|>2 + 2?<|end|><|assistant|>"


@pytest.mark.parametrize("name", ["local/../secrets", "local/", "../up", "", "no id at all", "/nowhere"])
def test_a_name_that_is_none_leads_to_no_folder(name: str) -> None:
    assert chat_rendering.chat_for(name).folder is None
