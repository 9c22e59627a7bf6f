"""Prompt templates: what they are filled with, what is wrong with one, and the verbs of their pages."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from django.contrib.auth.models import User

from accounts.models import AnyUser, Team
from datasets_app import chat_rendering
from datasets_app.chat_rendering import Chat, Look, Marker, TemplateProblem
from datasets_app.models import PromptTemplate, TemplateType
from datasets_app.problems import DatasetProblem

MARKERS = ("reasoning_start", "reasoning_end", "solution_start", "solution_end")
FIELDS = ("system_prompt", *MARKERS, "chat_template")
TITLES = {
    "reasoning_start": "Reasoning starts with",
    "reasoning_end": "Reasoning ends with",
    "solution_start": "Solution starts with",
    "solution_end": "Solution ends with",
}
PAIRS = (MARKERS[:2], MARKERS[2:])
# The shipped template that choosing a type fills in.
OF_TYPE = {
    TemplateType.GRPO: "GRPO default",
    TemplateType.QWEN: "Qwen GRPO",
    TemplateType.LLAMA: "LLaMA GRPO",
    TemplateType.PHI: "Phi GRPO",
}
NAME_LENGTH = 120
NAMES_IN_BRACES = re.compile(r"\{(\w+)\}")
# Texts that no template holds by chance.
PROMPT, QUESTION, ANSWER = "A system prompt 7c1f", "A question 9d2e", "An answer 5b8a"


class Prompt(Protocol):
    """A PromptTemplate, or training.schema.PromptSection."""

    system_prompt: str
    reasoning_start: str
    reasoning_end: str
    solution_start: str
    solution_end: str
    chat_template: str

    @property
    def rendered(self) -> str: ...


Level = Literal["good", "warning", "bad"]


@dataclass(frozen=True)
class Finding:
    level: Level
    text: str
    # "" where no single field is to blame.
    field: str = ""


def markers_of(prompt: Prompt) -> dict[str, str]:
    """The markers that are set, by field."""
    return {name: word for name in MARKERS if (word := str(getattr(prompt, name)))}


# What is wrong with the fields by themselves


def marker_problems(prompt: Prompt) -> list[Finding]:
    """What keeps a template from being saved: markers that no reward could tell apart."""
    return [Finding("bad", text, field) for field, text in (*incomplete(prompt), *confused(prompt), *unfilled(prompt))]


def incomplete(prompt: Prompt) -> list[tuple[str, str]]:
    found = []
    for pair in PAIRS:
        words = [str(getattr(prompt, name)) for name in pair]
        for name, word, other in zip(pair, words, reversed(words), strict=True):
            if word and not word.strip():
                found.append((name, "A marker of spaces alone can't be told from other spaces. Write a word or a tag."))
            elif other.strip() and not word:
                found.append((name, f"The other marker of this pair is {other!r}: set both or neither."))
    return found


def confused(prompt: Prompt) -> list[tuple[str, str]]:
    found = []
    markers = markers_of(prompt)
    for name, word in markers.items():
        for other, whole in markers.items():
            if other == name or not word.strip():
                continue
            if word == whole and MARKERS.index(other) < MARKERS.index(name):
                found.append((name, f"This is the same as “{TITLES[other]}”. Each marker needs a text of its own."))
            elif word != whole and word in whole:
                found.append((name, f"{word!r} is a part of {whole!r}, so the two can't be told apart. Change one."))
    return found


def unfilled(prompt: Prompt) -> list[tuple[str, str]]:
    markers = markers_of(prompt)
    return [
        (name, f"The system prompt names {{{name}}}, but this marker is empty.")
        for name in MARKERS
        if "{" + name + "}" in prompt.system_prompt and name not in markers
    ]


def advice(prompt: Prompt) -> list[Finding]:
    """What is allowed, and yet seldom meant."""
    found = []
    text = prompt.rendered
    for name, word in markers_of(prompt).items():
        if word not in text:
            found.append(Finding("warning", f"{word} is not in the system prompt: nobody tells the model of it.", name))
    unknown = dict.fromkeys(word for word in NAMES_IN_BRACES.findall(prompt.system_prompt) if word not in MARKERS)
    if unknown:
        names = ", ".join(f"{{{word}}}" for word in unknown)
        found.append(Finding("warning", f"{names} is no marker's name and is sent as it stands.", "system_prompt"))
    return found


# What is wrong with a chat template


def template_problem(chat: Chat, template: str) -> str:
    """Why `template` can't be used with the model of `chat`; "" if it can. It is really carried out."""
    if not template.strip():
        return ""
    try:
        found = template_findings(chat.with_template(template))
    except TemplateProblem as problem:
        return problem.sentence
    return next((finding.text for finding in found if finding.level == "bad"), "")


