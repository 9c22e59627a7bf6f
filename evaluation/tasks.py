from huey.contrib.djhuey import db_task

from evaluation.models import AnswerSet, Batch, Evaluation, Trial
from jobs import running
from training.device_jobs import on_device


@db_task(priority=10)
def answer_trial(pk: str) -> None:
    """Only a bell: the row says whether there is anything to do. What waits behind it is taken next."""
    if running.run(KIND, pk):
        running.dispatch()


@db_task(priority=10)
def answer_set(pk: str) -> None:
    """As answer_trial."""
    if running.run(ANSWER_SETS, pk):
        running.dispatch()


@db_task(priority=5)
def answer_batch(pk: str) -> None:
    """As answer_trial; whoever waits for one answer goes first."""
    if running.run(BATCHES, pk):
        running.dispatch()


@db_task(priority=5)
def evaluate(pk: str) -> None:
    """As answer_batch."""
    if running.run(EVALUATIONS, pk):
        running.dispatch()


KIND = running.JobKind(model=Trial, command="answer", ring=answer_trial)
ANSWER_SETS = on_device(running.JobKind(model=AnswerSet, command="answer_set", ring=answer_set))
BATCHES = on_device(
    running.JobKind(
        model=Batch,
        command="answer_batch",
        ring=answer_batch,
        if_killed="Most likely the memory was full: ask for fewer tokens, or take a smaller model. Answers are kept.",
    )
)
EVALUATIONS = on_device(
    running.JobKind(
        model=Evaluation,
        command="answer_evaluation",
        ring=evaluate,
        if_killed="Most likely the memory was full: ask for fewer tokens, or take smaller models. Answers are kept.",
    )
)
