from django.db import models

from accounts.models import TeamOwned
from evaluation.choices import RowStatus
from evaluation.evaluation_models import EvaluatedAnswer, EvaluatedModel, Evaluation, EvaluationRow, EvaluationSet
from jobs.models import Job, OnDevice
from training.device_jobs import one_a_slot
from training.models import Session

__all__ = [
    "AnswerSet",
    "Batch",
    "BatchRow",
    "EvaluatedAnswer",
    "EvaluatedModel",
    "Evaluation",
    "EvaluationRow",
    "EvaluationSet",
    "PromptFile",
    "Trial",
]


class Trial(Job):
    """A prompt that base and adapter answer side by side."""

    session = models.ForeignKey(Session, models.CASCADE, related_name="trials")
    prompt = models.TextField()
    # {"temperature", "top_p", "max_new_tokens", "seed", "use_system_prompt"}
    settings = models.JSONField(default=dict)
    # {"base" | "adapter": {"text", "tokens", "seconds", "cut_off"}}
    answers = models.JSONField(default=dict)

    class Meta:
        ordering = ["-created_at"]

    def __str__(self) -> str:
        return self.prompt[:60]


class AnswerSet(OnDevice, Job):
    """Answers of one model to questions of the test bench, a few to each."""

    doing = "a model is answering for the test bench"

    # None: a base model under the prompt that new sessions begin with.
    session = models.ForeignKey(Session, models.CASCADE, null=True, blank=True, related_name="answer_sets")
    base_model = models.CharField(max_length=500)
    # [{"instruction", "reference", "columns"}]
    questions = models.JSONField(default=list)
    # {"answers", "temperature", "max_new_tokens", "seed", "use_system_prompt", "with_adapter", "markers"}
    settings = models.JSONField(default=dict)
    # [{"question": index, "text", "tokens", "seconds", "cut_off"}], and "edited" where somebody changed one
    answers = models.JSONField(default=list)

    class Meta:
        ordering = ["-created_at"]
        constraints = [one_a_slot("one_answer_set_a_slot")]

    def __str__(self) -> str:
        return str(self.questions[0]["instruction"])[:60] if self.questions else self.base_model


class PromptFile(TeamOwned):
    """Prompts that somebody brought for a batch, kept until it is started: a browser sends a file only once."""

    name = models.CharField(max_length=200)
    content = models.BinaryField()
    # Each line is a prompt, whatever it looks like.
    lines = models.BooleanField(default=False)

    def __str__(self) -> str:
        return self.name


class Batch(OnDevice, Job):
    """Prompts of a file that one model answers."""

    doing = "a batch test is running"

    name = models.CharField(max_length=200)
    # None: a base model under the prompt that new sessions begin with.
    session = models.ForeignKey(Session, models.CASCADE, null=True, blank=True, related_name="batches")
    base_model = models.CharField(max_length=500)
    # Below the session's folder. Empty: the newest one, which is written here when the batch begins.
    adapter = models.CharField(max_length=200, blank=True)
    # {"temperature", "top_p", "top_k", "max_new_tokens", "seed", "use_system_prompt", "with_adapter", "markers"}
    settings = models.JSONField(default=dict)
    # A composition as it was when the batch was started; empty: none
    reward = models.JSONField(default=dict)
    reward_name = models.CharField(max_length=200, blank=True)
    file_name = models.CharField(max_length=200, blank=True)
    # {"prompt", "reference": columns of the file, "left_out": lines, "notes": sentences}
    source = models.JSONField(default=dict)
    row_count = models.PositiveIntegerField(default=0)
    generation_seconds = models.FloatField(default=0, help_text="Of all attempts, without loading and scoring.")

    class Meta:
        ordering = ["-created_at"]
        verbose_name_plural = "batches"
        constraints = [one_a_slot("one_batch_a_slot")]

    def __str__(self) -> str:
        return self.name


class BatchRow(models.Model):
    """A prompt and what became of it. A row is written once, so that a batch goes on with those that wait."""

    batch = models.ForeignKey(Batch, models.CASCADE, related_name="rows")
    number = models.PositiveIntegerField(help_text="From 1.")
    line = models.PositiveIntegerField(help_text="Of the file.")
    prompt = models.TextField()
    reference = models.TextField(blank=True)
    columns = models.JSONField(default=dict)
    status = models.CharField(max_length=10, choices=RowStatus.choices, default=RowStatus.WAITING)
    error = models.TextField(blank=True)
    # The prompt as the model saw it.
    rendered = models.TextField(blank=True)
    prompt_tokens = models.PositiveIntegerField(null=True)
    answer = models.TextField(blank=True)
    tokens = models.PositiveIntegerField(null=True)
    seconds = models.FloatField(null=True)
    cut_off = models.BooleanField(default=False)
    # None without a reference.
    exact = models.BooleanField(null=True)
    exact_feedback = models.TextField(blank=True)
    total = models.FloatField(null=True)
    # What the reward says; None where it does not say.
    correct = models.BooleanField(null=True)
    # `correct`; `exact` where the reward says nothing about right and wrong; None where it could not judge.
    right = models.BooleanField(null=True)
    # Parts of the reward could not judge the answer.
    unjudged = models.BooleanField(default=False)
    # [{"name", "value", "feedback", "error"}]
    parts = models.JSONField(default=list)

    class Meta:
        ordering = ["number"]
        constraints = [models.UniqueConstraint(fields=["batch", "number"], name="one_batch_row_of_a_number")]
        indexes = [models.Index(fields=["batch", "status"], name="batch_row_status")]

    def __str__(self) -> str:
        return f"row {self.number} of {self.batch_id}"
