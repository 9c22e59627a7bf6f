"""What every page is built from: icons, numbers with units, times, terms, badges. `{% load ui %}`."""

import math
import re
from datetime import datetime
from functools import cache
from typing import Any
from uuid import UUID

from django import template
from django.conf import settings
from django.template.defaultfilters import stringfilter
from django.utils import timezone
from django.utils.dateparse import parse_datetime
from django.utils.html import format_html
from django.utils.safestring import SafeString, mark_safe

from jobs.choices import JobStatus
from loracraft.numbers import thousands
from training import keeping
from training.choices import Status
from training.glossary import GLOSSARY
from training.models import Session

register = template.Library()

NOTHING = "–"
ICON_NAME = re.compile(r"[a-z0-9-]+")
TONES = {
    Status.DRAFT: ("neutral", "pencil"),
    Status.QUEUED: ("waiting", "clock"),
    Status.STARTING: ("live", "loader"),
    Status.PRETRAINING: ("live", "loader"),
    Status.TRAINING: ("live", "loader"),
    Status.FINISHING: ("live", "loader"),
    Status.COMPLETED: ("good", "check"),
    Status.STOPPED: ("neutral", "player-stop"),
    Status.FAILED: ("bad", "alert-triangle"),
    Status.CANCELLED: ("neutral", "x"),
    JobStatus.RUNNING: ("live", "loader"),
    JobStatus.READY: ("good", "check"),
}
LABELS = {**dict(Status.choices), **dict(JobStatus.choices)}


@cache
def svg_body(name: str) -> str:
    """The shapes of a Tabler icon. Raises LookupError for a name that is none, so that tests find it."""
    file = settings.ICONS_DIR / f"{name}.svg"
    if not ICON_NAME.fullmatch(name) or not file.is_file():
        raise LookupError(f"There is no icon {name!r}.")
    return re.sub(r"\s+", " ", re.search(r"<svg[^>]*>(.*)</svg>", file.read_text(), re.S)[1]).strip()  # type: ignore[index]


@register.simple_tag
def icon(name: str, css: str = "", size: int = 18) -> SafeString:
    return format_html(
        '<svg class="icon {}" width="{}" height="{}" viewBox="0 0 24 24" fill="none" stroke="currentColor"'
        ' stroke-width="1.75" stroke-linecap="round" stroke-linejoin="round" aria-hidden="true">{}</svg>',
        css,
        size,
        size,
        mark_safe(svg_body(name)),  # noqa: S308  a file of the icon package
    )


@register.filter
def relative_time(moment: datetime | None) -> str | SafeString:
    """`3 min ago`, with the exact time on hover. app.js keeps it up to date."""
    if moment is None:
        return NOTHING
    exact = timezone.localtime(moment)
    return format_html(
        '<time datetime="{}" title="{}" data-relative>{}</time>',
        exact.isoformat(timespec="seconds"),
        exact.strftime("%d %b %Y, %H:%M:%S %Z"),
        time_ago((timezone.now() - moment).total_seconds()),
    )


@register.filter
def parsed_time(text: str) -> datetime | None:
    """A time that is kept as ISO text."""
    return parse_datetime(text)


def time_ago(seconds: float) -> str:
    if abs(seconds) < 10:
        return "just now"
    amount = coarse(abs(seconds))
    return f"{amount} ago" if seconds > 0 else f"in {amount}"


