"""The text that a model is really given: prompt and question under its chat template, and that text as tokens.

Chat templates and tokenizers come from other people, so both are worked on in a child process with limits
(chat_child.py). The text is the one that the engine makes with transformers; tests hold both together.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

from datasets_app import chat_formats, parsing
from datasets_app.limits import RENDERING_SECONDS, RENDERING_WAIT
from datasets_app.problems import DatasetProblem

SPECIAL_TOKENS = ("bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token")


class TemplateProblem(DatasetProblem):
    """A chat template that can't be used. `line` is the line of the template, where one is to blame."""

    @property
    def sentence(self) -> str:
        return f"Line {self.line}: {self.message}" if self.line else self.message


@dataclass(frozen=True)
class Token:
    text: str
    id: int
    special: bool = False

    @property
    def shown(self) -> str:
        """Line ends are seen; a dot stands for a part of a character."""
        return self.text.replace("\n", "⏎\n") or "·"


@dataclass(frozen=True)
class Marker:
    """How a marker fares in the tokenizer: `decoded` is what is left of it in the text of an answer."""

    word: str
    tokens: int
    decoded: str
    special: bool

    @property
    def survives(self) -> bool:
        return self.word == self.decoded


@dataclass(frozen=True)
class Chat:
    """How a model is spoken to. Without a template its text is laid out plainly, as for base models."""

    template: str = ""
    # bos_token and its like, which a template may name.
    specials: dict[str, str] = field(default_factory=dict)
    # With tokenizer.json; None where the model is not on this machine.
    folder: Path | None = None
    # What to say where the template is not the model's own, but that of its family.
    approximate: str = ""

    def with_template(self, template: str) -> Chat:
        """The same model under a template of the team's own. An empty one changes nothing."""
        return replace(self, template=template, approximate="") if template.strip() else self


@dataclass(frozen=True)
class Look:
    """A conversation as the model gets it. `tokens` and `markers` are None where there is no tokenizer."""

    text: str
    tokens: list[Token] | None = None
    markers: list[Marker] | None = None


def render(source: Chat | Path | str, prompt: str, question: str, add_generation_prompt: bool = True) -> str:
    """`source`: a chat, a tokenizer's folder, or a template. `prompt` is the system prompt with its markers filled in.

    Raises TemplateProblem.
    """
    return look(source, prompt, question, add_generation_prompt=add_generation_prompt).text


def tokens(folder: Path, text: str, add_special_tokens: bool = False) -> list[Token]:
    """`text` as the tokenizer in `folder` splits it. Raises TemplateProblem if there is no tokenizer to be read."""
    request = {"texts": [text], "tokens": True, "add_special_tokens": add_special_tokens}
    return as_tokens(asked({**request, **tokenizer_request(Chat(folder=folder))})["tokens"])


def look(
    source: Chat | Path | str,
    prompt: str,
    question: str,
    *,
    markers: Sequence[str] = (),
    with_tokens: bool = False,
    add_generation_prompt: bool = True,
) -> Look:
    """Everything in one go, since each takes a process. Raises TemplateProblem."""
    chat = as_chat(source)
    request = rendering_request(chat, [(conversation(prompt, question), add_generation_prompt)])
    if has_tokenizer(chat) and (markers or with_tokens):
        # A template has written its special tokens; plain text gets them from the tokenizer.
        more = {"markers": list(markers), "tokens": with_tokens, "add_special_tokens": not chat.template}
        request |= {**tokenizer_request(chat), **more}
    found = asked(request)
    return Look(
        found["texts"][0],
        as_tokens(found["tokens"]) if "tokens" in found else None,
        [Marker(word, **how) for word, how in zip(markers, found["markers"], strict=True)]
        if "markers" in found
        else None,
    )


def renderings(chat: Chat, chats: list[tuple[list[dict[str, str]], bool]]) -> list[str]:
    """The texts of several (conversation, add_generation_prompt). Raises TemplateProblem."""
    return list(asked(rendering_request(chat, chats))["texts"])


def rendering_request(chat: Chat, chats: list[tuple[list[dict[str, str]], bool]]) -> dict[str, Any]:
    return {"template": chat.template, "specials": chat.specials, "chats": chats}


