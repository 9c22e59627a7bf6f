from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from evaluation import answerers, candidates
from evaluation.candidates import Candidate, NoSuchCandidate
from training.engine.problems import EngineError
from training.models import Session


class Command(BaseCommand):
    help = "Talks to a model in this terminal: one prompt, or one a line of standard input. Nothing is recorded."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "model", help="base:<name>, session:<id>, session:<id>/<checkpoint>, session:<id>/base or export:<id>."
        )
        parser.add_argument("prompt", nargs="?", help="Without one each line of standard input is a question.")
        parser.add_argument("--system", help="In place of the system prompt of its training; empty for none.")
        parser.add_argument("--temperature", type=float)
        parser.add_argument("--top-p", type=float)
        parser.add_argument("--top-k", type=int)
        parser.add_argument("--max-new-tokens", type=int)
        parser.add_argument("--seed", type=int)
        parser.add_argument("--stop", action="append", default=[], help="A text at which an answer ends; repeatable.")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            candidate = candidates.named(Session.objects.exclude(config={}), options["model"])
            self.stderr.write(f"Loading {candidate.title}")
            talk = Talk(answerers.load(candidate), candidate, options, self.stdout.write)
            for question in questions(options["prompt"]):
                talk.answer(question)
        except NoSuchCandidate as problem:
            raise CommandError(str(problem)) from None
        except EngineError as error:
            raise CommandError(f"{error.message} {error.hint}".strip()) from None


def questions(prompt: str | None) -> Iterator[str]:
    if prompt is not None:
        yield prompt
        return
    for line in sys.stdin:
        if line.strip():
            yield line.rstrip("\n")


class Talk:
    def __init__(self, answerer: answerers.Answerer, candidate: Candidate, options: dict[str, Any], write: Any) -> None:
        from training.engine.generation import Sampling

        config = candidate.config
        self.answerer, self.write, self.stops = answerer, write, options["stop"]
        trained = {name: getattr(config.training, name) for name in ("temperature", "top_p", "top_k", "max_new_tokens")}
        given = {name: options[name] for name in trained if options[name] is not None}
        self.sampling = Sampling(**{**trained, **given})
        self.seed = config.training.seed if options["seed"] is None else options["seed"]
        system = config.prompt.rendered if options["system"] is None else options["system"]
        self.said: answerers.Messages = [{"role": "system", "content": system}] if system else []

    def answer(self, question: str) -> None:
        self.said.append({"role": "user", "content": question})
        shown = ""

        def show(text: str) -> None:
            nonlocal shown
            self.write(text.removeprefix(shown), ending="")
            shown = text

        prompt = self.answerer.render(self.said)
        room = answerers.room_for(self.answerer, len(self.answerer.encode(prompt)), self.sampling.max_new_tokens)
        sampling = replace(self.sampling, max_new_tokens=room)
        made = self.answerer.stream(prompt, sampling, seed=self.seed, stops=self.stops, on_text=show)
        show(made.text)
        self.write("")
        self.said.append({"role": "assistant", "content": made.text})
