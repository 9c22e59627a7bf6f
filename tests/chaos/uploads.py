"""Row 15: a large file in pieces of 8 MiB against a real server, with connections that break in the middle of a piece,
a server that is killed, pieces that come twice and pieces that come too early; then four uploads at once.

Passed: the stored file has the sha256 of what was sent, nothing acknowledged was lost, the web process stayed small.
"""

from __future__ import annotations

import base64
import hashlib
import http.client
import os
import random
import shutil
import signal
import socket
import tempfile
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

from tests.e2e.app import App

MIB = 1024 * 1024
PIECE = 8 * MIB
LINE = 1024
BODY = "application/offset+octet-stream"
MAX_RSS = 300 * MIB
MAX_DISK = 1.05
MIN_RATE = 80.0
PASSWORD = "correct horse battery"


def run(
    size_mb: int = 10_240,
    disconnects: int = 200,
    kills: int = 20,
    oddities: int = 60,
    parallel_mb: int | None = None,
    seed: int = 1,
) -> dict[str, Any]:
    """`oddities`: pieces that come twice, and as many that come too early. `parallel_mb`: each of the four at once."""
    folder = Path(tempfile.mkdtemp(prefix="loracraft-chaos-"))
    # What the server spools lies below the folder that is measured.
    spool = folder / "tmp"
    spool.mkdir()
    app = App(folder, LORACRAFT_PASSWORD=PASSWORD, TMPDIR=str(spool))
    try:
        app.prepare()
        token = app.manage("create_api_token", "charlie").split()[-1]
        app.start_web()
        return measured(app, token, size_mb * MIB, Plan(disconnects, kills, oddities, seed), parallel_mb)
    finally:
        app.end()
        shutil.rmtree(folder, ignore_errors=True)


