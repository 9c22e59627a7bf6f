"""How a row of the dataset becomes the text the model reads: the same in warm-up, GRPO, evaluation and trying out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from training.schema import PromptSection

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


class Row(Protocol):
    """What the engine needs of datasets_app.rows.Row."""

    @property
    def row(self) -> int: ...
    @property
    def instruction(self) -> str: ...
    @property
    def response(self) -> str: ...
    @property
    def reasoning(self) -> str: ...
    @property
    def reference(self) -> str: ...
    @property
    def columns(self) -> dict[str, Any]: ...


def messages(section: PromptSection, instruction: str, system: bool = True) -> list[dict[str, str]]:
    text = section.rendered if system else ""
    head = [{"role": "system", "content": text}] if text else []
    return [*head, {"role": "user", "content": instruction}]


def render(tokenizer: PreTrainedTokenizerBase, conversation: list[dict[str, str]]) -> str:
    """The prompt text, ending where the model's answer begins."""
    if not getattr(tokenizer, "chat_template", None):
        return plain(conversation)
    try:
        return apply_template(tokenizer, conversation)
    except Exception as error:
        # Templates such as Gemma's refuse a system message: it then opens the question.
        if conversation[0]["role"] != "system" or "system" not in str(error).lower():
            raise
        return apply_template(tokenizer, without_system(conversation))


def apply_template(tokenizer: PreTrainedTokenizerBase, conversation: list[dict[str, str]]) -> str:
    return str(tokenizer.apply_chat_template(conversation, tokenize=False, add_generation_prompt=True))


def without_system(conversation: list[dict[str, str]]) -> list[dict[str, str]]:
    system, first, *rest = conversation
    return [{"role": first["role"], "content": f"{system['content']}\n\n{first['content']}"}, *rest]


def plain(conversation: list[dict[str, str]]) -> str:
    """For base models without a chat template."""
    titles = {"system": "", "user": "Question: ", "assistant": "Answer: "}
    return "".join(f"{titles[turn['role']]}{turn['content']}\n\n" for turn in conversation) + "Answer:"


def encode(tokenizer: PreTrainedTokenizerBase, text: str) -> list[int]:
    """Token ids of a rendered prompt. A chat template has written its special tokens; plain text gets them here."""
    templated = bool(getattr(tokenizer, "chat_template", None))
    return list(tokenizer(text, add_special_tokens=not templated)["input_ids"])


def prompt_text(tokenizer: PreTrainedTokenizerBase, section: PromptSection, row: Row) -> str:
    return render(tokenizer, messages(section, row.instruction))


def target_text(section: PromptSection, row: Row) -> str:
    """What the warm-up teaches for `row`: its working, if it has one, and its answer, each between their markers."""
    working = f"{section.reasoning_start}{row.reasoning}{section.reasoning_end}\n" if row.reasoning else ""
    answer = row.reference or row.response
    return f"{working}{section.solution_start}{answer}{section.solution_end}"
