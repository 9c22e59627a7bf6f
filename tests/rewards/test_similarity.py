import pytest

from rewards.functions import similarity as module
from rewards.functions.similarity import BY_TEXT, Metric, TextSimilarity, gleu, text_similarity
from rewards.registry import Markers, RewardError, Sample

METRICS = list(Metric.__args__)
MARKERS = Markers("<think>", "</think>", "<SOLUTION>", "</SOLUTION>")
QUESTION = "What did the cat do on the mat after the dog had left the house?"
REFERENCE = "The cat slept on the mat until the evening came."


def value(response: str, reference: str | None = REFERENCE, question: str = QUESTION, **parameters: object) -> float:
    return text_similarity(Sample(question, response, reference, markers=MARKERS), TextSimilarity(**parameters)).value


@pytest.mark.parametrize("metric", METRICS)
def test_the_right_answer_outscores_wrong_empty_echoed_and_listed_ones(metric):
    right = value(REFERENCE, metric=metric)
    assert right == pytest.approx(1.0)
    wrong = ["", QUESTION, "A dog barked.", f"{REFERENCE} It ran. It ate. It flew. It sang. It swam."]
    assert all(value(answer, metric=metric) < right for answer in wrong)
    assert value("", metric=metric) == value(QUESTION, metric=metric) == 0


@pytest.mark.parametrize("metric", METRICS)
def test_a_reference_of_one_word_can_be_met(metric):
    assert value("Paris", "Paris", metric=metric) == pytest.approx(1.0)
    assert value("Lyon", "Paris", metric=metric) < 0.5


@pytest.mark.parametrize(
    ("metric", "expected"),
    [
        # The cat sat on the mat / the cat lay on the mat: five words of six, in order.
        ("rouge_l", 5 / 6),
        ("rouge_1", 5 / 6),
        ("rouge_2", 3 / 5),
        ("rouge_3", 1 / 4),
        ("rouge_4", 0.0),
        ("token_f1", 5 / 6),
        # 5 words, 3 pairs and 1 triple of 6 + 5 + 4 + 3 runs.
        ("gleu", 9 / 18),
    ],
)
def test_the_metrics_are_what_can_be_counted_by_hand(metric, expected):
    assert value("The cat sat on the mat.", "the cat lay on the mat", metric=metric) == pytest.approx(expected)


def test_order_counts_for_rouge_l_and_not_for_words():
    assert value("c b a", "a b c", metric="token_f1") == 1
    assert value("c b a", "a b c", metric="rouge_l") == pytest.approx(1 / 3)


def test_a_repeated_word_counts_as_often_as_the_reference_has_it():
    assert value("the the the the", "the cat", metric="token_f1") == pytest.approx(1 / 3)


def test_gleu_is_the_lower_of_precision_and_recall():
    assert gleu(["a"], ["a", "b"]) == gleu(["a", "b"], ["a"]) == pytest.approx(1 / 3)


def test_languages_without_spaces_are_compared_by_character():
    assert 0.3 < value("猫が寝た", "猫が食べた", question="?", metric="rouge_l") < 1


def test_only_the_solution_block_is_compared_where_there_is_one():
    assert value(f"<think>A long way round.</think><SOLUTION>{REFERENCE}</SOLUTION>") == 1
    assert value(f"{REFERENCE}<SOLUTION>No.</SOLUTION>") == 0
    assert value("It ran. <SOLUTION>It ran.</SOLUTION>", "It ran.", look_in="text") < 1


def test_of_several_blocks_the_worst_counts():
    assert value(f"<SOLUTION>{REFERENCE}</SOLUTION><SOLUTION>No idea.</SOLUTION>") == 0


def test_a_threshold_makes_it_pass_or_fail():
    close = "The cat slept on the mat until noon."
    assert 0.6 < value(close) < 1
    assert value(close, pass_threshold=0.6) == 1
    assert value(close, pass_threshold=0.95) == 0


def test_case_counts_only_where_asked():
    assert value("PARIS", "Paris", metric="fuzzy_match") == 1
    assert value("PARIS", "Paris", metric="fuzzy_match", ignore_case=False) < 0.5


@pytest.mark.parametrize("metric", ["rouge_l", "token_f1"])
def test_a_reference_without_words_is_an_error_and_no_zero(metric):
    with pytest.raises(RewardError, match="has no words"):
        value("72", "?!", metric=metric)


@pytest.mark.parametrize("metric", METRICS)
def test_texts_that_would_take_too_long_are_an_error_that_names_the_limit(metric):
    with pytest.raises(RewardError, match=r"The answer has 50\u202f001 characters.*at most 50\u202f000"):
        value("a" * 50_001, metric=metric)
    with pytest.raises(RewardError, match="The reference"):
        value("a", "a" * 50_001, metric=metric)


def test_the_feedback_says_what_was_measured():
    said = text_similarity(Sample("?", "a b", "a c"), TextSimilarity(pass_threshold=0.9)).feedback
    assert said == "rouge_l 0.500; passes from 0.9."


def test_libraries_are_imported_only_when_they_are_used():
    assert not {"sacrebleu", "rapidfuzz"} & set(vars(module))
    assert set(BY_TEXT) == {"bleu", "chrf", "fuzzy_match"}


@pytest.mark.parametrize("metric", METRICS)
def test_a_closer_text_scores_more(metric):
    close, far = value("The cat slept on the mat until noon.", metric=metric), value("A cat ran away.", metric=metric)
    assert 0 <= far < close < 1


@pytest.mark.parametrize("metric", ["rouge_l", "rouge_1", "rouge_2", "token_f1"])
def test_f_measures_are_the_same_both_ways(metric):
    one, other = "the cat sat on the mat", "on a mat the cat lay"
    assert value(one, other, metric=metric) == value(other, one, metric=metric)


def test_bleu_and_chrf_are_those_of_sacrebleu():
    from sacrebleu import sentence_bleu, sentence_chrf

    answer, reference = "the cat sat on the red mat", "the cat sat on the mat today"
    bleu = sentence_bleu(answer, [reference], use_effective_order=True).score / 100
    assert value(answer, reference, metric="bleu") == pytest.approx(bleu)
    assert value(answer, reference, metric="chrf") == pytest.approx(sentence_chrf(answer, [reference]).score / 100)


def test_a_repeated_question_before_the_answer_does_not_count():
    assert value(f"{QUESTION} {REFERENCE}") == 1


def test_only_with_a_threshold_is_the_highest_score_a_verdict():
    assert TextSimilarity(pass_threshold=0.8).decides()
    assert not TextSimilarity().decides()
