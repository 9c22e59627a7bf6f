from huey.contrib.djhuey import db_task

from datasets_app.imports import tidy
from datasets_app.models import Check, Import
from jobs import running


@db_task()
def run_import(pk: str) -> None:
    """Only a bell: the row says whether there is anything to do. What waits behind it is taken next."""
    if running.run(KIND, pk):
        running.dispatch()


KIND = running.JobKind(
    model=Import,
    command="run_import",
    ring=run_import,
    tidy=tidy,
    at_once=2,
    if_killed="Most likely the memory was full: split the file and import the parts.",
)


@db_task()
def run_check(pk: str) -> None:
    if running.run(CHECK, pk):
        running.dispatch()


CHECK = running.JobKind(
    model=Check,
    command="check_dataset",
    ring=run_check,
    if_killed="Most likely the memory was full. Filter the dataset to fewer rows and check that version.",
)
