from django.db import models

from datasets_app.models import DatasetVersion
from jobs.models import Job, OnDevice
from training.models.session import Session


class Preflight(OnDevice, Job):
    """What a session would be like, tried out before it is queued: answers of the base model and one largest step.

    Its `device` says where it runs, or ran last; it is emptied when a session begins there."""

    session = models.ForeignKey(Session, models.CASCADE, related_name="preflights")
    # What was tried, as it was when somebody asked: the draft may have changed since.
    config = models.JSONField(default=dict)
    reward = models.JSONField(default=dict)
    dataset_version = models.ForeignKey(DatasetVersion, models.SET_NULL, null=True, related_name="+")
    digest = models.CharField(max_length=64, db_index=True)
    # Start the session afterwards, if nothing speaks against it, with this reason for its reward.
    starts = models.BooleanField(default=False)
    reward_override = models.CharField(max_length=1000, blank=True)
    # preflight_results.summary
    result = models.JSONField(default=dict)

    class Meta:
        ordering = ["-created_at"]
        constraints = [
            models.UniqueConstraint(
                fields=["device", "slot"],
                condition=~models.Q(device="") & ~models.Q(worker=""),
                name="one_preflight_a_slot",
            )
        ]

    def __str__(self) -> str:
        return f"Preflight of {self.session}"
