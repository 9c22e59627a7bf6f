"""Reads datasets of the Hugging Face hub. `python -m datasets_app.hub_reading` takes one JSON request on standard input
and prints JSON lines: {"progress": …} and at last {"answer": …} or {"problem": …}.

It runs as a child process (datasets_app/hub.py): the libraries take seconds and a lot of memory, and the files come
from anybody. The token comes in the environment. No program of a repository ever runs.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
import traceback
from collections.abc import Callable, Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any

from datasets_app import hub_records
from datasets_app.limits import HUB_BYTES, HUB_MEMORY_BYTES, HUB_PREVIEW_BYTES, MAX_ROWS, bound_memory, readable
from datasets_app.problems import DISK_FULL, DatasetProblem, is_full_disk

# The other packaged readers are for images, sound and video, or read pickles.
TEXT_READERS = ("parquet", "json", "csv", "text", "arrow")
READERS: dict[str, tuple[str, dict[str, Any]]] = {
    ".parquet": ("parquet", {}),
    ".json": ("json", {}),
    ".jsonl": ("json", {}),
    ".ndjson": ("json", {}),
    ".csv": ("csv", {}),
    ".tsv": ("csv", {"sep": "\t"}),
    ".txt": ("text", {}),
    ".arrow": ("arrow", {}),
}
MEDIA = ("Image", "Audio", "Video", "Pdf", "Nifti")
# What an option of a reader may be, to be written down and given to it again.
PLAIN = (str, int, float, bool, list)
LEFT_TO_US = {"name", "version", "data_dir", "data_files", "description", "features"}
SECONDS = 20.0
# Plain HTTP instead of Xet: its threads take more address space than the child may have.
LIBRARIES = {
    "USE_TORCH": "0",
    "USE_TF": "0",
    "USE_JAX": "0",
    "HF_HUB_DISABLE_XET": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "HF_HUB_DISABLE_IMPLICIT_TOKEN": "1",
    "HF_HUB_ETAG_TIMEOUT": "20",
    "HF_DATASETS_DISABLE_PROGRESS_BARS": "1",
}
BATCH_ROWS = 5000


def main() -> int:
    request = json.load(sys.stdin)
    bound_memory(HUB_MEMORY_BYTES)
    # Its own home, thrown away: nothing of another team, and no token of whoever runs the server, is found there.
    with tempfile.TemporaryDirectory(prefix="loracraft-hub-") as home:
        os.environ.update(LIBRARIES, HF_HOME=home)
        try:
            say(answered(request))
        except Exception:
            # Whatever a library puts into its message, the log of the server never holds a token.
            sys.stderr.write(traceback.format_exc().replace(token() or "\0", "…"))
            return 1
    return 0


def answered(request: dict[str, Any]) -> dict[str, Any]:
    try:
        return {"answer": {"describe": describe, "preview": preview, "read": read}[request["do"]](request)}
    except DatasetProblem as problem:
        return {"problem": problem.message, "field": problem.field}
    except OSError as error:
        if not is_full_disk(error):
            raise
        return {"problem": DISK_FULL, "field": None}
    except MemoryError:
        return {"problem": "Its files need more memory than an import may take. Choose another dataset.", "field": None}


def say(value: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(value, ensure_ascii=False, default=str) + "\n")
    sys.stdout.flush()


def token() -> str | None:
    return os.environ.get("HF_TOKEN") or None


# What a dataset is


def describe(request: dict[str, Any]) -> dict[str, Any]:
    """The commit, and the config with its splits, files and columns. From the records if the hub can't be reached."""
    from datasets_app.hub_problems import HubAway

    root, asked = Path(request["cache"]), (request["revision"], request["config"])
    try:
        described = fresh(request)
    except HubAway:
        kept = hub_records.remembered(root, request["scope"], request["repo"], *asked)
        if kept is None:
            raise DatasetProblem(
                f"The hub can't be reached, and nothing of “{request['repo']}” is kept here. Check the server's"
                " network, then try again.",
                field="repo",
            ) from None
        return {**kept, "offline": True}
    hub_records.remember(root, described["scope"], described, *asked)
    return {**described, "offline": False}


