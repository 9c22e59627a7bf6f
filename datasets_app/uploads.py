"""A file that arrives in pieces: each is on the disk before its offset is acknowledged, so that none is sent twice."""

from __future__ import annotations

import base64
import binascii
import fcntl
import hashlib
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import IO, Any

from django.conf import settings
from django.db import transaction
from django.db.models import Sum
from django.utils import timezone

from accounts.models import AnyUser, Team
from datasets_app import importing
from datasets_app.limits import MAX_CHUNK_BYTES, MIB, UPLOAD_HOURS, readable
from datasets_app.models import DatasetVersion, Upload
from datasets_app.problems import DatasetProblem, is_full_disk

PIECE = MIB
NAME_LENGTH = Upload._meta.get_field("file_name").max_length or 255
Read = Callable[[int], bytes]


class Refused(DatasetProblem):
    """`status`: the HTTP status that tus gives to this refusal."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


def create(team: Team, by: AnyUser | None, file_name: str, size: int, sha256: str = "") -> Upload:
    """Room for a file of `size` bytes. Raises Refused if there is none."""
    if size <= 0:
        raise Refused(400, "The file is empty. Choose one with rows in it.")
    if size > settings.MAX_UPLOAD_BYTES:
        raise Refused(413, too_large(size))
    # Fit to be shown; it is never a path of ours.
    name = importing.base_name(file_name).strip()[:NAME_LENGTH] or "file"
    with transaction.atomic():
        # Two uploads at once can't both take the last of the room.
        Team.objects.select_for_update().get(pk=team.pk)
        check_quota(team, size)
        check_disk(size)
        upload: Upload = Upload.objects.create(
            team=team, created_by_id=by.pk if by else None, file_name=name, size=size, sha256=sha256.lower()
        )
    upload.path.touch()
    importing.sync_folder(upload.path.parent)
    return upload


def too_large(size: int) -> str:
    return (
        f"The file has {readable(size)}; the limit of an upload is {readable(settings.MAX_UPLOAD_BYTES)}. Compress it"
        " (.gz or .zst) or split it, or have LORACRAFT_MAX_UPLOAD_MB raised."
    )


def check_quota(team: Team, size: int) -> None:
    taken, limit = used(team), settings.TEAM_STORAGE_BYTES
    if taken + size > limit:
        raise Refused(
            507,
            f"{team} uses {readable(taken)} of its {readable(limit)}, so {readable(size)} more do not fit. Delete"
            " datasets or unfinished uploads, or have LORACRAFT_TEAM_STORAGE_GB raised.",
        )


def used(team: Team) -> int:
    """Bytes that the team's datasets take, and those that its open uploads will take."""
    names = DatasetVersion.objects.filter(dataset__team=team).values_list("file", "rejected_file")
    stored = sum(size_of(Path(settings.UPLOADS_DIR) / name) for pair in names for name in pair if name)
    return stored + (Upload.objects.filter(team=team).aggregate(total=Sum("size"))["total"] or 0)


def size_of(file: Path) -> int:
    try:
        return file.stat().st_size
    except FileNotFoundError:
        return 0


def check_disk(size: int) -> None:
    open_uploads = Upload.objects.aggregate(size=Sum("size"), received=Sum("received"))
    promised = (open_uploads["size"] or 0) - (open_uploads["received"] or 0)
    free = shutil.disk_usage(settings.UPLOADS_DIR).free
    if free < promised + size:
        raise Refused(
            507,
            f"The server's disk has {readable(max(free - promised, 0))} left, and the file has {readable(size)}."
            " Delete datasets, exports or checkpoints, then try again.",
        )


def append(upload: Upload, offset: int, read: Read, length: int | None, checksum: str = "") -> int:
    """Adds what `read` gives at `offset` and returns the new offset. Raises Refused; then nothing was added.

    `checksum` is the header of tus: the algorithm and the digest in base64.
    """
    if length is not None and length > MAX_CHUNK_BYTES:
        raise Refused(413, f"A piece has at most {readable(MAX_CHUNK_BYTES)}; this one has {readable(length)}.")
    promised = parse_checksum(checksum)
    with locked(upload) as file:
        current = Upload.objects.filter(pk=upload.pk).first()
        check_offset(current, offset, file)
        with taken_back(file, offset):
            end = offset + write(upload, read, file, offset, promised)
        # 0 rows: it was deleted meanwhile.
        rows = Upload.objects.filter(pk=upload.pk, received=offset)
        if not rows.update(received=end, touched_at=timezone.now()):
            raise gone()
    upload.received = end
    return end


