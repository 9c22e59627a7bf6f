"""A row of a dataset becomes a golden case: with its right answer, or with a changed one."""

import json
import re
from html import unescape

import pytest
from django.urls import reverse

from rewards import presets
from rewards.models import RewardPreset
from tests.datasets.conftest import imported  # noqa: F401 - a fixture

HTMX = {"HX-Request": "true"}
RIGHT = "<SOLUTION>5</SOLUTION>"


@pytest.fixture
def version(imported):  # noqa: F811
    rows = [{"question": f"What is {n} + 3?", "answer": str(n + 3)} for n in range(2, 30)]
    return imported(*rows)


@pytest.fixture
def own(db, team, owner):
    return presets.copy(RewardPreset.objects.get(slug="math", team=None), team, owner)


def address(version, number=1):
    return reverse("training:row_case", args=[version.dataset_id, number])


def case_of(page):
    return json.loads(unescape(re.search(r'name="case" value="([^"]*)"', page)[1]))


def test_the_row_view_offers_it_to_members_alone(owner_client, viewer_client, version):
    row = reverse("datasets:row", args=[version.dataset_id, 1])
    assert address(version) in owner_client.get(row).content.decode()
    assert address(version) not in viewer_client.get(row).content.decode()


def test_its_right_answer_comes_in_the_markers_with_question_and_columns(owner_client, version, own):
    page = owner_client.get(address(version)).content.decode()
    case = case_of(page)
    assert case["instruction"] == "What is 2 + 3?" and case["reference"] == "5"
    assert case["columns"]["answer"] == "5" and RIGHT in case["response"]
    assert unescape(page).count(RIGHT) == 2 and str(own.pk) in page


def test_a_changed_answer_is_what_is_added_and_taken_back(owner_client, version, own):
    case = json.dumps(case_of(owner_client.get(address(version)).content.decode()))
    body = {"preset": str(own.pk), "case": case, "response": "I think 6", "wanted": "low"}
    said = owner_client.post(reverse("rewards:bench-case"), body, headers=HTMX).content.decode()
    own.refresh_from_db()
    assert [answer["text"] for answer in own.golden[-1]["answers"]] == ["I think 6"]
    assert case_of(said)["response"] == "I think 6"
    back = {"preset": str(own.pk), "case": json.dumps(case_of(said))}
    assert "Taken back" in owner_client.post(reverse("rewards:case-take-back"), back, headers=HTMX).content.decode()
    own.refresh_from_db()
    assert all(case["instruction"] != "What is 2 + 3?" for case in own.golden)


def test_a_refused_answer_stays_as_it_was_typed(owner_client, version, own):
    case = json.dumps(case_of(owner_client.get(address(version)).content.decode()))
    body = {"preset": str(own.pk), "case": case, "response": "typed", "wanted": "sideways"}
    page = owner_client.post(reverse("rewards:bench-case"), body, headers=HTMX).content.decode()
    assert "Not added." in page and "\ntyped</textarea>" in page


def test_a_row_without_an_answer_says_why_it_can_be_no_case(owner_client, imported):  # noqa: F811
    rows = [{"question": f"What is {n} + 3?", "answer": str(n + 3) if n > 2 else ""} for n in range(2, 30)]
    page = owner_client.get(address(imported(*rows))).content.decode()
    assert "it has no answer" in page and "<form" not in page


def test_a_row_that_is_not_there_is_404(owner_client, version):
    assert owner_client.get(address(version, 99)).status_code == 404


def test_others_get_no_row(outsider_client, viewer_client, client, version):
    assert outsider_client.get(address(version)).status_code == 404
    assert viewer_client.get(address(version)).status_code == 403
    assert reverse("login") in client.get(address(version))["Location"]
