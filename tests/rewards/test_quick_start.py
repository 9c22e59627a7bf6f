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
