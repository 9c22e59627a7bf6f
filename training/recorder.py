"""From the trainer to the database, through a file that is always written first.

`events.jsonl` in the session's folder is the log of a session: one line an event, fsynced, numbered on across attempts.
An ingester copies it into the database by file offset. A database that is away costs delay and nothing else, and
every reader of the file (the trainer's thread, the supervisor after the trainer died) does the same from where it
stands.

Two attempts may write at once for a moment, when one lost its lease and has not noticed. So a line of an older attempt
that comes after a line of a newer one does not count, and a transaction whose attempt is no longer the session's one
changes nothing.

The texts of questions and answers that the database has are taken out of the file again (`shorten`), whoever writes to
it meanwhile: those who append share a lock of the file, and go on in the new one.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import logging
import os
import re
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any
from uuid import UUID

from django.db import connection, transaction
from django.db.models import F, Q, Value
from django.db.models.expressions import Combinable
from django.db.models.functions import Now

from jobs.leases import AWAY
from training import kept_answers, outcomes
from training.choices import RUNNING, TERMINAL, Kind, Status
from training.events import EngineEvent, finite
from training.models import Event, Session
from training.streams import close_full_blocks, forget_blocks

logger = logging.getLogger(__name__)

FILE = "events.jsonl"
HEAD = re.compile(rb'\{"seq": (\d+), "attempt": (\d+), ')
# Where the kind of a line stands, at the latest.
LONGEST_HEAD = 200
ROLLOUTS = re.compile(rb'"kind": "rollouts"')
BATCH_LINES, BATCH_BYTES = 200, 4 * 1024 * 1024
# For a writer that holds the file to be done with its line.
LOCK_SECONDS = 2.0
COPIED_AT_ONCE = 1024 * 1024
# Events. Until a complete stretch has its block, charts read its rows.
BLOCKS_LOOKED_FOR_EVERY = 100

# Phases whose steps a later attempt may do again, in their order.
STEPPED = [Status.PRETRAINING.value, Status.TRAINING.value, Status.FINISHING.value]
REPEATED = [Kind.METRICS, Kind.ROLLOUTS, Kind.CHECKPOINT, Kind.EVALUATION]


class Fenced(Exception):
    """The session belongs to another attempt, or to none: whoever writes must end."""


@dataclass(frozen=True)
class Line:
    seq: int
    attempt: int
    kind: str
    phase: str
    step: int | None
    at: str
    data: dict[str, Any]

    @classmethod
    def parse(cls, line: bytes) -> Line | None:
        """None for a line that a killed writer tore."""
        try:
            return cls(**json.loads(line))
        except (ValueError, TypeError):
            return None

    def encode(self) -> bytes:
        # `seq` and `attempt` come first: HEAD finds them without reading the rest.
        return json.dumps(self.__dict__, ensure_ascii=False, allow_nan=False).encode() + b"\n"


def storable(value: Any) -> Any:
    """`value` as JSON that every database takes: no NaN, no infinity, no NUL, no half of a surrogate pair."""
    if isinstance(value, str):
        return value.replace("\x00", "\ufffd").encode("utf-8", "replace").decode()
    if isinstance(value, dict):
        return {storable(str(key)): storable(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [storable(item) for item in value]
    return finite(value)


class EventLog:
    """The one writer of an attempt. Thread-safe."""

    def __init__(self, path: Path, attempt: int, last_seq: int = 0) -> None:
        """`last_seq` is the session's own: a file that lost its end with the machine is never numbered lower."""
        path.parent.mkdir(parents=True, exist_ok=True)
        self.attempt = attempt
        self._path = path
        self._lock = threading.Lock()
        self._file: IO[bytes] = path.open("ab", buffering=0)
        self._end_torn_line()
        self._seq = max(last_seq, max((seq for seq, _ in _heads(path)), default=0))

    def append(self, event: EngineEvent) -> int:
        """On return the event outlives this process and the machine. Raises OSError, for example on a full disk."""
        data = storable(event.data)
        with self._lock:
            line = Line(self._seq + 1, self.attempt, event.kind, event.phase, event.step, _now(), data)
            self._write(line.encode())
            self._seq = line.seq
            return line.seq

    def take_over(self, event: EngineEvent) -> None:
        """Writes the attempt's first line so that no line of an older attempt has its number.

        From this line on an older attempt that still writes is not heard.
        """
        while True:
            seq = self.append(event)
            older = [number for number, attempt in _heads(self._path) if attempt < self.attempt]
            if max(older, default=0) < seq:
                return
            self._seq = max(older)

    def close(self) -> None:
        self._file.close()

    def _write(self, line: bytes) -> None:
        with self._held():
            start = self._file.seek(0, os.SEEK_END)
            try:
                written = self._file.write(line)
                if written != len(line):
                    raise OSError(28, "No space left on device")
                os.fsync(self._file.fileno())
            except OSError:
                # Half a line would swallow the next one.
                os.ftruncate(self._file.fileno(), start)
                raise

    @contextlib.contextmanager
    def _held(self) -> Iterator[None]:
        """While the block runs the open file is the one at the path, and nobody replaces it."""
        while True:
            fcntl.flock(self._file, fcntl.LOCK_SH)
            if _is_at(self._path, self._file):
                break
            self._file.close()
            self._file = self._path.open("ab", buffering=0)
        try:
            yield
        finally:
            fcntl.flock(self._file, fcntl.LOCK_UN)

    def _end_torn_line(self) -> None:
        with self._held(), self._path.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            if size and (file.seek(size - 1), file.read(1))[1] != b"\n":
                self._file.write(b"\n")


