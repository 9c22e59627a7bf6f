"""The stepper of a new session. Every reply, also one to a half-typed value, has saved what was typed."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_http_methods, require_POST

from accounts.access import current_team, get_or_404
from accounts.models import Role
from datasets_app import prompt_previews, prompt_templates
from datasets_app.models import Dataset, DatasetVersion
from datasets_app.previews import templates_for
from datasets_app.problems import DatasetProblem
from datasets_app.sources import is_hub_id
from loracraft.sentences import as_text
from rewards import examinations
from rewards.checks import Exam
from rewards.composition import Composition
from rewards.models import RewardPreset
from rewards.presets import PresetMissing, composition_of, usable_by
from rewards.quick_start import Proposal
from training import (
    base_models,
    config_presets,
    drafts,
    lifecycle,
    origins,
    preflight_views,
    preflights,
    readiness,
    reward_gate,
)
from training.choices import Status
from training.forms import LEVELS, ConfigFileForm, SaveConfigForm, StepForm, extra, infos
from training.manifest_schema import FORMAT as MANIFEST_FORMAT
from training.models import CatalogueModel, SavedConfig, Session
from training.notes import notes
from training.previews import Preview
from training.schema import ALGORITHMS, ALPHA_OF_RANK, Problem

ORDER = list(drafts.STEPS)
TITLES = {
    "model": ("Choose a model", "The base model that gets an adapter. Its own weights stay as they are."),
    "dataset": (
        "Choose a dataset",
        "Questions with answers that can be checked. Some are held out to measure the gain.",
    ),
    "prompt": ("Write the prompt", "What the model reads before every question, and how it marks its answer."),
    "reward": ("Choose a reward", "What scores the answers. The model becomes what the reward pays for."),
    "config": ("Set the config", "The defaults work. Change what you have a reason to change."),
    "review": ("Review and train", "Everything in one place before the session joins the queue."),
}
# Columns bring their messages themselves; datasets have no splits of a hub; a reward's type follows from its card.
NOT_SHOWN = ("dataset.split", "reward.type")
OWN_MODEL = "own"
OWN_PARTS = "custom"
MAX_FILE_BYTES = 1_000_000
DATASETS_SHOWN = 100


@dataclass(frozen=True)
class ProblemLine:
    """A problem with the step that mends it."""

    step: str
    slug: str
    label: str
    message: str

    @classmethod
    def of(cls, problem: Problem) -> ProblemLine:
        step, info = drafts.step_of(problem.field), infos().get(problem.field)
        label = str(info.title) if info else TITLES[step][0].split(" ", 2)[-1].capitalize()
        return cls(step, problem.field.replace(".", "-"), label, problem.message)


@require_http_methods(["GET", "HEAD", "POST"])
def new(request: HttpRequest) -> HttpResponse:
    """A GET, of somebody who typed the address or came back to it, makes nothing."""
    if request.method != "POST":
        return redirect("training:sessions")
    team = current_team(request.user, Role.MEMBER)
    config = first_config(request)
    session = lifecycle.create_draft(team, request.user, config=config)
    return redirect("training:setup", session.pk, "review" if "config" in request.POST else "model")


def first_config(request: HttpRequest) -> dict[str, Any]:
    """What a button on another page has chosen already: a saved config, a dataset or a model."""
    if "config" in request.POST:
        saved = get_or_404(SavedConfig, request.user, request.POST["config"])
        return {**saved.config, "name": saved.name}
    chosen = {"dataset.source": request.POST.get("dataset"), "model.name": request.POST.get("model")}
    return drafts.put({}, {name: value[:300] for name, value in chosen.items() if value})


def draft_or_404(request: HttpRequest, pk: UUID) -> Session:
    return get_or_404(Session, request.user, pk, Role.MEMBER)


@require_http_methods(["GET", "HEAD", "POST"])
def setup(request: HttpRequest, pk: UUID, step: str) -> HttpResponse:
    session = draft_or_404(request, pk)
    if step not in drafts.STEPS:
        raise Http404("No such step.")
    if session.status != Status.DRAFT:
        return gone(request, session)
    if request.method == "POST":
        return save(request, session, step)
    return render(request, f"training/new/{step}.html", page(request, session, step))


def gone(request: HttpRequest, session: Session) -> HttpResponse:
    """A draft that was started meanwhile, perhaps by somebody else, is frozen."""
    messages.info(request, "This session has been started: its config is frozen. Clone it to change something.")
    response = redirect("training:session", session.pk)
    if request.htmx:  # type: ignore[attr-defined]
        return HttpResponse(headers={"HX-Redirect": response.url})
    return response


def save(request: HttpRequest, session: Session, step: str) -> HttpResponse:
    config, name = changed(session, step, request.POST), request.POST.get("name", "").strip()
    if not lifecycle.save_draft(session, config, name or None):
        return gone(request, session)
    session.config, session.name = config, name[:200] or session.name
    if request.POST.get("level") in LEVELS:
        request.session["config_level"] = request.POST["level"]
    if request.htmx:  # type: ignore[attr-defined]
        return render(request, "training/new/_saved.html", page(request, session, step))
    return onward(request, session, step)


def onward(request: HttpRequest, session: Session, step: str) -> HttpResponse:
    """To the step that was asked for. Continue stays where something is wrong; the pills go anywhere."""
    target = request.POST.get("go", step)
    if target == "next":
        wrong = [p for p in drafts.problems(session.team, session.config) if drafts.step_of(p.field) == step]
        target = step if wrong else ORDER[min(ORDER.index(step) + 1, len(ORDER) - 1)]
    address = reverse("training:setup", args=[session.pk, target if target in drafts.STEPS else step])
    return redirect(f"{address}?check=1" if target == step and "go" in request.POST else address)


def changed(session: Session, step: str, posted: Mapping[str, Any]) -> dict[str, Any]:
    """The draft's config with what this step posted."""
    config = session.config
    before = drafts.get(config, "dataset.source")
    typed = {name: posted[name].replace("\x00", "") for name in drafts.STEPS[step] if name in posted}
    typed |= switched_off(step, posted) | chosen_cards(posted)
    # A script has let them follow already, and knows better what was typed by hand.
    typed |= drafts.following(config, typed) if posted.get("follow") != "browser" else {}
    config = drafts.put(config, StepForm(typed, typed).values())
    if step == "dataset" and drafts.get(config, "dataset.source") != before:
        config = drafts.without(config, (*drafts.COLUMNS, "dataset.split"))
    return config


