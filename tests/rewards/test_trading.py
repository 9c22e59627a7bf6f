import pytest

from rewards.functions.trading import SignalAccuracy, signal_accuracy, signals
from rewards.registry import Markers, RewardError, Sample, Score

MARKERS = Markers("<think>", "</think>", "<SOLUTION>", "</SOLUTION>")
QUESTION = "RSI is 28 and the price is above its average. Should one buy, hold or sell?"


def scored(response: str, reference: str = "BUY", **parameters: object) -> Score:
    return signal_accuracy(Sample(QUESTION, response, reference, markers=MARKERS), SignalAccuracy(**parameters))


@pytest.mark.parametrize("wrong", ["SELL", "", QUESTION, "buy, hold, sell", "BUY/SELL", "I can't say.", "Hold."])
@pytest.mark.parametrize("reference", ["BUY", "STRONG_BUY", "WEAK_BUY"])
def test_the_right_signal_outscores_wrong_empty_echoed_and_listed_ones(wrong, reference):
    for right in (f"<signal>{reference}</signal>", f"<SOLUTION>{reference}</SOLUTION>", f"Signal: {reference}"):
        assert scored(right, reference).value == 1
    assert scored(wrong, reference).value == 0
    assert scored(f"<signal>{wrong}</signal>", reference).value == 0


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("STRONG_BUY", {"strong buy"}),
        ("strong buy", {"strong buy"}),
        ("Go long", {"buy"}),
        ("bullish", {"buy"}),
        ("Weakly bearish", {"weak sell"}),
        ("short the stock", {"sell"}),
        ("neutral", {"hold"}),
        ("no trade", {"hold"}),
        ("in the long term and the short run", set()),
        ("a long-term view, shorter and longer", set()),
        ("buyer seller household longing", set()),
        ("buy now, sell later", {"buy", "sell"}),
    ],
)
def test_words_of_the_trade_name_a_signal(text, named):
    assert set(map(str, signals(text))) == named


@pytest.mark.parametrize("text", ["Do not buy.", "Don't buy it.", "Never buy", "avoid buying", "not a buy"])
def test_a_denied_signal_is_none(text):
    assert scored(text).value == 0


def test_the_same_direction_of_another_strength_earns_what_is_set():
    assert scored("<signal>WEAK_BUY</signal>", "STRONG_BUY").value == 0.7
    assert scored("<signal>BUY</signal>", "STRONG_BUY", same_direction=0.4).value == 0.4
    assert scored("<signal>STRONG_BUY</signal>", "BUY").value == 1
    assert scored("weak buy or strong buy", "STRONG_BUY").value == 0.7


def test_the_signal_tag_goes_before_the_reasoning():
    assert scored("Sellers are tired. Some would sell. <signal>BUY</signal>").value == 1
    assert scored("<signal>BUY</signal> no, <signal>SELL</signal>").value == 0


@pytest.mark.parametrize(
    ("levels", "reference", "value"),
    [
        ("Entry price: $1,100.50, stop-loss: $1,050, take profit: $1,200", "BUY", 1.0),
        ("entry 100, stop 95, target 110", "BUY", 1.0),
        ("entry 100, stop 105, target 90", "SELL", 1.0),
        ("entry 100, stop 95, target 110", "SELL", 0.5),
        ("entry 100, stop 95", "BUY", 0.5),
        ("entry 100, stop 95, target 110, target 120", "BUY", 0.5),
        ("", "HOLD", 1.0),
    ],
)
def test_price_levels_must_fit_the_direction(levels, reference, value):
    response = f"<signal>{reference}</signal> {levels}"
    assert scored(response, reference, levels=True).value == value
    assert scored(response, reference).value == 1


def test_the_feedback_names_levels_that_do_not_fit():
    said = scored("<signal>BUY</signal> entry 100, stop 105, target 110", levels=True).feedback
    assert said == "Expected buy, found buy. Stop 105, entry 100 and target 110 do not fit a buy."


@pytest.mark.parametrize("reference", ["", "maybe", "buy or sell", "do not buy"])
def test_a_reference_without_a_single_signal_is_an_error_and_no_full_score(reference):
    with pytest.raises(RewardError):
        scored("<signal>BUY</signal>", reference)


@pytest.mark.parametrize(
    ("reference", "response"),
    [
        ("Strong Buy", "STRONG_BUY"),
        ("bullish", "I would go long here."),
        ("The right signal: SELL", "bearish"),
        ("no position", "<signal>HOLD</signal>"),
        ("high-conviction sell", "<SOLUTION>strong sell</SOLUTION>"),
    ],
)
def test_reference_and_answer_may_use_other_words(reference, response):
    assert scored(response, reference).value == 1


@pytest.mark.parametrize("answer", ["buy", "sell", "hold"])
@pytest.mark.parametrize("reference", ["buy", "sell", "hold"])
def test_only_its_own_direction_is_right(reference, answer):
    assert scored(f"<signal>{answer}</signal>", reference).value == float(reference == answer)


def test_levels_do_not_save_a_wrong_direction():
    assert scored("<signal>SELL</signal> entry 100, stop 95, target 110", levels=True).value == 0


def test_the_feedback_says_what_was_expected_and_found():
    assert scored("buy or sell", "STRONG_BUY").feedback == "Expected strong buy, found buy, sell."
    assert scored("Who knows.").feedback == "Expected buy, found no signal."
