"""What the exports panel shows: one row a format, with its newest export."""

from __future__ import annotations

import shlex
import shutil
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from django.conf import settings

from accounts.access import may
from accounts.models import AnyUser, Role
from exports.building import OPEN, existing, zip_name
from exports.formats import ALL, MORE, Choice, estimated_size, needed_space, parameters
from exports.models import Check, Export, Format
from jobs.choices import JobStatus
from training import adapters
from training.models import Session


@dataclass(frozen=True)
class Command:
    tool: str
    text: str
    note: str = ""


@dataclass(frozen=True)
class Line:
    choice: Choice
    estimate: int | None
    missing: str
    export: Export | None
    outdated: bool
    chosen: bool = False

    @property
    def is_open(self) -> bool:
        return self.export is not None and self.export.status in OPEN

    @property
    def is_ready(self) -> bool:
        return self.export is not None and self.export.status == JobStatus.READY

    @property
    def can_create(self) -> bool:
        return not self.missing and not self.is_open and (not self.is_ready or self.outdated)

    @property
    def check(self) -> Check | None:
        return self.export.parity if self.export and self.is_ready else None

    @property
    def needs_sign_off(self) -> bool:
        return self.check is not None and self.check.needs_sign_off

    @property
    def zip_name(self) -> str:
        return zip_name(self.export) if self.export else ""

    @property
    def commands(self) -> list[Command]:
        return commands(self.export) if self.export and self.is_ready else []


def context(
    session: Session, user: AnyUser, problem: str = "", chosen: Collection[str] = (), more: bool = False
) -> dict[str, Any]:
    """`chosen`: keys of the formats whose box is ticked; `more`: the rarer quantisations are shown, too."""
    adapter = adapters.newest(session)
    lines = _lines(session, adapter, chosen) if adapter else []
    rare = {choice.key for choice in MORE}
    more = more or any(line.chosen or line.export for line in lines if line.choice.key in rare)
    return {
        "session": session,
        "lines": [line for line in lines if more or line.choice.key not in rare],
        "more": more,
        "rare": len(MORE),
        **(total(session, adapter, [line.choice for line in lines if line.chosen]) if adapter else {}),
        "has_adapter": adapter is not None,
        "from_checkpoint": adapter is not None and adapter != session.adapter,
        "polling": any(line.is_open or (line.check and line.check.is_open) for line in lines),
        "may_change": may(user, session.team, Role.MEMBER),
        "problem": problem,
    }


def total(session: Session, adapter: Path, chosen: Sequence[Choice]) -> dict[str, Any]:
    """What the chosen ones take together, and whether that is free."""
    weights = parameters(session) if chosen else None
    sizes = [estimated_size(choice, weights, adapter) for choice in chosen]
    needed = needed_space(chosen, weights, adapter) if chosen else 0
    free = shutil.disk_usage(settings.EXPORTS_DIR).free
    return {
        "chosen_count": len(chosen),
        "chosen_size": sum(size for size in sizes if size),
        "needed": needed,
        "free": free,
        "too_large": needed > free,
    }


def _lines(session: Session, adapter: Path, chosen: Collection[str]) -> list[Line]:
    weights = parameters(session)
    newest: dict[tuple[str, str], Export] = {}
    for export in session.exports.select_related("created_by", "check_row__signed_by"):
        newest.setdefault((export.format, export.quantization), export)
    lines = [
        _line(session, adapter, weights, choice, newest.get((choice.format, choice.quantization))) for choice in ALL
    ]
    return [replace(line, chosen=line.can_create and line.choice.key in chosen) for line in lines]


def _line(session: Session, adapter: Path, weights: int | None, choice: Choice, export: Export | None) -> Line:
    ready = export is not None and export.status == JobStatus.READY
    return Line(
        choice=choice,
        estimate=estimated_size(choice, weights, adapter),
        missing=choice.missing,
        export=export,
        outdated=ready and existing(session, choice, adapter) is None,
    )


def commands(export: Export) -> list[Command]:
    path = export.folder / export.file
    if export.format == Format.ADAPTER:
        base = export.session.parsed_config.model.name
        code = f"PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained({base!r}), {str(path)!r})"
        return [Command("PEFT", code, "Python, with peft and transformers installed.")]
    if export.format == Format.MERGED:
        return [Command("Transformers", f"AutoModelForCausalLM.from_pretrained({str(path)!r})", "Python.")]
    folder, file = shlex.quote(str(path.parent)), shlex.quote(str(path))
    name = f"loracraft-{str(export.session_id)[:8]}-{export.quantization}"
    return [
        Command("llama.cpp", f"llama-cli -m {file} --jinja -cnv", "Chats in the terminal."),
        Command(
            "Ollama",
            f"cd {folder} && ollama create {name} -f Modelfile && ollama run {name}",
            "The Modelfile carries the chat template, the system prompt and the stop tokens.",
        ),
        Command("LM Studio", f"lms import {file}", "Or drag the file into the window."),
    ]
