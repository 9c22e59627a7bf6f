from huey.contrib.djhuey import db_task

from exports.building import tidy
from exports.models import Export
from jobs import running


@db_task()
def build_export(pk: str) -> None:
    """Only a bell: the row says whether there is anything to do. What waits behind it is taken next."""
    if running.run(KIND, pk):
        running.dispatch()


KIND = running.JobKind(model=Export, command="build_export", ring=build_export, tidy=tidy)
