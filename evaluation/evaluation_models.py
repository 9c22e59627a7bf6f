"""Evaluation sets, which are frozen rows, and evaluations: each of some models answers each row of a set."""

from django.db import models

from accounts.models import TeamOwned
from datasets_app.models import DatasetVersion
from jobs.models import Job, OnDevice
from training.device_jobs import one_a_slot


class EvaluationSet(TeamOwned):
    """Rows that were copied out of a dataset version, and never change."""

    name = models.CharField(max_length=200)
    description = models.TextField(blank=True)
    # None once it was deleted; `origin` says what it was.
    version = models.ForeignKey(DatasetVersion, models.SET_NULL, null=True, blank=True, related_name="+")
    # {"dataset", "version": number, "sha256": of its file, "part": "held_out" | "all", "sample": rows or None, "seed",
    # "instruction", "response": columns}
    origin = models.JSONField(default=dict)
    row_count = models.PositiveIntegerField()
    sha256 = models.CharField(max_length=64, help_text="Over what sets.digest makes of its rows.")

    class Meta:
        ordering = ["-created_at"]

    def __str__(self) -> str:
        return self.name


class EvaluationRow(models.Model):
    evaluation_set = models.ForeignKey(EvaluationSet, models.CASCADE, related_name="rows")
    number = models.PositiveIntegerField(help_text="From 1.")
    dataset_row = models.PositiveIntegerField(help_text="Of the dataset version, from 0.")
    instruction = models.TextField()
    reference = models.TextField()
    columns = models.JSONField(default=dict)

    class Meta:
        ordering = ["number"]
        constraints = [models.UniqueConstraint(fields=["evaluation_set", "number"], name="one_set_row_of_a_number")]

    def __str__(self) -> str:
        return f"row {self.number} of {self.evaluation_set_id}"


class Evaluation(OnDevice, Job):
    doing = "an evaluation is running"

    name = models.CharField(max_length=200)
    evaluation_set = models.ForeignKey(EvaluationSet, models.CASCADE, related_name="evaluations")
    # {"samples": sampled answers a row, "temperature", "top_p", "top_k": of these, "max_new_tokens", "seed"}
    settings = models.JSONField(default=dict)
    # A composition as it was when the evaluation was started; empty: exact match alone
    reward = models.JSONField(default=dict)
    reward_name = models.CharField(max_length=200, blank=True)
    # What evaluation_report.made says, written at the end.
    report = models.JSONField(default=dict)

    class Meta:
        ordering = ["-created_at"]
        constraints = [one_a_slot("one_evaluation_a_slot")]

    def __str__(self) -> str:
        return self.name

    @property
    def answers_a_row(self) -> int:
        return 1 + int(self.settings["samples"])


class EvaluatedModel(models.Model):
    evaluation = models.ForeignKey(Evaluation, models.CASCADE, related_name="models")
    number = models.PositiveIntegerField(help_text="From 1.")
    key = models.CharField(max_length=600)
    title = models.CharField(max_length=600)
    # candidates.Candidate.stored
    candidate = models.JSONField()
    # Rows of the set that it was trained on; None where that can't be told, as of base models.
    trained_on = models.PositiveIntegerField(null=True)
    generation_seconds = models.FloatField(default=0, help_text="Of all attempts, without loading and scoring.")

    class Meta:
        ordering = ["number"]
        constraints = [models.UniqueConstraint(fields=["evaluation", "number"], name="one_model_of_a_number")]

    def __str__(self) -> str:
        return self.title


class EvaluatedAnswer(models.Model):
    """Written once, when all is known about it. What is not there was not answered yet."""

    model = models.ForeignKey(EvaluatedModel, models.CASCADE, related_name="answers")
    row = models.ForeignKey(EvaluationRow, models.CASCADE, related_name="+")
    sample = models.PositiveIntegerField(help_text="0: the greedy answer. From 1: sampled ones.")
    # Why the row could not be asked. It then has no answer but this one.
    error = models.TextField(blank=True)
    text = models.TextField(blank=True)
    tokens = models.PositiveIntegerField(default=0)
    cut_off = models.BooleanField(default=False)
    total = models.FloatField(null=True)
    # What the reward says; exact match where it says nothing about right and wrong; None where it could not judge.
    right = models.BooleanField(null=True)
    # Parts of the reward could not judge the answer.
    unjudged = models.BooleanField(default=False)
    # [{"name", "value", "feedback", "error"}]
    parts = models.JSONField(default=list)

    class Meta:
        ordering = ["row__number", "sample"]
        constraints = [models.UniqueConstraint(fields=["model", "row", "sample"], name="one_answer_of_a_sample")]

    def __str__(self) -> str:
        return f"answer {self.sample} of {self.model_id} to {self.row_id}"
