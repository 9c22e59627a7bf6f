from datetime import datetime

from django.db import models

from accounts.models import TeamOwned
from jobs.choices import JobStatus


class Leased(models.Model):
    """Work that one process at a time may do. `attempt` is the fencing token: it grows with every claim, and a write
    that carries an older one changes nothing. The verbs are in jobs/leases.py."""

    attempt = models.PositiveIntegerField(default=0, editable=False)
    lease_until = models.DateTimeField(null=True, blank=True, editable=False)
    worker = models.CharField(max_length=120, blank=True, editable=False)
    started_at = models.DateTimeField(null=True, blank=True, editable=False)
    finished_at = models.DateTimeField(null=True, blank=True, editable=False)
    error = models.TextField(blank=True, editable=False, help_text="What happened and what to do about it.")

    class Meta:
        abstract = True


class Task(Leased):
    """Work in a child process. The verbs are in jobs/running.py. Whoever inherits it has `created_at`, too: what waits
    longest goes first."""

    status = models.CharField(max_length=12, choices=JobStatus.choices, default=JobStatus.QUEUED)
    progress = models.FloatField(default=0, help_text="From 0 to 1.")
    message = models.CharField(max_length=300, blank=True)

    class Meta:
        abstract = True


class Job(Task, TeamOwned):
    """Short work of a team: an import, an export, an answer to a prompt."""

    class Meta:
        abstract = True


class OnDevice(Task):
    """Work that holds a slot of a device while it has a worker: until its child is gone. See training/slots.py."""

    # What everybody is told who waits for the device: no name that only its team may know.
    doing = "something else is running"
    created_at: datetime

    device = models.CharField(max_length=160, blank=True, editable=False)
    slot = models.PositiveSmallIntegerField(default=0, editable=False)

    class Meta:
        abstract = True
