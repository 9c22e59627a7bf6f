from huey.contrib.djhuey import db_task

from exports.building import tidy
from exports.models import Check, Export, Push
from jobs import running
from training.device_jobs import on_device


@db_task()
def build_export(pk: str) -> None:
    """Only a bell: the row says whether there is anything to do. What waits behind it is taken next."""
    if running.run(KIND, pk):
        running.dispatch()


@db_task()
def check_export(pk: str) -> None:
    """As build_export."""
    if running.run(CHECKS, pk):
        running.dispatch()


@db_task()
def push_export(pk: str) -> None:
    """As build_export."""
    if running.run(PUSHES, pk):
        running.dispatch()


KIND = running.JobKind(model=Export, command="build_export", ring=build_export, tidy=tidy)
CHECKS = on_device(
    running.JobKind(
        model=Check,
        command="check_export",
        ring=check_export,
        if_killed="Most likely the memory was full. The export itself is whole.",
    )
)
PUSHES = running.JobKind(
    model=Push,
    command="push_export",
    ring=push_export,
    if_killed="Push it again: what was sent is kept there.",
)
