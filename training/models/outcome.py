from django.db import models

from training.models.session import Session


class PromptOutcome(models.Model):
    """What one group was good for: one row of the dataset, asked once. Kept of every step, as its answers are not."""

    session = models.ForeignKey(Session, models.CASCADE, related_name="outcomes")
    attempt = models.PositiveIntegerField()
    step = models.PositiveIntegerField()
    group = models.PositiveSmallIntegerField(help_text="Its place in the step.")
    row = models.PositiveIntegerField(help_text="Number of the row in the dataset's version.")
    epoch = models.PositiveIntegerField()
    # One of training.engine.signal.KINDS.
    kind = models.CharField(max_length=10)
    mean = models.FloatField(null=True, help_text="Of the totals that could be told.")

    class Meta:
        indexes = [
            models.Index(fields=["session", "row", "epoch"], name="outcome_by_row"),
            models.Index(fields=["session", "step"], name="outcome_by_step"),
        ]

    def __str__(self) -> str:
        return f"Row {self.row} at step {self.step}"
