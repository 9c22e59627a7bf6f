"""The forms of the test bench: what is scored by which rewards, and what a model is asked."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django import forms

from accounts.models import AnyUser
from rewards import bench, outside, presets
from rewards.bench_sources import Asking
from rewards.forms import LONGEST_TEXT, MARKER_LABELS, Text, style
from rewards.models import RewardPreset
from rewards.shipped import MARKERS

MOST_ROWS = 10
# Answers of a model to one question, and what all answers together may be: somebody waits for them.
MOST_COPIES = 16
LONGEST_ANSWER = 4096
MOST_TOKENS = 65_536
TAKES = (
    ("pasted", "Pasted answers"),
    ("model", "A model answers"),
    ("rows", "Rows of a dataset"),
    ("session", "Answers of a session"),
)
OF = (("typed", "A question that I type"), ("rows", "Rows of a dataset"))


class BenchPageForm(forms.Form):
    preset = forms.ModelChoiceField(RewardPreset.objects.none(), label="Reward", empty_label="Choose a reward")
    other = forms.ModelChoiceField(
        RewardPreset.objects.none(), label="Compare with", required=False, empty_label="No other"
    )
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
    session = forms.UUIDField(
        label="Session", required=False, error_messages={"invalid": "Choose a session of the list."}
    )
    step = forms.IntegerField(label="Step", required=False, min_value=0)
    prompt = forms.IntegerField(label="Prompt", required=False, min_value=1, max_value=10**6)
    answer = forms.IntegerField(label="Answer", required=False, min_value=1, max_value=10**6)
    asked = forms.UUIDField(label="Answers of a model", required=False)
    order = forms.ChoiceField(label="Order", choices=list(bench.ORDERS.items()), initial=bench.AUTO, required=False)

    def __init__(self, user: AnyUser, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for name in ("preset", "other"):
            self.fields[name].queryset = presets.visible_to(user)  # type: ignore[attr-defined]
        self.fields["source"].choices = sources(user)  # type: ignore[attr-defined]
        for name, label in MARKER_LABELS.items():
            self.fields[name] = forms.CharField(label=label, required=False, max_length=60, initial=MARKERS[name])
        style(self)

    @property
    def markers(self) -> list[forms.BoundField]:
        return [self[name] for name in MARKER_LABELS]


class AskForm(forms.Form):
    """What a model is asked. Its fields stand among those of BenchPageForm."""

    prefix = "ask"
    model = forms.CharField(label="Model", max_length=600, error_messages={"required": "Choose a model of the list."})
    of = forms.ChoiceField(label="Question", choices=OF, initial="typed")
    question = Text(label="Question", required=False, max_length=LONGEST_TEXT, widget=forms.Textarea({"rows": 2}))
    reference = Text(label="Reference answer", required=False, max_length=LONGEST_TEXT)
    source = forms.ChoiceField(label="Dataset", required=False)
    rows = forms.IntegerField(
        label="Rows", initial=1, min_value=1, max_value=MOST_ROWS, help_text=f"At most {MOST_ROWS}."
    )
    rows_seed = forms.IntegerField(
        label="Seed of the rows", required=False, min_value=0, max_value=2**31, help_text="Empty: the first rows."
    )
    answers = forms.IntegerField(
        label="Answers to each", initial=4, min_value=1, max_value=MOST_COPIES, help_text=f"At most {MOST_COPIES}."
    )
    temperature = forms.FloatField(
        initial=1.0,
        min_value=0,
        max_value=5,
        help_text="0 takes the likeliest token.",
        widget=forms.NumberInput({"step": "0.1"}),
    )
    max_new_tokens = forms.IntegerField(label="New tokens", initial=256, min_value=1, max_value=LONGEST_ANSWER)
    seed = forms.IntegerField(initial=0, min_value=0, max_value=2**31)
    use_system_prompt = forms.BooleanField(
        label="With a system prompt",
        help_text="That of its training; for a base model the default one.",
        required=False,
        initial=True,
    )
    without_adapter = forms.BooleanField(label="Its base model, without the adapter", required=False)

    def __init__(self, user: AnyUser, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["source"].choices = sources(user)  # type: ignore[attr-defined]
        style(self)

    def clean(self) -> dict[str, Any]:
        values = self.cleaned_data
        if values.get("of") == "typed" and not values.get("question", "").strip():
            self.add_error("question", "Type a question, or take rows of a dataset.")
        if values.get("of") == "rows" and not values.get("source"):
            self.add_error("source", "Choose a dataset, or type a question.")
        copies = values.get("answers") or 0
        if values.get("temperature") == 0 and copies > 1:
            self.add_error("temperature", "With 0 all answers are the same. Ask for one answer, or write 0.7.")
        number = copies * ((values.get("rows") or 1) if values.get("of") == "rows" else 1)
        if number * (values.get("max_new_tokens") or 0) > MOST_TOKENS:
            fits = MOST_TOKENS // number
            message = f"{number} answers may have {fits} tokens each. Write {fits}, or ask for fewer answers."
            self.add_error("max_new_tokens", message)
        return values

    def asking(self) -> Asking:
        values = self.cleaned_data
        typed = values["of"] == "typed"
        return Asking(
            model=values["model"],
            question=values["question"] if typed else "",
            reference=values["reference"] if typed else "",
            source="" if typed else values["source"],
            with_adapter=not values["without_adapter"],
            **{
                name: values[name]
                for name in (
                    "rows",
                    "rows_seed",
                    "answers",
                    "temperature",
                    "max_new_tokens",
                    "seed",
                    "use_system_prompt",
                )
            },
        )


def sources(user: AnyUser) -> Sequence[tuple[str, str]]:
    return [("", "Choose a dataset"), *((source.value, source.title) for source in outside.sources(user))]
