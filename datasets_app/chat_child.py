"""The child process in which chat templates run: they are programs of their authors, and may never end.

One JSON object comes on standard input and one goes to standard output (see `answer`). It knows nothing of Django, and
its environment is that of transformers' apply_chat_template, so the text is the one that the trainer makes.
"""

from __future__ import annotations

import contextlib
import json
import os
import resource
import sys
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jinja2 import TemplateError, TemplateSyntaxError, UndefinedError, ext, nodes
from jinja2.sandbox import ImmutableSandboxedEnvironment, SecurityError

from datasets_app.limits import (
    RENDERED_CHARACTERS,
    RENDERING_MEMORY,
    RENDERING_SECONDS,
    TOKENIZING_MEMORY,
    TOKENIZING_SECONDS,
)
from loracraft.numbers import thousands

if TYPE_CHECKING:
    from tokenizers import Tokenizer

Conversation = list[dict[str, str]]


class Refused(Exception):
    def __init__(self, message: str, line: int | None = None) -> None:
        super().__init__(message)
        self.message, self.line = message, line


def answer(request: dict[str, Any]) -> dict[str, Any]:
    """{"texts", "tokens": [[text, id, is special]] of the first text, "markers": [{"tokens", "decoded", "special"}]}.

    The request has "texts", or "template", "specials" and "chats" ([conversation, add_generation_prompt] each); and, if
    tokens are wanted, "tokenizer" (folder), "tokens", "add_special_tokens", "special_tokens" and "markers".
    Where the template can't be used the answer is {"problem", "line"}.
    """
    try:
        texts = request["texts"] if "texts" in request else rendered(request)
        if not request.get("tokenizer"):
            return {"texts": texts}
        bound(TOKENIZING_MEMORY, TOKENIZING_SECONDS)
        return {"texts": texts, **tokenised(texts[0], request)}
    except Refused as problem:
        return {"problem": problem.message, "line": problem.line}


def rendered(request: dict[str, Any]) -> list[str]:
    return [render(request["template"], chat, request["specials"], ready) for chat, ready in request["chats"]]


# Rendering


def environment() -> ImmutableSandboxedEnvironment:
    made = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[Generation, ext.loopcontrols]
    )
    made.filters["tojson"] = tojson
    made.globals |= {"raise_exception": raise_exception, "strftime_now": lambda form: datetime.now().strftime(form)}
    return made


class Generation(ext.Extension):
    """{% generation %} marks the model's own words for a training mask. Here it changes nothing."""

    tags = {"generation"}

    def parse(self, parser: Any) -> nodes.Node:
        line = next(parser.stream).lineno
        body = parser.parse_statements(("name:endgeneration",), drop_needle=True)
        return nodes.Scope(body).set_lineno(line)


def tojson(
    value: Any, ensure_ascii: bool = False, indent: Any = None, separators: Any = None, sort_keys: bool = False
) -> str:
    # Jinja's own escapes HTML.
    return json.dumps(value, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys)


def raise_exception(message: str) -> None:
    raise TemplateError(message)


def render(template: str, conversation: Conversation, specials: dict[str, str], add_generation_prompt: bool) -> str:
    """Raises Refused."""
    if not template:
        return plain(conversation)
    try:
        return limited(template, conversation, specials, add_generation_prompt)
    except Exception as error:
        # Templates such as Gemma's refuse a system message: it then opens the question.
        if conversation[0]["role"] != "system" or "system" not in str(error).lower():
            raise refusal(error) from error
    try:
        return limited(template, without_system(conversation), specials, add_generation_prompt)
    except Exception as error:
        raise refusal(error) from error


def limited(template: str, conversation: Conversation, specials: dict[str, str], add_generation_prompt: bool) -> str:
    variables: dict[str, Any] = {"messages": conversation, "tools": None, "documents": None, **specials}
    variables["add_generation_prompt"] = add_generation_prompt
    room = RENDERED_CHARACTERS + 4 * sum(len(turn["content"]) for turn in conversation)
    pieces = []
    for piece in environment().from_string(template).generate(variables):
        room -= len(piece)
        if room < 0:
            raise Refused(
                f"The template makes a text of more than {thousands(RENDERED_CHARACTERS)} characters. Shorten it."
            )
        pieces.append(piece)
    return "".join(pieces)


def plain(conversation: Conversation) -> str:
    """For base models without a chat template, as the engine does it."""
    titles = {"system": "", "user": "Question: ", "assistant": "Answer: "}
    return "".join(f"{titles[turn['role']]}{turn['content']}\n\n" for turn in conversation) + "Answer:"


