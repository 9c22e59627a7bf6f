"""The verbs that make further versions of a dataset: a filter's in the background, another mapping's at once."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import closing
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from django.db import transaction

from accounts.models import AnyUser
from datasets_app import filters, importing, imports, mapping, rows, tables, writing
from datasets_app.filters import Filters
from datasets_app.limits import DRY_RUN_ROWS, REJECTED_TEXT
from datasets_app.models import DatasetVersion, Import, ImportKind
from datasets_app.problems import DatasetProblem
from datasets_app.readers.rows import Rejected
from datasets_app.rows import Reading
from datasets_app.tables import REJECTED, ROWS


@dataclass(frozen=True)
class DryRun:
    """What a filter would do. `looked_at` is less than all rows of a large version."""

    looked_at: int
    kept: int
    dropped: dict[str, int]
    examples: list[Rejected]

    @property
    def reasons(self) -> list[tuple[str, int]]:
        return filters.titled(self.dropped)


def dry_run(version: DatasetVersion, wanted: Filters) -> DryRun:
    """Raises DatasetProblem if the filters can't be used."""
    filters.check(version, wanted)
    codes = filters.verdicts(version, wanted, limit=DRY_RUN_ROWS)
    numbers: list[int] = codes.nonzero()[0][:5].tolist()
    found, how = tables.pick(version.path, numbers), reading_of(version)
    examples = [dropped_line(how, number, int(codes[number]), found[number]) for number in numbers]
    return DryRun(len(codes), int((codes == filters.KEPT).sum()), filters.counts(codes), examples)


def start_filter(version: DatasetVersion, by: AnyUser | None, wanted: Filters) -> Import:
    """Queues a new version with the rows that the filters keep. Raises DatasetProblem."""
    filters.check(version, wanted)
    if not version.accepted:
        raise DatasetProblem("Decide on the rejected lines first: keep the good rows or discard the import.")
    return imports.start(
        version.dataset.team,
        by,
        ImportKind.FILTER,
        version.dataset.name,
        request={"version": version.pk, "filters": wanted.stored},
        dataset=version.dataset,
    )


def write_filtered(job: Import, folder: Path, progress: Callable[..., None]) -> DatasetVersion:
    """The handler of imports of the kind "filter": two passes over the parent's rows, the second writes."""
    parent = DatasetVersion.objects.select_related("dataset__team").filter(pk=job.request.get("version")).first()
    if parent is None or not parent.path.exists():
        raise DatasetProblem("The version that was to be filtered has been deleted. Choose another one.")
    wanted = Filters.of(job.request.get("filters", {}))
    filters.check(parent, wanted)
    size = parent.path.stat().st_size

    def tell(done: int, message: str, before: int = 0) -> None:
        share = done / max(parent.row_count, 1)
        progress(done, int((before + share) * size), 2 * size, message)

    codes = filters.verdicts(parent, wanted, lambda number: tell(number, "Looking at the rows"))
    if not (codes == filters.KEPT).any():
        raise DatasetProblem("The filters drop every row, so no version was made. Make them less strict.")
    parsed = write(parent, codes, folder, lambda number: tell(number, "Writing the rows that stay", 1))
    made_from = origin(parent, job.created_by, filters=wanted.stored, dropped=filters.counts(codes))
    return saved(importing.as_version(folder, parsed, inherited(parent), job), parent, made_from, job)


def saved(version: DatasetVersion, parent: DatasetVersion, made_from: dict[str, Any], job: Import) -> DatasetVersion:
    with importing.files_of(version):
        version.accepted = True
        version.dataset = parent.dataset
        version.mapping, version.split = deepcopy(parent.mapping), deepcopy(parent.split)
        version.origin = made_from
        if version.mapping:
            mapping.measure(version)
    return importing.add_version(version, parent.dataset, job)


def inherited(parent: DatasetVersion) -> dict[str, Any]:
    return {name: parent.report[name] for name in ("detected", "wanted") if name in parent.report}


def origin(parent: DatasetVersion, by: AnyUser | None, **more: Any) -> dict[str, Any]:
    return {"version": parent.number, "filters": {}, "dropped": {}, "by": by.get_username() if by else "", **more}


