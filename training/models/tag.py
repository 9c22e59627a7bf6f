from django.db import models

from accounts.models import Team


class Tag(models.Model):
    """A word of a team for some of its sessions, in lower case."""

    team = models.ForeignKey(Team, models.CASCADE, related_name="+")
    name = models.CharField(max_length=30)

    class Meta:
        ordering = ["name"]
        constraints = [models.UniqueConstraint(fields=["team", "name"], name="one_tag_a_word")]

    def __str__(self) -> str:
        return self.name
