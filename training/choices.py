from django.db import models


class Status(models.TextChoices):
    DRAFT = "draft", "Draft"
    QUEUED = "queued", "Queued"
    STARTING = "starting", "Starting"
    PRETRAINING = "pretraining", "SFT warm-up"
    TRAINING = "training", "Training"
    FINISHING = "finishing", "Finishing"
    COMPLETED = "completed", "Completed"
    STOPPED = "stopped", "Stopped"
    FAILED = "failed", "Failed"
    CANCELLED = "cancelled", "Cancelled"


RUNNING = [Status.STARTING, Status.PRETRAINING, Status.TRAINING, Status.FINISHING]
ACTIVE = [Status.QUEUED, *RUNNING]
TERMINAL = [Status.COMPLETED, Status.STOPPED, Status.FAILED, Status.CANCELLED]
RESUMABLE = [Status.STOPPED, Status.FAILED]
STARTABLE = [Status.DRAFT, *RESUMABLE]


class Priority(models.IntegerChoices):
    """Which waiting sessions go first: the smaller number."""

    HIGH = 0, "High"
    NORMAL = 1, "Normal"
    LOW = 2, "Low"


class Kind(models.TextChoices):
    PHASE = "phase"
    METRICS = "metrics"
    ROLLOUTS = "rollouts"
    EVALUATION = "evaluation"
    CHECKPOINT = "checkpoint"
    LOG = "log"
    SYSTEM = "system"
    ERROR = "error"
