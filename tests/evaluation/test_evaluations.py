"""Models answer a set for real: in this process, in a child, and after a kill."""

import json
import os
import signal
from io import StringIO
from pathlib import Path
from typing import Any

import psutil
import pytest
from django.contrib.auth.models import User
from django.core.management import CommandError, call_command

from evaluation import evaluation_answering, evaluations, sets
from evaluation.evaluation_answering import Asked, rounds
from evaluation.evaluations import EvaluationProblem
from evaluation.models import EvaluatedAnswer, Evaluation, EvaluationRow, EvaluationSet
from evaluation.tasks import EVALUATIONS
from jobs import leases, running
from jobs.choices import JobStatus
from rewards.models import RewardPreset
from tests.evaluation.evaluation_fixtures import *  # noqa: F403
from tests.evaluation.evaluation_fixtures import HELD_OUT, keys_of, queued
from tests.evaluation.test_trials import expected_text
from tests.exports.fixtures import MakeSession
from training.models import Session

pytestmark = pytest.mark.django_db(transaction=True)
COLUMNS = {"instruction_field": "question", "response_field": "answer"}
SYSTEM = "<|im_start|>system\nAnswer with a number between <SOLUTION> and </SOLUTION>.<|im_end|>\n"


def done(evaluation: Evaluation) -> Evaluation:
    """As by a child, in this process: loading torch for each test takes longer than all else."""
    attempt = leases.claim(Evaluation, evaluation.pk, running.QUEUED, status=JobStatus.RUNNING)
    assert attempt is not None
    evaluation.refresh_from_db()
    evaluation_answering.evaluate(evaluation)
    evaluation.refresh_from_db()
    return evaluation


Said = list[tuple[int, int, int, str, int, bool | None]]


def said(evaluation: Evaluation) -> Said:
    columns = ("model__number", "row__number", "sample", "text", "tokens", "right")
    return list(
        EvaluatedAnswer.objects.filter(model__evaluation=evaluation).order_by(*columns[:3]).values_list(*columns)
    )


def numbers(evaluation: Evaluation) -> dict[str, Any]:
    """Of its report, without what a clock says."""
    models = [{**model, "tokens_per_second": None} for model in evaluation.report["models"]]
    return {**evaluation.report, "models": models}


def test_each_model_answers_each_row_greedily_and_as_often_at_random_as_asked(
    owner: User, held_out: EvaluationSet, session: Session, tiny_base: Path, tiny_adapter: Path
) -> None:
    evaluation = done(queued(owner, held_out, session, samples=2, temperature=1.0, max_new_tokens=10))
    assert evaluation.status == JobStatus.READY, evaluation.error
    base, adapter = evaluation.models.all()
    assert [model.answers.count() for model in (base, adapter)] == [3 * HELD_OUT, 3 * HELD_OUT]
    row = held_out.rows.get(number=1)
    prompt = f"{SYSTEM}<|im_start|>user\n{row.instruction}<|im_end|>\n<|im_start|>assistant\n"
    greedy = {model.number: model.answers.get(row=row, sample=0).text for model in (base, adapter)}
    assert greedy[1] == expected_text(tiny_base, None, prompt, temperature=0.0)
    assert greedy[2] == expected_text(tiny_base, tiny_adapter, prompt, temperature=0.0)
    assert len({answer.text for answer in adapter.answers.exclude(sample=0)}) > HELD_OUT / 2, "samples differ"
    report = evaluation.report
    assert [model["answered"] for model in report["models"]] == [HELD_OUT, HELD_OUT]
    assert [each["k"] for each in report["models"][0]["pass_at"]] == [1, 2] and len(report["pairs"]) == 1


def kill_once(evaluation: Evaluation, after: int) -> tuple[Any, list[int]]:
    """As a machine that runs out of memory does, once `after` answers are there."""
    killed: list[int] = []

    def on_tick(job: Any) -> None:
        if killed or EvaluatedAnswer.objects.filter(model__evaluation=evaluation).count() < after:
            return
        for child in psutil.Process().children():
            if "answer_evaluation" in child.cmdline():
                os.kill(child.pid, signal.SIGKILL)
                killed.append(child.pid)

    return on_tick, killed


def test_the_same_evaluation_twice_gives_the_same_numbers(
    owner: User, held_out: EvaluationSet, session: Session
) -> None:
    once, again = (done(queued(owner, held_out, session, samples=2, temperature=1.2)) for _ in range(2))
    assert said(once) == said(again) and numbers(once) == numbers(again)
    other = done(queued(owner, held_out, session, samples=2, temperature=1.2, seed=4))
    assert said(other) != said(once), "another seed gives other samples"


