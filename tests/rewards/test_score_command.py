import io
import json

import pytest
from django.core.management import CommandError, call_command

from rewards import presets
from rewards.models import RewardPreset

pytestmark = pytest.mark.django_db
ROWS = [
    {"instruction": "12 + 7?", "response": "<SOLUTION>19</SOLUTION>", "reference": "19"},
    {"instruction": "12 + 7?", "response": "<SOLUTION>9</SOLUTION>", "reference": 19},
    {"instruction": "12 + 7?", "response": "<SOLUTION>19</SOLUTION>"},
]


@pytest.fixture
def run(tmp_path):
    def call(rows, *options):
        lines = [row if isinstance(row, str) else json.dumps(row) for row in rows]
        (tmp_path / "in.jsonl").write_text("\n".join(lines) + "\n")
        output = tmp_path / "out.jsonl"
        call_command("score", *map(str, options), input=tmp_path / "in.jsonl", output=output, stderr=io.StringIO())
        return [json.loads(line) for line in output.read_text().splitlines()]

    return call


def test_rows_are_scored_in_their_order(run):
    right, wrong, unknown = run(ROWS, "--preset", "math-short-answer")
    assert right == {
        "total": pytest.approx(1.35),
        "parts": {"answer": 1.0, "format": 1.0, "length": 1.0},
        "error": None,
        "feedback": "answer: 19 is right. format: One solution block. length: Words: 1; asked for 1 to 30.",
    }
    assert wrong["parts"]["answer"] == 0.0 and wrong["total"] == pytest.approx(0.35)
    assert unknown["total"] is None and unknown["parts"]["answer"] is None
    assert unknown["error"] == "answer: This row has no reference answer."


def test_broken_lines_keep_their_place_as_errors(run):
    results = run(["{oops", ROWS[0], "[1]", "", {"instruction": "no response"}], "--preset", "math")
    assert [result["total"] is None for result in results] == [True, False, True, True]
    assert results[0]["error"].startswith("Line 1 is not JSON")
    assert "Line 3 needs to be an object" in results[2]["error"]
    assert "Line 5" in results[3]["error"]


def test_a_line_separator_inside_a_text_is_no_new_row(run):
    (result,) = run([json.dumps(ROWS[0] | {"instruction": "a\u2028b"}, ensure_ascii=False)], "--preset", "math")
    assert result["error"] is None


def test_a_reward_as_json_is_scored(run, tmp_path):
    (tmp_path / "r.json").write_text(json.dumps({"parts": [{"name": "words", "function": "length", "weight": 3}]}))
    assert run(ROWS[:1], "--reward-json", tmp_path / "r.json")[0]["total"] == 3.0


def test_other_markers_can_be_given(run):
    row = {"instruction": "?", "response": "<a>19</a> 20", "reference": "19"}
    assert run([row], "--preset", "math-short-answer")[0]["parts"]["answer"] == 0.0
    options = ("--solution-start", "<a>", "--solution-end", "</a>")
    assert run([row], "--preset", "math-short-answer", *options)[0]["parts"]["answer"] == 1.0


def test_a_team_s_own_presets_are_found_with_its_name(run, team, owner):
    presets.copy(RewardPreset.objects.get(slug="math"), team, owner)
    assert run(ROWS[:1], "--preset", "math-copy", "--team", team.name)[0]["parts"]["answer"] == 1.0
    with pytest.raises(CommandError, match="no reward preset called 'math-copy'"):
        run(ROWS, "--preset", "math-copy")


def test_code_runs_in_the_sandbox(run, tmp_path):
    code = tmp_path / "reward.py"
    code.write_text(
        "def reward(completions, instruction, reference, level, **columns):\n"
        "    return [float(str(r) in c) * n for c, r, n in zip(completions, reference, level)]\n"
    )
    results = run([row | {"level": 2} for row in ROWS], "--code", code)
    assert [result["total"] for result in results] == [2.0, 0.0, 0.0]
    assert results[0]["parts"] == {"reward": 2.0}


def test_code_reaches_no_file(run, tmp_path):
    code = tmp_path / "reward.py"
    code.write_text("def reward(completions, **columns): return [len(open('/etc/passwd').read())] * len(completions)\n")
    results = run(ROWS, "--code", code)
    assert all("PermissionError" in result["error"] and result["total"] is None for result in results)


@pytest.mark.parametrize(
    ("option", "content", "message"),
    [
        ("--reward-json", "{oops", "is not JSON"),
        ("--reward-json", '{"parts": [{"name": "x", "function": "magic"}]}', "no reward function 'magic'"),
        ("--code", "def reward(", "SyntaxError"),
        ("--code", "x = 1", "no function called reward"),
    ],
)
def test_a_reward_that_can_not_run_is_exit_code_2(run, tmp_path, option, content, message):
    (tmp_path / "file").write_text(content)
    with pytest.raises(CommandError, match=message) as failure:
        run(ROWS, option, tmp_path / "file")
    assert failure.value.returncode == 2
    assert not (tmp_path / "out.jsonl").exists()


def test_unknown_names_and_files_are_exit_code_2(run, tmp_path):
    for options in (["--preset", "maths"], ["--preset", "math", "--team", "Nobody"], ["--code", tmp_path / "none.py"]):
        with pytest.raises(CommandError) as failure:
            run(ROWS, *options)
        assert failure.value.returncode == 2
    assert [file.name for file in tmp_path.iterdir()] == ["in.jsonl"]
