"""Which rows of an evaluation set a session was trained on: a model that knows the answers shows nothing."""

from __future__ import annotations

from functools import lru_cache
from uuid import UUID

from django.db.models import QuerySet

from datasets_app import rows, tables
from datasets_app.problems import DatasetProblem
from evaluation.models import EvaluationSet
from training.models import Session

KEPT = 256
# The newest sessions of a set's dataset that its page looks through.
LOOKED_AT = 12


def trained_on(found: EvaluationSet, session: Session) -> int | None:
    """How many of its questions were among the rows that the session trains on. None where they are not known any
    more. Questions that differ only in case and white space are one."""
    if session.dataset_version_id is None or not session.config:
        return None
    return _counted(found.pk, session.pk)


@lru_cache(maxsize=KEPT)
def _counted(found: UUID, pk: UUID) -> int | None:
    """Neither the rows of a set nor what a session was started with ever change."""
    session = Session.objects.select_related("dataset_version__dataset").get(pk=pk)
    version, config = session.dataset_version, session.parsed_config
    assert version is not None
    try:
        numbers = rows.training_numbers(version, config.dataset, config.training.seed)
        trained = {tables.key(question) for question in rows.questions_of(version, config.dataset, numbers)}
    except (DatasetProblem, OSError):
        return None
    asked = EvaluationSet.objects.get(pk=found).rows.values_list("instruction", flat=True)
    return sum(tables.key(rows.same_question(question)) in trained for question in asked)


def sessions_near(found: EvaluationSet, sessions: QuerySet[Session]) -> list[tuple[Session, int | None]]:
    """(session, rows it trained on) of the newest of `sessions` that used any version of the set's dataset."""
    if found.version is None:
        return []
    near = sessions.filter(dataset_version__dataset=found.version.dataset_id, archived_at=None)[:LOOKED_AT]
    return [(session, trained_on(found, session)) for session in near]