def fresh(request: dict[str, Any]) -> dict[str, Any]:
    from datasets_app import hub_problems

    repo, revision = request["repo"], request["revision"]
    try:
        about = repository(repo, revision)
        sizes = {file.rfilename: file.size or 0 for file in about.siblings or []}
        check_no_script(about.id, sizes)
        return {**facts(about, request), **config_facts(about.id, about.sha, request["config"], sizes)}
    except Exception as error:
        hub_problems.raise_problem(error, repo, revision, token())


def repository(repo: str, revision: str) -> Any:
    from huggingface_hub import HfApi

    api = HfApi(token=token() or False)
    about = api.dataset_info(repo, revision=revision or None, timeout=SECONDS, files_metadata=True)
    if about.gated:
        api.auth_check(repo, repo_type="dataset", token=token() or False)
    return about


def facts(about: Any, request: dict[str, Any]) -> dict[str, Any]:
    closed = bool(about.private or about.gated)
    licence = getattr(about.card_data, "license", None) or ""
    return {
        "repo": about.id,
        "commit": about.sha,
        "private": bool(about.private),
        "gated": bool(about.gated),
        "scope": request["scope"] if closed else hub_records.PUBLIC,
        "licence": ", ".join(licence) if isinstance(licence, list) else str(licence),
        "modified": about.last_modified.isoformat() if about.last_modified else "",
    }


def check_no_script(repo: str, sizes: dict[str, int]) -> None:
    from datasets_app import hub_problems

    file = f"{repo.split('/')[-1]}.py"
    if file in sizes:
        raise hub_problems.script(repo, file)


def config_facts(repo: str, commit: str, config: str, sizes: dict[str, int]) -> dict[str, Any]:
    builder, configs = builder_of(repo, commit, config)
    found = splits(builder, repo, commit, sizes)
    reader, asked = reader_of(builder, found[0]["files"][0]["path"])
    if reader not in TEXT_READERS:
        raise DatasetProblem(
            f"“{repo}” holds {reader.removesuffix('folder')} files, not rows of text. Choose a dataset of text.",
            field="repo",
        )
    return {
        "configs": configs,
        "config": builder.config.name,
        "reader": reader,
        "options": asked,
        "splits": found,
        "features": builder.info.features.to_dict() if builder.info.features else None,
        "columns": columns(builder.info.features) if builder.info.features else [],
    }


def builder_of(repo: str, commit: str, config: str) -> tuple[Any, list[str]]:
    """The library's own reading of the repository's layout and card, at this commit."""
    from datasets import DownloadConfig, load_dataset_builder
    from datasets.data_files import EmptyDatasetError
    from datasets.exceptions import DataFilesNotFoundError
    from datasets.load import dataset_module_factory

    from datasets_app import hub_problems

    # Not `repo` alone: a folder of that name beside the program would be taken for it.
    place, using = f"hf://datasets/{repo}", DownloadConfig(token=token() or False)
    try:
        found = dataset_module_factory(place, revision=commit, download_config=using).builder_configs_parameters
        configs = list(found.metadata_configs or {}) or [item.name for item in found.builder_configs or []]
        if config and config not in configs:
            raise hub_problems.not_one_of("config", config, configs, repo)
        chosen = config or found.default_config_name or configs[0]
        return load_dataset_builder(place, chosen, revision=commit, download_config=using), configs
    except (EmptyDatasetError, DataFilesNotFoundError):
        raise DatasetProblem(
            f"“{repo}” has no files with rows (Parquet, JSON, JSONL, CSV or text) at this revision.", field="repo"
        ) from None


def reader_of(builder: Any, path: str) -> tuple[str, dict[str, Any]]:
    """The library takes one reader for all configs of a repository; they may differ."""
    usual = type(builder).__module__.split(".")[-1]
    ending = "." + path.removesuffix(".gz").removesuffix(".zst").rpartition(".")[2].lower()
    reader, asked = READERS.get(ending, (usual, {}))
    return (usual, options(builder.config)) if reader == usual else (reader, asked)


