"""Every limit of an import, by name. The messages that a user sees are made from these."""

import contextlib
import resource

MIB = 1024 * 1024

ACCEPTED = "JSON, JSONL, CSV, TSV, Parquet and plain text, each also packed with gzip or zstd"
# A line of a text file, and a cell.
MAX_LINE_BYTES = 16 * MIB
MAX_COLUMNS = 200
MAX_COLUMN_NAME = 200
MAX_DEPTH = 64
# Kept and rejected: 10 GB, the largest file, at 200 bytes a row, which is a short question with its answer.
MAX_ROWS = 50_000_000
# What a file may expand to, counted while it is read: never more than EXPANDED_BYTES, and at most so many times its
# size. Small honest files repeat themselves more than that, so that they may always expand to the floor.
EXPANDED_TIMES = 20
EXPANDED_FLOOR = 2048 * MIB
EXPANDED_BYTES = 40 * 1024 * MIB
# A file whose first lines are all rejected is not read to its end.
HOPELESS_LINES = 100_000
REJECTED_SHOWN = 100
REJECTED_TEXT = 200

# A file that is sent in one request, for those who have no script; others come in pieces, up to MAX_UPLOAD_BYTES.
DIRECT_UPLOAD_BYTES = 64 * MIB
# The page sends pieces of this size, a program may send larger ones.
CHUNK_BYTES = 8 * MIB
MAX_CHUNK_BYTES = 16 * MIB
MAX_PASTED_BYTES = 4 * MIB
# An upload that nobody went on with for this long is removed.
UPLOAD_HOURS = 24

# Of address space, for the child that reads the file.
IMPORT_MEMORY_BYTES = 2048 * MIB
# Without one sign of progress from that child. The whole import may take as long as it needs.
STALL_SECONDS = 300
# A page or a search reads whole row groups of the stored file.
GROUP_ROWS = 10_000
GROUP_BYTES = 32 * MIB

MAX_GENERATED_ROWS = 100_000
GENERATE_SECONDS = 180
EXAMPLE_SECONDS = 20
# How many questions a generator is asked for each one that is wanted, since it repeats itself.
ATTEMPTS_PER_ROW = 20

# Of the hub: downloaded for one import, address space of the child, and how much of a file a preview asks for at once.
HUB_BYTES = 10 * 1024 * MIB
HUB_MEMORY_BYTES = 4096 * MIB
HUB_PREVIEW_BYTES = 128 * 1024
HUB_PREVIEW_ROWS = 5
HUB_DESCRIBE_SECONDS = 90
# What a page was told is shown again for this long without asking.
HUB_REMEMBER_SECONDS = 120

PREVIEW_TEXT = 4000
PREVIEW_ROWS = 20
API_PREVIEW_ROWS = 100
DETECTION_ROWS = 200

# A chat template is a program: seconds of processor time, bytes of address space, and length of what it makes.
RENDERING_SECONDS = 3
RENDERING_MEMORY = 768 * MIB
RENDERED_CHARACTERS = 1_000_000
TOKENIZING_SECONDS = 20
TOKENIZING_MEMORY = 3072 * MIB
# Start of the process included, on a machine with other work.
RENDERING_WAIT = 30
TOKENS_SHOWN = 3000

HELD_OUT_SHARE = 0.1
HELD_OUT_ROWS = 500
SPLIT_SEED = 42
# A column with more different values does not say which part a row belongs to.
MAX_SPLIT_VALUES = 20
MAX_EXTRA_COLUMNS = 30
# A page waits for the count of what a filter would drop: of a larger version it counts the first rows.
DRY_RUN_ROWS = 200_000


def bound_memory(size: int) -> None:
    """For a child process, first thing: it may take `size` bytes of address space."""
    # macOS refuses this limit; there the other limits have to do.
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_AS, (size, size))


def readable(size: int) -> str:
    """`size` in bytes for people: 512 MB."""
    for unit, step in (("GB", MIB * 1024), ("MB", MIB), ("KB", 1024)):
        if size >= step:
            return f"{size / step:.1f}".removesuffix(".0") + f" {unit}"
    return f"{size} bytes"
