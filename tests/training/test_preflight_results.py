"""What a preflight measured becomes time, disk, memory and advice."""

import pytest

from training.preflight_results import Surroundings, summary
from training.schema import SessionConfig

ROOM = Surroundings(available=20_000_000_000, free=50_000_000_000, held_out=10)


def answer(total, tokens=10, cut_off=False, correct=None, errors=()):
    right = bool(total) if correct is None else correct
    return {"text": f"a{total}{tokens}", "tokens": tokens, "cut_off": cut_off, "total": total,
            "correct": None if total is None else right, "errors": list(errors)}  # fmt: skip


def measured(questions, **changes):
    step = {"answers": 8, "prompt_tokens": 40.0, "new_tokens": 60, "mean_prompt_tokens": 40.0, "generating": 6.0,
            "seconds": 16.0, "finished": True}  # fmt: skip
    found = {
        "engine": "own loop", "on_gpu": False, "trainable": 1000, "steps": 100, "usable": 50, "asked": len(questions),
        "seconds": {"loading": 3.0, "generating": 8.0, "scoring": 0.8}, "peaks": {"step": 10**9}, "peak": 10**9,
        "questions": [{"question": "q", "reference": "r", "answers": answers} for answers in questions],
        "step": step, "warm_up": {}, "checkpoint": 12_500,
    }  # fmt: skip
    return {**found, **changes}


@pytest.fixture
def config():
    return SessionConfig.model_validate(
        {
            "training": {"batch_size": 8, "gradient_accumulation_steps": 1, "max_new_tokens": 60},
            "grpo": {"num_generations": 8},
            "evaluation": {"max_samples": 5},
        }
    )


MIXED = [[answer(place % 2) for place in range(8)] for _ in range(2)]


def advice_of(found):
    return [(line["level"], line["text"]) for line in found["advice"]]


def test_time_is_that_of_typical_answers_and_at_most_that_of_the_largest(config):
    time = summary(measured(MIXED), config, ROOM)["time"]
    # 8.8 s for 16 answers, so 0.55 each; learning is 10 s for 100 tokens, half of it for 40 + 10.
    assert time["step"] == pytest.approx(5 + 8 * 0.55)
    parts = {part["label"]: part["seconds"] for part in time["parts"]}
    assert parts == {"Loading": 3, "Evaluation, before and after": pytest.approx(10 * 0.55),
                     "GRPO": pytest.approx(940)}  # fmt: skip
    assert time["total"] == pytest.approx(948.5)
    assert time["most"] == pytest.approx(948.5 + 100 * (16.4 - 9.4))


def test_the_warm_up_counts_by_its_mean_length(config):
    warm_up = {"steps": 20, "tokens": 80.0, "mean_tokens": 40.0, "seconds": 2.0, "finished": True}
    parts = summary(measured(MIXED, warm_up=warm_up), config, ROOM)["time"]["parts"]
    assert {"label": "Warm-up", "seconds": 20.0} in parts


def test_nothing_is_forecast_from_a_step_that_was_not_finished(config):
    found = summary(measured(MIXED, step={"finished": False}), config, ROOM)
    assert found["time"]["total"] is None and found["unfinished"] == ["the largest step"]
    assert any("time was over" in text for _, text in advice_of(found))


def test_disk_holds_all_checkpoints_and_the_one_that_is_written(config):
    kept = config.training.save_total_limit
    assert summary(measured(MIXED), config, ROOM)["disk"]["needed"] == 12_500 * (kept + 1) + 4000


def test_rewards_that_the_engine_takes_for_equal_are_a_dead_group(config):
    same = [[answer(0.2 + place * 1e-8) for place in range(8)]]
    assert summary(measured(same), config, ROOM)["dead"]["share"] == 1


def test_all_is_well(config):
    assert [level for level, _ in advice_of(summary(measured(MIXED * 4), config, ROOM))] == ["good"]


@pytest.mark.parametrize(
    ("questions", "changes", "room", "level", "words"),
    [
        ([[answer(0.0)] * 8] * 4, {}, ROOM, "bad", "choose easier questions"),
        ([[answer(1.0)] * 8] * 4, {}, ROOM, "bad", "choose harder questions"),
        ([*MIXED, *[[answer(0.0)] * 8] * 3], {}, ROOM, "warning", "more answers a question"),
        (
            [[answer(place % 2, cut_off=True) for place in range(8)]],
            {},
            ROOM,
            "warning",
            "100 % of the answers were cut",
        ),
        ([[answer(None, errors=["no key"])] * 8], {}, ROOM, "bad", "could not be judged: no key"),
        (MIXED, {"peak": 19 * 10**9}, ROOM, "warning", "19.0 GB of 20.0 GB"),
        (MIXED, {"peak": 21 * 10**9}, ROOM, "bad", "Lower the batch size"),
        (MIXED, {"checkpoint": 2 * 10**10}, ROOM, "bad", "are free"),
        (MIXED, {"steps": 100_000}, ROOM, "warning", "hours on this machine"),
        ([], {"asked": 4}, ROOM, "bad", "No answer was finished"),
    ],
)
def test_advice_names_what_is_wrong_and_what_to_do(config, questions, changes, room, level, words):
    found = advice_of(summary(measured(questions, **changes), config, room))
    assert any(each == level and words in text for each, text in found), found
    assert "good" not in dict(found)


def test_examples_are_the_best_the_worst_and_what_went_wrong_each_once(config):
    answers = [answer(0.0, 3), answer(1.0, 4), answer(0.5, 60, cut_off=True), answer(None, 7, errors=["no"])]
    titles = [each["title"] for each in summary(measured([answers]), config, ROOM)["examples"]]
    assert titles == ["Best", "Worst", "Cut off", "Not judged"]
    assert len(summary(measured([[answer(1.0)] * 4]), config, ROOM)["examples"]) == 1
