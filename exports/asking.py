"""Exports among the models that can be asked: `export:<id>`, merged models and GGUF files."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.core.exceptions import ValidationError

from evaluation.answerers import LOADERS, Answerer, Loader, Transformer
from evaluation.candidates import GONE, KINDS, LOOKED_AT, Candidate, Kind, NoSuchCandidate
from exports.formats import choice, has_library
from exports.models import Export, Format
from jobs.choices import JobStatus
from rewards.bench_sources import Choice
from training import bench_sources
from training.engine.problems import EngineError
from training.models import Session

if TYPE_CHECKING:
    from django.db.models import QuerySet

EXPORT = "export"


def register() -> None:
    KINDS[EXPORT] = Kind(_find, _offer)
    LOADERS[EXPORT] = Loader(_load, _weight_bytes)


def _askable(sessions: QuerySet[Session]) -> QuerySet[Export]:
    formats = [Format.MERGED, *([Format.GGUF] if has_library() else [])]
    ready = Export.objects.filter(session__in=sessions, status=JobStatus.READY, format__in=formats)
    return ready.select_related("session")


def _find(sessions: QuerySet[Session], pk: str) -> Candidate:
    try:
        export = _askable(sessions).filter(pk=pk).first()
    except ValidationError:
        export = None
    if export is None:
        raise NoSuchCandidate(GONE)
    where = f"{export.session_id}/{export.file}"
    base = export.session.parsed_config.model.name
    return Candidate(f"{EXPORT}:{export.pk}", _title(export), base, EXPORT, export.session, where)


def _offer(sessions: QuerySet[Session], text: str) -> Iterator[Choice]:
    named = sessions.filter(bench_sources.named(text), archived_at=None)
    for export in _askable(named)[:LOOKED_AT]:
        yield Choice(f"{EXPORT}:{export.pk}", _title(export), "export", export.created_at)


def _title(export: Export) -> str:
    chosen = choice(export.format, export.quantization)
    return f"{export.session.name}, {chosen.title if chosen else export.format}"


def _path(candidate: Candidate) -> Path:
    """Raises EngineError if it is gone."""
    found = Path(settings.EXPORTS_DIR) / candidate.adapter
    if not found.exists():
        raise EngineError(f"{candidate.title} was deleted.", "Choose another model.")
    return found


def _load(candidate: Candidate) -> Answerer:
    path = _path(candidate)
    if path.is_dir():
        from training.engine import loading

        template = candidate.config.prompt.chat_template
        return Transformer(*loading.load_for_generation(str(path), None, template))
    from exports.llama_runtime import LlamaModel

    return LlamaModel(path)


def _weight_bytes(candidate: Candidate) -> int:
    path: Any = Path(settings.EXPORTS_DIR) / candidate.adapter
    files = list(path.glob("*.safetensors")) if path.is_dir() else [path]
    copies = 2 if path.is_dir() else 1
    return copies * sum(file.stat().st_size for file in files if file.is_file())
