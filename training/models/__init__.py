from training.models.catalogue import CatalogueModel
from training.models.config import SavedConfig
from training.models.event import Event
from training.models.series_block import SeriesBlock
from training.models.session import Session

__all__ = ["CatalogueModel", "Event", "SavedConfig", "SeriesBlock", "Session"]