def switched_off(step: str, posted: Mapping[str, Any]) -> dict[str, Any]:
    """A browser says nothing about a switch that is off, so the form says that it has switches."""
    if "switches" not in posted:
        return {}
    known = infos()
    return {name: False for name in drafts.STEPS[step] if known[name].annotation is bool and name not in posted}


def chosen_cards(posted: Mapping[str, Any]) -> dict[str, Any]:
    """Cards are radio buttons of their own: beside them something else can be typed or kept."""
    found: dict[str, Any] = {}
    # A version of another dataset is what was chosen before that one.
    if posted.get("dataset.version", "").startswith(f"{posted.get('dataset.source')}@"):
        found["dataset.source"] = posted["dataset.version"]
    if posted.get("model.choice", OWN_MODEL) != OWN_MODEL:
        found["model.name"] = posted["model.choice"]
    if posted.get("reward.choice") == OWN_PARTS:
        found["reward.type"] = "custom"
    elif posted.get("use"):
        found |= {"reward.type": "preset", "reward.preset_name": posted["use"]}
    elif posted.get("reward.choice"):
        found |= {"reward.type": "preset", "reward.preset_name": posted["reward.choice"]}
    return found


def page(request: HttpRequest, session: Session, step: str, more: list[Problem] | None = None) -> dict[str, Any]:
    found = drafts.problems(session.team, session.config)
    found += [problem for problem in more or [] if problem not in found]
    preview, names = Preview(session), drafts.STEPS[step]
    form = StepForm(names, field_values(session, names, preview), shown_problems(request, session, found))
    title, lead = TITLES[step]
    place = ORDER.index(step)
    return {
        "session": session,
        "step": step,
        "title": title,
        "lead": lead,
        "pills": drafts.pills(session.config, found, step),
        "problems": found,
        "problem_lines": [ProblemLine.of(problem) for problem in found],
        "form": form,
        "fields": {name.split(".")[1]: form[name] for name in names} if step != "config" else {},
        "messages_at": [form[name] for name in names if name not in (*drafts.COLUMNS, *NOT_SHOWN)],
        "preview": preview,
        "previous": ORDER[place - 1] if place else "",
        "following": TITLES[ORDER[place + 1]][0] if place + 1 < len(ORDER) else "",
        **EXTRAS[step](request, session, preview, form),
    }


