from django.db import models

from accounts.models import TeamOwned


class SavedConfig(TeamOwned):
    name = models.CharField(max_length=200)
    config = models.JSONField(help_text="training.schema.SessionConfig as JSON.")
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        ordering = ["name"]
        constraints = [models.UniqueConstraint(fields=["team", "name"], name="one_saved_config_per_name")]

    def __str__(self) -> str:
        return self.name
