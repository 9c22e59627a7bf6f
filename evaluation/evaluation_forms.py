"""How sets and evaluations are asked for. The pages and the API check with the same forms."""

from __future__ import annotations

from typing import Any

from django import forms
from django.db.models import QuerySet

from accounts.models import AnyUser, Role
from evaluation import evaluations, sets
from evaluation.batch_forms import LARGEST_TOP_K
from evaluation.evaluations import EXACT_MATCH, MOST_SAMPLES, OWN_REWARD, Answering
from evaluation.forms import MAX_TOKENS
from evaluation.models import EvaluationSet
from rewards import presets
from rewards.forms import style

ANSWERING = tuple(Answering.__dataclass_fields__)


class VersionField(forms.ModelChoiceField):
    def label_from_instance(self, version: Any) -> str:
        return f"{version.dataset.name}, version {version.number}"


class SetField(forms.ModelChoiceField):
    def label_from_instance(self, found: Any) -> str:
        return f"{found.name} ({found.row_count} rows)"


class SetForm(forms.Form):
    version = VersionField(
        label="Dataset",
        queryset=EvaluationSet.objects.none(),
        empty_label="Choose one",
        error_messages={"invalid_choice": "That dataset is not offered. Choose one of the list."},
    )
    part = forms.ChoiceField(
        label="Rows",
        choices=list(sets.PARTS.items()),
        initial=sets.HELD_OUT,
        help_text="No session is trained on held-out rows of the same version.",
    )
    sample = forms.IntegerField(
        label="Rows at random",
        required=False,
        min_value=1,
        max_value=sets.MOST_ROWS,
        help_text=f"Empty: all of them, {sets.MOST_ROWS} at most.",
    )
    seed = forms.IntegerField(initial=0, min_value=0, max_value=sets.LARGEST_SEED, help_text="Of the random rows.")
    name = forms.CharField(required=False, max_length=200, help_text="Empty: named after the dataset.")
    description = forms.CharField(required=False, max_length=2000, widget=forms.Textarea({"rows": 2}))

    def __init__(self, user: AnyUser, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["version"].queryset = sets.versions_of(user)  # type: ignore[attr-defined]
        style(self)

    @property
    def wanted(self) -> sets.Wanted:
        return sets.Wanted(**{name: value for name, value in self.cleaned_data.items() if name != "version"})


class ModelsField(forms.Field):
    """Keys of candidates: what the page's boxes and a list of the API send."""

    widget = forms.SelectMultiple

    def clean(self, value: Any) -> list[str]:
        keys = [key for key in value or [] if key]
        if not 1 <= len(set(keys)) <= evaluations.MOST_MODELS or not all(isinstance(key, str) for key in keys):
            raise forms.ValidationError(f"Choose one to {evaluations.MOST_MODELS} models.")
        return keys


class EvaluationForm(forms.Form):
    evaluation_set = SetField(
        label="Evaluation set",
        queryset=EvaluationSet.objects.none(),
        empty_label="Choose one",
        error_messages={"invalid_choice": "That set is not offered. Choose one of the list."},
    )
    models = ModelsField()
    reward = forms.ChoiceField(
        label="Judged by", required=False, help_text="The same for all models. It is kept as it is now."
    )
    name = forms.CharField(required=False, max_length=200, help_text="Empty: named after the set.")
    max_new_tokens = forms.IntegerField(label="New tokens", min_value=1, max_value=MAX_TOKENS)
    seed = forms.IntegerField(min_value=0, max_value=2**31)
    samples = forms.IntegerField(
        label="Samples a row",
        min_value=0,
        max_value=MOST_SAMPLES,
        help_text="Further answers at random, for pass@k. 0: the greedy answer alone.",
    )
    temperature = forms.FloatField(
        min_value=0.01,
        max_value=5,
        help_text="Of the samples.",
        widget=forms.NumberInput({"step": "0.1"}),
    )
    top_p = forms.FloatField(label="Top-p", min_value=0.01, max_value=1, widget=forms.NumberInput({"step": "0.01"}))
    top_k = forms.IntegerField(label="Top-k", min_value=0, max_value=LARGEST_TOP_K, help_text="0: all tokens.")

    def __init__(self, user: AnyUser, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["evaluation_set"].queryset = sets_for(user)  # type: ignore[attr-defined]
        self.fields["reward"].choices = [  # type: ignore[attr-defined]
            ("", EXACT_MATCH),
            (OWN_REWARD, "The first trained model's own reward"),
            *((str(preset.pk), preset.name) for preset in presets.visible_to(user).order_by("name")),
        ]
        style(self)

    @property
    def wanted(self) -> evaluations.Wanted:
        given = self.cleaned_data
        answering = Answering(**{name: given[name] for name in ANSWERING})
        return evaluations.Wanted(given["models"], given["name"], given["reward"], answering)


def sets_for(user: AnyUser) -> QuerySet[EvaluationSet]:
    found: QuerySet[EvaluationSet] = EvaluationSet.objects.of_user(user, Role.MEMBER)
    return found


def initial() -> dict[str, Any]:
    return dict(vars(Answering()))