def test_one_that_was_killed_in_the_middle_ends_with_the_numbers_of_one_that_was_not(
    owner: User, version: Any, session: Session
) -> None:
    asked = sets.create(owner, version, sets.Wanted(part=sets.ALL))
    wanted = {"samples": 1, "temperature": 1.2, "max_new_tokens": 40}
    once, killed_one = done(queued(owner, asked, session, **wanted)), queued(owner, asked, session, **wanted)
    on_tick, killed = kill_once(killed_one, 16)
    assert running.run(EVALUATIONS, str(killed_one.pk), on_tick)
    killed_one.refresh_from_db()
    kept = said(killed_one)
    assert killed and 16 <= len(kept) < len(said(once)), "it was killed in the middle"
    assert killed_one.status == JobStatus.QUEUED and "signal 9" in killed_one.message
    killed_one = done(killed_one)
    assert killed_one.status == JobStatus.READY, killed_one.error
    assert said(killed_one) == said(once) and numbers(killed_one) == numbers(once)


def test_one_that_was_cancelled_goes_on_where_it_was(owner: User, held_out: EvaluationSet, session: Session) -> None:
    whole = done(queued(owner, held_out, session))
    evaluation = queued(owner, held_out, session)
    done(evaluation)
    lost = EvaluatedAnswer.objects.filter(model__evaluation=evaluation, model__number=2)
    lost.delete()
    first = list(EvaluatedAnswer.objects.filter(model__evaluation=evaluation).values_list("pk", flat=True))
    Evaluation.objects.filter(pk=evaluation.pk).update(status=JobStatus.CANCELLED, report={})
    evaluation.refresh_from_db()
    evaluations.go_on(evaluation)
    evaluation = done(evaluation)
    assert evaluation.status == JobStatus.READY, evaluation.error
    assert said(evaluation) == said(whole)
    assert set(first) < set(EvaluatedAnswer.objects.filter(model__evaluation=evaluation).values_list("pk", flat=True))
    with pytest.raises(EvaluationProblem, match="nothing to go on"):
        evaluations.go_on(evaluation)


def test_a_reward_judges_all_models_alike_and_what_it_could_not_judge_is_not_wrong(
    owner: User, held_out: EvaluationSet, session: Session
) -> None:
    preset = RewardPreset.objects.get(slug="math", team=None)
    evaluation = done(queued(owner, held_out, session, reward=str(preset.pk)))
    assert evaluation.status == JobStatus.READY, evaluation.error
    assert evaluation.reward_name == preset.name and evaluation.reward
    first = EvaluatedAnswer.objects.filter(model__evaluation=evaluation).first()
    assert first and first.total is not None and first.parts and first.parts[0]["feedback"]
    assert all(model["reward"] for model in evaluation.report["models"])


def test_a_row_that_does_not_fit_is_counted_and_said_and_not_wrong(
    owner: User, held_out: EvaluationSet, session: Session
) -> None:
    EvaluationRow.objects.filter(evaluation_set=held_out, number=2).update(instruction="what is 1 plus 1? " * 200)
    evaluation = done(queued(owner, held_out, session, samples=1))
    assert evaluation.status == JobStatus.READY, evaluation.error
    model = evaluation.report["models"][0]
    assert (model["not_asked"], model["answered"], model["judged"]) == (1, HELD_OUT - 1, HELD_OUT - 1)
    (answer,) = EvaluatedAnswer.objects.filter(model__evaluation=evaluation, model__number=1, row__number=2)
    assert "the model reads 256" in answer.error and answer.right is None


def test_a_session_that_trained_on_the_rows_is_named(owner: User, version: Any, make_trained: MakeSession) -> None:
    session = make_trained(dataset_version=version)
    config = {**session.config, "dataset": {**session.config["dataset"], **COLUMNS, "max_samples": 10}}
    Session.objects.filter(pk=session.pk).update(config=config)
    everything = sets.create(owner, version, sets.Wanted(part=sets.ALL))
    evaluation = done(queued(owner, everything, session))
    assert [model["trained_on"] for model in evaluation.report["models"]] == [None, 10], "the base was not"
    held_out = done(queued(owner, sets.create(owner, version, sets.Wanted()), session))
    assert held_out.report["models"][1]["trained_on"] == 0


def test_a_base_that_is_gone_and_a_session_that_was_deleted_fail_with_their_name(
    owner: User, held_out: EvaluationSet, session: Session
) -> None:
    evaluation = queued(owner, held_out, session)
    model = evaluation.models.get(number=1)
    model.candidate = {**model.candidate, "base_model": "/nowhere/model"}
    model.save()
    evaluation = done(evaluation)
    assert evaluation.status == JobStatus.FAILED and f"{model.title} can't be loaded" in evaluation.error
    gone = queued(owner, held_out, session)
    session.delete()
    gone = done(gone)
    assert gone.status == JobStatus.FAILED and "was deleted" in gone.error


