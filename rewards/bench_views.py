"""The page of the test bench: one reward or two on the same answers, and any of them as a golden case."""

from __future__ import annotations

from typing import Any

from django import forms
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_http_methods

from accounts.models import AnyUser
from rewards import bench, bench_sources, case_views, gate, outside, presets
from rewards.bench import Item, TooMuch
from rewards.describe import part_scores
from rewards.forms import LONGEST_TEXT, MARKER_LABELS, Text, style
from rewards.models import RewardPreset
from rewards.outside import RowMissing
from rewards.registry import Markers, Sample
from rewards.shipped import MARKERS

MOST_ROWS = 10
TAKES = (("pasted", "Answers that I paste"), ("rows", "Rows of a dataset"), ("session", "Answers of a session"))


class BenchPageForm(forms.Form):
    preset = forms.ModelChoiceField(RewardPreset.objects.none(), label="Reward")
    other = forms.ModelChoiceField(RewardPreset.objects.none(), label="Compare with", required=False)
    take = forms.ChoiceField(label="Answers", choices=TAKES, initial="pasted")
    instruction = Text(label="Question", required=False, max_length=LONGEST_TEXT, widget=forms.Textarea({"rows": 2}))
    reference = Text(label="Reference answer", required=False, max_length=LONGEST_TEXT)
    answers = Text(
        label="Answers",
        required=False,
        strip=False,
        max_length=bench.MOST_CHARACTERS,
        help_text=f"Several are parted by a line of ---. At most {bench.MOST_ANSWERS}.",
        widget=forms.Textarea({"rows": 6}),
    )
    source = forms.ChoiceField(label="Dataset", required=False)
    rows = forms.IntegerField(
        label="Rows", required=False, initial=3, min_value=1, max_value=MOST_ROWS, help_text=f"At most {MOST_ROWS}."
    )
    seed = forms.IntegerField(
        label="Seed", required=False, min_value=0, max_value=2**31, help_text="Empty: the first rows."
    )
    session = forms.UUIDField(label="Session", required=False)
    step = forms.IntegerField(label="Step", required=False, min_value=0, help_text="Empty: the newest.")
    order = forms.ChoiceField(label="Order", choices=list(bench.ORDERS.items()), initial="given")

    def __init__(self, user: AnyUser, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for name in ("preset", "other"):
            self.fields[name].queryset = presets.visible_to(user)  # type: ignore[attr-defined]
        found = [(source.value, source.title) for source in outside.sources(user)]
        self.fields["source"].choices = [("", "Choose a dataset"), *found]  # type: ignore[attr-defined]
        for name, label in MARKER_LABELS.items():
            self.fields[name] = forms.CharField(label=label, required=False, max_length=60, initial=MARKERS[name])
        style(self)

    @property
    def markers(self) -> list[forms.BoundField]:
        return [self[name] for name in MARKER_LABELS]

    def items(self, user: AnyUser) -> list[Item]:
        """Raises RowMissing."""
        return {"pasted": self.pasted, "rows": self.of_rows, "session": self.of_session}[self.cleaned_data["take"]](
            user
        )

    def pasted(self, user: AnyUser) -> list[Item]:
        values = self.cleaned_data
        markers = Markers(**{name: values[name] for name in MARKER_LABELS})
        sample = Sample(values["instruction"], "", values["reference"] or None, {}, markers)
        texts = bench.split_answers(values["answers"])
        return [Item(f"Answer {at}", bench.with_markers(sample, text)) for at, text in enumerate(texts, 1)]

    def of_rows(self, user: AnyUser) -> list[Item]:
        values = self.cleaned_data
        if bench_sources.provided.rows is None or not values["source"]:
            raise RowMissing("Choose a dataset, or paste answers.")
        found = bench_sources.provided.rows(user, values["source"], values["rows"] or 3, values["seed"])
        subjects = gate.subjects_of(found)
        if not subjects:
            raise RowMissing("No row of this dataset has a reference to make answers from. Paste answers instead.")
        return [item for at, subject in enumerate(subjects, 1) for item in bench.of_question(subject, f"Row {at}")]

    def of_session(self, user: AnyUser) -> list[Item]:
        values = self.cleaned_data
        if bench_sources.provided.completions is None or not values["session"]:
            raise RowMissing("Name a session: its Groups tab has a link to this page.")
        found = bench_sources.provided.completions(user, str(values["session"]), values["step"])
        return [Item(f"Completion {at}", sample) for at, sample in enumerate(found, 1)]


@require_http_methods(["GET", "HEAD", "POST"])
def page(request: HttpRequest) -> HttpResponse:
    if request.method != "POST":
        form = BenchPageForm(request.user, initial=asked(request))
        return render(request, "rewards/bench.html", {"form": form})
    form = BenchPageForm(request.user, request.POST)
    context: dict[str, Any] = {
        "form": form,
        "chosen": request.POST.get("preset", ""),
        **case_views.choices(request.user),
    }
    if form.is_valid():
        try:
            context |= scored(form, request.user)
        except (RowMissing, TooMuch, presets.PresetMissing) as problem:
            context["problem"] = str(problem)
    return render(request, "rewards/bench.html", context)


def asked(request: HttpRequest) -> dict[str, Any]:
    found: dict[str, Any] = {name: request.GET[name] for name in ("preset", "session", "step") if name in request.GET}
    return found | ({"take": "session"} if "session" in found else {})


def scored(form: BenchPageForm, user: AnyUser) -> dict[str, Any]:
    """Raises RowMissing, TooMuch, PresetMissing."""
    values = form.cleaned_data
    first = presets.composition_of(values["preset"])
    second = presets.composition_of(values["other"]) if values["other"] else None
    lines = bench.compare(form.items(user), first, second)
    results = [line.result for line in lines]
    return {
        "lines": [
            (line, part_scores(first, line.result), case_views.as_json(line.item.sample))
            for line in bench.ordered(lines, values["order"])
        ],
        "compared": second is not None,
        "disagreements": sum(line.disagree for line in lines),
        "histogram": bench.histogram(results),
        "histogram_width": 10 * bench.BINS,
        "latencies": bench.latencies(results),
    }
