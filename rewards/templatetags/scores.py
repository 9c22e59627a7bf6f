from django import template
from django.forms import BoundField

register = template.Library()


@register.filter
def score(value: float | None) -> str:
    """At most four digits and no trailing zeros, as people write weights: 0.25, 1.35, 2."""
    return "not judged" if value is None else f"{value:.4g}"


@register.filter
def shown_errors(field: BoundField, checked: bool) -> list[str]:
    """What is missing is only said once somebody wanted to save; what is wrong, at once."""
    found = field.errors.as_data()
    return [message for error in found if checked or error.code != "required" for message in error.messages]
