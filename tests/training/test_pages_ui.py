import math
from datetime import timedelta
from types import SimpleNamespace

import pytest
from django.template import Context, Template
from django.test import RequestFactory
from django.utils import timezone

from jobs.choices import JobStatus
from training.choices import Status
from training.glossary import CONCEPTS, GLOSSARY
from training.templatetags import ui

TERMS_OF_S20_1 = [
    "adapter",
    "base_model",
    "batch_size",
    "cuda",
    "epoch",
    "fine_tuning",
    "gguf",
    "gradient_accumulation",
    "gradient_clipping",
    "grpo",
    "kl",
    "learning_rate",
    "lora",
    "quantization",
    "reinforcement_learning",
    "reward",
    "system_prompt",
    "token",
    "vram",
    "warmup",
]


def rendered(text, **context):
    return Template("{% load ui %}" + text).render(Context(context))


def test_an_icon_is_inline_and_hidden_from_screen_readers():
    html = rendered('{% icon "home" css="big" size=20 %}')
    assert html.startswith('<svg class="icon big" width="20"')
    assert 'aria-hidden="true"' in html
    assert "<path" in html


def test_an_unknown_icon_is_an_error_and_no_way_to_other_files():
    for name in ("no-such-icon", "../../../package"):
        with pytest.raises(LookupError):
            ui.icon(name)


def test_s20_1_the_glossary_has_the_twenty_terms():
    assert set(TERMS_OF_S20_1) <= set(GLOSSARY)
    assert all(entry.definition.endswith(".") for entry in GLOSSARY.values())


def test_s13_the_key_concepts_are_explained():
    assert {"grpo", "gspo", "lora", "reward", "practice", "prompt"} <= {concept.key for concept in CONCEPTS}


def test_a_term_carries_its_definition_and_can_be_focused():
    html = rendered('{% term "lora" "adapters" %}')
    assert 'tabindex="0"' in html
    assert "Low-Rank Adaptation" in html
    assert ">adapters<" in html


def test_a_word_that_the_glossary_lacks_is_an_error():
    with pytest.raises(KeyError):
        ui.term("nonsense")


@pytest.mark.parametrize("status", [*Status.values, *JobStatus.values])
def test_every_status_has_a_badge_with_a_word_and_a_sign(status):
    html = ui.status_badge(status)
    assert "<svg" in html
    assert ui.LABELS[status] in html


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0"),
        (1234567, "1\u202f234\u202f567"),
        (0.834, "0.834"),
        (0.25, "0.250"),
        (2e-4, "2e-4"),
        (12.345, "12.3"),
        (-3.5, "-3.50"),
        (1e12, "1\u202f000\u202f000\u202f000\u202f000"),
        (None, "–"),
        ("", "–"),
        (float("nan"), "–"),
        (float("inf"), "–"),
        ("words", "–"),
    ],
)
def test_numbers(value, text):
    assert ui.number(value) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(8.24, "8.2 s"), (59, "59 s"), (200, "3 min 20 s"), (3900, "1 h 05 min"), (90000, "1 d 1 h"), (None, "–")],
)
def test_durations(seconds, text):
    assert ui.duration(seconds) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(20, "a minute"), (100, "1.7 minutes"), (600, "10 minutes"), (7200, "2 hours"), (400000, "5 days"), (None, "–")],
)
def test_estimates_are_no_more_exact_than_they_are(seconds, text):
    assert ui.rough_duration(seconds) == text


@pytest.mark.parametrize(
    ("count", "text"), [(12, "12 B"), (1500, "1.5 kB"), (270_000_000, "270 MB"), (4.2e9, "4.2 GB"), (None, "–")]
)
def test_bytes(count, text):
    assert ui.size_in_bytes(count) == text


@pytest.mark.parametrize(
    ("count", "text"), [(134_515_008, "135M"), (999_885_952, "1B"), (1_720_574_976, "1.72B"), (None, "–")]
)
def test_sizes_of_models(count, text):
    assert ui.compact(count) == text


@pytest.mark.parametrize(
    ("name", "length", "shown"),
    [("short", 10, "short"), ("exactly_10", 10, "exactly_10"), ("abcdefghij_1", 9, "abcd…ij_1"), ("abcdef", 4, "ab…f")],
)
def test_long_names_keep_their_ends(name, length, shown):
    assert ui.middle(name, length) == shown


def test_other_numbers():
    assert ui.percent(0.292) == "29.2 %"
    assert ui.signed(-2) == "−2.0"
    assert ui.signed(39.64) == "+39.6"
    assert ui.context_size(40960) == "40K"
    assert ui.plain(0.250) == "0.25"
    assert ui.part_class(8) == ui.part_class(0) == "part-1"


@pytest.mark.parametrize(
    ("ago", "text"), [(3, "just now"), (45, "45 s ago"), (180, "3 min ago"), (7200, "2 h ago"), (-120, "in ")]
)
def test_times_are_relative_with_the_exact_one_on_hover(ago, text):
    moment = timezone.now() - timedelta(seconds=ago)
    html = ui.relative_time(moment)
    assert text in html
    assert f'title="{timezone.localtime(moment):%d %b %Y, %H:%M}' in html
    assert ui.relative_time(None) == "–"


def test_names_are_escaped_wherever_they_are_put():
    assert "<script>" not in ui.short_id("<script>alert(1)</script>")
    assert "<b>" not in rendered("{% sparkline values label=label %}", values=[1, 2], label="<b>")


def test_a_sparkline_needs_two_values():
    assert 'd=""' in ui.sparkline([1.0])
    assert 'd=""' in ui.sparkline([None, 2.0])
    assert 'd="M2.0 26.0 L118.0 2.0"' in ui.sparkline([0.0, 1.0])
    assert "nan" not in ui.sparkline([1.0, 1.0, None, 1.0])
    assert ui.sparkline([math.nan, 0.0, math.nan, 1.0]) == ui.sparkline([None, 0.0, None, 1.0])


def test_before_and_after_share_one_axis():
    score = SimpleNamespace(accuracy=0.5, low=0.4, high=0.6)
    html = ui.before_after_plot(score, SimpleNamespace(accuracy=0.75, low=None, high=None), width=100)
    assert 'cx="50.0"' in html
    assert 'cx="75.0"' in html
    assert "50.0 % before, 75.0 % after" in html


def test_links_keep_the_other_parameters():
    request = RequestFactory().get("/?q=a&page=3&sort=name")
    html = Template('{% load ui %}{% query page="" sort="-name" %}').render(Context({"request": request}))
    assert html == "?q=a&amp;sort=-name"