def write(version: DatasetVersion, codes: Any, folder: Path, tell: Callable[[int], None]) -> dict[str, Any]:
    """The kept rows and the list of dropped ones, as parsing.store_file leaves and describes them."""
    import pyarrow.parquet as pq

    schema = pq.read_schema(version.path)
    # There also when it is empty: it says that nothing was dropped.
    (folder / REJECTED).touch()
    with closing(writing.Rejects(folder / REJECTED)) as dropped:
        sorted_out = SortedOut(version, codes, dropped, tell)
        writing.write_rows(folder / ROWS, sorted_out.kept(), schema, lambda: None)
    return sorted_out.described(folder / ROWS)


class SortedOut:
    """The rows of a version by their codes: gives those that stay and lists the others."""

    def __init__(
        self, version: DatasetVersion, codes: Any, dropped: writing.Rejects, tell: Callable[[int], None]
    ) -> None:
        self.version, self.codes, self.dropped, self.tell = version, codes, dropped, tell
        self.how = reading_of(version)
        self.rows = 0
        self.filled = dict.fromkeys((column["name"] for column in version.columns), 0)

    def kept(self) -> Iterator[Any]:
        import pyarrow as pa

        for start, batch in tables.batches(self.version.path):
            codes = self.codes[start : start + batch.num_rows]
            self.drop(batch, start, codes)
            kept = batch.filter(pa.array(codes == filters.KEPT))
            self.rows += kept.num_rows
            for name in self.filled:
                self.filled[name] += kept.num_rows - kept.column(name).null_count
            if kept.num_rows:
                yield kept
            self.tell(start + batch.num_rows)

    def drop(self, batch: Any, start: int, codes: Any) -> None:
        numbers = [start + place for place in codes.nonzero()[0].tolist()]
        found = tables.picked(batch, start, numbers)
        self.dropped.add([dropped_line(self.how, number, int(codes[number - start]), cells) for number, cells in found])

    def described(self, target: Path) -> dict[str, Any]:
        columns = [{**c, "filled": round(self.filled[c["name"]] / self.rows, 4)} for c in self.version.columns]
        return {
            "row_count": self.rows,
            "rejected_count": self.dropped.count,
            "rejected": self.dropped.first,
            "columns": columns,
            "sha256": writing.digest(target),
            "bytes": target.stat().st_size,
        }


def dropped_line(how: Reading | None, number: int, code: int, cells: dict[str, Any]) -> Rejected:
    """`line` is the row's number in the parent, from 1."""
    question = how.question(cells).strip() if how else ""
    shown = question or json.dumps(cells, ensure_ascii=False)
    return Rejected(number + 1, filters.SENTENCES[filters.REASONS[code - 1][0]], shown[:REJECTED_TEXT])


def reading_of(version: DatasetVersion) -> Reading | None:
    return rows.reading(version, mapping.section_of(version)) if version.mapping else None


def remap(version: DatasetVersion, by: AnyUser | None, **chosen: Any) -> DatasetVersion:
    """A new version with the same rows and another mapping (`chosen` as for mapping.map_columns). The file is shared.

    Raises DatasetProblem.
    """
    names = ("file", "rejected_file", "sha256", "row_count", "rejected_count", "columns", "report", "split")
    made = DatasetVersion(
        dataset=version.dataset,
        mapping=deepcopy(version.mapping),
        **{name: deepcopy(getattr(version, name)) for name in names},
    )
    if not version.accepted:
        raise DatasetProblem("Decide on the rejected lines first: keep the good rows or discard the import.")
    if chosen:
        mapping.set_mapping(made, **chosen)
    made.origin = origin(version, by, mapping=mapping.differences(version.mapping, made.mapping))
    with transaction.atomic():
        # Its file must not be removed between this look and the row that needs it.
        if not DatasetVersion.objects.select_for_update().filter(pk=version.pk).exists():
            raise DatasetProblem("This version has been deleted meanwhile.")
        importing.save(made)
    return made
