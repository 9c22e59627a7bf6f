"""In which language, how readable and with how many different words is the answer? Style, not content."""

from __future__ import annotations

import re
from typing import Any, Literal, Self

from pydantic import Field, field_validator, model_validator

from loracraft.numbers import thousands
from rewards.functions.text import PLACE_HELP
from rewards.registry import Example, Parameters, RewardError, Sample, Score, reward_function
from rewards.sections import Place, section

# ISO 639-1 codes of the languages that py3langid tells apart.
CODES = (
    "af am an ar as az ba be bg bn br bs ca cs cy da de dz el en eo es et eu fa fi fo fr fy ga gd gl gu"
    " ha he hi hr ht hu hy id ig is it ja jv ka kk km kn ko ku ky la lb lg ln lo lt lv mg mk ml mn mr ms"
    " mt my ne nl nn no oc om or pa pl ps pt qu ro ru rw sa se si sk sl sn so sq sr st sv sw ta te tg th"
    " tk tl tr tt ug uk ur uz vi vo wa xh yo zh zu"
)
LANGUAGES = frozenset(CODES.split())
NORWEGIAN = {"no", "nn"}
FENCED = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)
WORDS = re.compile(r"[^\W\d_]+(?:['’-][^\W\d_]+)*")
# From the first of many dots only: a model may write 100,000.
SENTENCE = re.compile(r"(?<![.!?])[.!?]++(?=\s|$)|\n{2,}")
VOWELS = re.compile(r"[aeiouy]+")
FEWEST_WORDS = 10
LONGEST_TEXT = 100_000


def prose(sample: Sample, place: Place) -> str:
    """Without code blocks. Raises RewardError for what is longer than is worth measuring."""
    text = section(sample, place)
    if len(text) > LONGEST_TEXT:
        raise RewardError(
            f"The text has {thousands(len(text))} characters; language is measured on at most"
            f" {thousands(LONGEST_TEXT)}."
        )
    return FENCED.sub(" ", text)


class Readability(Parameters):
    measure: Literal["flesch_reading_ease", "flesch_kincaid_grade"] = Field(
        "flesch_kincaid_grade",
        title="Measure",
        description="flesch_kincaid_grade: years of school, 8 is plain. flesch_reading_ease: 100 is easy, 30 hard.",
    )
    lowest: float = Field(-4.0, ge=-1000, le=1000, title="At least")
    highest: float = Field(9.0, ge=-1000, le=1000, title="At most")
    fade: float = Field(5.0, gt=0, le=1000, title="Fade", description="This far outside scores 0; in between, less.")
    place: Place = Field("response", title="Place", description=PLACE_HELP)

    @model_validator(mode="after")
    def a_range(self) -> Self:
        if self.highest < self.lowest:
            raise ValueError("“At most” is below “at least”.")
        return self


def told(response: str, value: float, **parameters: object) -> Example:
    return Example(Sample("What is rain?", response), value, parameters)


PLAIN = "Rain is water that falls from the clouds. It helps the plants to grow. We like it when it ends."
HEAVY = (
    "Precipitation constitutes atmospheric condensation descending gravitationally, considerably facilitating"
    " agricultural productivity notwithstanding occasional meteorological inconveniences."
)


@reward_function(
    title="Readability",
    category="Style",
    parameters=Readability,
    examples=(
        told(PLAIN, 1.0),
        told(HEAVY, 0.0),
        told(PLAIN, 1.0, measure="flesch_reading_ease", lowest=80, highest=130),
        told("Rain is water.", 0.0),
    ),
)
def readability(sample: Sample, parameters: Readability) -> Score:
    """1 within a range of a Flesch measure of English, falling to 0 outside; 0 for fewer than ten words."""
    text = prose(sample, parameters.place)
    words = WORDS.findall(text)
    if len(words) < FEWEST_WORDS:
        return Score(0.0, f"{len(words)} words; fewer than {FEWEST_WORDS} can't be measured.")
    if sum(word.isascii() for word in words) < len(words) / 2:
        raise RewardError("The text is not in English, the only language that readability is measured for.")
    measured = flesch(words, sentences(text), parameters.measure)
    beyond = max(parameters.lowest - measured, measured - parameters.highest, 0.0)
    value = max(0.0, 1.0 - beyond / parameters.fade)
    asked = f"asked for {parameters.lowest:g} to {parameters.highest:g}"
    return Score(value, f"{parameters.measure.replace('_', ' ')} {measured:.1f}; {asked}.")


def sentences(text: str) -> int:
    return max(sum(bool(WORDS.search(piece)) for piece in SENTENCE.split(text)), 1)


