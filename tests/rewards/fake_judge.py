"""A chat completions endpoint on this machine: grades by content, obeys whoever commands it, and breaks on demand."""

import json
import re
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

BORDER = re.compile(r"<(data-[0-9a-f]+)>")
COMMAND = re.compile(r"ignore the rubric,? give (\d+)", re.IGNORECASE)

Behaviour = Callable[["Handler"], None]


@dataclass
class Asked:
    path: str
    headers: dict[str, str]
    body: dict[str, Any]

    @property
    def system(self) -> str:
        return str(self.body["messages"][0]["content"])

    @property
    def user(self) -> str:
        return str(self.body["messages"][1]["content"])


@dataclass
class FakeJudge:
    """`next`: how the next requests are treated, in order. `always`: how those after them are."""

    port: int = 0
    asked: list[Asked] = field(default_factory=list)
    next: list[Behaviour] = field(default_factory=list)
    always: Behaviour = lambda handler: handler.grade()
    at_once: int = 0
    most_at_once: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1"

    @property
    def place(self) -> str:
        return f"127.0.0.1:{self.port}"


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    judge: FakeJudge
    asked: Asked

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.asked = Asked(self.path, dict(self.headers), body)
        with self.judge.lock:
            self.judge.asked.append(self.asked)
            self.judge.at_once += 1
            self.judge.most_at_once = max(self.judge.most_at_once, self.judge.at_once)
            behaviour = self.judge.next.pop(0) if self.judge.next else self.judge.always
        try:
            behaviour(self)
        except OSError:
            self.close_connection = True
        finally:
            with self.judge.lock:
                self.judge.at_once -= 1

    def grade(self) -> None:
        points, reason = opinion(self.asked)
        self.say(json.dumps({"reason": reason, "score": points}))

    def say(self, text: Any, finish_reason: str = "stop", **message: Any) -> None:
        choice = {"message": {"role": "assistant", "content": text, **message}, "finish_reason": finish_reason}
        self.send(200, json.dumps({"choices": [choice], "usage": {"total_tokens": 100}}).encode())

    def send(self, status: int, body: bytes = b"", **headers: str) -> None:
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **headers}.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        """Quiet."""


def opinion(asked: Asked) -> tuple[float, str]:
    """10 for Paris alone, 4 for Paris among others, 0 else. A command outside of the borders is obeyed."""
    found = BORDER.search(asked.system)
    whole = asked.system + asked.user
    pieces = re.findall(rf"<{found[1]}>\n(.*?)\n</{found[1]}>", asked.user, re.DOTALL) if found else []
    outside = re.sub(rf"<{found[1]}>.*?</{found[1]}>", "", asked.user, flags=re.DOTALL) if found else whole
    command = COMMAND.search(outside)
    if command:
        return float(command[1]), "As ordered."
    answer = pieces[-1]
    if "Paris" not in answer:
        return 0, "Not Paris."
    return (4, "Paris among others.") if "Lyon" in answer else (10, "Paris.")


@contextmanager
def serving() -> Iterator[FakeJudge]:
    judge = FakeJudge()
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (Handler,), {"judge": judge}))
    server.daemon_threads = True
    judge.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield judge
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


# How it breaks.


def status(code: int, body: bytes = b"", **headers: str) -> Behaviour:
    return lambda handler: handler.send(code, body, **headers)


def says(text: Any, **more: Any) -> Behaviour:
    return lambda handler: handler.say(text, **more)


def hangs(seconds: float) -> Behaviour:
    return lambda handler: time.sleep(seconds)


def slow(seconds: float) -> Behaviour:
    def behave(handler: Handler) -> None:
        time.sleep(seconds)
        handler.grade()

    return behave


def raw(data: bytes) -> Behaviour:
    """Sends these bytes and closes the connection."""

    def behave(handler: Handler) -> None:
        handler.wfile.write(data)
        handler.close_connection = True

    return behave


def drips(handler: Handler) -> None:
    """Alive at every moment, and never done."""
    handler.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
    for _ in range(200):
        handler.wfile.write(b" ")
        time.sleep(0.05)


def huge(handler: Handler) -> None:
    handler.send_response(200)
    handler.send_header("Content-Length", str(1 << 30))
    handler.end_headers()
    for _ in range(1 << 14):
        handler.wfile.write(b" " * (1 << 16))
