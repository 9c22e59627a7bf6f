"""Are references written as APA (7th edition) or MLA (9th) want them? A citation of good form may still be invented."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from pydantic import Field

from rewards.functions.text import normalised
from rewards.registry import Example, Markers, Parameters, RewardError, Sample, Score, reward_function
from rewards.sections import solutions, without_question

Style = Literal["apa", "mla"]
MARKED = Markers(solution_start="<SOLUTION>", solution_end="</SOLUTION>")
# An entry is a line; longer ones are prose.
LONGEST_ENTRY = 1200
MOST_ENTRIES = 200
HEADING = re.compile(r"^[ \t#*_]*(?:references|bibliography|works cited|reference list)[ \t*_:]*$", re.I | re.M)
BULLET = re.compile(r"^(?:[-*•]\s+|\d{1,3}[.)]\s+|\[\d{1,3}\]\s*)")

LINK = re.compile(r"(?:https?://|www\.|doi:\s?|doi\.org/)\S+", re.I)
GOOD_LINK = re.compile(
    r"(?:https?://(?:dx\.)?doi\.org/|doi:\s?)10\.\d{4,9}/\S+|https?://(?!(?:dx\.)?doi\.org)[\w-]+(?:\.[\w-]+)+(?:/\S*)?",
    re.I,
)
YEAR = r"(?:1[5-9]\d\d|20\d\d)[a-z]?|n\.d\.(?:-[a-z])?"
APA_DATE = re.compile(rf"\(({YEAR}|in press)(?:, [A-Z][a-z]+(?: \d{{1,2}})?)?\)\.?")
MLA_YEAR = re.compile(r"\b(1[5-9]\d\d|20\d\d)\b|\bn\.d\.")
# Bounded: a model may write 100,000 capital letters.
SURNAME = (
    r"(?:(?:van|von|de|der|den|del|della|di|da|du|la|le|al|el|bin|ibn|ter)[ -]){0,3}"
    r"[A-Z][\w'’]{0,40}(?:[ -][A-Z][\w'’]{0,40}){0,3}"
)
INITIALS = r"(?:[A-Z]\.[ -]?)+(?:, (?:Jr|Sr|I{2,3})\.?)?"
APA_NAME = rf"{SURNAME}, {INITIALS}"
ORGANISATION = r"(?:[A-Z]{2,}|(?:The )?[A-Z][\w'’&-]*(?:,? (?:of|for|the|and|on|in|to|&|[A-Z][\w'’&-]*))+)"
APA_AUTHORS = re.compile(
    rf"{APA_NAME}(?:, {APA_NAME})*(?:,? (?:&|et al\.|\. \. \.|…)(?: {APA_NAME})?)?\s*(?:\(Eds?\.\)\.)?|{ORGANISATION}\."
)
MLA_NAME = rf"{SURNAME}, [A-Z][\w'’.-]*(?: [A-Z][\w'’.-]*)*"
PLAIN_NAME = r"[A-Z][\w'’.-]*(?: (?:[A-Z][\w'’.-]*|van|von|de|der|den|di|da|du|la|le))+"
MLA_AUTHORS = re.compile(rf"{MLA_NAME}(?:, and {PLAIN_NAME}|, et al\.?)?(?:, editors?)?\.?|{ORGANISATION}\.")
# "Nnamdi Okafor." is no organisation, but a name in the wrong order.
ORGANISED = re.compile(
    r"\b(?:of|for|the|and|on|in|&|Organi[sz]ations?|Institutes?|Universit\w+|College|School|Association|Society|Agency|Bank"
    r"|Council|Office|Department|Ministry|Group|Company|Corporation|Inc|Ltd|Foundation|Committee|Commission|Union|Nations"
    r"|Museum|Library|Laborator\w+|Cent(?:er|re)|Service|Bureau|Board|Academy|Network|Team|Press|Federation|Fund)\b",
    re.I,
)
MLA_TITLE = re.compile(r"[“\"]([^“”\"]{2,400}?)[.?!,]?[”\"][.,]?|(?<![\w*_])([*_])(?!\s)([^*_]{2,400}?)[.?!]?\2\.?")
TITLE_END = re.compile(r"[.?!](?=\s|$)")
IN_TEXT = re.compile(
    rf"\(({SURNAME})(?:,? (?:(?:&|and) {SURNAME}|et al\.))?, ({YEAR})[^()\n]{{0,30}}\)"
    rf"|\b({SURNAME})(?: (?:(?:&|and) {SURNAME}|et al\.))? \(({YEAR})\)"
)
LETTERS = re.compile(r"[^\W\d_]{2,}")


@dataclass(frozen=True)
class Entry:
    """What of a reference was found; an empty element is missing or badly formed."""

    text: str
    author: str = ""
    year: str = ""
    title: str = ""
    container: str = ""
    link: str = ""
    has_link: bool = False

    def missing(self, link: bool) -> list[str]:
        wanted = ["author", "year", "title", "container", *(["link"] if link or self.has_link else [])]
        return [name for name in wanted if not getattr(self, name)]

    def share(self, link: bool) -> float:
        return 1 - len(self.missing(link)) / (5 if link or self.has_link else 4)

    @property
    def surname(self) -> str:
        return normalised(self.author.split(",")[0].rstrip("."))


def apa(text: str) -> Entry:
    """Author, (year). Title. Container. DOI or URL."""
    body, links = without_links(text)
    date = APA_DATE.search(body)
    if date is None:
        return Entry(text, has_link=bool(links), link=good_link(links))
    author, rest = body[: date.start()].strip(), body[date.end() :].strip()
    end = TITLE_END.search(rest)
    title, container = (rest[: end.start()], rest[end.end() :]) if end else (rest, "")
    return Entry(
        text,
        formed_author(author, APA_AUTHORS),
        date[1],
        worded(title) if date[0].endswith(".") else "",
        worded(container),
        good_link(links),
        bool(links),
    )


def mla(text: str) -> Entry:
    """Author. "Title." Container, year, place."""
    body, links = without_links(text)
    title = MLA_TITLE.search(body)
    if title is None:
        year = MLA_YEAR.search(body)
        return Entry(text, year=year[0] if year else "", link=good_link(links), has_link=bool(links))
    author, rest = body[: title.start()].strip(), body[title.end() :].strip()
    year = MLA_YEAR.search(rest)
    return Entry(
        text,
        formed_author(author, MLA_AUTHORS),
        year[0] if year else "",
        worded(title[1] or title[3] or ""),
        worded(rest[: year.start()] if year else rest),
        good_link(links),
        bool(links),
    )


PARSERS: dict[Style, Callable[[str], Entry]] = {"apa": apa, "mla": mla}


def without_links(text: str) -> tuple[str, list[str]]:
    return LINK.sub(" ", text).strip(), [link.rstrip(".,;)") for link in LINK.findall(text)]


def formed_author(text: str, form: re.Pattern[str]) -> str:
    named = "," in text or len(text.split()) == 1 or bool(ORGANISED.search(text))
    return text if named and form.fullmatch(text) else ""


def good_link(links: list[str]) -> str:
    return links[0] if links and all(map(GOOD_LINK.fullmatch, links)) else ""


def worded(text: str) -> str:
    plain = text.strip().strip("*_.,;: ")
    return plain if LETTERS.search(plain) else ""


def entries(text: str, style: Style) -> list[Entry]:
    """Every line that looks like a reference; below a heading "References", every line."""
    headings = list(HEADING.finditer(text))
    lines = text[headings[-1].end() if headings else 0 :].splitlines()
    found = []
    for line in lines:
        plain = BULLET.sub("", line.strip()).strip()
        if 8 <= len(plain) <= LONGEST_ENTRY and (headings or looks_like_one(plain, style)):
            found.append(PARSERS[style](plain))
        if len(found) == MOST_ENTRIES:
            break
    return found


def looks_like_one(line: str, style: Style) -> bool:
    if line.endswith(":") or IN_TEXT.fullmatch(line.rstrip(".")):
        return False
    entry = PARSERS[style](line)
    # A sentence with an in-text citation has a year, but neither an author before it nor an address.
    return bool(entry.author or entry.link or (style == "mla" and entry.title and entry.year))


class Citation(Parameters):
    style: Style = Field("apa", title="Style", description="apa: 7th edition. mla: 9th edition.")
    link: bool = Field(False, title="Link required", description="A DOI or URL. A badly formed one always counts.")
    in_text: bool = Field(
        False, title="Citations in the text", description="Each (Author, year) in the text must be in the list. APA."
    )


def cited(response: str, value: float, reference: str | None = None, **parameters: object) -> Example:
    return Example(
        Sample("Cite the paper on residual networks.", response, reference, markers=MARKED), value, parameters
    )


HE = (
    "He, K., Zhang, X., Ren, S., & Sun, J. (2016). Deep residual learning for image recognition. *Proceedings of"
    " CVPR*, 770–778. https://doi.org/10.1109/CVPR.2016.90"
)
HE_MLA = (
    'He, Kaiming, et al. "Deep Residual Learning for Image Recognition." *Proceedings of CVPR*, 2016, pp. 770-78,'
    " https://doi.org/10.1109/CVPR.2016.90."
)


@reward_function(
    title="Citation format",
    category="Format",
    parameters=Citation,
    examples=(
        cited(HE, 1.0),
        cited(HE_MLA, 1.0, style="mla"),
        cited("He, K. (2016). Deep residual learning.", 0.75),
        cited("He, K. (2016). Deep residual learning.", 0.6, link=True),
        cited(HE_MLA, 0.2, style="apa"),
        cited("He showed this in 2016.", 0.0),
    ),
)
def citation(sample: Sample, parameters: Citation) -> Score:
    """Share of author, year, title, container and link that each reference has in form and order. Form only."""
    text = judged_text(sample)
    found = entries(text, parameters.style)
    if not found:
        return Score(0.0, f"There is no reference in {parameters.style.upper()} style.")
    value = sum(entry.share(parameters.link) for entry in found) / len(found)
    problems = [problem for entry in found if (problem := _problem(entry, parameters.link))]
    if parameters.in_text:
        share, unlisted = in_text_share(text, found)
        value *= share
        problems += unlisted
    return Score(value, " ".join(problems)[:300] or f"{len(found)} references of good form.")


def judged_text(sample: Sample) -> str:
    return "\n".join(solutions(sample)) or without_question(sample)


def _problem(entry: Entry, link: bool) -> str:
    missing = entry.missing(link)
    return f"“{entry.text[:40]}…” lacks a well-formed {', '.join(missing)}." if missing else ""


def in_text_share(text: str, found: list[Entry]) -> tuple[float, list[str]]:
    """(the share of citations in the text that the list has, a sentence for each that it lacks)"""
    listed = {(entry.surname.split(" ")[-1], entry.year) for entry in found}
    cites = {(hit[0] or hit[2], hit[1] or hit[3]) for hit in IN_TEXT.findall(text)}
    if not cites:
        return 0.0, ["No reference is cited in the text."]
    lacking = sorted(each for each in cites if (normalised(each[0]).split(" ")[-1], each[1]) not in listed)
    return 1 - len(lacking) / len(cites), [f"{name} ({year}) is not in the list." for name, year in lacking]


class CitationMatch(Parameters):
    style: Style = Field("apa", title="Style", description="Of answer and reference. apa: 7th edition. mla: 9th.")
    link: bool = Field(False, title="Link required", description="A DOI or URL. A badly formed one always counts.")


@reward_function(
    title="Right citation",
    category="Answer",
    parameters=CitationMatch,
    judges_answer=True,
    needs_reference=True,
    examples=(
        cited(HE, 1.0, HE),
        cited("He, K., et al. (2016). Deep residual learning for image recognition. CVPR.", 1.0, HE),
        cited("He, K., et al. (2016). Deep residual learning for image recognition.", 0.75, HE),
        cited("He, K. (2018). Deep residual learning for image recognition. CVPR.", 0.0, HE),
        cited("Invented, A. (2016). A paper that nobody wrote. *Nature*, 1, 2–3.", 0.0, HE),
    ),
)
def citation_match(sample: Sample, parameters: CitationMatch) -> Score:
    """Citation format, but 0 for each reference whose first author, year or title is not that of the row."""
    expected = entries(sample.reference or "", parameters.style)
    if not (sample.reference or "").strip():
        raise RewardError("This row has no reference citation.")
    if len(expected) != 1 or not all((expected[0].author, expected[0].year, expected[0].title)):
        raise RewardError(
            f"The row's reference is no single {parameters.style.upper()} citation with author, year and title."
        )
    found = entries(judged_text(sample), parameters.style)
    if not found:
        return Score(0.0, f"There is no reference in {parameters.style.upper()} style.")
    wrong = {entry: _differs(entry, expected[0]) for entry in found}
    value = sum(entry.share(parameters.link) for entry in found if not wrong[entry]) / len(found)
    problems = [
        f"“{entry.text[:40]}…”: the {differs} is another." if differs else _problem(entry, parameters.link)
        for entry, differs in wrong.items()
    ]
    return Score(value, " ".join(filter(None, problems))[:300] or "The citation is right.")


def _differs(entry: Entry, expected: Entry) -> str:
    if entry.surname != expected.surname:
        return "author"
    if entry.year != expected.year:
        return "year"
    return "" if normalised(entry.title) == normalised(expected.title) else "title"