def conversation(prompt: str, question: str, answer: str = "") -> list[dict[str, str]]:
    turns = {"system": prompt, "user": question, "assistant": answer}
    return [{"role": role, "content": text} for role, text in turns.items() if text or role == "user"]


def as_chat(source: Chat | Path | str) -> Chat:
    if isinstance(source, Chat):
        return source
    return chat_in(source) if isinstance(source, Path) else Chat(source)


def as_tokens(found: list[tuple[str, int, bool]]) -> list[Token]:
    return [Token(*each) for each in found]


# What lies in a model's folder


def chat_in(folder: Path) -> Chat:
    """The model's own chat template and special tokens, as transformers reads them."""
    settings = read_json(folder / "tokenizer_config.json")
    specials = special_tokens({**read_json(folder / "special_tokens_map.json"), **settings})
    return Chat(template_in(folder, settings), specials, folder)


def template_in(folder: Path, settings: dict[str, Any]) -> str:
    """A file of its own wins over the settings; of several named templates the default one is used."""
    try:
        return (folder / "chat_template.jinja").read_text(encoding="utf-8")
    except OSError:
        kept = settings.get("chat_template") or ""
    if isinstance(kept, list):
        return next((str(each["template"]) for each in kept if each.get("name") == "default"), "")
    return str(kept)


def special_tokens(settings: dict[str, Any]) -> dict[str, str]:
    found = {}
    for name in SPECIAL_TOKENS:
        token = settings.get(name)
        if token is not None:
            found[name] = str(token["content"] if isinstance(token, dict) else token)
    # As the engine does.
    if "pad_token" not in found and "eos_token" in found:
        found["pad_token"] = found["eos_token"]
    return found


def read_json(file: Path) -> dict[str, Any]:
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


# The child process


def has_tokenizer(chat: Chat) -> bool:
    return chat.folder is not None and (chat.folder / "tokenizer.json").is_file()


def tokenizer_request(chat: Chat) -> dict[str, Any]:
    if chat.folder is None or not has_tokenizer(chat):
        raise TemplateProblem("This model has no tokenizer.json on this machine, so its tokens can't be shown.")
    # The file's age is part of the question, so that a newer one is asked again.
    age = (chat.folder / "tokenizer.json").stat().st_mtime_ns
    return {"tokenizer": str(chat.folder), "age": age, "special_tokens": sorted({*chat.specials.values()})}


def asked(request: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(answer_to(json.dumps(request)))
    if "problem" in found:
        raise TemplateProblem(found["problem"], line=found["line"], field="chat_template")
    return found


@lru_cache(maxsize=128)
def answer_to(request: str) -> str:
    """Remembered: a page asks the same at every key that is pressed elsewhere."""
    with parsing.child("datasets_app.chat_child", seconds=RENDERING_WAIT) as process:
        output, errors = process.communicate(request.encode())
    if process.returncode == 0 and output:
        return output.decode()
    if process.returncode < 0:
        ended = f"The template was ended: it takes more than {RENDERING_SECONDS} seconds or too much memory."
        return json.dumps({"problem": f"{ended} Remove the long loop or the large number.", "line": None})
    raise RuntimeError(errors.decode(errors="replace")[-2000:])


# Models by name. What models there are is known above this app, which says so when it starts.

Finder = Callable[[str], Chat]
_source: dict[str, Any] = {}


def provide(chat_of: Finder, offered: Callable[[], list[tuple[str, str]]]) -> None:
    """`chat_of(name)` never fails: for a model that is not here it gives the chat of its family."""
    _source.update(chat_of=chat_of, offered=offered)


def chat_for(model: str, template: str = "") -> Chat:
    """The chat of a base model by its name in a config, or under `template`, where that is not empty."""
    chat: Chat = _source["chat_of"](model) if _source else Chat(chat_formats.CHATML)
    return chat.with_template(template)


def offered_models() -> list[tuple[str, str]]:
    """(name, label) of the base models to choose from."""
    return list(_source["offered"]()) if _source else []