def field_values(session: Session, names: list[str], preview: Preview) -> dict[str, Any]:
    found = drafts.values(session.config, names)
    for name in drafts.COLUMNS:
        if name in found and not drafts.is_set(session.config, name):
            found[name] = getattr(preview.config.dataset, name.split(".")[1])
    return found


def shown_problems(request: HttpRequest, session: Session, found: list[Problem]) -> dict[str, str]:
    """What is missing is only said once somebody wanted to go on; what is wrong, at once."""
    asked = "check" in request.GET
    return {p.field: p.message for p in reversed(found) if asked or drafts.state_of(session.config, p) == "attention"}


# What each step shows beside its form


def model_extras(request: HttpRequest, session: Session, preview: Preview, form: StepForm) -> dict[str, Any]:
    name = drafts.get(session.config, "model.name")
    catalogue = list(CatalogueModel.objects.all())
    families: dict[str, list[CatalogueModel]] = {}
    for row in catalogue:
        families.setdefault(row.family, []).append(row)
    smallest_first = sorted(families.items(), key=lambda pair: pair[1][0].parameters)
    return {
        "families": dict(smallest_first),
        "chosen": name,
        "is_own": all(row.hub_id != name for row in catalogue),
    }


def dataset_extras(request: HttpRequest, session: Session, preview: Preview, form: StepForm) -> dict[str, Any]:
    datasets = Dataset.objects.of_user(request.user).filter(team=session.team)
    versions = DatasetVersion.objects.filter(dataset__in=datasets).order_by("dataset", "number").defer("report")
    newest = {version.dataset_id: version for version in versions}
    rows = [(row, newest.get(row.pk)) for row in datasets[:DATASETS_SHOWN]]
    return {
        "datasets": rows,
        "chosen": str(preview.version.dataset_id) if preview.version else drafts.get(session.config, "dataset.source"),
        "columns_fields": [form[name] for name in drafts.COLUMNS],
        "columns": preview.columns,
        "version_numbers": preview.version_numbers,
        "is_pinned": is_pinned(session, preview),
        "splits": preview.splits,
        "split_field": form["dataset.split"],
        "here": reverse("training:setup", args=[session.pk, "dataset"]),
        "missing_hub_id": missing_hub_id(session, preview),
    }


def missing_hub_id(session: Session, preview: Preview) -> str:
    """The hub id that a loaded config names, if the team has not imported it."""
    source = str(drafts.get(session.config, "dataset.source") or "")
    return source if preview.version is None and is_hub_id(source) else ""


def is_pinned(session: Session, preview: Preview) -> bool:
    source = str(drafts.get(session.config, "dataset.source"))
    return preview.version is not None and source.endswith(f"@{preview.version.number}")


def prompt_extras(request: HttpRequest, session: Session, preview: Preview, form: StepForm) -> dict[str, Any]:
    if request.htmx:  # type: ignore[attr-defined]
        # A save: the exact text asks for itself.
        return {}
    return {"templates": templates_for(request.user).order_by("name"), "given": given_context(session, preview, {})}


