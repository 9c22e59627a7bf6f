from huey.contrib.djhuey import db_task

from jobs import running
from training import preflights
from training.models import Preflight


@db_task()
def run_preflight(pk: str) -> None:
    """Only a bell: the row says whether there is anything to do. What waits behind it is taken next."""
    if preflights.attend(pk):
        running.dispatch()


PREFLIGHT = running.JobKind(
    model=Preflight,
    command="run_preflight",
    ring=run_preflight,
    tidy=preflights.tidy,
    claim=preflights.claim,
    has_room=preflights.has_room,
    environment=preflights.environment_of,
    if_killed="Most likely the memory was full: lower the batch size or the new tokens, or choose a smaller model.",
)
