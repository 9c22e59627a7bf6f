from typing import Any

from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError, CommandParser

from evaluation.forms import TrialForm, defaults
from evaluation.models import Trial
from evaluation.tasks import KIND
from evaluation.trying import TrialProblem, create
from jobs import running
from jobs.choices import JobStatus
from training.models import Session


class Command(BaseCommand):
    help = "Answers a prompt with the base model and with the session's adapter."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("session", help="Id of the session.")
        parser.add_argument("prompt")
        parser.add_argument("--temperature", type=float)
        parser.add_argument("--top-p", type=float)
        parser.add_argument("--max-new-tokens", type=int)
        parser.add_argument("--seed", type=int)
        parser.add_argument("--expected", help="The right answer: both are then scored.")
        parser.add_argument("--no-system-prompt", dest="use_system_prompt", action="store_false")

    def handle(self, *args: Any, **options: Any) -> None:
        trial = self.create(options)
        while running.run(KIND, str(trial.pk), waits=False):
            trial.refresh_from_db()
        trial.refresh_from_db()
        if trial.status != JobStatus.READY:
            raise CommandError(trial.error or "The prompt was not answered.")
        for label in ("base", "adapter"):
            self.show(label, trial.answers[label])

    def create(self, options: dict[str, Any]) -> Trial:
        try:
            session = Session.objects.select_related("team").get(pk=options["session"])
        except (Session.DoesNotExist, ValidationError, ValueError):
            raise CommandError(f"There is no session {options['session']}.") from None
        given = {name: options[name] for name in TrialForm.base_fields if options.get(name) is not None}
        form = TrialForm({**defaults(session), **given})
        if not form.is_valid():
            raise CommandError("; ".join(f"{name}: {errors[0]}" for name, errors in form.errors.items()))
        try:
            return create(session, None, form.cleaned_data["prompt"], form.trial_settings, ring=False)
        except TrialProblem as problem:
            raise CommandError(str(problem)) from None

    def show(self, label: str, answer: dict[str, Any]) -> None:
        score = (answer.get("score") or {}).get("total")
        scored = "" if score is None else f", score {score:.3g}"
        self.stdout.write(f"--- {label} ({answer['tokens']} tokens, {answer['seconds']:.1f} s{scored})")
        self.stdout.write(answer["text"])