def given_context(session: Session, preview: Preview, typed: Mapping[str, Any]) -> dict[str, Any]:
    """What prompts/_preview.html shows: the draft's prompt with a row of its dataset, under its model's template."""
    config, place = preview.config, str(typed.get("row") or "")
    chat = base_models.chat_of(config.model.name, config.model.revision)
    row = int(place) if place.isdecimal() and len(place) < 6 else 0
    example = prompt_previews.example_of(preview.version, config.dataset, row)
    return {
        "preview": prompt_previews.Preview(config.prompt, chat, example, typed),
        "preview_url": reverse("training:prompt_preview", args=[session.pk]),
        "preview_form": "#setup-form",
    }


@dataclass(frozen=True)
class Card:
    """A preset with its parts and how it fits the dataset that is chosen."""

    preset: RewardPreset
    parts: list[Any]
    misfit: str


def reward_extras(request: HttpRequest, session: Session, preview: Preview, form: StepForm) -> dict[str, Any]:
    categories: dict[str, list[Card]] = {}
    for preset in usable_by(session.team):
        categories.setdefault(preset.category, []).append(card(preset, preview))
    custom = drafts.get(session.config, "reward.type") == "custom"
    chosen = OWN_PARTS if custom else drafts.get(session.config, "reward.preset_name")
    proposals = [] if request.htmx else quick_start(session, preview)  # type: ignore[attr-defined]
    proposed = bool(proposals) and not custom and not drafts.is_set(session.config, "reward.preset_name")
    context = {"categories": categories, "is_custom": custom, "proposals": proposals, "proposed": proposed}
    return {**context, "chosen": proposals[0].slug if proposed else chosen}


def quick_start(session: Session, preview: Preview) -> list[Proposal]:
    """Presets that fit the dataset that is chosen, the best first."""
    return reward_gate.proposals(session.team, preview.config, preview.version) if preview.version else []


def card(preset: RewardPreset, preview: Preview) -> Card:
    try:
        composition = composition_of(preset)
    except PresetMissing as error:
        return Card(preset, [], str(error))
    return Card(preset, composition.parts, misfit(composition, preview))


def misfit(composition: Composition, preview: Preview) -> str:
    """Why the reward can judge nothing of this dataset, or on this machine."""
    if composition.unavailable:
        return composition.unavailable[0]
    if composition.needs_reference and preview.example is not None and not preview.example.reference:
        return "Needs an expected answer, and the dataset has none."
    lacking = readiness.missing_columns(composition.columns, preview.version) if preview.version else ""
    return f"Needs the column {', '.join(composition.columns)}, which the dataset lacks." if lacking else ""


def config_extras(request: HttpRequest, session: Session, preview: Preview, form: StepForm) -> dict[str, Any]:
    validation = readiness.validation_count(preview.version) if preview.version else None
    form.annotate(notes(preview.config, preview.plan, preview.device.kind != "cpu", validation))
    current, standard = drafts.values(session.config, drafts.STEPS["config"]), drafts.defaults()
    return {
        "presets": [
            (title, kind, config_presets.chosen(kind, current, standard))
            for title, kind in config_presets.KINDS.items()
        ],
        "algorithms": json.dumps(ALGORITHMS),
        "alpha_of_rank": ALPHA_OF_RANK,
        "device": preview.device,
        "grouped_fields": [(title, [form[name] for name in names]) for title, names in drafts.GROUPS.items()],
        "levels": LEVELS,
        "level": request.session.get("config_level", LEVELS[0]),
        "saved_configs": saved_configs(request, session),
    }


def saved_configs(request: HttpRequest, session: Session) -> Any:
    return SavedConfig.objects.of_user(request.user).filter(team=session.team).only("pk", "name")


