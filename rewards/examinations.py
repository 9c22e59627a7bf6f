"""Examinations of rewards as jobs: a worker does what would keep a page waiting, or costs money."""

from __future__ import annotations

from dataclasses import dataclass

from django.db import transaction

from accounts.models import AnyUser, Team
from jobs import running
from jobs.choices import JobStatus
from rewards import checks, gate, judge_access
from rewards.checks import Exam
from rewards.gate import Plan, Report
from rewards.models import Examination
from rewards.sandbox import pool

OPEN = (JobStatus.QUEUED, JobStatus.RUNNING)


@dataclass(frozen=True)
class State:
    """What a page shows of an exam: its newest report, and the examination that goes on or went wrong."""

    exam: Exam
    report: Report | None
    job: Examination | None

    @property
    def is_open(self) -> bool:
        return self.job is not None and self.job.status in OPEN

    @property
    def plan(self) -> Plan:
        return self.exam.plan

    @property
    def asks_outside(self) -> bool:
        return self.exam.composition.asks_outside

    @property
    def begins_by_itself(self) -> bool:
        """Nobody has to ask for what costs nothing, unless it was tried in vain."""
        return self.report is None and not self.asks_outside and not self.went_wrong and not self.is_open

    @property
    def went_wrong(self) -> bool:
        return self.job is not None and self.job.status in (JobStatus.FAILED, JobStatus.CANCELLED)


def state(team: Team | None, exam: Exam) -> State:
    """In two queries."""
    return State(exam, checks.newest(exam), Examination.objects.filter(team=team, key=exam.key).first())


def start(team: Team, by: AnyUser | None, exam: Exam) -> Examination:
    """Queues it, or returns the one of the same exam that waits or runs. The team pays for judges."""
    with transaction.atomic():
        # Two clicks on the button, or two people, start one.
        Team.objects.select_for_update().get(pk=team.pk)
        same = Examination.objects.filter(team=team, key=exam.key)
        running_one: Examination | None = same.filter(status__in=OPEN).first()
        if running_one:
            return running_one
        same.delete()
        job = Examination.objects.create(
            team=team, created_by_id=by.pk if by else None, key=exam.key, request=exam.as_json()
        )
        ring(job)
    return job


def ring(job: Examination) -> None:
    from rewards.tasks import run_examination

    transaction.on_commit(lambda: run_examination(str(job.pk)), robust=True)


def cancel(job: Examination) -> bool:
    """True if it was still open. Its worker ends the child within a second."""
    return running.cancel(job)


def perform(job: Examination) -> None:
    """In the worker's child: examines, and stores the report."""
    tell = running.reporter(job)

    def told(done: int, of: int) -> None:
        tell(done / of, f"{done} of {of} questions")

    try:
        with judge_access.paid_by(job.team), pool.owned_by(lambda: f"team {job.team_id}"):
            checks.examined(Exam.of(job.request), ask=True, budget=gate.PATIENT_BUDGET, told=told)
        running.finish(job)
    except running.Lost:
        # Cancelled, or another worker's by now: nothing is written.
        return
