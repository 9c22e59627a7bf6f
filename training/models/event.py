from django.db import models

from training.choices import Kind
from training.models.session import Session


class Event(models.Model):
    """One line of a session's append-only stream. `data` holds no NaN and no infinity: the engine writes null."""

    session = models.ForeignKey(Session, models.CASCADE, related_name="events")
    seq = models.PositiveBigIntegerField(help_text="Numbered by the trainer from 1, across attempts.")
    attempt = models.PositiveIntegerField()
    kind = models.CharField(max_length=12, choices=Kind.choices)
    phase = models.CharField(max_length=12, blank=True, help_text="Status of the session when it happened.")
    step = models.PositiveIntegerField(null=True, blank=True)
    data = models.JSONField(default=dict)
    created_at = models.DateTimeField(help_text="By the trainer's clock.")
    superseded = models.BooleanField(
        default=False, help_text="Belongs to an older attempt and to a step that a later attempt does again."
    )

    class Meta:
        ordering = ["seq"]
        constraints = [models.UniqueConstraint(fields=["session", "seq"], name="one_event_per_seq")]
        indexes = [
            models.Index(fields=["session", "kind", "seq"], name="event_by_kind"),
            # Steps with stored answers are listed from it alone: the rows behind it hold their texts.
            models.Index(fields=["session", "kind", "superseded", "step"], name="event_by_step"),
        ]

    def __str__(self) -> str:
        return f"{self.session_id} {self.seq} {self.kind}"
