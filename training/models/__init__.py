from training.models.catalogue import CatalogueModel
from training.models.completion import Completion
from training.models.config import SavedConfig
from training.models.event import Event
from training.models.outcome import PromptOutcome
from training.models.preflight import Preflight
from training.models.queue import QueuePause, Worker
from training.models.series_block import SeriesBlock
from training.models.session import Session
from training.models.tag import Tag

__all__ = [
    "CatalogueModel",
    "Completion",
    "Event",
    "Preflight",
    "PromptOutcome",
    "QueuePause",
    "SavedConfig",
    "SeriesBlock",
    "Session",
    "Tag",
    "Worker",
]
