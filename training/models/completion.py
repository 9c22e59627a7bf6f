from django.db import models

from training.models.event import Event
from training.models.session import Session


class Completion(models.Model):
    """An answer of a stored step with its whole text, a row of its own so that all of a session can be searched.

    Derived from the rollouts event, whose own texts are cut so that it fits into a web socket's frame.
    """

    session = models.ForeignKey(Session, models.CASCADE, related_name="completions", db_index=False)
    event = models.ForeignKey(Event, models.CASCADE, related_name="completions")
    step = models.PositiveIntegerField()
    group = models.PositiveIntegerField(help_text="The place of its prompt in the event, from 0.")
    index = models.PositiveIntegerField(help_text="Its place in the group, from 0.")
    size = models.PositiveIntegerField(help_text="Bytes that count against the session's budget.")
    length = models.PositiveIntegerField(null=True, help_text="Tokens.")
    characters = models.PositiveIntegerField(help_text="Of the text as it was given. More than are here: it was cut.")
    total = models.FloatField(null=True)
    advantage = models.FloatField(null=True)
    cut_off = models.BooleanField(default=False)
    failed = models.BooleanField(default=False, help_text="A part of the reward could not judge it.")
    text = models.TextField(blank=True)

    class Meta:
        ordering = ["id"]
        indexes = [
            models.Index(fields=["session", "id"], name="completion_by_session"),
            models.Index(fields=["session", "event", "step", "size"], name="completion_sizes"),
        ]
        constraints = [models.UniqueConstraint(fields=["event", "group", "index"], name="one_completion_per_place")]

    def __str__(self) -> str:
        return f"step {self.step}, prompt {self.group + 1}, answer {self.index + 1}"
