"""Where a base model named in a config is, and whether it can be used. No torch: the web process asks too."""

from __future__ import annotations

import json
import re
import time
from pathlib import Path

from django.conf import settings

from datasets_app import chat_formats, chat_rendering
from training.catalogue import STARTER

HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")
LOCAL = "local/"
LOCAL_NAME = re.compile(r"[A-Za-z0-9][\w.-]*")
INDEX = "model.safetensors.index.json"
PICKLES = (".bin", ".pt", ".pth", ".ckpt", ".pkl")
HUB_SECONDS = 4
REMEMBER_SECONDS = 120

_hub_answers: dict[str, tuple[float, str | None]] = {}


def locate(name: str) -> str:
    """What the engine loads: an absolute folder, or a hub id as it is."""
    name = name.strip()
    if name.startswith(LOCAL):
        return str(Path(settings.MODELS_DIR) / name.removeprefix(LOCAL))
    return str(Path(name).expanduser()) if is_folder(name) else name


def is_folder(name: str) -> bool:
    return name.startswith(("/", "~", LOCAL))


def tokenizer_folder(name: str, revision: str | None = None) -> Path | None:
    """The folder on this machine with the model's tokenizer, None where there is none yet."""
    name = name.strip()
    if name.startswith(LOCAL) and not LOCAL_NAME.fullmatch(name.removeprefix(LOCAL)):
        return None
    folder = Path(locate(name)) if is_folder(name) else _cached_folder(name, revision)
    return folder if folder and (folder / "tokenizer_config.json").is_file() else None


def _cached_folder(name: str, revision: str | None) -> Path | None:
    from huggingface_hub import try_to_load_from_cache

    if not HUB_ID.fullmatch(name) or ".." in name:
        return None
    file = try_to_load_from_cache(name, "tokenizer_config.json", revision=revision)
    return Path(file).parent if isinstance(file, str) else None


def context_length(name: str, revision: str | None = None) -> int | None:
    """Tokens that the model was made to read at once, as its own files or the catalogue say; None if nobody knows."""
    from training.models import CatalogueModel

    folder = tokenizer_folder(name, revision) or (Path(locate(name)) if is_folder(name) else None)
    written = _context_in(folder) if folder else None
    known = CatalogueModel.objects.filter(hub_id=name.strip()).values_list("context_length", flat=True)
    return written or known.first()


def _context_in(folder: Path) -> int | None:
    try:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        length = {**config, **config.get("text_config", {})}.get("max_position_embeddings")
    except (OSError, ValueError, TypeError, AttributeError):
        return None
    return length if isinstance(length, int) and length > 0 else None


def chat_of(name: str, revision: str | None = None) -> chat_rendering.Chat:
    """How the model is spoken to: as its own files say, or, where it is not here yet, as its family is."""
    folder = tokenizer_folder(name, revision)
    if folder:
        return chat_rendering.chat_in(folder)
    known = chat_formats.format_of(name)
    note = f"Approximate: the model is not on this machine yet, so this is the format of its family ({known.title})."
    return chat_rendering.Chat(known.template, dict(known.specials), approximate=note)


def offered() -> list[tuple[str, str]]:
    from training.models import CatalogueModel

    """Those on this machine first: only they can be shown exactly."""
    rows = CatalogueModel.objects.order_by("parameters", "name").values_list("hub_id", "name")
    return sorted(rows, key=lambda row: tokenizer_folder(row[0]) is None)


def problem(name: str) -> str | None:
    """Why `name` can't be trained, and what to do; None if it can, as far as can be told without loading it."""
    name = name.strip()
    if name.startswith(LOCAL) and not LOCAL_NAME.fullmatch(name.removeprefix(LOCAL)):
        return f"{name!r} is no name of a local model: write local/ and the name of a folder in the models folder."
    if is_folder(name):
        return _folder_problem(name, Path(locate(name)))
    if not HUB_ID.fullmatch(name) or ".." in name:
        return f"{name!r} is neither a hub id (owner/name) nor the full path of a folder."
    return None if _is_cached(name) else _hub_problem(name)


def _folder_problem(name: str, folder: Path) -> str | None:
    if not folder.is_dir():
        advice = "Run `make setup`: it prepares the starter model." if name == STARTER else "Check the path."
        return f"There is no folder {folder}. {advice}"
    if not (folder / "config.json").is_file():
        return f"{folder} has no config.json: choose the folder that save_pretrained wrote."
    weights = sorted(file.name for file in folder.glob("*.safetensors"))
    if not weights:
        return _no_safetensors(folder)
    missing = sorted(_shards(folder) - set(weights))
    if missing:
        return f"{folder} is not complete: {missing[0]} is missing. Copy or download it again."
    return None


def _no_safetensors(folder: Path) -> str:
    if any(file.suffix in PICKLES for file in folder.iterdir()):
        return (
            f"{folder} has its weights only as pickle files, which can run code when they are read. Save them as"
            " safetensors first (save_pretrained does)."
        )
    return f"{folder} has no safetensors file: choose a folder with the weights of a model."


def _shards(folder: Path) -> set[str]:
    try:
        index = json.loads((folder / INDEX).read_text(encoding="utf-8"))
        return {str(name) for name in index["weight_map"].values()}
    except (OSError, ValueError, KeyError, AttributeError):
        return set()


def _is_cached(name: str) -> bool:
    from huggingface_hub import try_to_load_from_cache

    return isinstance(try_to_load_from_cache(name, "config.json"), str)


def _hub_problem(name: str) -> str | None:
    """Asks the hub, and remembers its answer for a moment: a form asks at every step."""
    asked, answer = _hub_answers.get(name, (0.0, None))
    if not asked or time.monotonic() - asked > REMEMBER_SECONDS:
        answer = _ask_hub(name)
        _hub_answers[name] = (time.monotonic(), answer)
    return answer


def _ask_hub(name: str) -> str | None:
    from huggingface_hub import HfApi
    from huggingface_hub.errors import GatedRepoError, OfflineModeIsEnabled, RepositoryNotFoundError

    try:
        files = HfApi().model_info(name, timeout=HUB_SECONDS).siblings or []
    except GatedRepoError:
        return f"{name} is gated: accept its licence on the hub and set HF_TOKEN for the worker."
    except RepositoryNotFoundError:
        return f"The hub has no model {name!r}, or it is private. Names are case-sensitive."
    except OfflineModeIsEnabled:
        return (
            f"{name} is not on this machine, and HF_HUB_OFFLINE forbids a download. Use the starter model or a folder."
        )
    except Exception:
        return f"{name} is not on this machine, and the hub can't be reached. Use the starter model or a folder."
    if not any(file.rfilename.endswith(".safetensors") for file in files):
        return f"{name} has no safetensors files on the hub: choose another model or revision."
    return None
