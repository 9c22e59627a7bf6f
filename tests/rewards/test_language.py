import time

import pytest
from pydantic import ValidationError

from rewards.functions.language import (
    LANGUAGES,
    Readability,
    Vocabulary,
    WrittenIn,
    flesch,
    moving_share,
    readability,
    sentences,
    syllables,
    vocabulary,
    written_in,
)
from rewards.registry import RewardError, Sample, Score

SENTENCES = {
    "en": "The rain fell all day, and in the evening we sat by the fire and read our books.",
    "de": "Der Regen fiel den ganzen Tag, und am Abend saßen wir am Feuer und lasen unsere Bücher.",
    "fr": "La pluie est tombée toute la journée, et le soir nous avons lu nos livres près du feu.",
    "es": "La lluvia cayó todo el día, y por la noche nos sentamos junto al fuego a leer nuestros libros.",
    "it": "La pioggia è caduta tutto il giorno e la sera ci siamo seduti accanto al fuoco a leggere i libri.",
    "nl": "De regen viel de hele dag, en 's avonds zaten we bij het vuur en lazen we onze boeken.",
    "pl": "Deszcz padał cały dzień, a wieczorem siedzieliśmy przy ogniu i czytaliśmy nasze książki.",
    "ru": "Весь день шёл дождь, а вечером мы сидели у огня и читали наши книги.",
    "zh": "整天都在下雨，晚上我们坐在火炉旁边读我们的书，大家都很高兴。",
    "ja": "一日中雨が降っていたので、夜は火のそばに座って本を読みました。",
    "ar": "سقط المطر طوال اليوم، وفي المساء جلسنا بجانب النار وقرأنا كتبنا.",
}


def spoken(response: str, language: str, **parameters: object) -> Score:
    return written_in(Sample("?", response), WrittenIn(language=language, **parameters))


class TestWrittenIn:
    @pytest.mark.parametrize("language", SENTENCES)
    def test_each_language_is_told_from_all_others(self, language):
        right = [asked for asked in SENTENCES if spoken(SENTENCES[language], asked).value]
        assert right == [language]

    def test_code_in_the_answer_is_no_language(self):
        code = "```python\nfor word in words:\n    print(word, the, and, of, from, where)\n```\n"
        assert spoken(code * 5 + SENTENCES["de"], "de").value == 1

    @pytest.mark.parametrize("text", ["72", "Oui.", "```\nfor word in the words of this text\n```"])
    def test_a_text_that_is_too_short_to_tell_is_an_error_and_no_zero(self, text):
        with pytest.raises(RewardError, match="too few"):
            spoken(text, "fr")

    def test_no_text_at_all_scores_nothing(self):
        assert spoken(" \n", "fr").value == 0

    def test_languages_are_those_of_the_library(self):
        from py3langid.langid import _get_identifier

        assert set(LANGUAGES) == {str(label) for label in _get_identifier().labels if len(label) == 2}

    def test_an_unknown_language_is_refused_with_those_there_are(self):
        assert WrittenIn(language="DE").language == "de"
        with pytest.raises(ValidationError, match=r"'xx' is not known\. Known: af, am"):
            WrittenIn(language="xx")


class TestReadability:
    @pytest.mark.parametrize(
        ("word", "count"),
        [
            ("cat", 1), ("make", 1), ("table", 2), ("water", 2), ("rained", 1), ("wanted", 2), ("boxes", 2),
            ("banana", 3), ("readability", 5), ("the", 1), ("rhythm", 1), ("agree", 2), ("hmm", 1),
        ],
    )  # fmt: skip
    def test_syllables_are_counted(self, word, count):
        assert syllables(word) == count

    def test_the_measures_are_those_of_the_papers(self):
        words = ["the", "cat", "sat", "on", "the", "mat"]
        assert flesch(words, 1, "flesch_reading_ease") == pytest.approx(206.835 - 1.015 * 6 - 84.6)
        assert flesch(words, 2, "flesch_kincaid_grade") == pytest.approx(0.39 * 3 + 11.8 - 15.59)

    def test_sentences_end_with_marks_or_empty_lines(self):
        assert sentences("One. Two! Three?\n\nFour") == 4
        assert sentences("Pi is 3.14 and e.g this...") == 1
        assert sentences("") == 1

    def test_outside_the_range_the_score_falls_evenly(self):
        text = SENTENCES["en"]
        grade = flesch(text.replace(",", "").replace(".", "").split(), 1, "flesch_kincaid_grade")
        half = Readability(lowest=grade + 2, highest=grade + 9, fade=4)
        assert readability(Sample("?", text), half).value == pytest.approx(0.5)

    def test_few_words_score_nothing_and_other_scripts_are_an_error(self):
        assert "can't be measured" in readability(Sample("?", "Too short."), Readability()).feedback
        with pytest.raises(RewardError, match="not in English"):
            readability(Sample("?", SENTENCES["ru"]), Readability())

    def test_a_range_upside_down_is_refused(self):
        with pytest.raises(ValidationError, match="below"):
            Readability(lowest=9, highest=2)

    def test_100_000_dots_take_no_time_and_more_are_an_error(self):
        began = time.perf_counter()
        readability(Sample("?", "word " * 10 + "." * 99_000 + "x"), Readability())
        assert time.perf_counter() - began < 1
        with pytest.raises(RewardError, match="at most 100\u202f000"):
            readability(Sample("?", "." * 100_001), Readability())


class TestVocabulary:
    def test_the_window_moves_over_the_text(self):
        words = list("abacaa")
        by_hand = [len(set(words[i : i + 3])) / 3 for i in range(4)]
        assert moving_share(words, 3) == pytest.approx(sum(by_hand) / 4)
        assert moving_share(words, 50) == pytest.approx(3 / 6)

    def test_a_long_text_is_not_worse_for_its_length(self):
        text = " ".join(f"{chr(97 + i % 26)}{chr(97 + i // 26)}" for i in range(60))
        once, often = Sample("?", text), Sample("?", f"{text} " * 20)
        assert vocabulary(once, Vocabulary()).value == vocabulary(often, Vocabulary()).value == 1

    def test_repeated_words_score_less(self):
        values = [vocabulary(Sample("?", text), Vocabulary()).value for text in ("a b c d", "a b a a", "a a a a", "72")]
        assert values == sorted(values, reverse=True)
        assert len(set(values)) == 4
