"""A file of prompts is answered for real: claimed, in a child process, by a tiny model, and after a kill."""

import os
import signal
from pathlib import Path
from typing import Any

import psutil
import pytest
from django.contrib.auth.models import User

from accounts.models import Team
from evaluation import batch_answering, batch_rows, batches, prompt_files, tasks
from evaluation.batches import BatchProblem, Wanted
from evaluation.choices import RowStatus
from evaluation.models import Batch, BatchRow
from evaluation.tasks import BATCHES
from jobs import leases, running
from jobs.choices import JobStatus
from rewards import presets
from rewards.models import RewardPreset
from tests.evaluation.test_trials import expected_text
from tests.exports.fixtures import MakeSession
from training.models import Session

pytestmark = pytest.mark.django_db(transaction=True)
CSV = b"prompt,reference,level\nwhat is 3 plus 4?,7,1\nwhat is 1 plus 1?,2,2\n"
SYSTEM = "<|im_start|>system\nAnswer with a number between <SOLUTION> and </SOLUTION>.<|im_end|>\n"


def turn(question: str) -> str:
    return f"<|im_start|>user\n{question}<|im_end|>\n<|im_start|>assistant\n"


@pytest.fixture(autouse=True)
def rung(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    rung: list[str] = []
    monkeypatch.setattr(tasks, "answer_batch", rung.append)
    return rung


@pytest.fixture
def session(make_trained: MakeSession) -> Session:
    return make_trained()


def created(user: User, model: Session | str, content: bytes = CSV, **wanted: Any) -> Batch:
    value = f"session:{model.pk}" if isinstance(model, Session) else model
    parsed = prompt_files.read(content, "prompts.csv" if content is CSV else "")
    asked = Wanted(**{"model": value, "prompt_column": "", "max_new_tokens": 10, "seed": 3, **wanted})
    return batches.create(user, parsed, "prompts.csv", batches.with_guesses(parsed, asked, reference=True))


def done(batch: Batch) -> Batch:
    """As by a child, in this process: loading torch for each test takes longer than all else."""
    attempt = leases.claim(Batch, batch.pk, running.QUEUED, status=JobStatus.RUNNING)
    assert attempt is not None
    batch.refresh_from_db()
    batch_answering.answer_batch(batch)
    batch.refresh_from_db()
    return batch


def answered(user: User, model: Session | str, content: bytes = CSV, **wanted: Any) -> Batch:
    return done(created(user, model, content, **wanted))


def rows(batch: Batch) -> list[BatchRow]:
    return list(batch.rows.all())


def many(count: int) -> bytes:
    return b"prompt,reference\n" + b"".join(b"what is %d plus %d?,%d\n" % (n, n, n + n) for n in range(count))


def test_each_row_is_answered_by_the_adapter_under_the_prompt_of_its_training(
    owner: User, session: Session, tiny_base: Path, tiny_adapter: Path
) -> None:
    batch = created(owner, session)
    assert running.run(BATCHES, str(batch.pk))
    batch.refresh_from_db()
    assert batch.status == JobStatus.READY, batch.error
    assert batch.adapter == "adapter" and batch.progress == 1 and batch.generation_seconds > 0
    first, second = rows(batch)
    assert first.rendered == SYSTEM + turn("what is 3 plus 4?")
    assert first.answer == expected_text(tiny_base, tiny_adapter, first.rendered, temperature=0.0)
    assert first.status == RowStatus.ANSWERED and 1 <= first.tokens <= 10 and first.seconds > 0
    assert (first.line, first.reference, first.columns) == (2, "7", {"level": "1"})
    assert first.exact is False and "Expected “7”" in first.exact_feedback and first.right is False
    assert second.prompt_tokens and second.exact is not None


def test_a_base_model_answers_and_a_session_without_its_adapter(owner: User, session: Session, tiny_base: Path) -> None:
    base = f"base:{session.config['model']['name']}"
    (first, _) = rows(answered(owner, base, use_system_prompt=False))
    plain = expected_text(tiny_base, None, turn("what is 3 plus 4?"), temperature=0.0)
    assert first.answer == plain
    (first, _) = rows(answered(owner, session, checkpoint="base", use_system_prompt=False))
    assert first.answer == plain


def test_a_checkpoint_that_was_chosen_answers_and_its_name_is_kept(
    owner: User, session: Session, tiny_adapter: Path
) -> None:
    folder = session.folder / "checkpoints" / "checkpoint-4"
    folder.parent.mkdir(parents=True, exist_ok=True)
    # A link out of the session's folder is none of its checkpoints.
    folder.symlink_to(tiny_adapter)
    with pytest.raises(BatchProblem, match="checkpoint is gone"):
        created(owner, session, checkpoint="checkpoint-4")
    folder.unlink()
    session.adapter.rename(folder)
    batch = answered(owner, session, checkpoint="checkpoint-4")
    assert batch.status == JobStatus.READY, batch.error
    assert batch.adapter == "checkpoints/checkpoint-4" and "checkpoint-4" in batches.title_of_model(batch)


def test_a_reward_scores_each_row_with_its_parts_and_feedback(owner: User, session: Session) -> None:
    preset = RewardPreset.objects.get(slug="math", team=None)
    batch = answered(owner, session, reward=str(preset.pk))
    assert batch.status == JobStatus.READY, batch.error
    first = rows(batch)[0]
    assert batch.reward_name == preset.name and first.total is not None
    assert first.parts and all(part["feedback"] or part["error"] for part in first.parts)
    assert first.right is first.correct
    summary = batch_rows.summary(batch)
    assert summary.judged and summary.judged.of == 2 and summary.exact and summary.exact.of == 2
    assert summary.reward is not None and summary.reward_low <= summary.reward <= summary.reward_high
    assert summary.tokens_per_second == pytest.approx(summary.tokens / batch.generation_seconds)


def test_what_the_reward_could_not_judge_is_not_wrong(owner: User, session: Session) -> None:
    part = {"name": "as json", "function": "json_equal", "parameters": {}}
    preset = presets.create(session.team, owner, name="Equal JSON", definition={"parts": [part]})
    first, *_ = rows(answered(owner, session, reward=str(preset.pk)))
    assert first.total is not None and first.right is first.correct is False
    content = b'prompt,reference\nwhat is 3 plus 4?,{"broken\n'
    parsed = prompt_files.read(content, "prompts.csv")
    asked = Wanted(model=f"session:{session.pk}", prompt_column="", max_new_tokens=10, reward=str(preset.pk))
    batch = batches.create(owner, parsed, "prompts.csv", batches.with_guesses(parsed, asked, reference=True))
    (row,) = rows(done(batch))
    assert row.unjudged and row.exact is False and row.right is None


def test_a_row_that_does_not_fit_into_the_context_is_an_error_and_the_others_go_on(
    owner: User, session: Session
) -> None:
    content = b"what is 1 plus 1? " * 200 + b"\nwhat is 3 plus 4?\n" + b"what is 1? " * 30 + b"\n"
    batch = answered(owner, session, content, max_new_tokens=100)
    assert batch.status == JobStatus.READY, batch.error
    long, fits, full = rows(batch)
    assert long.status == RowStatus.FAILED and "the model reads 256" in long.error
    assert fits.status == RowStatus.ANSWERED and fits.tokens
    assert full.status == RowStatus.FAILED and "At most" in full.error
    assert batch_rows.summary(batch).failed == 2


def kill_once(batch: Batch, after: int) -> tuple[Any, list[int]]:
    """As a machine that runs out of memory does, once `after` rows are answered."""
    killed: list[int] = []

    def on_tick(job: Any) -> None:
        if killed or batch.rows.filter(status=RowStatus.ANSWERED).count() < after:
            return
        for child in psutil.Process().children():
            if "answer_batch" in child.cmdline():
                os.kill(child.pid, signal.SIGKILL)
                killed.append(child.pid)

    return on_tick, killed


def test_a_killed_child_is_followed_by_one_that_does_the_rest_and_doubles_nothing(
    owner: User, session: Session, rung: list[str]
) -> None:
    whole = answered(owner, session, many(150), temperature=1.2, max_new_tokens=60)
    batch = created(owner, session, many(150), temperature=1.2, max_new_tokens=60)
    on_tick, killed = kill_once(batch, 16)
    assert running.run(BATCHES, str(batch.pk), on_tick)
    batch.refresh_from_db()
    kept = {row.number: (row.pk, row.answer, row.seconds) for row in batch.rows.filter(status=RowStatus.ANSWERED)}
    assert killed and 16 <= len(kept) < 150, "it was killed in the middle"
    assert batch.status == JobStatus.QUEUED and "signal 9" in batch.message and rung[-1] == str(batch.pk)
    seconds = batch.generation_seconds
    assert running.run(BATCHES, str(batch.pk))
    batch.refresh_from_db()
    assert batch.status == JobStatus.READY and batch.attempt == 2, batch.error
    now = {row.number: (row.pk, row.answer, row.seconds) for row in rows(batch)}
    assert len(now) == 150 and kept.items() <= now.items(), "what was answered stays as it was"
    assert batch.generation_seconds > seconds
    assert [row.answer for row in rows(batch)] == [row.answer for row in rows(whole)], "as if nothing had happened"


def test_a_batch_that_was_cancelled_goes_on_where_it_was(owner: User, session: Session) -> None:
    batch = created(owner, session)
    first = batch.rows.get(number=1)
    batch.rows.filter(pk=first.pk).update(status=RowStatus.ANSWERED, answer="said before", tokens=2)
    assert batches.cancel(batch)
    assert not running.run(BATCHES, str(batch.pk)), "nobody takes it"
    batch.refresh_from_db()
    batches.go_on(batch)
    batch = done(batch)
    assert batch.status == JobStatus.READY, batch.error
    assert rows(batch)[0].answer == "said before" and rows(batch)[1].status == RowStatus.ANSWERED
    with pytest.raises(BatchProblem, match="nothing to go on"):
        batches.go_on(batch)


def test_an_attempt_that_does_not_count_any_more_writes_nothing(owner: User, session: Session) -> None:
    batch = created(owner, session)
    Batch.objects.filter(pk=batch.pk).update(status=JobStatus.RUNNING, attempt=2)
    batch.attempt = 1
    with pytest.raises(running.Lost):
        batch_answering.Answering(batch).refuse({batch.rows.get(number=1).pk: "too long"})
    assert batch.rows.filter(status=RowStatus.WAITING).count() == 2


def test_a_base_that_is_gone_fails_with_its_name(owner: User, session: Session) -> None:
    batch = created(owner, session)
    Batch.objects.filter(pk=batch.pk).update(base_model="/nowhere/model")
    batch = done(batch)
    assert batch.status == JobStatus.FAILED and "/nowhere/model" in batch.error


def test_the_checkpoint_of_the_first_answers_is_not_replaced_by_a_newer_one(owner: User, session: Session) -> None:
    batch = created(owner, session)
    Batch.objects.filter(pk=batch.pk).update(adapter="checkpoints/checkpoint-8")
    batch = done(batch)
    assert batch.status == JobStatus.FAILED and "checkpoint-8 of this session is gone" in batch.error


@pytest.mark.parametrize(
    ("wanted", "field", "said"),
    [
        ({"model": ""}, "model", "Choose a model"),
        ({"model": "base:/etc"}, "model", "not offered"),
        ({"checkpoint": "checkpoint-9"}, "checkpoint", "is gone"),
        ({"prompt_column": "question"}, "prompt_column", "The file has “prompt”, “reference”, “level”."),
        ({"reference_column": "answer"}, "reference_column", "no column “answer”"),
        ({"prompt_column": "reference", "reference_column": "reference"}, "reference_column", "the same column"),
        ({"reward": "math", "reference_column": ""}, "reward", "compares with a reference"),
    ],
)
def test_what_can_not_be_asked_is_said_at_its_field(
    owner: User, session: Session, wanted: dict[str, str], field: str, said: str
) -> None:
    if slug := wanted.get("reward"):
        wanted = {**wanted, "reward": str(RewardPreset.objects.get(slug=slug, team=None).pk)}
    asked = {"model": f"session:{session.pk}", "prompt_column": "prompt", **wanted}
    with pytest.raises(BatchProblem) as problem:
        batches.create(owner, prompt_files.read(CSV, "prompts.csv"), "prompts.csv", Wanted(**asked))
    assert problem.value.field == field and said in str(problem.value)
    assert not Batch.objects.exists()


def test_a_session_without_checkpoint_is_refused(owner: User, make_trained: MakeSession) -> None:
    with pytest.raises(BatchProblem, match="no adapter yet"):
        created(owner, make_trained(adapter=False))


def test_a_row_without_prompt_is_left_out_only_when_that_is_wanted(owner: User, session: Session) -> None:
    content = b"prompt,reference\nwhat is 3 plus 4?,7\n,2\n  ,3\n"
    with pytest.raises(BatchProblem, match="Line 3, column “prompt”: there is no prompt"):
        created(owner, session, content)
    batch = created(owner, session, content, skip_faulty=True)
    assert [row.line for row in rows(batch)] == [2] and batch.source["left_out"] == 2


def test_a_reward_whose_column_is_missing_is_refused(owner: User, team: Team, session: Session) -> None:
    part = {"name": "source", "function": "reasoning_gym_score", "parameters": {"column": "page"}}
    preset = RewardPreset.objects.create(team=team, name="Own", slug="own", definition={"parts": [part]})
    with pytest.raises(BatchProblem) as problem:
        created(owner, session, reward=str(preset.pk))
    assert problem.value.field == "reward" and "reads “" in str(problem.value)


def test_one_that_runs_is_not_deleted(owner: User, session: Session) -> None:
    batch = created(owner, session)
    with pytest.raises(BatchProblem, match="Cancel it first"):
        batches.delete(batch)
    batches.cancel(batch)
    batches.delete(batch)
    assert not BatchRow.objects.exists()