def template_findings(chat: Chat) -> list[Finding]:
    """Whether the chat template passes on what it is given. Raises TemplateProblem."""
    asked = chat_rendering.conversation(PROMPT, QUESTION)
    ready, bare = chat_rendering.renderings(chat, [(asked, True), (asked, False)])
    if QUESTION not in ready:
        return [_bad("The question is not in the text. Write message['content'] for each of the messages.")]
    found = [_good("It can be carried out, and the question is in its text.")]
    if PROMPT not in ready:
        found.append(_bad("The system prompt is not in the text. Write out the message whose role is system, too."))
    ends = "The text ends where the answer begins."
    if ends_ready(chat, ready, bare):
        found.append(_good(ends))
    else:
        found.append(
            _bad(
                "The text does not end where the answer begins. Open the assistant's turn at the end of the template:"
                " {% if add_generation_prompt %}…{% endif %}."
            )
        )
    return found


def ends_ready(chat: Chat, ready: str, bare: str) -> bool:
    """Either something is added for the answer, or, as in Mistral's format, an answer would follow at once."""
    if ready != bare:
        return ready.startswith(bare) and len(ready) > len(bare)
    answered = chat_rendering.conversation(PROMPT, QUESTION, ANSWER)
    (whole,) = chat_rendering.renderings(chat, [(answered, False)])
    between = whole.rpartition(QUESTION)[2].partition(ANSWER)[0]
    return ready.rpartition(QUESTION)[2].rstrip(" ") == between.rstrip(" ")


def _good(text: str) -> Finding:
    return Finding("good", text, "chat_template")


def _bad(text: str) -> Finding:
    return Finding("bad", text, "chat_template")


# What the tokenizer makes of the markers


def look(prompt: Prompt, chat: Chat, question: str, with_tokens: bool = False) -> Look:
    """`question` as the model of `chat` gets it under this prompt. Raises TemplateProblem."""
    markers = list(markers_of(prompt).values())
    own = chat.with_template(prompt.chat_template)
    return chat_rendering.look(own, prompt.rendered, question, markers=markers, with_tokens=with_tokens)


def marker_finding(marker: Marker) -> Finding:
    size = f"{marker.word} takes {marker.tokens} token{'' if marker.tokens == 1 else 's'}"
    if marker.special:
        return Finding(
            "bad",
            f"{size}, and is or holds a special token, which is left out when an answer becomes text: no reward would"
            " ever see it. Choose another marker.",
        )
    if not marker.survives:
        return Finding(
            "bad", f"{size}, but comes back as {marker.decoded!r}: no reward would find it. Choose another marker."
        )
    return Finding("good", f"{size} and comes back unchanged.")


# How sample answers fare


@dataclass(frozen=True)
class Verdict:
    title: str
    value: float
    feedback: str


@dataclass(frozen=True)
class Sample:
    title: str
    text: str
    problems: list[str]
    verdicts: list[Verdict]


# Format rewards are known above this app, which says so when it starts.
Judge = Callable[[Mapping[str, str], str], list[Verdict]]
_judges: list[Judge] = []


def provide_judge(judge: Judge) -> None:
    """`judge(markers by field, answer)`: how the format rewards score the answer."""
    _judges[:] = [judge]