def without_system(conversation: Conversation) -> Conversation:
    system, first, *rest = conversation
    return [{"role": first["role"], "content": f"{system['content']}\n\n{first['content']}"}, *rest]


def refusal(error: Exception) -> Refused:
    """What is wrong with the template, in a sentence, and on which of its lines."""
    if isinstance(error, Refused):
        return error
    line = error.lineno if isinstance(error, TemplateSyntaxError) else line_of(error)
    text = " ".join(str(error).split()).rstrip(".")
    if isinstance(error, TemplateSyntaxError):
        return Refused(f"This is no valid Jinja: {text}.", line)
    if isinstance(error, SecurityError):
        return Refused(f"A chat template may not do this: {text}.", line)
    if isinstance(error, UndefinedError):
        return Refused(f"{text[:1].upper()}{text[1:]}. A template knows messages and add_generation_prompt.", line)
    if isinstance(error, RecursionError):
        return Refused("The template is nested too deeply, or calls itself without end.", line)
    if isinstance(error, OverflowError | MemoryError):
        return Refused("The template repeats something too often. Remove the large range or number.", line)
    if isinstance(error, TemplateError):
        return Refused(f"The template refuses this conversation: {text}.", line)
    return Refused(f"The template can't be carried out: {text or type(error).__name__}.", line)


def line_of(error: BaseException) -> int | None:
    """Jinja rewrites tracebacks so that they name the template's lines."""
    found, step = None, error.__traceback__
    while step:
        if step.tb_frame.f_code.co_filename in ("<template>", "<unknown>"):
            found = step.tb_lineno
        step = step.tb_next
    return found


# Tokens


def tokenised(text: str, request: dict[str, Any]) -> dict[str, Any]:
    from tokenizers import Tokenizer

    try:
        tokenizer = Tokenizer.from_file(str(Path(request["tokenizer"]) / "tokenizer.json"))
    except Exception as error:
        raise Refused("The tokenizer.json of this model can't be read. Copy or download the model again.") from error
    tokenizer.no_truncation()
    tokenizer.no_padding()
    special = {token for token, added in tokenizer.get_added_tokens_decoder().items() if added.special}
    named = (tokenizer.token_to_id(name) for name in request.get("special_tokens", []))
    special |= {token for token in named if token is not None}
    found: dict[str, Any] = {"markers": [marker(tokenizer, word, special) for word in request.get("markers", [])]}
    if request.get("tokens"):
        found["tokens"] = list(pieces(tokenizer, text, bool(request.get("add_special_tokens")), special))
    return found


def pieces(
    tokenizer: Tokenizer, text: str, add_special_tokens: bool, special: set[int]
) -> Iterator[tuple[str, int, bool]]:
    """Each token with its part of the text. Joined they are the text again: where a character is spread over several
    tokens, the last of them has it and the others have nothing; what a tokenizer adds itself stands under its name."""
    encoded = tokenizer.encode(text, add_special_tokens=add_special_tokens)
    place = 0
    spans = list(zip(encoded.ids, encoded.offsets, encoded.special_tokens_mask, strict=True))
    for number, (token, (start, end), added) in enumerate(spans):
        if added and start == end:
            yield tokenizer.id_to_token(token) or "", token, True
            continue
        shared = number + 1 < len(spans) and spans[number + 1][1] == (start, end)
        until = place if shared else max(end, place)
        yield text[place:until], token, token in special
        place = until


def marker(tokenizer: Tokenizer, word: str, special: set[int]) -> dict[str, Any]:
    """How `word` comes back: tokens that are special are left out when an answer becomes text."""
    ids = tokenizer.encode(word, add_special_tokens=False).ids
    decoded = tokenizer.decode([token for token in ids if token not in special], skip_special_tokens=True)
    return {"tokens": len(ids), "decoded": decoded, "special": any(token in special for token in ids)}


# Limits


def bound(memory: int, seconds: int) -> None:
    """Only the soft limits, so that the second part of the work can have its own."""
    for limit, wanted in ((resource.RLIMIT_AS, memory), (resource.RLIMIT_CPU, seconds)):
        # macOS refuses the limit of memory; there the limits of time and length have to do.
        with contextlib.suppress(ValueError, OSError):
            hard = resource.getrlimit(limit)[1]
            resource.setrlimit(limit, (wanted if hard == resource.RLIM_INFINITY else min(wanted, hard), hard))


def main() -> int:
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    request = json.load(sys.stdin)
    bound(RENDERING_MEMORY, RENDERING_SECONDS)
    json.dump(answer(request), sys.stdout)
    return 0


if __name__ == "__main__":
    sys.exit(main())