def options(config: Any) -> dict[str, Any]:
    """What the dataset's card asks of the reader: a separator, a field, column names."""
    usual = type(config)()
    return {
        field.name: value
        for field in fields(config)
        if field.name not in LEFT_TO_US
        and (value := getattr(config, field.name)) != getattr(usual, field.name)
        and isinstance(value, PLAIN)
    }


def splits(builder: Any, repo: str, commit: str, sizes: dict[str, int]) -> list[dict[str, Any]]:
    known, found = builder.info.splits or {}, []
    for name, urls in (builder.config.data_files or {}).items():
        paths = [path_in(url, repo, commit) for url in urls]
        found.append(
            {
                "name": str(name),
                "rows": known[name].num_examples if name in known else None,
                "bytes": sum(sizes.get(path, 0) for path in paths),
                "files": [{"path": path, "bytes": sizes.get(path, 0)} for path in paths],
            }
        )
    return found


def path_in(url: str, repo: str, commit: str) -> str:
    """A card may name files anywhere, on this machine and in its network, too: only those of its commit are read."""
    start = f"hf://datasets/{repo}@{commit}/"
    path = url.removeprefix(start)
    if path == url or "::" in path or ".." in path.split("/"):
        raise DatasetProblem(f"The card of “{repo}” names a file outside of it, which is not read.", field="repo")
    return path


def columns(features: Any) -> list[dict[str, Any]]:
    return [{"name": name, "type": kind(feature), "left_out": is_media(feature)} for name, feature in features.items()]


def kind(feature: Any) -> str:
    """In words for people: text, number, list of text."""
    name = type(feature).__name__
    if name == "Value":
        return value_kind(feature.dtype)
    if name in ("List", "LargeList", "Sequence"):
        return f"list of {kind(feature.feature)}"
    return {"ClassLabel": "label", "dict": "fields", "list": "list"}.get(name, name.lower())


def value_kind(dtype: str) -> str:
    if dtype.startswith(("int", "uint", "float", "double", "decimal")):
        return "number"
    return {"string": "text", "large_string": "text", "bool": "true or false"}.get(dtype, dtype)


def is_media(feature: Any) -> bool:
    return type(feature).__name__ in MEDIA


# The first rows, without a download


def preview(request: dict[str, Any]) -> dict[str, Any]:
    """At most `rows` rows of a split; of its first file no more is fetched than they need."""
    from datasets_app import hub_problems

    described = described_at(request)
    split = split_of(described, request["split"])
    first = split["files"][0]["path"]
    try:
        table = next(
            (table for table in first_tables(Path(request["cache"]), described, first) if table.num_rows), None
        )
    except Exception as error:
        try:
            hub_problems.raise_problem(error, request["repo"], request["revision"], token())
        except hub_problems.HubAway:
            raise DatasetProblem("The hub can't be reached for the first rows. Try again later.") from None
    rows = table.slice(0, request["rows"]).to_pylist() if table is not None else []
    return {"split": split["name"], "columns": list(table.column_names) if table is not None else [], "rows": rows}


def first_tables(root: Path, described: dict[str, Any], path: str) -> Iterator[Any]:
    from huggingface_hub import HfFileSystem

    from datasets_app import hub_heads

    if hub_records.is_stored(root, described, path):
        yield from read_file(download(root, described, path, lambda count: None), described)
        return
    place = f"datasets/{described['repo']}@{described['commit']}/{path}"
    files = HfFileSystem(token=token() or False, use_listings_cache=False)
    with files.open(place, block_size=HUB_PREVIEW_BYTES) as file:
        if described["reader"] == "parquet":
            for table in hub_heads.parquet_tables(file):
                yield plain(table, features_of(table))
        elif described["reader"] == "arrow":
            yield from read_file(download(root, described, path, lambda count: None), described)
        else:
            head = hub_heads.whole_rows(file, path, described["reader"], Path(os.environ["HF_HOME"]))
            yield from read_file(str(head), described)


