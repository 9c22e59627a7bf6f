"""How a batch is asked for. The page and the API check with the same form."""

from __future__ import annotations

from typing import Any

from django import forms

from accounts.models import AnyUser
from evaluation.batches import OWN_REWARD, WITHOUT_ADAPTER, Wanted
from evaluation.forms import MAX_TOKENS
from rewards import presets
from rewards.forms import style
from training import adapters
from training.models import Session

LARGEST_TOP_K = 100_000
# A form that is pasted into; larger texts come as a file.
LONGEST_PASTE = 4_000_000


class BatchForm(forms.Form):
    name = forms.CharField(required=False, max_length=200, help_text="Empty: the name of the file.")
    model = forms.CharField(max_length=600, error_messages={"required": "Choose a model of the list."})
    checkpoint = forms.CharField(label="Which weights", required=False, max_length=200)
    prompt_column = forms.CharField(label="Prompt", required=False, max_length=200, strip=False)
    reference_column = forms.CharField(label="Reference answer", required=False, max_length=200, strip=False)
    skip_faulty = forms.BooleanField(label="Leave these lines out", required=False)
    reward = forms.ChoiceField(required=False, help_text="Optional: scores each answer, and says why.")
    temperature = forms.FloatField(
        initial=0,
        min_value=0,
        max_value=5,
        help_text="0 takes the likeliest token.",
        widget=forms.NumberInput({"step": "0.1"}),
    )
    top_p = forms.FloatField(
        label="Top-p", initial=1, min_value=0.01, max_value=1, widget=forms.NumberInput({"step": "0.01"})
    )
    top_k = forms.IntegerField(
        label="Top-k", initial=0, min_value=0, max_value=LARGEST_TOP_K, help_text="0: all tokens."
    )
    max_new_tokens = forms.IntegerField(label="New tokens", initial=256, min_value=1, max_value=MAX_TOKENS)
    seed = forms.IntegerField(initial=0, min_value=0, max_value=2**31)
    use_system_prompt = forms.BooleanField(
        label="With the system prompt",
        help_text="That of its training; for a base model the default one.",
        required=False,
        initial=True,
    )

    def __init__(self, user: AnyUser, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        shown = presets.visible_to(user).order_by("name")
        self.fields["reward"].choices = [  # type: ignore[attr-defined]
            ("", "None"),
            (OWN_REWARD, "The session's own reward"),
            *((str(preset.pk), preset.name) for preset in shown),
        ]
        style(self)

    @property
    def wanted(self) -> Wanted:
        return Wanted(**self.cleaned_data)


def initial() -> dict[str, Any]:
    return {name: field.initial for name, field in BatchForm.base_fields.items() if field.initial is not None}


def checkpoint_choices(session: Session | None) -> list[tuple[str, str]]:
    if session is None:
        return []
    newest = adapters.newest(session)
    what = "the trained adapter" if newest == session.adapter else newest.name if newest else "none"
    return [
        ("", f"Newest: {what}"),
        *((folder.name, folder.name) for folder in adapters.checkpoints(session)),
        (WITHOUT_ADAPTER, "Its base model, without adapter"),
    ]
