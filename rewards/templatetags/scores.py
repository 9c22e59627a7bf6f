from django import template

register = template.Library()


@register.filter
def score(value: float | None) -> str:
    """At most four digits and no trailing zeros, as people write weights: 0.25, 1.35, 2."""
    return "not judged" if value is None else f"{value:.4g}"
