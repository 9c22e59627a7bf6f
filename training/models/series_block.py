from django.db import models

from training.choices import Kind
from training.models.session import Session


class SeriesBlock(models.Model):
    """What a chart of the whole run needs of some hundred consecutive rows: those with an extreme or a gap.

    Made once the stretch is complete, so that a long run is drawn without reading it. Derived from the events: a
    stretch without a block is read row by row.
    """

    session = models.ForeignKey(Session, models.CASCADE, related_name="series_blocks")
    kind = models.CharField(max_length=12, choices=Kind.choices)
    phase = models.CharField(max_length=12, blank=True)
    first_seq = models.PositiveBigIntegerField()
    last_seq = models.PositiveBigIntegerField()
    first_place = models.FloatField(help_text="On the axis: a step, or seconds since 1970.")
    last_place = models.FloatField()
    row_count = models.PositiveIntegerField(help_text="How many places of the axis it stands for.")
    data = models.JSONField(help_text='{"keys": [...], "rows": [[place, value, ...]]}; false is "not measured".')
    summary = models.JSONField(help_text="As data, with fewer rows: for a range of many blocks.")

    class Meta:
        ordering = ["first_seq"]
        constraints = [
            models.UniqueConstraint(fields=["session", "kind", "phase", "first_seq"], name="one_block_per_stretch")
        ]

    def __str__(self) -> str:
        return f"{self.session_id} {self.kind} {self.first_place:g} to {self.last_place:g}"
