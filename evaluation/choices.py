from django.db import models


class RowStatus(models.TextChoices):
    WAITING = "waiting", "Waiting"
    ANSWERED = "answered", "Answered"
    FAILED = "failed", "Error"