def _now() -> str:
    return datetime.now(UTC).isoformat()


def _heads(path: Path) -> Iterator[tuple[int, int]]:
    """(seq, attempt) of every whole line."""
    with path.open("rb") as file:
        for line in file:
            head = HEAD.match(line)
            if head and line.endswith(b"}\n"):
                yield int(head[1]), int(head[2])


def shorten(path: Path, seq: int, short_until: int = 0) -> int | None:
    """Takes the texts of questions and answers out of the lines up to number `seq`, all of which the database has: of
    those it keeps as many as the session's budget allows. Every line stays, and on a full disk the file.

    `short_until`: an earlier result, bytes that need no second look. None: nothing was done.
    """
    shorter = path.with_suffix(".shorter")
    try:
        with path.open("rb") as file:
            if not (_locked_alone(file) and _is_at(path, file)):
                return None
            with shorter.open("wb") as out:
                short_until = _copy_shorter(file, out, seq, short_until)
                out.flush()
                os.fsync(out.fileno())
            shorter.replace(path)
            _sync_folder(path.parent)
    except OSError as error:
        shorter.unlink(missing_ok=True)
        logger.warning("%s keeps its texts: %s", path, error)
        return None
    return short_until


def _copy_shorter(file: IO[bytes], out: IO[bytes], seq: int, short_until: int) -> int:
    left = short_until
    while chunk := file.read(min(left, COPIED_AT_ONCE)):
        out.write(chunk)
        left -= len(chunk)
    for raw in file:
        head = HEAD.match(raw)
        known = head is not None and int(head[1]) <= seq
        out.write(_without_texts(raw) if known else raw)
        if known:
            short_until = out.tell()
    return short_until


def _locked_alone(file: IO[bytes]) -> bool:
    """Whoever hangs while it holds the file must not hold up this process, too."""
    end = time.monotonic() + LOCK_SECONDS
    while time.monotonic() < end:
        with contextlib.suppress(BlockingIOError):
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
        time.sleep(0.01)
    return False


def _is_at(path: Path, file: IO[bytes]) -> bool:
    """False if another file has taken its place. One that was removed, with its session, has none."""
    try:
        return os.path.samestat(os.fstat(file.fileno()), path.stat())
    except FileNotFoundError:
        return True


def _sync_folder(folder: Path) -> None:
    """Until then a machine that loses its power may find the old file, without what was written to the new one."""
    number = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(number)
    finally:
        os.close(number)


def _without_texts(raw: bytes) -> bytes:
    line = Line.parse(raw) if ROLLOUTS.search(raw, 0, LONGEST_HEAD) else None
    return replace(line, data=kept_answers.without_texts(line.data)).encode() if line else raw


@dataclass(frozen=True)
class Place:
    """In the file, behind the line `last`; `newest` is the newest attempt seen until there."""

    offset: int = 0
    newest: int = 0
    last: bytes = b""

    def behind(self, line: bytes, newest: int = 0) -> Place:
        return Place(self.offset + len(line), newest, line)

    def is_in(self, file: IO[bytes]) -> bool:
        """Whether that line still ends there: if it does, nothing before it got shorter. Leaves the file behind it."""
        file.seek(self.offset - len(self.last))
        return file.read(len(self.last)) == self.last


