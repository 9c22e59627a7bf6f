from pathlib import Path
from typing import Any
from uuid import UUID

from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db.models import Q

from evaluation import evaluations
from evaluation.batch_export import as_text
from evaluation.evaluation_forms import ANSWERING, EvaluationForm
from evaluation.evaluation_json import as_json
from evaluation.evaluations import OWN_REWARD, Answering, EvaluationProblem, Wanted
from evaluation.models import Evaluation, EvaluationSet
from evaluation.tasks import EVALUATIONS
from jobs import running
from jobs.choices import JobStatus
from rewards.models import RewardPreset
from training.models import Session


class Command(BaseCommand):
    help = "Lets models answer an evaluation set, here and now. Prints the report as one line of JSON."

    def add_arguments(self, parser: CommandParser) -> None:
        usual = Answering()
        parser.add_argument("--set", required=True, help="Id or name of the evaluation set.")
        parser.add_argument(
            "--model",
            action="append",
            required=True,
            help="base:NAME, session:ID, session:ID/CHECKPOINT or session:ID/base. Again for each further one.",
        )
        parser.add_argument("--reward", default="", help="Slug of a preset, or session. Without: exact match.")
        parser.add_argument("--json", help="Writes the report into this file, too.")
        parser.add_argument("--samples", type=int, default=usual.samples, help="Sampled answers a row, for pass@k.")
        parser.add_argument("--temperature", type=float, default=usual.temperature, help="Of the samples.")
        parser.add_argument("--top-p", type=float, default=usual.top_p)
        parser.add_argument("--top-k", type=int, default=usual.top_k)
        parser.add_argument("--max-new-tokens", type=int, default=usual.max_new_tokens)
        parser.add_argument("--seed", type=int, default=usual.seed)

    def handle(self, *args: Any, **options: Any) -> None:
        made = self.create(options)
        told: list[str] = []
        while running.run(EVALUATIONS, str(made.pk), lambda job: self.tell(job.message, told), waits=False):
            made.refresh_from_db()
        made.refresh_from_db()
        if made.status != JobStatus.READY:
            # Nobody waits for it any more.
            evaluations.cancel(made)
            raise CommandError(made.error or "It did not run: every device of this machine is taken. Try again later.")
        report = as_text(as_json(made))
        if options["json"]:
            Path(options["json"]).write_text(f"{report}\n", encoding="utf-8")
        self.stdout.write(report)

    def tell(self, message: str, told: list[str]) -> None:
        if message and message not in told[-1:]:
            told.append(message)
            self.stderr.write(message)

    def create(self, options: dict[str, Any]) -> Evaluation:
        asked = set_named(options["set"])
        answering = self.answering(options)
        wanted = Wanted(options["model"], "", self.reward(asked, options["reward"]), answering)
        sessions = Session.objects.filter(team=asked.team).exclude(config={})
        rewards = RewardPreset.objects.filter(Q(team=asked.team) | Q(team=None))
        try:
            return evaluations.queued(asked, sessions, rewards, wanted, None, rings=False)
        except EvaluationProblem as problem:
            raise CommandError(str(problem)) from None

    def answering(self, options: dict[str, Any]) -> Answering:
        """Checked as the page's form checks them."""
        return Answering(**{name: checked(name, options[name]) for name in ANSWERING})

    def reward(self, asked: EvaluationSet, slug: str) -> str:
        if slug in ("", OWN_REWARD):
            return slug
        # The team's own one hides what the product brings under the same name.
        found = RewardPreset.objects.filter(Q(team=asked.team) | Q(team=None), slug=slug).order_by("team")
        preset = found.exclude(team=None).first() or found.first()
        if preset is None:
            raise CommandError(f"There is no reward preset “{slug}”.")
        return str(preset.pk)


def checked(name: str, value: Any) -> Any:
    try:
        return EvaluationForm.base_fields[name].clean(value)
    except ValidationError as error:
        raise CommandError(f"--{name.replace('_', '-')}: {' '.join(error.messages)}") from None


def set_named(text: str) -> EvaluationSet:
    """The newest of that name."""
    found = EvaluationSet.objects.filter(Q(name=text) | Q(pk__in=uuids(text))).first()
    if found is None:
        names = ", ".join(f"“{name}”" for name in EvaluationSet.objects.values_list("name", flat=True)[:10])
        raise CommandError(f"There is no evaluation set “{text}”. {f'There is {names}.' if names else ''}".strip())
    return found


def uuids(text: str) -> list[UUID]:
    try:
        return [UUID(text)]
    except ValueError:
        return []
