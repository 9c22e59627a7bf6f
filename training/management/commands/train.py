import contextlib
import json
import logging
import os
import signal
import sys
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from accounts.models import Team
from accounts.teams import DEFAULT_TEAM
from training import lifecycle
from training.choices import RESUMABLE, Status
from training.management.sessions import find_session
from training.models import Session
from training.readiness import NotReady
from training.recorder import Place

DATA_SUFFIXES = (".jsonl", ".ndjson", ".json", ".csv", ".tsv", ".txt", ".parquet", ".gz", ".zst")


class Command(BaseCommand):
    # A trainer starts once an attempt, and needs no URLs and templates.
    requires_system_checks = ()
    help = (
        "Trains in this process tree, without queue and worker: a config file, or a session that is a draft, stopped or"
        " failed. Progress goes to standard error; standard output gets one JSON line at the end."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("config", metavar="CONFIG.json|SESSION")
        parser.add_argument("--team", default=DEFAULT_TEAM, help="Owner of the session; made if it does not exist.")
        parser.add_argument(
            "--skip-bad-lines", action="store_true", help="Train on the good rows of a data file that has others."
        )
        parser.add_argument(
            "--override-reward", metavar="REASON", default="", help="Train with a reward that failed its check; kept."
        )
        parser.add_argument("--attempt", type=int, help="For the worker: run this attempt of the session as its child.")

    def handle(self, *args: Any, config: str, attempt: int | None, **options: Any) -> None:
        if attempt is not None:
            from training.trainer import run_session

            code = run_session(config, attempt)
            # At once: threads of libraries could hold an ended trainer back, or crash it while the interpreter closes.
            with contextlib.suppress(OSError):  # The disk may be full: the code says more than the last line.
                logging.shutdown()
                sys.stderr.flush()
            os._exit(code)
        file = Path(config)
        session = self._from_file(file, options) if file.is_file() else find_session(config)
        try:
            number = self._claim(session, options["override_reward"])
        except NotReady as error:
            raise CommandError("\n".join(f"{p.field}: {p.message}" for p in error.problems)) from None
        except lifecycle.DevicesTaken as error:
            raise CommandError(str(error)) from None
        self._run(session, number)

    def _from_file(self, file: Path, options: dict[str, Any]) -> Session:
        try:
            config = json.loads(file.read_text(encoding="utf-8"))
        except ValueError as error:
            raise CommandError(f"{file} is not JSON: {error}") from None
        if not isinstance(config, dict):
            raise CommandError(f"{file} must hold one JSON object.")
        team, _ = Team.objects.get_or_create(name=options["team"])
        self._import_data(file.parent, config, team, options["skip_bad_lines"])
        return lifecycle.create_draft(team, None, name=str(config.get("name") or file.stem), config=config)

    def _import_data(self, folder: Path, config: dict[str, Any], team: Team, skip_bad_lines: bool) -> None:
        """A data file named in the config becomes a dataset of the team; the path may be relative to either folder. So
        does a hub id, unless the team has it."""
        from datasets_app import importing
        from datasets_app.problems import DatasetProblem

        section = config.get("dataset")
        source = str(section.get("source", "")) if isinstance(section, dict) else ""
        found = [path for path in (Path(source), folder / source) if source.endswith(DATA_SUFFIXES) and path.is_file()]
        if not isinstance(section, dict) or not (found or self._is_missing_hub_id(team, source)):
            return
        try:
            if found:
                with found[0].open("rb") as file:
                    version = importing.import_jsonl(team, None, found[0].name, file)
            else:
                version = self._from_hub(team, source, str(section.get("split") or "train"))
        except DatasetProblem as problem:
            raise CommandError(f"dataset.source: {problem.message}") from None
        if not version.accepted:
            self._decide_on_bad_lines(version, skip_bad_lines)
        section["source"] = str(version.dataset_id)

    def _is_missing_hub_id(self, team: Team, source: str) -> bool:
        from datasets_app import sources

        return sources.is_hub_id(source) and not sources.named(team, source)

    def _from_hub(self, team: Team, repo: str, split: str) -> Any:
        from datasets_app import hub

        self.stderr.write(f"Importing {repo} ({split}) from the hub")
        return hub.import_now(team, None, repo, split)

    def _decide_on_bad_lines(self, version: Any, skip: bool) -> None:
        from datasets_app.importing import accept

        for item in version.report.get("rejected", [])[:20]:
            self.stderr.write(f"line {item['line']}: {item['reason']}")
        if not skip:
            raise CommandError(
                f"dataset.source: {version.rejected_count} lines could not be read. Correct them, or --skip-bad-lines."
            )
        accept(version)

    def _claim(self, session: Session, reward_override: str) -> int:
        if session.status == Status.DRAFT:
            return lifecycle.start_here(session, reward_override)
        attempt = lifecycle.claim_here(session, *RESUMABLE)
        if attempt is None:
            raise CommandError(f"{session} is {session.get_status_display().lower()}: it can't be trained from here.")
        return attempt

    def _run(self, session: Session, attempt: int | None) -> None:
        from training.supervisor import Supervision

        progress = Progress(session, self.stderr)
        signal.signal(signal.SIGINT, progress.interrupt)
        signal.signal(signal.SIGTERM, progress.interrupt)
        while attempt is not None:
            Supervision(session.pk, attempt, on_tick=progress).run()
            # A trainer that crashed left the session waiting for its next attempt.
            attempt = self._next_attempt(session)
        progress(session)
        self._report(session)

    def _next_attempt(self, session: Session) -> int | None:
        try:
            return lifecycle.claim_here(session, Status.QUEUED)
        except lifecycle.DevicesTaken:
            self.stderr.write("Another session took the GPU: this one waits in the queue for a worker.")
            return None

    def _report(self, session: Session) -> None:
        from training.trainer import outcome_of

        session.refresh_from_db()
        if session.status != Status.COMPLETED:
            raise CommandError(f"{session.get_status_display()}. {session.error}".strip())
        outcome = outcome_of(session)
        result = {"session_id": str(session.pk), "adapter": outcome.get("adapter"), "scores": outcome.get("scores", {})}
        self.stdout.write(json.dumps(result))


class Progress:
    """What the trainer writes, as lines for people."""

    def __init__(self, session: Session, out: Any) -> None:
        self._file = session.folder / "events.jsonl"
        self._out = out
        self._place, self._lines = Place(), 0
        self._interrupted = False
        for _ in self._new_lines():
            # Of earlier attempts.
            pass

    def interrupt(self, number: int, frame: Any) -> None:
        """Ctrl-C stops as a person on the page would: with a checkpoint. Ctrl-C again ends at once."""
        self._interrupted = True
        signal.signal(number, signal.SIG_DFL)

    def __call__(self, session: Session) -> None:
        if self._interrupted:
            self._interrupted = False
            lifecycle.request_stop(session, None)
        for line in self._new_lines():
            if text := describe(json.loads(line)):
                self._out.write(text)
                self._out.flush()

    def _new_lines(self) -> Iterator[bytes]:
        if not self._file.exists():
            return
        with self._file.open("rb") as file:
            if not self._place.is_in(file):
                # The file was made shorter, and has as many lines.
                file.seek(0)
                self._place = Place()
                for line in islice(file, self._lines):
                    self._place = self._place.behind(line)
            for line in file:
                if not line.endswith(b"\n"):
                    return
                self._place, self._lines = self._place.behind(line), self._lines + 1
                yield line


def describe(event: dict[str, Any]) -> str:
    data, kind = event["data"], event["kind"]
    if kind == "phase":
        return f"{data['label']}  {data.get('mode') or ''}".rstrip()
    if kind == "metrics":
        values = [
            f"{key} {data[key]:.4g}" for key in ("reward", "loss", "kl") if isinstance(data.get(key), float | int)
        ]
        return "  ".join([f"{event['phase']} step {event['step']}", *values])
    if kind == "evaluation" and "summary" in data:
        summary = data["summary"]
        return f"{data['label']}: {summary.get('correct')} of {summary.get('questions')} right"
    if kind in ("log", "error"):
        return f"{data['message']} {data.get('hint', '')}".rstrip()
    return ""