def test_an_adapter_of_another_base_fails_in_words(owner: User, held_out: EvaluationSet, session: Session) -> None:
    file = session.adapter / "adapter_config.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), "r": 8}))
    evaluation = done(queued(owner, held_out, session))
    assert evaluation.status == JobStatus.FAILED and "does not fit the model" in evaluation.error
    assert evaluation.models.get(number=1).answers.count() == HELD_OUT, "what the base answered is kept"


def test_an_attempt_that_does_not_count_any_more_writes_nothing(
    owner: User, held_out: EvaluationSet, session: Session
) -> None:
    evaluation = queued(owner, held_out, session)
    Evaluation.objects.filter(pk=evaluation.pk).update(status=JobStatus.RUNNING, attempt=2)
    evaluation.attempt = 1
    one = evaluation_answering.OneModel(evaluation_answering.Evaluating(evaluation), evaluation.models.get(number=1))
    with pytest.raises(running.Lost):
        one.write([EvaluatedAnswer(model=one.model, row=held_out.rows.first(), sample=0)])
    assert not EvaluatedAnswer.objects.exists()


def test_rounds_depend_on_the_input_alone_and_hold_each_answer_once() -> None:
    fits = [Asked(EvaluationRow(number=number), f"{number}", 100 - number) for number in range(1, 41)]
    made = rounds(fits, 3)
    assert made == rounds(list(reversed(fits)), 3)
    wanted = [(asked.row.number, sample) for each in made for asked, sample in each.wanted]
    assert sorted(wanted) == [(number, sample) for number in range(1, 41) for sample in range(4)]
    assert [each.number for each in made] == list(range(len(made)))
    assert all(len({sample == 0 for _, sample in each.wanted}) == 1 for each in made), "greedy ones are apart"


@pytest.mark.parametrize(
    ("wanted", "field", "told"),
    [
        ({"models": []}, "models", "one to 6"),
        ({"models": ["base:/etc"]}, "models", "not offered"),
        ({"reward": "session"}, "reward", "has a reward of its own"),
        ({"samples": 5000}, "samples", "at most"),
    ],
)
def test_what_can_not_be_asked_is_said_at_its_field(
    owner: User, held_out: EvaluationSet, make_trained: MakeSession, wanted: dict[str, Any], field: str, told: str
) -> None:
    keys = wanted.get("models", keys_of(make_trained(reward={})))
    answering = evaluations.Answering(samples=wanted.get("samples", 0))
    with pytest.raises(EvaluationProblem) as problem:
        evaluations.create(
            owner, held_out, evaluations.Wanted(keys, reward=wanted.get("reward", ""), answering=answering)
        )
    assert problem.value.field == field and told in str(problem.value)
    assert not Evaluation.objects.exists()


def test_the_model_of_another_team_is_not_asked_for_this_one(
    owner: User, outsider: User, held_out: EvaluationSet, make_trained: MakeSession
) -> None:
    session = make_trained()
    Session.objects.filter(pk=session.pk).update(team=outsider.memberships.get().team)  # type: ignore[attr-defined]
    outsider.memberships.create(team=held_out.team, role="member")  # type: ignore[attr-defined]
    with pytest.raises(EvaluationProblem, match="belongs to another team"):
        queued(outsider, held_out, session)


def test_the_command_prints_the_report_as_one_line(owner: User, version: Any, session: Session, tmp_path: Path) -> None:
    sets.create(owner, version, sets.Wanted(name="Few", sample=4))
    out, file = StringIO(), tmp_path / "report.json"
    asked = ["--set", "Few", "--model", keys_of(session)[1], "--max-new-tokens", "4", "--json", str(file)]
    call_command("evaluate", *asked, stdout=out, stderr=StringIO())
    printed = json.loads(out.getvalue())
    assert out.getvalue().count("\n") == 1 and printed == json.loads(file.read_text())
    assert printed["status"] == "ready" and printed["report"]["models"][0]["answered"] == 4


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"--set": "none"}, "There is “Sums”"),
        ({"--model": "base:/etc"}, "not offered"),
        ({"--samples": "-1"}, "--samples: Ensure this value is greater"),
        ({"--reward": "nonsense"}, "no reward preset “nonsense”"),
    ],
)
def test_the_command_says_what_is_wrong(
    held_out: EvaluationSet, session: Session, changed: dict[str, str], told: str
) -> None:
    asked = {"--set": str(held_out.pk), "--model": keys_of(session)[0], **changed}
    with pytest.raises(CommandError, match=told):
        call_command("evaluate", *[f"{name}={value}" for name, value in asked.items()])
    assert not Evaluation.objects.exists()