def review_extras(request: HttpRequest, session: Session, preview: Preview, form: StepForm) -> dict[str, Any]:
    tried = preflight_views.card(session, preview)
    more = {"summary": summary(preview), "origin": origins.origin_of(session)}
    return {**more, **gate_context(request, session, preview), **tried}


def gate_context(request: HttpRequest, session: Session, preview: Preview) -> dict[str, Any]:
    """What the launch gate says of the draft's reward, and the reason that was typed to start in spite of it. It is
    looked up: a GET examines nothing."""
    exam = exam_of(session, preview)
    if exam is None:
        return {}
    state, asked = examinations.state(session.team, exam), request.POST
    typed = {"reason": asked.get("reward_override", ""), "override": "override" in asked}
    return {"state": state, "gate": state.report, "rows_of": preview.version, **typed}


def exam_of(session: Session, preview: Preview) -> Exam | None:
    """None while dataset or reward are missing."""
    if preview.version is None or preview.composition is None:
        return None
    return reward_gate.exam_of(session.team, preview.config, preview.composition, preview.version)


@require_http_methods(["GET", "HEAD", "POST"])
def gate(request: HttpRequest, pk: UUID) -> HttpResponse:
    """The card of the launch gate; a POST has a worker examine the reward."""
    session = draft_or_404(request, pk)
    if session.status != Status.DRAFT:
        return gone(request, session)
    preview = Preview(session)
    exam = exam_of(session, preview)
    if request.method == "POST" and exam is not None:
        examinations.start(session.team, request.user, exam)
    if not request.htmx:  # type: ignore[attr-defined]
        return redirect("training:setup", pk, "review")
    context = {"session": session, **gate_context(request, session, preview)}
    return render(request, "training/new/_gate.html", context)


SUMMARY = [
    *(
        (title, key, drafts.STEPS[key])
        for title, key in (("Model", "model"), ("Dataset", "dataset"), ("Prompt", "prompt"))
    ),
    *((title, "config", names) for title, names in drafts.GROUPS.items()),
]


@dataclass(frozen=True)
class Line:
    label: str
    value: Any
    unit: str
    changed: bool


def summary(preview: Preview) -> list[tuple[str, str, list[Line]]]:
    """(title, step, its lines): what the form holds, with the values that would be used."""
    changed_fields = drafts.differs(preview.config) - set(drafts.COLUMNS)
    return [
        (
            title,
            step,
            [
                line(preview, name, name in changed_fields)
                for name in names
                if name != "dataset.split" or preview.splits
            ],
        )
        for title, step, names in SUMMARY
    ]


def line(preview: Preview, name: str, is_changed: bool) -> Line:
    info, value = infos()[name], drafts.read(preview.config, name)
    if isinstance(value, bool):
        value = "on" if value else "off"
    elif name == "dataset.source" and preview.version:
        value = f"{preview.version.dataset.name}, version {preview.version.number}"
    return Line(str(info.title), as_text(value), extra(info, "unit"), is_changed)


EXTRAS = {
    "model": model_extras,
    "dataset": dataset_extras,
    "prompt": prompt_extras,
    "reward": reward_extras,
    "config": config_extras,
    "review": review_extras,
}


# Verbs of the draft


@require_POST
def prompt_preview(request: HttpRequest, pk: UUID) -> HttpResponse:
    """The prompt as it stands in the form, for htmx. Nothing is saved."""
    session = draft_or_404(request, pk)
    session.config = changed(session, "prompt", request.POST)
    return render(request, "prompts/_preview.html", given_context(session, Preview(session), request.POST))


@require_POST
def save_template(request: HttpRequest, pk: UUID) -> HttpResponse:
    """The draft's prompt as a template of the team."""
    session = draft_or_404(request, pk)
    prompt = Preview(session).config.prompt
    try:
        saved = prompt_templates.save_as(session.team, request.user, request.POST.get("template_name", ""), prompt)
    except DatasetProblem as problem:
        messages.error(request, f"The template was not saved: {problem.message}")
    else:
        messages.success(request, f"Saved as “{saved.name}”, for everybody in {session.team}.")
    return redirect("training:setup", pk, "prompt")


