from __future__ import annotations

from typing import Any

from django import forms

from training.models import Session
from training.schema import SessionConfig

MAX_TOKENS = 8192


class TrialForm(forms.Form):
    """A prompt and how to answer it. The page and the API check with it; `initial` comes from the session's config."""

    prompt = forms.CharField(
        max_length=100_000,
        strip=False,
        widget=forms.Textarea(attrs={"rows": 5}),
        error_messages={"required": "Write a prompt first."},
    )
    expected = forms.CharField(
        label="Expected answer",
        required=False,
        max_length=20_000,
        widget=forms.TextInput(),
        help_text="Optional: both answers are then scored with the session's reward.",
    )
    use_system_prompt = forms.BooleanField(label="System prompt of the training", required=False)
    temperature = forms.FloatField(
        min_value=0,
        max_value=5,
        help_text="0 takes the likeliest token.",
        widget=forms.NumberInput(attrs={"step": "0.1"}),
    )
    top_p = forms.FloatField(
        label="Top-p", min_value=0.01, max_value=1, widget=forms.NumberInput(attrs={"step": "0.01"})
    )
    max_new_tokens = forms.IntegerField(label="New tokens", min_value=1, max_value=MAX_TOKENS)
    seed = forms.IntegerField(min_value=0, max_value=2**32 - 1)

    def clean_prompt(self) -> str:
        prompt: str = self.cleaned_data["prompt"]
        if not prompt.strip():
            raise forms.ValidationError("Write a prompt first.")
        return prompt

    @property
    def trial_settings(self) -> dict[str, Any]:
        return {name: value for name, value in self.cleaned_data.items() if name != "prompt"}


def defaults(session: Session) -> dict[str, Any]:
    config: SessionConfig = session.parsed_config
    return {
        "use_system_prompt": True,
        "temperature": config.training.temperature,
        "top_p": config.training.top_p,
        "max_new_tokens": min(config.training.max_new_tokens, MAX_TOKENS),
        "seed": config.training.seed,
    }