def samples(prompt: Prompt, reasoning: str, answer: str, own: str = "") -> list[Sample]:
    """Answers as a model might write them, and one that somebody typed."""
    texts = sample_texts(prompt, reasoning.strip() or "I work it out step by step.", answer.strip() or "42")
    if own.strip():
        texts["Your answer"] = own
    return [sample(prompt, title, text) for title, text in texts.items()]


def sample_texts(prompt: Prompt, reasoning: str, answer: str) -> dict[str, str]:
    working = f"{prompt.reasoning_start}{reasoning}{prompt.reasoning_end}"
    solution = f"{prompt.solution_start}{answer}{prompt.solution_end}"
    texts = {"As asked for": f"{working}\n{solution}" if prompt.reasoning_start else solution}
    texts["Markers missing"] = f"{reasoning}\n{answer}"
    if prompt.reasoning_start and prompt.solution_start:
        texts["Wrong order"] = f"{solution}\n{working}"
    if prompt.solution_end:
        texts["Cut off"] = texts["As asked for"].removesuffix(prompt.solution_end)
    return texts


def sample(prompt: Prompt, title: str, text: str) -> Sample:
    markers = markers_of(prompt)
    verdicts = _judges[0](markers, text) if _judges and markers else []
    return Sample(title, text, answer_problems(markers, text), verdicts)


def answer_problems(markers: Mapping[str, str], text: str) -> list[str]:
    """What the markers say about an answer: missing, repeated, or in the wrong order."""
    found = []
    for word in markers.values():
        times = text.count(word)
        if times != 1:
            found.append(f"{word} is missing" if times == 0 else f"{word} occurs {times} times")
    places = [text.find(word) for word in markers.values()]
    if not found and places != sorted(places):
        found.append("the markers are in the wrong order")
    return found


# Verbs


def of_type(template_type: str) -> dict[str, str]:
    """The fields that choosing a type fills in; none for a type of one's own."""
    name = OF_TYPE.get(TemplateType(template_type)) if template_type in TemplateType.values else None
    shipped = PromptTemplate.objects.filter(team=None, name=name).first() if name else None
    return {field: getattr(shipped, field) for field in FIELDS} if shipped else {}


def copy(template: PromptTemplate, team: Team, by: AnyUser) -> PromptTemplate:
    fields = {name: getattr(template, name) for name in (*FIELDS, "template_type", "description")}
    return added(team, by, free_name(team, template.name), fields)


def save_as(team: Team, by: AnyUser, name: str, prompt: Prompt) -> PromptTemplate:
    """A new template of the team with these fields. Raises DatasetProblem if the name is missing or taken."""
    problem = name_problem(team, name)
    if problem:
        raise DatasetProblem(problem, field="name")
    fields: dict[str, Any] = {field: getattr(prompt, field) for field in FIELDS}
    return added(team, by, name.strip(), fields)


def added(team: Team, by: AnyUser, name: str, fields: dict[str, Any]) -> PromptTemplate:
    author = by if isinstance(by, User) else None
    return PromptTemplate.objects.create(team=team, created_by=author, name=name, **fields)


def name_problem(team: Team | None, name: str, but: PromptTemplate | None = None) -> str:
    if not name.strip():
        return "Give the template a name, so that you find it again."
    if len(name.strip()) > NAME_LENGTH:
        return f"Write {NAME_LENGTH} characters at most."
    others = PromptTemplate.objects.filter(team=team)
    if but is not None:
        others = others.exclude(pk=but.pk)
    if others.filter(name__iexact=name.strip()).exists():
        return f"{team or 'The shipped set'} already has a template called “{name.strip()}”. Choose another name."
    return ""


def free_name(team: Team, name: str) -> str:
    names = PromptTemplate.objects.filter(team=team).values_list("name", flat=True)
    taken = {other.lower() for other in names}
    number, base = 1, f"{name[:100]} (copy)"
    while (found := base if number == 1 else f"{base} {number}").lower() in taken:
        number += 1
    return found
