"""The composer's page as forms. All that is typed travels with every request, so nothing is lost between two of them:
the page is always made from posted values, also the first time, from those of a definition."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from django import forms
from django.core.exceptions import ValidationError as FormError
from django.http import QueryDict
from django.utils.text import slugify
from pydantic import ValidationError

from accounts.models import Team
from loracraft.sentences import explain
from rewards import presets
from rewards.composition import Composition, Part
from rewards.exchange import Imported, ImportProblem, golden_of
from rewards.forms import LONGEST_TEXT, MARKER_LABELS, CodeArea, Text, field_for, style
from rewards.functions import custom
from rewards.library.cases import MARKERS
from rewards.models import LONGEST_SLUG, RewardPreset
from rewards.outside import SampleRow
from rewards.registry import REGISTRY, Markers, RewardFunction, Sample

MOST_PARTS = 50
PARAMETER = "parameter-"
UNNAMED = "Give the reward a name, so that you find it again."


def styled(form: forms.Form) -> None:
    """With the place of its message, for those who hear the page."""
    style(form)
    for name, each in form.fields.items():
        each.widget.attrs["aria-describedby"] = f"error-{form.add_prefix(name)}"


class HeadForm(forms.Form):
    name = forms.CharField(max_length=120, error_messages={"required": UNNAMED})
    slug = forms.CharField(
        label="Name in configs",
        max_length=LONGEST_SLUG,
        required=False,
        help_text="Lower case, digits and hyphens. Empty: made from the name.",
    )
    category = forms.CharField(max_length=60, required=False, widget=forms.TextInput({"list": "categories"}))
    description = forms.CharField(
        required=False,
        max_length=2000,
        widget=forms.Textarea({"rows": 2}),
        help_text="What it pays for, in a sentence.",
    )
    normalise = forms.ChoiceField(
        label="Normalise",
        choices=[
            ("none", "no, the weighted sum"),
            ("weights", "divide by the weights"),
            ("range", "worst is 0, best is 1"),
        ],
    )
    formula = Text(
        label="Formula",
        required=False,
        max_length=2000,
        strip=True,
        widget=forms.Textarea({"rows": 2, "data-mono": "", "spellcheck": "false"}),
    )
    gated_total = forms.FloatField(
        label="Total of a closed gate",
        min_value=-1e6,
        max_value=1e6,
        widget=forms.NumberInput({"step": "any"}),
        help_text="What an answer gets that fails a gate, whatever else it earned.",
    )
    note = forms.CharField(
        label="What changed", required=False, max_length=200, help_text="For the list of versions. May be empty."
    )

    def __init__(self, data: Any, team: Team | None, preset: RewardPreset | None) -> None:
        super().__init__(data)
        self.team, self.preset = team, preset
        styled(self)

    def clean_slug(self) -> str:
        slug = str(self.cleaned_data["slug"]).strip()
        if slug and slug != slugify(slug):
            raise FormError(
                f"Write lower case letters, digits and hyphens only, such as {slugify(slug) or 'my-reward'}."
            )
        if slug and self.team:
            problem = presets.slug_problem(self.team, slug, self.preset)
            if problem:
                raise FormError(problem)
        return slug


class PartForm(forms.Form):
    """One part: its own fields, and those of its function's parameters. `part` is there once the form is valid.

    `failed`: why its function could not judge the row that was scored.
    """

    failed = ""
    code_examples = custom.EXAMPLES

    name = forms.CharField(label="Name", max_length=80)
    weight = forms.FloatField(
        label="Weight", min_value=-1000, max_value=1000, widget=forms.NumberInput({"step": "any"})
    )
    gate = forms.FloatField(label="Gate", required=False, widget=forms.NumberInput({"step": "any"}))
    clip_low = forms.FloatField(label="Clip from", required=False, widget=forms.NumberInput({"step": "any"}))
    clip_high = forms.FloatField(label="Clip to", required=False, widget=forms.NumberInput({"step": "any"}))

    def __init__(self, data: Any, key: str, function: RewardFunction) -> None:
        super().__init__(data, prefix=key)
        self.key, self.function = key, function
        self.part: Part | None = None
        for name, info in function.parameters.model_fields.items():
            self.fields[PARAMETER + name] = field_for(name, info, None)
        for name in ("gate", "clip_low", "clip_high"):
            self.fields[name].widget.attrs["placeholder"] = "none"
        styled(self)
        if self.code_name:
            self.fields[self.code_name].widget.attrs["aria-describedby"] += f" code-said-{key}"

    @property
    def parameter_names(self) -> list[str]:
        return list(self.function.parameters.model_fields)

    @property
    def own(self) -> dict[str, forms.BoundField]:
        return {name: self[name] for name in self.fields if not name.startswith(PARAMETER)}

    @property
    def parameter_fields(self) -> list[forms.BoundField]:
        return [self[PARAMETER + name] for name in self.parameter_names]

    @property
    def code_name(self) -> str:
        """The field that holds code."""
        return next((name for name, field in self.fields.items() if isinstance(field.widget, CodeArea)), "")

    @property
    def code_line(self) -> int | None:
        """The line of the code that is to blame."""
        return custom.line_in(" ".join(map(str, self.errors.get(self.code_name, []))) or self.failed)

    @property
    def unavailable(self) -> str:
        return self.function.unavailable()

    def clean(self) -> dict[str, Any]:
        values = self.cleaned_data
        if len(values) == len(self.fields):
            parameters = self._parameters(values)
            if parameters is not None:
                self._make(values, parameters)
        return values

    def _parameters(self, values: Mapping[str, Any]) -> dict[str, Any] | None:
        model = self.function.parameters
        given = {name: values[PARAMETER + name] for name in self.parameter_names}
        # An empty field of a value that has a default, and no way to be none, is that default.
        given = {n: v for n, v in given.items() if v is not None or model.model_fields[n].get_default() is None}
        try:
            return model.model_validate(given).model_dump(mode="json")
        except ValidationError as error:
            for problem in error.errors(include_url=False):
                name = PARAMETER + str(problem["loc"][0]) if problem["loc"] else None
                self.add_error(name, explain(problem))
            return None

    def _make(self, values: Mapping[str, Any], parameters: dict[str, Any]) -> None:
        low, high = values["clip_low"], values["clip_high"]
        if (low is None) != (high is None):
            self.add_error("clip_low" if low is None else "clip_high", "Give both ends, or none.")
            return
        clip = None if low is None else (low, high)
        own = {"name": values["name"].strip(), "weight": values["weight"], "gate": values["gate"], "clip": clip}
        try:
            self.part = Part.model_validate({**own, "function": self.function.name, "parameters": parameters})
        except ValidationError as error:
            for problem in error.errors(include_url=False):
                self._blame(explain(problem))

    def _blame(self, message: str) -> None:
        field, _, sentence = message.partition(": ")
        places = {"gate": "gate", "clip": "clip_low"}
        if field in places:
            self.add_error(places[field], sentence[0].upper() + sentence[1:])
        else:
            self.add_error(None, message)


class SampleForm(forms.Form):
    """What is scored while the reward is edited: a row of a dataset, or what somebody types."""

    source = forms.CharField(required=False, max_length=60)
    place = forms.IntegerField(required=False, min_value=0, max_value=100_000)
    instruction = Text(label="Question", required=False, max_length=LONGEST_TEXT, widget=forms.Textarea({"rows": 2}))
    reference = Text(
        label="Reference answer", required=False, max_length=LONGEST_TEXT, widget=forms.Textarea({"rows": 1})
    )
    response = Text(
        label="Answer of the model",
        required=False,
        strip=False,
        max_length=LONGEST_TEXT,
        widget=forms.Textarea({"rows": 5, "data-mono": "", "spellcheck": "false"}),
    )
    # The answer that a row suggested: only that one is replaced by the next row's.
    suggested = Text(required=False, strip=False, max_length=LONGEST_TEXT, widget=forms.HiddenInput)
    columns = forms.JSONField(
        label="Other columns, as JSON",
        required=False,
        widget=forms.Textarea({"rows": 3, "data-mono": "", "spellcheck": "false"}),
        error_messages={"invalid": 'This is not JSON. Write {"column": "value"}.'},
    )

    def __init__(self, data: Any) -> None:
        super().__init__(data, prefix="sample")
        for name, label in MARKER_LABELS.items():
            self.fields[name] = forms.CharField(label=label, max_length=60, required=False)
        styled(self)

    @property
    def markers(self) -> list[forms.BoundField]:
        return [self[name] for name in MARKER_LABELS]

    def clean_columns(self) -> dict[str, Any]:
        columns = self.cleaned_data["columns"]
        if columns in (None, ""):
            return {}
        if not isinstance(columns, dict):
            raise FormError('Write an object: {"column": "value"}.')
        return columns

    def sample(self) -> Sample:
        """Only of a valid form."""
        values = self.cleaned_data
        markers = Markers(**{name: values[name] for name in MARKER_LABELS})
        return Sample(
            values["instruction"], values["response"], values["reference"] or None, values["columns"], markers
        )


@dataclass
class Composer:
    """Everything the page holds. `order`: the parts as (key, function), first to last; a key stays with its part."""

    data: QueryDict
    team: Team | None = None
    preset: RewardPreset | None = None
    order: list[tuple[str, str]] = field(default_factory=list)
    more_rows: bool = True
    row_problem: str = ""

    @classmethod
    def posted(cls, data: QueryDict, team: Team | None = None, preset: RewardPreset | None = None) -> Composer:
        pairs = [each.partition(":")[::2] for each in data.getlist("part")][:MOST_PARTS]
        order = [(key, function) for key, function in pairs if key.isdecimal() and function in REGISTRY]
        return cls(data.copy(), team, preset, order)

    @classmethod
    def begun(cls, start: Imported, team: Team | None = None, preset: RewardPreset | None = None) -> Composer:
        """From a definition that holds, or from one without any parts."""
        made = cls(QueryDict(mutable=True), team, preset)
        texts = {name: getattr(start, name) for name in ("name", "slug", "category", "description")}
        shared = {
            "normalise": start.definition.get("normalise", "none"),
            "formula": start.definition.get("formula", ""),
            "gated_total": f"{start.definition.get('gated_total', 0.0):g}",
        }
        made.data.update({**texts, **shared, "golden": json.dumps(start.golden)})
        for raw in start.definition.get("parts", []):
            made.add_part(Part.model_validate(raw))
        made.data.update(sample_of(start.golden))
        return made

    # What can be done to it

    def add_part(self, part: Part) -> str:
        key = self.free_key()
        self.order.append((key, part.function))
        clip = part.clip or (None, None)
        own = {"name": part.name, "weight": part.weight, "gate": part.gate, "clip_low": clip[0], "clip_high": clip[1]}
        parameters = part.parsed.model_dump(mode="json")
        for name, value in {**own, **{PARAMETER + n: v for n, v in parameters.items()}}.items():
            for written in as_posted(value):
                self.data[f"{key}-{name}"] = written
        return key

    def add(self, function: str) -> str:
        """A part with the defaults of its function. What has no default is left to be filled in."""
        if len(self.order) >= MOST_PARTS:
            return ""
        definition = REGISTRY[function]
        key = self.free_key()
        self.order.append((key, function))
        self.data.update({f"{key}-name": self.free_name(function), f"{key}-weight": "1"})
        for name, info in definition.parameters.model_fields.items():
            if not info.is_required():
                for written in as_posted(info.get_default(call_default_factory=True, validated_data={})):
                    self.data[f"{key}-{PARAMETER}{name}"] = written
        return key

    def free_key(self) -> str:
        """That of a removed part is not free: it may come back."""
        return str(max([int(key) for key, _ in self.order] + [int(self.removed.get("key", -1))], default=-1) + 1)

    def free_name(self, wanted: str) -> str:
        taken = {self.data.get(f"{key}-name", "").strip() for key, _ in self.order}
        name, number = wanted, 2
        while name in taken:
            name, number = f"{wanted}_{number}", number + 1
        return name

    def remove(self, key: str) -> None:
        """Its values stay in a hidden field, for undo."""
        place = self.place(key)
        if place is None:
            return
        values = {name: value for name, value in self.data.items() if name.startswith(f"{key}-")}
        self.data["removed"] = json.dumps({"key": key, "function": self.order[place][1], "at": place, "values": values})
        del self.order[place]

    def undo(self) -> None:
        kept = self.removed
        if kept and self.place(kept["key"]) is None:
            self.order.insert(kept["at"], (kept["key"], kept["function"]))
            self.data.update(kept["values"])
        self.data["removed"] = ""

    @property
    def removed(self) -> dict[str, Any]:
        """The part that was removed last: {"key", "function", "at", "values"}, or nothing."""
        try:
            kept = json.loads(self.data.get("removed") or "{}")
            key, at = str(int(kept["key"])), int(kept["at"])
            values = {str(n): str(v) for n, v in dict(kept["values"]).items() if str(n).startswith(f"{key}-")}
        except (ValueError, TypeError, KeyError):
            return {}
        return (
            {"key": key, "function": kept["function"], "at": at, "values": values}
            if kept["function"] in REGISTRY
            else {}
        )

    @property
    def removed_name(self) -> str:
        kept = self.removed
        return str(kept["values"].get(f"{kept['key']}-name") or kept["function"]) if kept else ""

    def move(self, key: str, by: int) -> None:
        place = self.place(key)
        if place is not None and 0 <= place + by < len(self.order):
            self.order.insert(place + by, self.order.pop(place))

    def place(self, key: str) -> int | None:
        return next((i for i, (other, _) in enumerate(self.order) if other == key), None)

    def take(self, row: SampleRow) -> None:
        """A row of a dataset to score. The answer is replaced only if nobody wrote one."""
        columns = json.dumps(row.columns, indent=2, ensure_ascii=False, default=str) if row.columns else ""
        texts = {
            "instruction": row.instruction,
            "reference": row.reference,
            "columns": columns,
            "place": str(row.place),
        }
        self.data.update({f"sample-{name}": text for name, text in texts.items()})
        written = self.data.get("sample-response", "").replace("\r\n", "\n")
        if not written.strip() or written == self.data.get("sample-suggested", "").replace("\r\n", "\n"):
            self.data["sample-response"] = self.data["sample-suggested"] = self.perfect(row)
        self.more_rows = row.more

    def perfect(self, row: SampleRow) -> str:
        """The row's own answer between the markers."""
        start, end, opening, closing = (self.data.get(f"sample-{name}", "") for name in MARKER_LABELS)
        reasoning = f"{start}{row.reasoning}{end}\n" if start and row.reasoning else ""
        return f"{reasoning}{opening}{row.reference}{closing}"

    # What is in it

    @cached_property
    def head(self) -> HeadForm:
        return HeadForm(self.data, self.team, self.preset)

    @cached_property
    def parts(self) -> list[PartForm]:
        return [PartForm(self.data, key, REGISTRY[function]) for key, function in self.order]

    @cached_property
    def sample(self) -> SampleForm:
        return SampleForm(self.data)

    @property
    def golden(self) -> list[Any]:
        """Of a preset that is not saved yet. Raises ImportProblem."""
        try:
            return golden_of(json.loads(self.data.get("golden") or "[]"))
        except ValueError as error:
            if isinstance(error, ImportProblem):
                raise
            raise ImportProblem("golden: this is not JSON.") from None

    @cached_property
    def composition(self) -> Composition | None:
        """None while something is wrong; the forms say what, each at its field."""
        self.head.is_valid()
        # Each form is looked at, so that everything that is wrong is said at once.
        wrong = [form for form in self.parts if not form.is_valid()]
        if not self.parts:
            return None
        self._names_differ()
        made = [form.part for form in self.parts if form.part and form.is_valid()]
        shared = {name: self.head.cleaned_data.get(name) for name in ("normalise", "formula", "gated_total")}
        if wrong or len(made) != len(self.parts) or shared["gated_total"] is None or shared["normalise"] is None:
            return None
        return self._composed(made, shared)

    def _names_differ(self) -> None:
        seen: set[str] = set()
        for form in self.parts:
            name = str(form.cleaned_data.get("name", "")).strip()
            if name and name in seen:
                form.add_error("name", "Another part has this name: give each its own.")
            seen.add(name)

    def _composed(self, parts: list[Part], shared: dict[str, Any]) -> Composition | None:
        try:
            return Composition.model_validate({"parts": [part.model_dump(mode="json") for part in parts], **shared})
        except ValidationError as error:
            for problem in error.errors(include_url=False):
                text = explain(problem)
                place, _, sentence = text.partition(": ")
                if place not in ("normalise", "formula"):
                    place, sentence = "formula", text
                self.head.add_error(place, sentence[0].upper() + sentence[1:])
            return None

    def is_valid(self) -> bool:
        return self.composition is not None and self.head.is_valid()

    def forms(self) -> Iterator[forms.Form]:
        yield self.head
        yield from self.parts
        yield self.sample

    @property
    def formula_names(self) -> list[str]:
        return [name for key, _ in self.order if (name := self.data.get(f"{key}-name", "").strip())]


def as_posted(value: Any) -> list[str]:
    """How a browser would send it: nothing for a box that is not ticked."""
    if isinstance(value, bool):
        return ["on"] if value else []
    if value is None:
        return [""]
    if isinstance(value, list) and all(isinstance(each, str) for each in value):
        return ["\n".join(value)]
    if isinstance(value, float):
        return [format(value, ".12g")]
    return [value if isinstance(value, str) else json.dumps(value, indent=2, ensure_ascii=False)]


def sample_of(golden: list[Any]) -> dict[str, str]:
    """The first golden case with its best answer, or nothing but the usual markers."""
    case = golden[0] if golden else {}
    best = min(case.get("answers", []), key=lambda answer: answer["rank"], default={"text": ""})
    columns = case.get("columns") or {}
    texts = {
        "instruction": case.get("instruction") or "",
        "reference": case.get("reference") or "",
        "response": best["text"],
        "suggested": best["text"],
        "columns": json.dumps(columns, indent=2, ensure_ascii=False) if columns else "",
        **(case.get("markers") or ({} if golden else MARKERS)),
    }
    return {f"sample-{name}": text for name, text in texts.items()}
