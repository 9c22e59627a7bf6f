import pytest

from rewards import presets, shipped
from rewards.models import RewardPreset

pytestmark = pytest.mark.django_db
PRESETS, TEST = "/api/rewards/presets", "/api/rewards/test"
BODY = {
    "preset": "math",
    "instruction": "What is 12 + 7?",
    "response": "<start_working_out>12 + 7<end_working_out><SOLUTION>19</SOLUTION>",
    "reference": "19",
    "markers": shipped.MARKERS,
}


@pytest.fixture
def own(team, owner):
    return presets.copy(RewardPreset.objects.get(slug="math", team=None), team, owner)


def post(client, body):
    return client.post(TEST, body, content_type="application/json")


def test_the_presets_are_listed_with_their_definition(viewer_client, own):
    rows = {row["slug"]: row for row in viewer_client.get(PRESETS).json()["presets"]}
    assert rows["math"]["shipped"] and rows["math"]["team"] is None
    assert rows["math"]["definition"]["parts"][0]["function"] == "math_answer"
    assert rows[own.slug]["team"] == "Charlie's team" and not rows[own.slug]["shipped"]


def test_an_outsider_sees_and_uses_no_preset_of_another_team(outsider_client, own):
    assert own.slug not in {row["slug"] for row in outsider_client.get(PRESETS).json()["presets"]}
    response = post(outsider_client, BODY | {"preset": own.slug})
    assert response.status_code == 400
    assert "There is no reward preset" in response.json()["fields"]["preset"][0]


def test_an_answer_is_scored_part_by_part(viewer_client):
    response = post(viewer_client, BODY)
    assert response.status_code == 200
    assert response.json() == {
        "total": 3.0,
        "parts": {"answer": 1.0, "format": 1.0},
        "errors": {},
        "feedback": {"answer": "19 is right.", "format": "All markers once and in order."},
        "correct": True,
    }


def test_a_definition_of_one_s_own_is_scored(viewer_client):
    definition = {"parts": [{"name": "short", "function": "length", "parameters": {"longest": 3}}]}
    body = {"definition": definition, "response": "one two"}
    assert post(viewer_client, body).json()["total"] == 1.0


def test_a_part_that_can_not_judge_gives_null_and_says_why(viewer_client):
    result = post(viewer_client, BODY | {"reference": None}).json()
    assert result["total"] is None and result["parts"]["answer"] is None
    assert result["errors"] == {"answer": "This row has no reference answer."}


@pytest.mark.parametrize(
    ("body", "field", "message"),
    [
        (BODY | {"preset": None}, "preset", "either preset or definition"),
        (BODY | {"definition": {}}, "preset", "either preset or definition"),
        (BODY | {"preset": "maths"}, "preset", "Known:"),
        ({"definition": {"parts": []}, "response": ""}, "definition", "Give 1 or more"),
        ({"preset": "math"}, "response", "This is missing"),
        (BODY | {"respons": ""}, "respons", "no such setting"),
        (BODY | {"markers": {"solution_start": 1}}, "markers.solution_start", "Write text"),
        ([1], "body", "object"),
    ],
)
def test_a_wrong_request_names_its_field(viewer_client, body, field, message):
    response = post(viewer_client, body)
    assert response.status_code == 400
    assert message in response.json()["fields"][field][0]


def test_both_routes_need_credentials(client, db):
    assert client.get(PRESETS).status_code == 401
    assert post(client, BODY).status_code == 401