class Ingester:
    """Copies the file into the database for `attempt`, each event once."""

    def __init__(self, session_id: UUID | str, attempt: int, path: Path) -> None:
        self.session_id = session_id
        self.attempt = attempt
        self.path = path
        self.seq: int | None = None
        self._place = Place()

    def catch_up(self) -> None:
        """Until the end of the file. Raises Fenced; raises one of AWAY and goes on from the same place next time."""
        if self.seq is None:
            self.seq = self._last_seq()
        while self.path.exists():
            batch, place = self._read()
            if batch and not self._insert(batch):
                self.seq = self._last_seq()
                continue
            if place.offset == self._place.offset:
                return
            self._place = place
            self.seq = batch[-1].seq if batch else self.seq

    def _last_seq(self) -> int:
        seq = self._mine().values_list("last_seq", flat=True).first()
        if seq is None:
            raise Fenced
        return seq

    def _mine(self) -> Any:
        return Session.objects.filter(pk=self.session_id, attempt=self.attempt, status__in=RUNNING)

    def _read(self) -> tuple[list[Line], Place]:
        """The next new lines, and the place behind them."""
        batch: list[Line] = []
        with self.path.open("rb") as file:
            if not self._place.is_in(file):
                # The file was made shorter: what was read is known by its number.
                self._place = Place()
                file.seek(0)
            place, seq = self._place, self.seq or 0
            for raw in file:
                if not raw.endswith(b"\n"):
                    break
                head = HEAD.match(raw)
                place = place.behind(raw, max(place.newest, int(head[2]) if head else 0))
                if not head or int(head[2]) < place.newest:
                    continue
                line = Line.parse(raw) if int(head[1]) > seq else None
                if line:
                    batch.append(line)
                    seq = line.seq
                if len(batch) == BATCH_LINES or place.offset - self._place.offset > BATCH_BYTES:
                    break
        return batch, place

    def _insert(self, batch: list[Line]) -> bool:
        """False if somebody else of the same attempt was quicker.

        The conditional UPDATE comes first: it holds the row until the end, so that nothing is written by an attempt
        that lost the session a moment ago.
        """
        with transaction.atomic():
            # What an older attempt left unread is kept, but says nothing about the session as it is now.
            changes = session_changes(line for line in batch if line.attempt == self.attempt)
            if not self._mine().filter(last_seq=self.seq).update(last_seq=batch[-1].seq, **changes):
                return False
            whole = [self._row(line) for line in batch]
            stored = Event.objects.bulk_create(kept_answers.brief_event(event) for event in whole)
            outcomes.store(self.session_id, whole)
            answers = kept_answers.store(self.session_id, zip((row.pk for row in stored), whole, strict=True))
            for line in batch:
                supersede(self.session_id, line)
            if answers:
                kept_answers.thin_out(self.session_id)
            if (self.seq or 0) // BLOCKS_LOOKED_FOR_EVERY != batch[-1].seq // BLOCKS_LOOKED_FOR_EVERY:
                close_full_blocks(self.session_id)
        return True

    def _row(self, line: Line) -> Event:
        values = {**line.__dict__}
        return Event(session_id=self.session_id, created_at=datetime.fromisoformat(values.pop("at")), **values)


def session_changes(batch: Iterable[Line]) -> dict[str, Any]:
    """What lists and the side bar show, after the events of `batch`."""
    changes: dict[str, Any] = {}
    for line in batch:
        if line.kind == Kind.PHASE:
            changes.update(_phase_changes(line.data))
        elif line.kind == Kind.METRICS:
            changes.update(_metrics_changes(line))
    return changes


def _metrics_changes(line: Line) -> dict[str, Any]:
    changes: dict[str, Any] = {"step": line.step} if line.step is not None else {}
    if line.data.get("reward") is not None:
        changes["last_reward"] = line.data["reward"]
    if "seconds_left" in line.data:
        changes["seconds_left"] = line.data["seconds_left"]
    return changes


