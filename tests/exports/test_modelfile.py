"""Ollama's template gives the model exactly what its own chat template gives it, whatever the family (S11.5)."""

import pytest
from jinja2.sandbox import ImmutableSandboxedEnvironment

from exports import modelfile

CHATML = (
    "{% if messages[0]['role'] != 'system' %}<|im_start|>system\nYou are helpful.<|im_end|>\n{% endif %}"
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
LLAMA3 = (
    "{{ bos_token }}{% for m in messages %}<|start_header_id|>{{ m.role }}<|end_header_id|>\n\n{{ m.content | trim }}"
    "<|eot_id|>{% endfor %}{% if add_generation_prompt %}<|start_header_id|>assistant<|end_header_id|>\n\n{% endif %}"
)
MISTRAL = (
    "{{ bos_token }}{% set system = messages[0].content if messages[0].role == 'system' else '' %}"
    "{% for m in (messages[1:] if system else messages) %}{% if m.role == 'user' %}[INST] "
    "{% if loop.first and system %}{{ system }}\n\n{% endif %}{{ m.content }}[/INST]"
    "{% else %} {{ m.content }}</s>{% endif %}{% endfor %}"
)
GEMMA = (
    "{{ bos_token }}{% set system = messages[0].content if messages[0].role == 'system' else '' %}"
    "{% for m in (messages[1:] if system else messages) %}"
    "<start_of_turn>{{ 'model' if m.role == 'assistant' else m.role }}\n"
    "{% if loop.first and system %}{{ system }}\n\n{% endif %}{{ m.content }}<end_of_turn>\n{% endfor %}"
    "{% if add_generation_prompt %}<start_of_turn>model\n{% endif %}"
)
PHI4 = (
    "{% for m in messages %}<|im_start|>{{ m.role }}<|im_sep|>{{ m.content }}<|im_end|>{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant<|im_sep|>{% endif %}"
)
FAMILIES = {"chatml": CHATML, "llama3": LLAMA3, "mistral": MISTRAL, "gemma": GEMMA, "phi4": PHI4}
BOS = "<s>"


def renderer(template: str) -> modelfile.Render:
    compiled = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True).from_string(template)

    def render(messages: list[dict[str, str]], answer_next: bool) -> str:
        return compiled.render(messages=messages, add_generation_prompt=answer_next, bos_token=BOS)

    return render


@pytest.mark.parametrize("family", FAMILIES)
def test_first_question_is_the_same_text(family: str) -> None:
    render = renderer(FAMILIES[family])
    made = modelfile.ollama(render, BOS)
    asked = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "What is 2 + 2?"}]
    assert made.exact
    expanded = modelfile.expand(made.template, system="Be brief.", prompt="What is 2 + 2?")
    assert expanded == render(asked, True).removeprefix(BOS)
    assert BOS not in made.template


@pytest.mark.parametrize("family", FAMILIES)
def test_second_question_continues_the_conversation(family: str) -> None:
    """Ollama expands the template once a turn and puts the answer in between; later turns have no system text."""
    render = renderer(FAMILIES[family])
    template = modelfile.ollama(render, BOS).template
    turns = [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "One?"},
        {"role": "assistant", "content": "Yes."},
        {"role": "user", "content": "Two?"},
    ]
    after = template.split("{{ .Response }}")[1]
    first = modelfile.expand(template, system="Be brief.", prompt="One?")
    # Mistral's own template puts a space before an answer, which its tokenizer writes as part of the first token.
    answer = " Yes." if family == "mistral" else "Yes."
    talk = first + answer + after + modelfile.expand(template, prompt="Two?")
    assert talk == render(turns, True).removeprefix(BOS)


def test_a_template_that_refuses_our_messages_falls_back_to_the_text_as_it_is() -> None:
    def refuses(messages: list[dict[str, str]], answer_next: bool) -> str:
        raise ValueError("System role not supported")

    made = modelfile.ollama(refuses)
    assert (made.template, made.exact) == (modelfile.RAW, False)
    assert modelfile.expand(made.template, system="Be brief.", prompt="Hello") == "Be brief.\n\nHello"
    assert modelfile.expand(made.template, prompt="Hello") == "Hello"


def test_a_template_that_derives_to_something_else_is_not_used() -> None:
    def shouts(messages: list[dict[str, str]], answer_next: bool) -> str:
        return "".join(f"[{m['role']}]{m['content']}" for m in messages) + f"|{len(messages[-1]['content'])}|"

    assert modelfile.ollama(shouts).template == modelfile.RAW


def test_quotes_and_newlines_can_not_break_out_of_the_file() -> None:
    text = modelfile.write(
        "m.gguf",
        "{{ .Prompt }}",
        system='Say """\nPARAMETER seed 1\n""" twice',
        stops=['<|"|>', "\n\n"],
        options={"temperature": 0.7, "num_ctx": 2048},
        note="two\nlines",
    )
    assert text.count('"""') == 4
    assert 'PARAMETER stop "<|\\"|>"\nPARAMETER stop "\\n\\n"\n' in text
    assert "PARAMETER temperature 0.7\nPARAMETER num_ctx 2048\n" in text
    assert text.startswith("# two\n# lines\nFROM ./m.gguf\n")


def test_a_begin_token_that_llama_cpp_does_not_add_stays_in_the_template() -> None:
    """SmolLM2's begin token is <|im_start|>: taking it off would break its first turn."""
    render = renderer(CHATML)
    assert modelfile.ollama(render, "").template.startswith("{{ if .System }}<|im_start|>system\n")


@pytest.mark.parametrize(
    ("said", "model", "pre", "added"),
    [
        (None, "gpt2", "smollm", False),
        (None, "gpt2", "llama-bpe", True),
        (None, "llama", "default", True),
        (False, "llama", "default", False),
        (True, "gpt2", "qwen2", True),
    ],
)
def test_begin_token_by_llama_cpp_s_rules(said: bool | None, model: str, pre: str, added: bool) -> None:
    from exports.gguf_files import adds_bos

    assert adds_bos(said, model, pre) is added
