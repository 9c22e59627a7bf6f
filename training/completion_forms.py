"""What a search over answers may be asked, on the page and over the API."""

from typing import Any

from django import forms

from training.completions import LONGEST_QUERY, MOST, Filters

CHOICES = {"true": True, "false": False, "1": True, "0": False}


class CompletionSearch(forms.Form):
    q = forms.CharField(label="Words", max_length=LONGEST_QUERY, required=False, strip=False)
    from_step = forms.IntegerField(label="From step", min_value=0, max_value=2**31 - 1, required=False)
    to_step = forms.IntegerField(label="to step", min_value=0, max_value=2**31 - 1, required=False)
    lowest = forms.FloatField(label="Total from", required=False)
    highest = forms.FloatField(label="to", required=False)
    cut_off = forms.TypedChoiceField(
        choices=[(name, name) for name in CHOICES], coerce=CHOICES.get, required=False, empty_value=None
    )
    failed = forms.TypedChoiceField(
        choices=[(name, name) for name in CHOICES], coerce=CHOICES.get, required=False, empty_value=None
    )
    before = forms.IntegerField(min_value=1, max_value=2**62, required=False)
    limit = forms.IntegerField(min_value=1, max_value=MOST, required=False)

    def filters(self) -> Filters:
        given: dict[str, Any] = self.cleaned_data
        return Filters(
            given["q"],
            given["from_step"],
            given["to_step"],
            given["lowest"],
            given["highest"],
            given["cut_off"],
            given["failed"],
        )