def _phase_changes(data: dict[str, Any]) -> dict[str, Any]:
    changes: dict[str, Any] = {"phase": str(data.get("label", ""))[:80], "seconds_left": None}
    if data.get("ended"):
        return changes | _ending(data)
    if data.get("status") in RUNNING:
        changes["status"] = data["status"]
    if data.get("mode"):
        changes["mode"] = data["mode"][:120]
    if data.get("total_steps"):
        changes |= {"total_steps": data["total_steps"], "step": data.get("resumed_from") or 0}
    return changes


def _ending(data: dict[str, Any]) -> dict[str, Any]:
    """How the supervisor's last event changes the session, in the transaction that stores the event."""
    at: Combinable = Now() if data["status"] in TERMINAL else Value(None)
    changes = {"status": data["status"], "finished_at": at, "error": data.get("error", "")}
    return changes | {"worker": "", "lease_until": None} | restart_changes(data)


def restart_changes(data: dict[str, Any]) -> dict[str, Any]:
    """A stop of the worker by a person is no failure of the session: attempts are counted from here."""
    return {"attempts_before": F("attempt")} if data.get("by_request") else {}


def supersede(session_id: UUID | str, line: Line) -> None:
    """Marks what older attempts recorded and this one does again."""
    older = Event.objects.filter(session_id=session_id, attempt__lt=line.attempt, superseded=False, kind__in=REPEATED)
    if line.kind == Kind.PHASE and line.data.get("status") in STEPPED and not line.data.get("ended"):
        later = STEPPED[STEPPED.index(line.data["status"]) + 1 :]
        again = Q(phase=line.data["status"], step__gt=line.data.get("resumed_from") or 0) | Q(phase__in=later)
        older.filter(again).update(superseded=True)
        if line.data["status"] != Status.FINISHING:
            # A warm-up that begins is followed by all of the training.
            kept = line.data.get("resumed_from") or 0 if line.data["status"] == Status.TRAINING else 0
            outcomes.forget(session_id, line.attempt, after=kept)
        forget_blocks(
            session_id,
            Q(phase=line.data["status"], last_place__gt=line.data.get("resumed_from") or 0) | Q(phase__in=later),
        )
    elif line.kind == Kind.EVALUATION and line.step is None:
        older.filter(kind=Kind.EVALUATION, data__label=line.data.get("label")).update(superseded=True)


class Recorder:
    """What the trainer hands its events to. The database is written by a thread of its own."""

    def __init__(self, session: Session, on_fenced: Callable[[], None]) -> None:
        path = session.folder / FILE
        self.log = EventLog(path, session.attempt, session.last_seq)
        self._ingester = Ingester(session.pk, session.attempt, path)
        self._room = kept_answers.sampled(session.config)[1]
        self._short_until, self._shorten_at = 0, self._room
        self._on_fenced = on_fenced
        self._bell = threading.Event()
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True, name="recorder")
        self._thread.start()

    def open(self, event: EngineEvent) -> None:
        """The attempt's first event."""
        self.log.take_over(event)
        self._bell.set()

    def __call__(self, event: EngineEvent) -> None:
        self.log.append(event)
        self._bell.set()

    def close(self, timeout: float) -> None:
        """Waits at most `timeout` seconds for the database: the supervisor copies what is left."""
        self._closing.set()
        self._bell.set()
        self._thread.join(timeout)
        self.log.close()

    def _run(self) -> None:
        pause = 0.5
        while True:
            self._bell.wait(1)
            self._bell.clear()
            # Before the look: what was logged until then is in it.
            last_round = self._closing.is_set()
            try:
                self._ingester.catch_up()
                self._shorten()
                pause = 0.5
            except Fenced:
                self._on_fenced()
                return
            except AWAY as error:
                logger.warning("The database does not answer (%s). Events wait in %s.", error, FILE)
                connection.close()
                pause = min(pause * 2, 10)
                self._closing.wait(pause)
                self._bell.set()
                continue
            if last_round:
                connection.close()
                return

    def _shorten(self) -> None:
        """Whenever the file has grown by what the database keeps."""
        path = self._ingester.path
        if not path.exists() or path.stat().st_size < self._shorten_at:
            return
        done = shorten(path, self._ingester.seq or 0, self._short_until)
        if done is not None:
            self._short_until = done
        # Also if it could not be: a full disk is not tried at every line.
        self._shorten_at = path.stat().st_size + self._room