def features_of(table: Any) -> Any:
    from datasets import Features

    return Features.from_arrow_schema(table.schema)


# All rows


def read(request: dict[str, Any]) -> dict[str, Any]:
    """Writes the rows of one or more splits into `folder`, at most `rows` of them in all. Returns the file's name."""
    from datasets_app import hub_problems
    from datasets_app.hub_writing import Conflict, JsonLines, Parquet

    described = described_at(request)
    chosen = [split_of(described, name) for name in request["splits"]]
    if request["rows"] is None:
        check_size(described, chosen)
    folder = Path(request["folder"])
    try:
        try:
            done = written(Parquet(folder / "hub.parquet"), request, described, chosen)
        except Conflict:
            # Files that disagree about a column: as text each row may be what it is.
            done = written(JsonLines(folder / "hub.jsonl"), request, described, chosen)
    except hub_problems.HubAway:
        raise DatasetProblem(
            "The hub can't be reached, and not all files of this dataset are kept here. Check the server's network,"
            " then try again: what was fetched is kept."
        ) from None
    if not done["rows"]:
        raise DatasetProblem(f"The split {' and '.join(request['splits'])} of “{described['repo']}” has no rows.")
    return {**done, **{key: described[key] for key in ("repo", "commit", "config", "licence", "offline")}}


def check_size(described: dict[str, Any], chosen: list[dict[str, Any]]) -> None:
    total = sum(split["bytes"] for split in chosen)
    if total > HUB_BYTES:
        raise DatasetProblem(
            f"These splits take {readable(total)}; at most {readable(HUB_BYTES)} are downloaded. Say how many rows you"
            " want.",
            field="rows",
        )


def described_at(request: dict[str, Any]) -> dict[str, Any]:
    """From the records where they know this commit: a commit never changes."""
    root, revision = Path(request["cache"]), request["revision"]
    kept = hub_records.remembered(root, request["scope"], request["repo"], revision, request["config"])
    if kept is not None and kept["commit"] == revision:
        return {**kept, "offline": True}
    return describe(request)


def split_of(described: dict[str, Any], name: str) -> dict[str, Any]:
    from datasets_app import hub_problems

    known: list[dict[str, Any]] = described["splits"]
    for split in known:
        if split["name"] == name:
            return split
    raise hub_problems.not_one_of("split", name, [split["name"] for split in known], described["repo"])


def written(writer: Any, request: dict[str, Any], described: dict[str, Any], chosen: list[Any]) -> dict[str, Any]:
    label = split_column(described) if len(chosen) > 1 else ""
    count = Count(request["rows"], sum(split["bytes"] for split in chosen) if request["rows"] is None else 0)
    with writer:
        for split in chosen:
            for table in tables(Path(request["cache"]), described, split, count, request):
                writer.write(labelled(table, label, split["name"]) if label else table)
    return {"file": writer.path.name, "rows": count.rows, "bytes": count.bytes, "split_column": label}


def split_column(described: dict[str, Any]) -> str:
    taken = {column["name"] for column in described["columns"]}
    return next(name for name in ("split", "source_split", "hub_split") if name not in taken)


def labelled(table: Any, column: str, split: str) -> Any:
    import pyarrow

    if column in table.column_names:
        table = table.drop_columns([column])
    return table.append_column(column, pyarrow.array([split] * table.num_rows, pyarrow.string()))


