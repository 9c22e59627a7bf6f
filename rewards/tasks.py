from huey.contrib.djhuey import db_task

from jobs import running
from rewards.models import Examination


@db_task()
def run_examination(pk: str) -> None:
    """Only a bell: the row says whether there is anything to do. What waits behind it is taken next."""
    if running.run(EXAMINATION, pk):
        running.dispatch()


EXAMINATION = running.JobKind(
    model=Examination,
    command="examine_reward",
    ring=run_examination,
    at_once=2,
    if_killed="Most likely the memory was full: make the reward's limits smaller.",
)