def coarse(seconds: float) -> str:
    for size, unit in ((86400 * 365, "y"), (86400 * 30, "mo"), (86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= size:
            return f"{int(seconds // size)} {unit}"
    return f"{int(seconds)} s"


@register.filter
def duration(seconds: Any) -> str:
    """`1 h 05 min`, `3 min 20 s`, `8.2 s`."""
    value = as_float(seconds)
    if value is None:
        return NOTHING
    if value < 10:
        return f"{value:.1f} s"
    whole = round(value)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02} s"
    if whole < 86400:
        return f"{whole // 3600} h {whole % 3600 // 60:02} min"
    return f"{whole // 86400} d {whole % 86400 // 3600} h"


@register.filter
def rough_duration(seconds: Any) -> str:
    """For estimates: no figure more exact than the guess behind it."""
    value = as_float(seconds)
    if value is None:
        return NOTHING
    for size, unit in ((86400, "days"), (3600, "hours"), (60, "minutes")):
        if value >= 1.5 * size:
            amount = value / size
            return f"{amount:.0f} {unit}" if amount >= 3 else f"{amount:.1f} {unit}".replace(".0 ", " ")
    return "a minute"


@register.filter(name="bytes")
def size_in_bytes(count: Any) -> str:
    value = as_float(count)
    if value is None:
        return NOTHING
    for unit in ("B", "kB", "MB", "GB", "TB"):
        if abs(value) < 1000 or unit == "TB":
            return f"{value:.0f} {unit}" if unit == "B" or value >= 100 else f"{value:.1f} {unit}"
        value /= 1000
    raise AssertionError("unreachable")


@register.filter
def files_size(session: Session) -> str:
    """What deleting the session frees."""
    return size_in_bytes(keeping.bytes_on_disk(session))


@register.filter
def number(value: Any, digits: int = 3) -> str:
    """Whole numbers with thin thousands, others with `digits` significant ones; very small or large as 2e-4."""
    amount = as_float(value)
    if amount is None:
        return NOTHING
    if amount == int(amount) and abs(amount) < 1e15:
        return thousands(amount)
    if abs(amount) < 1e-3 or abs(amount) >= 1e9:
        mantissa, exponent = f"{amount:.{digits - 1}e}".split("e")
        short = mantissa.rstrip("0").rstrip(".") if "." in mantissa else mantissa
        return f"{short}e{int(exponent)}"
    places = max(0, digits - 1 - math.floor(math.log10(abs(amount))))
    return thousands(amount, places)


@register.filter
@stringfilter
def middle(text: str, length: int) -> str:
    """`a_long_name…_number_3`: names that begin alike stay apart."""
    if len(text) <= length:
        return text
    end = (length - 1) // 2
    return f"{text[: length - 1 - end]}…{text[len(text) - end :]}"


@register.filter
def compact(value: Any) -> str:
    """135M, 1.7B: how many parameters a model has."""
    amount = as_float(value)
    if amount is None:
        return NOTHING
    for size, unit in ((1e9, "B"), (1e6, "M"), (1e3, "K")):
        # 999.9 million is 1B, not 1e+03M.
        if amount >= 0.9995 * size:
            return f"{amount / size:.3g}{unit}"
    return f"{amount:.3g}"


@register.filter
def context_size(tokens: Any) -> str:
    """8192 tokens are 8K."""
    amount = as_float(tokens)
    return NOTHING if amount is None else f"{amount / 1024:.0f}K"


@register.filter
def plain(value: Any) -> str:
    """A number as somebody would type it: 0.25, 2, 5e-05."""
    amount = as_float(value)
    return NOTHING if amount is None else format(amount, ".12g")


@register.filter
def percent(share: Any, places: int = 1) -> str:
    """0.292 is 29.2 %."""
    value = as_float(share)
    return NOTHING if value is None else f"{value * 100:.{places}f} %"


def as_float(value: Any) -> float | None:
    if value is None or value == "" or isinstance(value, bool):
        return None
    try:
        amount = float(value)
    except (TypeError, ValueError):
        return None
    return amount if math.isfinite(amount) else None


@register.simple_tag
def term(key: str, text: str = "") -> SafeString:
    """A word with a dotted underline and its glossary entry. Raises KeyError for a word the glossary lacks."""
    entry = GLOSSARY[key]
    return format_html('<span class="term" tabindex="0" data-tip="{}">{}</span>', entry.definition, text or entry.title)


def status_named(status: str) -> Status | JobStatus:
    return Status(status) if status in Status.values else JobStatus(status)


@register.simple_tag
def status_badge(status: str) -> SafeString:
    tone, name = TONES[status_named(status)]
    return format_html(
        '<span class="status status-{}">{}<span>{}</span></span>', tone, icon(name, size=14), LABELS[status]
    )


@register.simple_tag
def short_id(value: UUID | str, length: int = 8) -> SafeString:
    text = str(value)
    return format_html(
        '<button type="button" class="copy-id num" data-copy="{}" title="Copy {}">{}{}</button>',
        text,
        text,
        text[:length],
        icon("copy", size=13),
    )


@register.simple_tag(takes_context=True)
def query(context: dict[str, Any], **changes: Any) -> str:
    """This page's query string with some parameters replaced; an empty value removes one."""
    parameters = context["request"].GET.copy()
    for name, value in changes.items():
        parameters.pop(name, None)
        if value not in (None, ""):
            parameters[name] = value
    return f"?{parameters.urlencode()}" if parameters else "?"


@register.filter
def part_class(index: Any) -> str:
    """Colour class of the reward part at this place, counted from 0: the same on every page."""
    return f"part-{int(index) % 8 + 1}"


@register.simple_tag
def sparkline(values: list[float | None], width: int = 120, height: int = 28, label: str = "") -> SafeString:
    """An inline SVG line. Fewer than two values draw nothing but keep the place; steps without one are passed over."""
    points = [(place, value) for place, value in enumerate(values) if value is not None and math.isfinite(value)]
    path = spark_path(points, width, height) if len(points) > 1 else ""
    return format_html(
        '<svg class="sparkline" width="{}" height="{}" viewBox="0 0 {} {}" role="img" aria-label="{}">'
        '<path d="{}" fill="none"/></svg>',
        width,
        height,
        width,
        height,
        label or "No values yet",
        path,
    )


def spark_path(points: list[tuple[int, float]], width: int, height: int, margin: int = 2) -> str:
    lowest, highest = min(v for _, v in points), max(v for _, v in points)
    spread = (highest - lowest) or 1.0
    across = (width - 2 * margin) / max(points[-1][0] - points[0][0], 1)
    places = [
        (margin + (x - points[0][0]) * across, height - margin - (v - lowest) / spread * (height - 2 * margin))
        for x, v in points
    ]
    return "M" + " L".join(f"{x:.1f} {y:.1f}" for x, y in places)


@register.filter
def words(text: str | None) -> list[str]:
    return (text or "").split()


@register.filter
def signed(value: Any, places: int = 1) -> str:
    """+39.6 or −2.0, with a real minus sign."""
    amount = as_float(value)
    return NOTHING if amount is None else f"{amount:+.{places}f}".replace("-", "−")


@register.simple_tag
def before_after_plot(before: Any, after: Any, width: int = 180, height: int = 20) -> SafeString:
    """Two accuracies with their intervals on one axis from 0 to 1."""
    pieces = "".join(
        interval_mark(score, css, y, width) for score, css, y in ((before, "before", 6), (after, "after", 14))
    )
    return format_html(
        '<svg class="span-plot" width="{}" height="{}" viewBox="0 0 {} {}" role="img" aria-label="{} before, {} after">'
        '<path class="axis" d="M0 .5H{}M0 {}H{}M.5 0V{}M{} 0V{}"/>{}</svg>',
        width,
        height,
        width,
        height,
        percent(before.accuracy),
        percent(after.accuracy),
        width,
        height - 0.5,
        width,
        height,
        width - 0.5,
        height,
        mark_safe(pieces),  # noqa: S308  numbers only
    )


def interval_mark(score: Any, css: str, y: int, width: int) -> str:
    middle = score.accuracy * width
    low, high = (width * (end if end is not None else score.accuracy) for end in (score.low, score.high))
    return (
        f'<path class="range {css}" d="M{low:.1f} {y}H{high:.1f}"/>'
        f'<circle class="{css}" cx="{middle:.1f}" cy="{y}" r="3"/>'
    )
