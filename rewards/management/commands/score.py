import json
import os
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from pydantic import ValidationError

from accounts.models import Team
from rewards import judge_access, scoring
from rewards.composition import Composition
from rewards.presets import PresetMissing, messages, named
from rewards.registry import Markers
from rewards.sandbox.jail_process import SandboxError
from rewards.sandbox.rows import score_with_code
from rewards.shipped import MARKERS


class Command(BaseCommand):
    help = "Scores rows of a JSONL file with a preset, a reward as JSON, or Python code in the sandbox."

    def add_arguments(self, parser: CommandParser) -> None:
        reward = parser.add_mutually_exclusive_group(required=True)
        reward.add_argument("--preset", help="slug of a preset")
        reward.add_argument("--reward-json", type=Path, help='file with {"parts": [...]}')
        reward.add_argument("--code", type=Path, help="file that defines reward(completions, **columns)")
        parser.add_argument("--input", type=Path, required=True, help="JSONL: instruction, response, reference, ...")
        parser.add_argument("--output", type=Path, required=True, help="JSONL: total, parts, error, feedback")
        parser.add_argument("--team", help="team whose own presets count, too")
        for name, default in MARKERS.items():
            parser.add_argument(f"--{name.replace('_', '-')}", default=default, help=f"marker (default {default})")

    def handle(self, *args: Any, **options: Any) -> None:
        """Exit code 0 even if rows err, 2 if the reward or the files can't be used."""
        markers = Markers(**{name: options[name] for name in MARKERS})
        try:
            lines = options["input"].read_text(encoding="utf-8").split("\n")
            results = self.results(scoring.samples(lines, markers), options)
            with paid_by(options["team"]):
                errors, count = write(results, options["output"])
        except (PresetMissing, SandboxError, OSError, UnicodeDecodeError) as error:
            raise CommandError(str(error), returncode=2) from error
        self.stderr.write(f"{count} rows scored, {errors} with errors.")

    def results(self, rows: Iterator[Any], options: dict[str, Any]) -> Iterable[scoring.RowScore]:
        if options["code"]:
            return score_with_code(options["code"].read_text(encoding="utf-8"), list(rows))
        return scoring.score(composition(options), rows)


def composition(options: dict[str, Any]) -> Composition:
    if options["preset"]:
        return named(team_called(options["team"]), options["preset"])
    file = options["reward_json"]
    try:
        return Composition.model_validate(json.loads(file.read_text(encoding="utf-8")))
    except ValidationError as error:
        raise PresetMissing(f"{file} is no usable reward: {' '.join(messages(error))}") from error
    except (ValueError, RecursionError) as error:
        raise PresetMissing(f"{file} is not JSON: {error}.") from error


def paid_by(team: str | None) -> AbstractContextManager[None]:
    """Judges get the team's keys; without a team they get none."""
    found = team_called(team)
    return judge_access.paid_by(found) if found else nullcontext()


def team_called(name: str | None) -> Team | None:
    if name is None:
        return None
    team = Team.objects.filter(name=name).first()
    if team is None:
        raise PresetMissing(f"There is no team called {name!r}.")
    return team


def write(results: Iterable[scoring.RowScore], output: Path) -> tuple[int, int]:
    """Appears under its name only when it is whole. Returns the number of errors and of rows."""
    errors = count = 0
    unfinished = output.with_name(f".{output.name}.{os.getpid()}.tmp")
    try:
        with unfinished.open("w", encoding="utf-8") as file:
            for result in results:
                file.write(result.as_json() + "\n")
                errors, count = errors + bool(result.error), count + 1
        unfinished.replace(output)
    finally:
        unfinished.unlink(missing_ok=True)
    return errors, count
