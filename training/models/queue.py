from django.conf import settings
from django.db import models
from django.db.models.functions import Coalesce, Now

from accounts.models import Team


class Worker(models.Model):
    """A running worker process and the devices it offers. Its lease runs by the clock of the database."""

    identity = models.CharField(max_length=120, unique=True, help_text="Place, process id and start time.")
    place = models.CharField(max_length=80, db_index=True)
    # As training.devices.Offer: [{"key", "title", "slots"}]
    devices = models.JSONField(default=list)
    started_at = models.DateTimeField(db_default=Now())
    beat_at = models.DateTimeField(db_default=Now())
    lease_until = models.DateTimeField(null=True)

    class Meta:
        ordering = ["place", "started_at"]

    def __str__(self) -> str:
        return self.host

    @property
    def host(self) -> str:
        return self.place.partition(":")[0]


class QueuePause(models.Model):
    """While there is one for a team, or one without a team for all, no waiting session begins."""

    team = models.ForeignKey(Team, models.CASCADE, null=True, blank=True, related_name="+")
    by = models.ForeignKey(settings.AUTH_USER_MODEL, models.SET_NULL, null=True, related_name="+")
    at = models.DateTimeField(auto_now_add=True)
    reason = models.CharField(max_length=200, blank=True)

    class Meta:
        constraints = [models.UniqueConstraint(Coalesce("team", models.Value(0)), name="one_pause_a_team")]

    def __str__(self) -> str:
        return f"{self.team or 'Everything'} since {self.at:%H:%M}"
