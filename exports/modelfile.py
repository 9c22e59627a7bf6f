"""Ollama's Modelfile. Its prompt template is derived from the tokenizer's own chat template, whatever the family:
the template renders marker texts, and what stands between the markers is the Go template's literal text.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

# Renders messages as the model sees them; the flag asks for the start of the answer at the end.
Render = Callable[[list[dict[str, str]], bool], str]

SYSTEM, USER, ANSWER, SECOND = "\x02system\x03", "\x02user\x03", "\x02answer\x03", "\x02second\x03"
# Used where a model has no chat template: nothing but the text.
RAW = "{{ if .System }}{{ .System }}\n\n{{ end }}{{ .Prompt }}"


@dataclass(frozen=True)
class Ollama:
    """`exact`: the template was checked to give what the tokenizer gives."""

    template: str
    exact: bool


def ollama(render: Render, bos: str = "") -> Ollama:
    try:
        template = _derived(render, bos)
    except Exception:
        # A chat template is a program of its author's: it may refuse a system message or want roles in another order.
        return Ollama(RAW, exact=False)
    return Ollama(template, exact=True) if _same(template, render, bos) else Ollama(RAW, exact=False)


def _derived(render: Render, bos: str) -> str:
    asked = [{"role": "system", "content": SYSTEM}, {"role": "user", "content": USER}]
    answer = {"role": "assistant", "content": ANSWER}
    again = {"role": "user", "content": SECOND}
    before_system, rest = _without(bos, render(asked, True)).split(SYSTEM)
    between, before_answer = rest.split(USER)
    after_answer = render([*asked, answer], False).split(ANSWER)[1]
    second = render([*asked, answer, again], True).split(ANSWER)[1].split(SECOND)[0]
    before_user = second.removeprefix(after_answer)
    if between.endswith(before_user) and before_user:
        after_system = between.removesuffix(before_user)
        start = "{{ if .System }}" + before_system + "{{ .System }}" + after_system + "{{ end }}" + before_user
    else:
        # Gemma and Mistral have no system role: its text opens the first question.
        start = (
            "{{ if .System }}" + before_system + "{{ .System }}" + between + "{{ else }}" + before_user + "{{ end }}"
        )
    return start + "{{ .Prompt }}" + before_answer + "{{ .Response }}" + after_answer


def _without(bos: str, text: str) -> str:
    """llama.cpp puts the begin token in front itself."""
    return text.removeprefix(bos) if bos else text


def _same(template: str, render: Render, bos: str) -> bool:
    messages = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Why?"}]
    return expand(template, system="Be brief.", prompt="Why?") == _without(bos, render(messages, True))


def expand(template: str, *, system: str = "", prompt: str = "") -> str:
    """What Ollama makes of `template` before the answer: the part of Go's templates that is used here."""
    conditional = r"\{\{ if \.System \}\}(.*?)(?:\{\{ else \}\}(.*?))?\{\{ end \}\}"
    text = re.sub(conditional, lambda m: m.group(1) if system else (m.group(2) or ""), template, flags=re.DOTALL)
    text = text.split("{{ .Response }}")[0]
    return text.replace("{{ .System }}", system).replace("{{ .Prompt }}", prompt)


def write(
    gguf_name: str, template: str, *, system: str, stops: list[str], options: dict[str, float | int], note: str = ""
) -> str:
    lines = [f"# {line}" for line in note.splitlines()]
    lines += [f"FROM ./{gguf_name}", f"TEMPLATE {_quoted(template)}"]
    if system:
        lines.append(f"SYSTEM {_quoted(system)}")
    lines += [f"PARAMETER {name} {value:g}" for name, value in options.items()]
    lines += [f'PARAMETER stop "{_escaped(stop)}"' for stop in stops]
    return "\n".join(lines) + "\n"


def _quoted(text: str) -> str:
    # Modelfiles have no escape for three quotes inside three quotes.
    return '"""' + text.replace('"""', "'''") + '"""'


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
