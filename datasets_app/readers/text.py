"""Plain text: a row a line, in the column `text`. Blank lines are passed over but counted."""

from __future__ import annotations

from collections.abc import Iterator

from datasets_app.readers.rows import Batch, Rejected, shown
from datasets_app.readers.streams import Long, Stream, blocks, too_long

COLUMN = "text"


def read(stream: Stream) -> Iterator[Batch]:
    number = 0
    for lines in blocks(stream):
        batch = Batch([], [], [])
        for raw in lines:
            number += 1
            if isinstance(raw, Long):
                batch.rejected.append(Rejected(number, too_long(), shown(raw)))
            elif raw.strip():
                batch.rows.append({COLUMN: raw.removesuffix(b"\r").decode(errors="surrogateescape")})
                batch.numbers.append(number)
        yield batch
