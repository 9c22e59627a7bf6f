"""What the exports panel shows: one row a format, with its newest export."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from accounts.access import may
from accounts.models import AnyUser, Role
from exports.building import OPEN, existing, zip_name
from exports.formats import CHOICES, Choice, estimated_size, parameters
from exports.models import Export, Format
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
    def zip_name(self) -> str:
        return zip_name(self.export) if self.export else ""

    @property
    def commands(self) -> list[Command]:
        return commands(self.export) if self.export and self.is_ready else []


def context(session: Session, user: AnyUser, problem: str = "") -> dict[str, Any]:
    adapter = adapters.newest(session)
    lines = _lines(session, adapter) if adapter else []
    return {
        "session": session,
        "lines": lines,
        "has_adapter": adapter is not None,
        "from_checkpoint": adapter is not None and adapter != session.adapter,
        "polling": any(line.is_open for line in lines),
        "may_change": may(user, session.team, Role.MEMBER),
        "problem": problem,
    }


def _lines(session: Session, adapter: Path) -> list[Line]:
    weights = parameters(session)
    newest: dict[tuple[str, str], Export] = {}
    for export in session.exports.select_related("created_by"):
        newest.setdefault((export.format, export.quantization), export)
    return [
        _line(session, adapter, weights, choice, newest.get((choice.format, choice.quantization))) for choice in CHOICES
    ]


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
