from pathlib import Path

from django.conf import settings
from django.db import models
from django.utils.functional import cached_property

from accounts.models import TeamOwned
from datasets_app.models import DatasetVersion
from jobs.models import Leased
from training.choices import ACTIVE, RESUMABLE, RUNNING, TERMINAL, Priority, Status
from training.models.tag import Tag
from training.schema import SessionConfig


class Session(TeamOwned, Leased):
    """One training run. Its status changes only through the verbs in training/lifecycle.py."""

    name = models.CharField(max_length=200)
    status = models.CharField(max_length=12, choices=Status.choices, default=Status.DRAFT, db_index=True)
    # While a draft: what the stepper holds, perhaps incomplete. From start() on: a valid SessionConfig, frozen.
    config = models.JSONField(default=dict)
    # The composition that scores this session, copied at start: a later edit of the preset changes nothing here.
    reward = models.JSONField(default=dict)
    dataset_version = models.ForeignKey(DatasetVersion, models.SET_NULL, null=True, blank=True, related_name="sessions")
    # DatasetVersion.fingerprint at start: what it was trained on can be told after the dataset is deleted.
    dataset_fingerprint = models.JSONField(default=dict, blank=True, editable=False)
    # What the launch gate found at start (rewards.gate.Report as JSON), and who started it in spite of that and why:
    # {"reason", "by", "by_id", "at", "problems"}.
    reward_check = models.JSONField(default=dict, blank=True, editable=False)
    reward_override = models.JSONField(default=dict, blank=True, editable=False)
    # The preset whose composition was copied at start: {"slug", "version", "shipped"}; {} where there was none.
    reward_preset = models.JSONField(default=dict, blank=True, editable=False)
    cloned_from = models.ForeignKey(
        "self", models.SET_NULL, null=True, blank=True, editable=False, related_name="clones"
    )
    # Of a session made from a run manifest: {"session_id", "name", "rewards": see training/manifests.py}.
    reproduces = models.JSONField(default=dict, blank=True, editable=False)
    queued_at = models.DateTimeField(null=True, blank=True)
    stop_requested_at = models.DateTimeField(null=True, blank=True)
    attempts_before = models.PositiveIntegerField(
        default=0, editable=False, help_text="The attempt at which a person last started it: crashes count from here."
    )

    # Where it runs, or ran last. The constraint below holds while it runs, so every ending gives the slot back.
    device = models.CharField(max_length=160, blank=True, editable=False)
    slot = models.PositiveSmallIntegerField(default=0, editable=False)
    priority = models.PositiveSmallIntegerField(choices=Priority.choices, default=Priority.NORMAL)
    rank = models.IntegerField(default=0, editable=False, help_text="Its place among those of its team that wait.")
    expected_seconds = models.FloatField(null=True, blank=True, editable=False, help_text="Estimated at its start.")

    # What lists and the side bar show, kept by the recorder from the events.
    phase = models.CharField(max_length=80, blank=True)
    mode = models.CharField(max_length=120, blank=True, help_text="The device line of the readme.")
    step = models.PositiveIntegerField(default=0)
    total_steps = models.PositiveIntegerField(default=0)
    last_reward = models.FloatField(null=True, blank=True)
    seconds_left = models.FloatField(null=True, blank=True)
    last_seq = models.PositiveBigIntegerField(default=0)

    tags = models.ManyToManyField(Tag, related_name="sessions", blank=True)
    # Out of the lists, and nothing else: its files and its page stay.
    archived_at = models.DateTimeField(null=True, blank=True, editable=False)
    # Its model is one to use, as somebody said; the note says what for. Changed only by the verbs in keeping.py.
    promoted_at = models.DateTimeField(null=True, blank=True, editable=False)
    promoted_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.SET_NULL, null=True, blank=True, editable=False, related_name="+"
    )
    promotion_note = models.CharField(max_length=200, blank=True, editable=False)
    # Of the reward over the whole run, for lists: [value or null, ...]. Null until it ended and a list asked.
    curve = models.JSONField(null=True, blank=True, editable=False)
    # Markdown, changed only by keeping.write_notes(): the number grows with each change, so that nobody's is lost.
    notes = models.TextField(blank=True, editable=False)
    notes_version = models.PositiveIntegerField(default=0, editable=False)
    notes_at = models.DateTimeField(null=True, blank=True, editable=False)
    notes_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.SET_NULL, null=True, blank=True, editable=False, related_name="+"
    )

    # Notes on where to look (training/divergence.py) that somebody has looked at: {kind: {"by", "at"}}.
    dismissed = models.JSONField(default=dict, blank=True, editable=False)

    class Meta:
        ordering = ["-created_at"]
        indexes = [models.Index(fields=["team", "status", "-created_at"], name="session_by_team_and_status")]
        constraints = [
            models.UniqueConstraint(
                fields=["device", "slot"],
                condition=models.Q(status__in=RUNNING) & ~models.Q(device=""),
                name="one_session_a_slot",
            )
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def folder(self) -> Path:
        return Path(settings.OUTPUTS_DIR) / str(self.pk)

    @property
    def adapter(self) -> Path:
        return self.folder / "adapter"

    @cached_property
    def parsed_config(self) -> SessionConfig:
        return SessionConfig.model_validate(self.config)

    @property
    def is_active(self) -> bool:
        return self.status in ACTIVE

    @property
    def is_running(self) -> bool:
        return self.status in RUNNING

    @property
    def is_terminal(self) -> bool:
        return self.status in TERMINAL

    @property
    def is_resumable(self) -> bool:
        return self.status in RESUMABLE

    @property
    def progress(self) -> float:
        return self.step / self.total_steps if self.total_steps else 0.0
