"""Every limit of an import, by name. The messages that a user sees are made from these."""

MIB = 1024 * 1024

MAX_LINE_BYTES = 8 * MIB
MAX_COLUMNS = 200
MAX_COLUMN_NAME = 200
MAX_DEPTH = 64
MAX_ROWS = 5_000_000
REJECTED_SHOWN = 100
REJECTED_TEXT = 200

IMPORT_SECONDS = 900
IMPORT_MEMORY_BYTES = 4096 * MIB

MAX_GENERATED_ROWS = 100_000
GENERATE_SECONDS = 180
EXAMPLE_SECONDS = 20
# How many questions a generator is asked for each one that is wanted, since it repeats itself.
ATTEMPTS_PER_ROW = 20

PREVIEW_TEXT = 4000
PREVIEW_ROWS = 20
API_PREVIEW_ROWS = 100
DETECTION_ROWS = 200

HELD_OUT_SHARE = 0.1
HELD_OUT_ROWS = 500
SPLIT_SEED = 42


def readable(size: int) -> str:
    """`size` in bytes for people: 512 MB."""
    for unit, step in (("GB", MIB * 1024), ("MB", MIB), ("KB", 1024)):
        if size >= step:
            return f"{size / step:.1f}".removesuffix(".0") + f" {unit}"
    return f"{size} bytes"