class Count:
    """How much came so far; it says so, and ends what becomes too much. `wanted`: rows, None for all."""

    def __init__(self, wanted: int | None, total: int) -> None:
        self.wanted, self.total = wanted, total
        self.rows = self.bytes = 0

    def fetched(self, count: float) -> None:
        self.bytes += int(count)
        if self.bytes > HUB_BYTES:
            raise DatasetProblem(
                f"More than {readable(HUB_BYTES)} would be downloaded. Ask for fewer rows.", field="rows"
            )
        self.say("Downloading")

    def room(self) -> int:
        return (MAX_ROWS if self.wanted is None else self.wanted) - self.rows

    def add(self, rows: int) -> None:
        self.rows += rows
        self.say("Reading")

    def say(self, message: str) -> None:
        say({"progress": [self.rows, self.bytes, self.total, message]})


def tables(
    root: Path, described: dict[str, Any], split: dict[str, Any], count: Count, request: dict[str, Any]
) -> Iterator[Any]:
    """File by file: no more is downloaded than the wanted rows need."""
    for file in split["files"]:
        if count.room() <= 0:
            return
        path = fetched(root, described, file, count, request)
        try:
            for table in read_file(path, described):
                part = table.slice(0, count.room())
                count.add(part.num_rows)
                yield part
                if count.room() <= 0:
                    break
        except (DatasetProblem, MemoryError, OSError, GeneratorExit):
            raise
        except Exception as error:
            raise unreadable(file["path"], error) from error


def unreadable(path: str, error: Exception) -> DatasetProblem:
    from datasets_app.hub_problems import reason

    return DatasetProblem(f"Its file {path} can't be read: {reason(error)}. Choose another split or revision.")


def fetched(root: Path, described: dict[str, Any], file: dict[str, Any], count: Count, request: dict[str, Any]) -> str:
    from datasets_app import hub_problems

    if hub_records.is_stored(root, described, file["path"]):
        count.fetched(file["bytes"])
    try:
        return download(root, described, file["path"], count.fetched)
    except Exception as error:
        hub_problems.raise_problem(error, request["repo"], request["revision"], token())


def download(root: Path, described: dict[str, Any], path: str, fetched: Callable[[float], None]) -> str:
    """Where the file lies; nothing is fetched if it is there already. A broken download goes on where it stopped."""
    from huggingface_hub import hf_hub_download
    from huggingface_hub.utils import tqdm

    class Bar(tqdm):
        def update(self, n: float | None = 1) -> None:
            fetched(n or 0)

    place: str = hf_hub_download(
        described["repo"],
        path,
        repo_type="dataset",
        revision=described["commit"],
        cache_dir=hub_records.files_folder(root, described),
        token=token() or False,
        tqdm_class=Bar,
    )
    return place


def read_file(path: str, described: dict[str, Any]) -> Iterator[Any]:
    """Arrow tables of one file on this disk, with labels by name and without pictures and sound."""
    from datasets import Features, load_dataset

    rows = load_dataset(
        described["reader"],
        data_files={"rows": [path]},
        split="rows",
        streaming=True,
        features=Features.from_dict(described["features"]) if described["features"] else None,
        **described["options"],
    )
    for table in rows.with_format("arrow").iter(batch_size=BATCH_ROWS):
        yield plain(table, rows.features or {})


def plain(table: Any, features: Any) -> Any:
    for number, name in reversed(list(enumerate(table.column_names))):
        feature = features.get(name)
        if is_media(feature):
            table = table.remove_column(number)
        elif type(feature).__name__ == "ClassLabel":
            table = table.set_column(number, name, named(table.column(number), feature.names))
        elif hasattr(table.schema.field(name).type, "storage_type"):
            storage = table.schema.field(name).type.storage_type
            table = table.set_column(number, name, table.column(number).cast(storage))
    return table.replace_schema_metadata(None)


def named(column: Any, names: list[str]) -> Any:
    import pyarrow
    import pyarrow.compute

    # A label of -1 means that there is none.
    known = pyarrow.compute.if_else(pyarrow.compute.greater_equal(column, 0), column, None)
    return pyarrow.compute.take(pyarrow.array(names, pyarrow.string()), known.combine_chunks())


if __name__ == "__main__":
    code = main()
    sys.stderr.flush()
    # Without destructors: threads that still read ahead in Arrow would end the process with a signal.
    os._exit(code)