def measured(app: App, token: str, size: int, plan: Plan, parallel_mb: int | None) -> dict[str, Any]:
    client = Client(app, token)
    with watched(app) as peak:
        started = time.monotonic()
        upload = Upload(client, size)
        upload.send_all(plan)
        seconds = time.monotonic() - started
        disk = max(peak.disk, disk_used(upload.part.parent)) / size
    equal = sha256_of_source(size) == sha256_of(upload.part)
    client.request("DELETE", upload.place)
    client.close()
    each = (parallel_mb * MIB) if parallel_mb else max(size // 5, 4 * PIECE)
    with watched(app) as together:
        rate = at_once(app, token, each)
    rss = max(peak.rss, together.rss)
    done = plan.done
    return {
        "load": f"{size / 1024**3:.2f} GB in pieces of 8 MiB, then 4 x {each / 1024**3:.2f} GB at once",
        "faults": done["disconnects"] + done["kills"],
        "disconnects": done["disconnects"],
        "server_kills": done["kills"],
        "bad_inputs": done["twice"] + done["early"],
        "lost": upload.lost + (0 if equal else 1),
        "sha256_equal": equal,
        "wrongly_answered": upload.wrong,
        "seconds_with_faults": round(seconds, 1),
        "peak_rss_mb": round(rss / MIB),
        "disk_times_size": round(disk, 3),
        "parallel_mb_per_s": round(rate),
        "fast_enough": rate >= MIN_RATE,
        "passed": equal and not upload.lost and not upload.wrong and rss < MAX_RSS and disk <= MAX_DISK,
    }


class Plan:
    """Which faults hit which piece. The same seed makes the same faults."""

    def __init__(self, disconnects: int, kills: int, oddities: int, seed: int) -> None:
        self.random = random.Random(seed)
        self.left = {"disconnects": disconnects, "kills": kills, "twice": oddities, "early": oddities}
        self.done = dict.fromkeys(self.left, 0)

    def faults(self, pieces_left: int) -> list[str]:
        """So many of each kind that all have happened before the last piece, several at one piece if need be: a server
        that was killed may have taken its piece, and then one is skipped."""
        drawn = []
        for kind, left in self.left.items():
            share = left / max(int(pieces_left * 0.75), 1)
            count = int(share) + (self.random.random() < share % 1)
            drawn += [kind] * min(count, left)
            self.left[kind] -= min(count, left)
        self.random.shuffle(drawn)
        return drawn


class Client:
    def __init__(self, app: App, token: str) -> None:
        self.app, self.token = app, token
        self.connection: http.client.HTTPConnection | None = None

    def request(self, method: str, path: str, body: bytes = b"", **headers: str) -> tuple[int, dict[str, str]]:
        """Until the server answers: it may be starting again."""
        while True:
            try:
                return self.once(method, path, body, **headers)
            except (OSError, http.client.HTTPException):
                self.close()
                time.sleep(0.1)

    def once(self, method: str, path: str, body: bytes = b"", **headers: str) -> tuple[int, dict[str, str]]:
        if self.connection is None:
            self.connection = http.client.HTTPConnection("127.0.0.1", self.app.port, timeout=60)
        self.connection.request(method, path, body, self.headers(**headers))
        response = self.connection.getresponse()
        response.read()
        return response.status, {name.lower(): value for name, value in response.getheaders()}

    def headers(self, **more: str) -> dict[str, str]:
        named = {name.replace("_", "-"): value for name, value in more.items()}
        return {"Authorization": f"Token {self.token}", "Tus-Resumable": "1.0.0", **named}

    def close(self) -> None:
        if self.connection:
            self.connection.close()
        self.connection = None

    def break_off(self, path: str, offset: int, body: bytes, after: int) -> None:
        """Sends the head of a PATCH and `after` bytes of its body, then drops the connection."""
        fields = self.headers(Upload_Offset=str(offset), Content_Type=BODY, Content_Length=str(len(body)))
        head = f"PATCH {path} HTTP/1.1\r\nHost: localhost\r\n" + "".join(f"{k}: {v}\r\n" for k, v in fields.items())
        with socket.create_connection(("127.0.0.1", self.app.port), timeout=60) as raw:
            raw.sendall(head.encode() + b"\r\n" + body[:after])


class Upload:
    def __init__(self, client: Client, size: int) -> None:
        self.client, self.size = client, size
        name = base64.b64encode(b"rows.jsonl").decode()
        headers = {"Upload_Length": str(size), "Upload_Metadata": f"filename {name}"}
        status, answer = client.request("POST", "/api/datasets/uploads", **headers)
        if status != 201:
            raise RuntimeError(f"The upload was refused with {status}.")
        self.place = answer["location"]
        self.part = client.app.data / "uploads" / f"{self.place.rsplit('/', 1)[-1]}.part"
        self.acknowledged = self.lost = self.wrong = 0

    def send_all(self, plan: Plan) -> None:
        while self.acknowledged < self.size:
            offset = self.acknowledged
            body = piece(offset, self.size)
            for fault in plan.faults((self.size - offset) // PIECE):
                plan.done[fault] += self.suffer(fault, offset, body, plan)
            self.patch(self.where(), self.size)

    def patch(self, offset: int, size: int) -> None:
        body = piece(offset, size)
        if not body:
            return
        try:
            status, answer = self.client.once("PATCH", self.place, body, Upload_Offset=str(offset), Content_Type=BODY)
        except (OSError, http.client.HTTPException):
            # A connection that the server closed meanwhile: HEAD tells what became of the piece.
            self.client.close()
            self.where()
            return
        if status == 204:
            self.acknowledged = int(answer["upload-offset"])
        elif status not in (409, 423):
            self.wrong += 1

    def where(self) -> int:
        """What the server says has arrived. Less than it acknowledged is a loss."""
        status, answer = self.client.request("HEAD", self.place)
        if status != 200:
            raise RuntimeError(f"HEAD was answered with {status}.")
        offset = int(answer["upload-offset"])
        self.lost += max(self.acknowledged - offset, 0)
        self.acknowledged = offset
        return offset

    def suffer(self, fault: str, offset: int, body: bytes, plan: Plan) -> bool:
        """False if this fault can't be tried here: nothing came before the first piece."""
        if fault == "disconnects":
            self.client.break_off(self.place, offset, body, plan.random.randrange(len(body)))
        elif fault == "kills":
            self.kill(offset, body, plan)
        else:
            wrong = max(offset - PIECE, 0) if fault == "twice" else offset + PIECE
            return self.refused(wrong, body)
        return True

    def kill(self, offset: int, body: bytes, plan: Plan) -> None:
        """At any moment of a piece: while it comes in, while it is written, after it was acknowledged."""
        sender = threading.Thread(target=self.send_and_forget, args=(offset, body))
        sender.start()
        time.sleep(plan.random.uniform(0, 0.15))
        web = self.client.app.processes.pop("web")
        web.send_signal(signal.SIGKILL)
        web.wait()
        sender.join()
        self.client.close()
        self.client.app.start_web()

    def send_and_forget(self, offset: int, body: bytes) -> None:
        other = Client(self.client.app, self.client.token)
        try:
            headers = {"Upload_Offset": str(offset), "Content_Type": BODY}
            status, answer = other.once("PATCH", self.place, body, **headers)
        except (OSError, http.client.HTTPException):
            return
        finally:
            other.close()
        if status == 204:
            self.acknowledged = max(self.acknowledged, int(answer["upload-offset"]))

    def refused(self, offset: int, body: bytes) -> bool:
        """A piece for another place than the next must change nothing."""
        if offset == self.acknowledged or offset + len(body) > self.size:
            return False
        status, _ = self.client.request("PATCH", self.place, body, Upload_Offset=str(offset), Content_Type=BODY)
        self.wrong += status not in (409, 423)
        return True


def piece(offset: int, size: int) -> bytes:
    """The bytes of the file from `offset`: made when they are asked for, since 10 GB lie nowhere."""
    end = min(offset + PIECE, size)
    lines = [row(number) for number in range(offset // LINE, -(-end // LINE))]
    return b"".join(lines)[: end - offset]


def row(number: int) -> bytes:
    start = b'{"question": "What is %d + %d?", "answer": "%d", "note": "' % (number, number, 2 * number)
    return start.ljust(LINE - 3, b".") + b'"}\n'


def sha256_of_source(size: int) -> str:
    digest = hashlib.sha256()
    for offset in range(0, size, PIECE):
        digest.update(piece(offset, size))
    return digest.hexdigest()


def sha256_of(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def at_once(app: App, token: str, size: int, count: int = 4) -> float:
    """MB/s of `count` uploads together, without faults."""
    body = piece(0, PIECE)
    started = time.monotonic()
    with ThreadPoolExecutor(count) as pool:
        list(pool.map(lambda _: straight(Client(app, token), size, body), range(count)))
    return count * size / 1e6 / (time.monotonic() - started)


def straight(client: Client, size: int, body: bytes) -> None:
    upload = Upload(client, size)
    while (offset := upload.acknowledged) < size:
        part = body[: size - offset]
        status, answer = client.once("PATCH", upload.place, part, Upload_Offset=str(offset), Content_Type=BODY)
        if status != 204:
            raise RuntimeError(f"A piece was refused with {status}.")
        upload.acknowledged = int(answer["upload-offset"])
    client.request("DELETE", upload.place)
    client.close()


@dataclass
class Peak:
    rss: int = 0
    disk: int = 0
    ended: threading.Event = field(default_factory=threading.Event)


@contextmanager
def watched(app: App) -> Iterator[Peak]:
    """The most memory of the web process and the most disk of its data folder while the block runs."""
    peak = Peak()
    before = disk_used(app.data)

    def look() -> None:
        while not peak.ended.wait(0.1):
            peak.rss = max(peak.rss, memory_of(app))
            peak.disk = max(peak.disk, disk_used(app.data) - before)

    watcher = threading.Thread(target=look, daemon=True)
    watcher.start()
    try:
        yield peak
    finally:
        peak.ended.set()
        watcher.join()


def memory_of(app: App) -> int:
    web = app.processes.get("web")
    try:
        return int(psutil.Process(web.pid).memory_info().rss) if web else 0
    except psutil.Error:
        return 0


def disk_used(folder: Path) -> int:
    total = 0
    for parent, _, names in os.walk(folder):
        for name in names:
            try:
                total += os.stat(os.path.join(parent, name)).st_blocks * 512
            except FileNotFoundError:
                continue
    return total