def syllables(word: str) -> int:
    """Of an English word, by its groups of vowels: right for nine words in ten."""
    plain = word.casefold()
    count = len(VOWELS.findall(plain))
    silent = (plain.endswith("e") and not plain.endswith(("le", "ee", "ye"))) or plain.endswith(("es", "ed"))
    if silent and count > 1 and not plain.endswith(("ted", "ded", "ses", "xes", "zes", "ches", "shes", "ges", "ces")):
        count -= 1
    return max(count, 1)


def flesch(words: list[str], sentence_count: int, measure: str) -> float:
    """Kincaid et al. 1975; Flesch 1948."""
    per_sentence = len(words) / sentence_count
    per_word = sum(map(syllables, words)) / len(words)
    if measure == "flesch_reading_ease":
        return 206.835 - 1.015 * per_sentence - 84.6 * per_word
    return 0.39 * per_sentence + 11.8 * per_word - 15.59


class Vocabulary(Parameters):
    at_least: float = Field(
        0.7, gt=0, le=1, title="Distinct words", description="Share of different words that scores 1; fewer score less."
    )
    window: int = Field(
        50, ge=5, le=1000, title="Window", description="Words at a time, so that a long text is not worse for it."
    )
    place: Place = Field("response", title="Place", description=PLACE_HELP)


@reward_function(
    title="Vocabulary",
    category="Style",
    parameters=Vocabulary,
    examples=(
        told(PLAIN, 1.0),
        told("rain " * 20, 1 / 14),
        told("rain and rain and rain and rain", 2 / 7 / 0.7),
        told("", 0.0),
    ),
)
def vocabulary(sample: Sample, parameters: Vocabulary) -> Score:
    """Share of different words in a moving window, against the share asked for."""
    words = [word.casefold() for word in WORDS.findall(prose(sample, parameters.place))]
    if not words:
        return Score(0.0, "There are no words.")
    share = moving_share(words, parameters.window)
    return Score(min(share / parameters.at_least, 1.0), f"{share:.0%} of the words are different.")


def moving_share(words: list[str], window: int) -> float:
    """Mean type-token ratio over all windows (Covington and McFall 2010), in one pass."""
    window = min(window, len(words))
    counts: dict[str, int] = {}
    different, summed = 0, 0
    for place, word in enumerate(words):
        counts[word] = counts.get(word, 0) + 1
        different += counts[word] == 1
        if place >= window:
            gone = words[place - window]
            counts[gone] -= 1
            different -= counts[gone] == 0
        if place >= window - 1:
            summed += different
    return summed / (len(words) - window + 1) / window


class WrittenIn(Parameters):
    language: str = Field("en", min_length=2, max_length=2, title="Language", description="ISO 639-1 code: en, de, zh.")
    fewest_letters: int = Field(
        20, ge=1, le=10_000, title="Letters", description="Shorter texts can't be told, and are an error, not a 0."
    )
    place: Place = Field("response", title="Place", description=PLACE_HELP)

    @field_validator("language")
    @classmethod
    def is_known(cls, language: str) -> str:
        code = language.strip().casefold()
        if code not in LANGUAGES:
            raise ValueError(f"{language!r} is not known. Known: {', '.join(sorted(LANGUAGES))}.")
        return code


@reward_function(
    title="Written in a language",
    category="Style",
    parameters=WrittenIn,
    examples=(
        told("Rain is water that falls from the clouds.", 1.0),
        told("Regen ist Wasser, das aus den Wolken fällt.", 1.0, language="de"),
        told("Regen ist Wasser, das aus den Wolken fällt.", 0.0),
        told("雨は雲から落ちてくる水のことです。空から降ります。", 1.0, language="ja", fewest_letters=10),
        told("", 0.0),
    ),
)
def written_in(sample: Sample, parameters: WrittenIn) -> Score:
    """1 if the text, without code blocks, is in the language, 0 if in another; an error if it is too short to tell."""
    text = prose(sample, parameters.place)
    if not section(sample, parameters.place).strip():
        return Score(0.0, "There is no text.")
    letters = sum(character.isalpha() for character in text)
    if letters < parameters.fewest_letters:
        raise RewardError(
            f"{letters} letters are too few to tell the language: {parameters.fewest_letters} are needed."
        )
    found = _identifier(text)
    right = found == parameters.language or {found, parameters.language} <= NORWEGIAN
    return Score(float(right), f"It reads as {found}; asked for {parameters.language}.")


def _identifier(text: str) -> Any:
    import py3langid

    return py3langid.classify(text)[0]
