import pytest

from rewards.composition import Composition
from rewards.quick_start import Offer, evidence_of, kind_of, propose
from rewards.registry import Markers, Sample
from rewards.shipped import MARKERS, SHIPPED

M = Markers(**MARKERS)
OFFERS = [Offer(p["slug"], p["name"], Composition.model_validate(p["definition"])) for p in SHIPPED]


def rows(*references, question="What is it, then?", **columns):
    return [(Sample(f"{question} {i}", "", text, dict(columns), M), "") for i, text in enumerate(references)]


@pytest.mark.parametrize(
    ("reference", "kind"),
    [
        ("72", "number"),
        ("$1,200.50", "number"),
        ("25%", "number"),
        ("1/2", "number"),
        ("C", "letter"),
        ("(b)", "letter"),
        ('{"a": 1}', "json"),
        ("{not json", "short"),
        ("Paris", "short"),
        ("A sentence that goes on for more than six words.", "prose"),
        ("", "none"),
        (None, "none"),
    ],
)
def test_a_reference_is_of_one_kind(reference, kind):
    assert kind_of(reference) == kind


@pytest.mark.parametrize(
    ("references", "slug"),
    [
        (["18", "72", "5", "120"], "math"),
        (["A", "C", "B", "D"], "multiple-choice"),
        (['{"a": 1}', '{"a": 2}'], "json-output"),
        (["Paris", "Rome", "Lyon", "Bonn"], "question-answering"),
    ],
)
def test_the_proposal_fits_the_references_and_tells_right_from_wrong(references, slug):
    best = propose(rows(*references), OFFERS)[0]
    assert best.slug == slug and "100%" in best.why
    assert best.right is not None and best.wrong is not None and best.right > best.wrong
    assert not best.problems and best.rows == len(references)


def test_long_references_are_compared_by_what_they_share():
    texts = [f"The {animal} sleeps all day in the shade and hunts at night in the field." for animal in ("cat", "owl")]
    best = propose(rows(*texts), OFFERS)[0]
    offer = next(offer for offer in OFFERS if offer.slug == best.slug)
    assert any(part.definition.needs_reference and part.definition.grades_content for part in offer.composition.parts)


def test_without_references_only_form_is_proposed_and_it_says_so():
    best = propose(rows(None, "", None), OFFERS)[0]
    assert best.slug == "format-only" and "game" in best.why and best.right is None


def test_no_rows_no_proposal():
    assert propose([], OFFERS) == []


def test_a_preset_whose_columns_are_missing_is_not_proposed():
    offered = {proposal.slug for proposal in propose(rows("BUY", "SELL"), OFFERS)}
    lacking = {offer.slug for offer in OFFERS if offer.composition.columns}
    assert not offered & lacking


def test_evidence_counts_kinds_and_rows_with_tests():
    found = evidence_of(rows("1", "2", "Paris", "", tests="assert f() == 1"))
    assert found == {"number": 0.5, "short": 0.25, "none": 0.25, "tests": 1.0}


def test_a_custom_composition_of_the_team_can_be_proposed():
    own = Offer("ours", "Ours", Composition.model_validate({"parts": [{"name": "a", "function": "math_answer"}]}))
    assert propose(rows("1", "22", "3"), [own])[0].slug == "ours"


def own(slug, *parts):
    return Offer(slug, slug.title(), Composition.model_validate({"parts": list(parts)}), own=True)


def test_a_preset_of_the_team_that_judges_in_its_own_way_is_proposed_if_it_tells_right_from_wrong():
    strict = own("ours", {"name": "a", "function": "exact_match"})
    loose = own("loose", {"name": "a", "function": "contains", "parameters": {"phrases": ["a"]}})
    found = {proposal.slug: proposal for proposal in propose(rows("18", "72", "5"), [*OFFERS, strict, loose])}
    assert next(iter(found)) == "math" and "loose" not in found
    assert found["ours"].own and "your team's own" in found["ours"].why and not found["ours"].problems


def test_one_of_the_team_comes_before_shipped_ones_but_the_usual_one():
    ours = own("zz-ours", {"name": "a", "function": "math_answer"}, {"name": "m", "function": "markers"})
    assert [p.slug for p in propose(rows("18", "72", "5"), [*OFFERS, ours])][:2] == ["math", "zz-ours"]


@pytest.mark.parametrize(
    ("references", "confidence", "said"),
    [
        (["1", "22", "3", "14", "5", "61"], "high", "on all 6 rows"),
        (["1", "22", "3"], "fair", "on 3 rows only"),
        (["1"], "fair", "on 1 row only"),
        (["1", "22", "3", "14", "5", "seven"], "fair", "holds for 83%"),
        ([None, None], "low", "not tried on rows"),
    ],
)
def test_the_confidence_is_said_in_words(references, confidence, said):
    offers = [offer for offer in OFFERS if offer.slug in ("question-answering", "math", "format-only")]
    best = propose(rows(*references), offers)[0]
    if references[-1] == "seven":
        best = next(p for p in propose(rows(*references), [own("q", {"name": "a", "function": "exact_match"})]))
    assert best.confidence == confidence and said in best.confidence_why


def test_a_proposal_that_fails_on_the_rows_is_of_low_confidence():
    only = Offer("bad", "Bad", Composition.model_validate(
        {"parts": [{"name": "a", "function": "math_answer", "weight": -1.0}]}
    ))  # fmt: skip
    best = propose(rows("1", "22", "3", "14", "5"), [only])[0]
    assert best.confidence == "low" and "well enough" in best.confidence_why


def test_each_row_is_shown_with_what_its_right_and_its_best_paid_wrong_answer_earn():
    best = propose(rows("18", "72", "5"), OFFERS)[0]
    assert [row.reference for row in best.scored] == ["18", "72", "5"]
    assert all(row.right > row.wrong for row in best.scored) and best.scored[0].question.endswith("0")