@require_POST
def use_template(request: HttpRequest, pk: UUID) -> HttpResponse:
    session = draft_or_404(request, pk)
    template = templates_for(request.user).filter(pk=uuid_or_none(request.POST.get("template"))).first()
    if template is None:
        messages.error(request, "That prompt template is gone. Choose another.")
    else:
        names = drafts.STEPS["prompt"]
        typed = {name: getattr(template, name.split(".")[1]) for name in names}
        lifecycle.save_draft(session, drafts.put(session.config, typed))
    return redirect("training:setup", pk, "prompt")


def uuid_or_none(text: str | None) -> UUID | None:
    try:
        return UUID(text or "")
    except ValueError:
        return None


@require_POST
def start(request: HttpRequest, pk: UUID) -> HttpResponse:
    """Queues a draft, or lets a stopped or failed session go on."""
    session = draft_or_404(request, pk)
    was_draft = session.status == Status.DRAFT
    name = request.POST.get("name", "").strip()
    if was_draft and name:
        lifecycle.save_draft(session, session.config, name)
        session.name = name[:200]
    try:
        if was_draft and "try_first" in request.POST:
            preflights.start(session, request.user, then_start=True, reward_override=reason_given(request))
            return redirect(f"{reverse('training:setup', args=[pk, 'review'])}#preflight")
        won = lifecycle.start(session, request.user, reason_given(request))
    except lifecycle.NotReady as error:
        return not_ready(request, session, error.problems, was_draft)
    if won:
        messages.success(request, "The session is in the queue.")
    else:
        messages.info(request, "The session was started already.")
    return redirect("training:session", pk)


def reason_given(request: HttpRequest) -> str:
    return request.POST.get("reward_override", "") if "override" in request.POST else ""


def refusal(request: HttpRequest) -> str:
    """What is missing to start with a reward that failed its check."""
    if "override" not in request.POST:
        return "Choose another reward, or tick “Train with it all the same” and say why."
    return f"Write a reason of at least {reward_gate.SHORTEST_REASON} characters."


def not_ready(request: HttpRequest, session: Session, found: list[Problem], was_draft: bool) -> HttpResponse:
    if was_draft:
        # What the gate found is a card of its own on that page, and doesn't disable its button.
        mended = [problem for problem in found if problem.field != reward_gate.FIELD]
        missing = {"not_started": refusal(request) if mended != found else ""}
        context = page(request, session, "review", mended) | missing
        return render(request, "training/new/review.html", context, status=422)
    messages.error(request, f"The session can't go on: {found[0].message}")
    return redirect("training:session", session.pk)


def as_file(config: Mapping[str, Any], name: str) -> HttpResponse:
    response = JsonResponse(config, json_dumps_params={"indent": 2, "ensure_ascii": False})
    response["Content-Disposition"] = f'attachment; filename="loracraft-{name}.json"'
    return response


@require_POST
def import_config(request: HttpRequest, pk: UUID) -> HttpResponse:
    session = draft_or_404(request, pk)
    form = ConfigFileForm(request.POST, request.FILES)
    config, problem = (None, form.errors["file"][0]) if not form.is_valid() else read_file(form.cleaned_data["file"])
    if config is None:
        messages.error(request, str(problem))
    elif config.get("format") == MANIFEST_FORMAT:
        messages.error(request, "This is a run manifest, not a config: choose it under “Reproduce a run”.")
    else:
        take_over(request, session, config, f"Loaded {form.cleaned_data['file'].name}.")
    return redirect("training:setup", pk, "config")