@contextmanager
def locked(upload: Upload) -> Iterator[IO[bytes]]:
    """The kernel takes this lock away from a process that is killed."""
    try:
        file = open(upload.path, "r+b")  # noqa: SIM115 - closed below
    except FileNotFoundError:
        raise gone() from None
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Refused(423, "Another request is writing to this upload. Try again in a moment.") from None
        yield file


def gone() -> Refused:
    return Refused(410, "This upload does not exist any more. Start it again.")


def check_offset(upload: Upload | None, offset: int, file: IO[bytes]) -> None:
    if upload is None:
        raise gone()
    if offset != upload.received:
        raise Refused(409, f"{upload.received} bytes have arrived, so the next piece starts there, not at {offset}.")
    if os.fstat(file.fileno()).st_size < offset:
        raise Refused(410, "Bytes that had arrived are missing on the server's disk. Start the upload again.")
    # A piece of which a killed process wrote a part.
    file.truncate(offset)
    file.seek(offset)


@contextmanager
def taken_back(file: IO[bytes], offset: int) -> Iterator[None]:
    """What was written in the block is removed again if the block fails."""
    try:
        yield
    except OSError as error:
        file.truncate(offset)
        if not is_full_disk(error):
            raise
        raise Refused(507, "The server's disk is full. What has arrived is kept: make room, then go on.") from error
    except BaseException:
        file.truncate(offset)
        raise


def write(upload: Upload, read: Read, file: IO[bytes], offset: int, promised: bytes) -> int:
    digest, taken = hashlib.sha256(), 0
    most = min(MAX_CHUNK_BYTES, upload.size - offset)
    while piece := read(PIECE):
        taken += len(piece)
        if taken > most:
            raise Refused(413, f"More bytes than the {upload.size} of the file, or than a piece may have.")
        file.write(piece)
        if promised:
            digest.update(piece)
    if promised and digest.digest() != promised:
        raise Refused(460, "The piece was damaged on its way: its sha256 differs. Send it again.")
    file.flush()
    os.fsync(file.fileno())
    return taken


def parse_checksum(header: str) -> bytes:
    if not header:
        return b""
    algorithm, _, encoded = header.partition(" ")
    try:
        digest = base64.b64decode(encoded, validate=True)
    except binascii.Error:
        digest = b""
    if algorithm != "sha256" or len(digest) != 32:
        raise Refused(400, "Upload-Checksum must be `sha256` and the digest in base64.")
    return digest


def from_bytes(team: Team, by: AnyUser | None, file_name: str, data: bytes) -> Upload:
    """A finished upload, for text that was pasted."""
    upload = create(team, by, file_name, len(data))
    pieces = iter([data[start : start + PIECE] for start in range(0, len(data), PIECE)])
    append(upload, 0, lambda _: next(pieces, b""), None)
    return upload


def check_sum(upload: Upload, progress: Callable[..., Any]) -> None:
    """Raises DatasetProblem if the file is not what the client promised to send."""
    if not upload.sha256:
        return
    digest, read = hashlib.sha256(), 0
    with open(upload.path, "rb") as file:
        while piece := file.read(4 * PIECE):
            digest.update(piece)
            read += len(piece)
            progress(0, 0, upload.size, "Checking the file's sha256")
    if digest.hexdigest() != upload.sha256:
        raise DatasetProblem(
            f"The file was damaged on its way: its sha256 is {digest.hexdigest()}, but {upload.sha256} was promised."
            " Upload it again."
        )


def touch(upload: Upload) -> None:
    Upload.objects.filter(pk=upload.pk).update(touched_at=timezone.now())


def expires(upload: Upload) -> datetime:
    return upload.touched_at + timedelta(hours=UPLOAD_HOURS)


def discard(upload: Upload) -> None:
    """Row first, file after: a file without a row is swept."""
    path = upload.path
    with transaction.atomic():
        Upload.objects.filter(pk=upload.pk).delete()
        transaction.on_commit(lambda: path.unlink(missing_ok=True))