def read_file(file: Any) -> tuple[dict[str, Any] | None, str]:
    if file.size > MAX_FILE_BYTES:
        return None, "This file is larger than 1 MB: a config has a few kilobytes. Choose another file."
    try:
        text = file.read().decode("utf-8-sig").replace("\\u0000", "")
        config = json.loads(text, parse_constant=refuse_constant)
        json.dumps(config, ensure_ascii=False).encode()  # half of a surrogate pair can't be stored
    except UnicodeDecodeError:
        return None, "This file is no text in UTF-8. Choose the JSON file of a config."
    except RecursionError:
        return None, "This file is nested too deeply. Choose the JSON file of a config."
    except ValueError as error:
        return None, f"This file is no valid JSON: {error}."
    if not isinstance(config, dict):
        return None, 'A config file holds one JSON object, such as {"model": {…}}. This one holds something else.'
    return config, ""


def refuse_constant(text: str) -> None:
    raise ValueError(f"{text} is no JSON number")


def take_over(request: HttpRequest, session: Session, config: dict[str, Any], done: str) -> None:
    """Puts a whole config into the draft. What it doesn't say about the dataset stays as it is chosen."""
    unknown = drafts.unknown_keys(config)
    known = {key: value for key, value in config.items() if isinstance(value, dict) and key in drafts.SECTIONS}
    merged = drafts.without({**session.config, **known}, unknown)
    if not lifecycle.save_draft(session, merged, str(config.get("name") or "").strip() or None):
        messages.error(request, "The session has been started meanwhile: its config is frozen.")
        return
    messages.success(request, done)
    if unknown:
        messages.warning(request, f"Left out, because there are no such settings: {', '.join(unknown)[:500]}.")


@require_POST
def use_config_preset(request: HttpRequest, pk: UUID) -> HttpResponse:
    session = draft_or_404(request, pk)
    found = config_presets.find(request.POST.get("preset", ""))
    if found is None:
        messages.error(request, "There is no such preset. Choose one of the page.")
    else:
        preset, kind = found
        config = drafts.put(session.config, config_presets.values_of(preset, kind, drafts.defaults()))
        if not lifecycle.save_draft(session, config):
            return gone(request, session)
        messages.success(request, f"{preset.title} is set: {', '.join(labels(config_presets.keys_of(kind)))}.")
    return redirect("training:setup", pk, "config")


def labels(names: list[str]) -> list[str]:
    known = infos()
    return [str(known[name].title).lower() for name in names]


@require_POST
def reset_config(request: HttpRequest, pk: UUID) -> HttpResponse:
    """Every setting of the Config step back to its default."""
    session = draft_or_404(request, pk)
    if not lifecycle.save_draft(session, drafts.without(session.config, drafts.STEPS["config"])):
        return gone(request, session)
    messages.success(request, "Every setting of this step has its default again.")
    return redirect("training:setup", pk, "config")


@require_POST
def save_config(request: HttpRequest, pk: UUID) -> HttpResponse:
    session = draft_or_404(request, pk)
    form = SaveConfigForm(request.POST)
    if not form.is_valid():
        messages.error(request, str(form.errors["config_name"][0]))
        return redirect("training:setup", pk, "config")
    name, config = form.cleaned_data["config_name"], session.config
    _, made = SavedConfig.objects.update_or_create(
        team=session.team, name=name, defaults={"config": config}, create_defaults=new_config(request, config)
    )
    messages.success(request, f"Saved as “{name}”." if made else f"“{name}” now holds this config.")
    return redirect("training:setup", pk, "config")


def new_config(request: HttpRequest, config: dict[str, Any]) -> dict[str, Any]:
    return {"config": config, "created_by_id": request.user.pk}


@require_POST
def load_config(request: HttpRequest, pk: UUID) -> HttpResponse:
    session = draft_or_404(request, pk)
    saved = saved_configs(request, session).filter(pk=uuid_or_none(request.POST.get("config"))).first()
    if saved is None:
        messages.error(request, "Choose a saved config first.")
    else:
        take_over(request, session, saved.config, f"Loaded “{saved.name}”.")
    return redirect("training:setup", pk, "config")
