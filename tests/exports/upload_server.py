"""A small server that speaks the upload side of the hub's HTTP interface, as huggingface_hub uses it. It remembers what
it was asked and what it was given."""

import base64
import hashlib
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self
from urllib.parse import urlsplit

REGULAR_BYTES = 100_000


class UploadHub:
    """`refuse`: the status for addresses with this in them. While `may_go_on` is not set, uploads wait."""

    def __init__(self, token: str, *, role: str = "write", owner: str = "charlie") -> None:
        self.token, self.role, self.owner = token, role, owner
        self.repos: dict[str, dict[str, Any]] = {}
        self.objects: dict[str, bytes] = {}
        self.asked: list[tuple[str, str]] = []
        self.refuse: dict[str, int] = {}
        self.may_go_on = threading.Event()
        self.may_go_on.set()
        hub = self

        class Handler(Answer):
            pass

        Handler.hub = hub
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server.server_port}"

    def __enter__(self) -> Self:
        threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        return self

    def __exit__(self, *error: object) -> None:
        self.may_go_on.set()
        self.server.shutdown()
        self.server.server_close()

    def count(self, method: str, part: str) -> int:
        return sum(asked == method and part in path for asked, path in self.asked)


class Answer(BaseHTTPRequestHandler):
    hub: UploadHub
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: Any) -> None:
        """The tests read `asked` instead."""

    def do_GET(self) -> None:
        self.answer()

    def do_POST(self) -> None:
        self.answer()

    def do_PUT(self) -> None:
        self.answer()

    def answer(self) -> None:
        path = urlsplit(self.path).path
        self.hub.asked.append((self.command, self.path))
        self.body = self.rfile.read(int(self.headers.get("content-length") or 0))
        refused = next((status for part, status in self.hub.refuse.items() if part in path), 0)
        if not path.startswith("/store/") and self.headers.get("authorization") != f"Bearer {self.hub.token}":
            self.say({"error": "Invalid credentials"}, 401)
        elif refused:
            self.say({"error": "no"}, refused)
        elif path == "/api/whoami-v2":
            self.say({"name": self.hub.owner, "orgs": [], "auth": {"accessToken": {"role": self.hub.role}}})
        elif path == "/api/repos/create":
            self.create(json.loads(self.body))
        elif path == "/api/validate-yaml":
            self.say({"errors": [], "warnings": []})
        elif "/preupload/" in path:
            self.preupload(json.loads(self.body))
        elif path.endswith("/info/lfs/objects/batch"):
            self.batch(json.loads(self.body))
        elif path.startswith("/store/"):
            self.store(path.rpartition("/")[2])
        elif "/commit/" in path:
            self.commit(path)
        else:
            self.say({"error": f"unknown: {path}"}, 404)

    def create(self, wanted: dict[str, Any]) -> None:
        name = f"{wanted['organization']}/{wanted['name']}"
        private = wanted.get("private", wanted.get("visibility") == "private")
        known = name in self.hub.repos
        self.hub.repos.setdefault(name, {"private": private, "files": {}})
        self.say({"url": f"{self.hub.url}/{name}", "name": name}, 409 if known else 200)

    def preupload(self, wanted: dict[str, Any]) -> None:
        files = [
            {
                "path": file["path"],
                "uploadMode": "lfs" if file["size"] > REGULAR_BYTES else "regular",
                "shouldIgnore": False,
                "oid": None,
            }
            for file in wanted["files"]
        ]
        self.say({"files": files})

    def batch(self, wanted: dict[str, Any]) -> None:
        objects = []
        for each in wanted["objects"]:
            found = {"oid": each["oid"], "size": each["size"]}
            if each["oid"] not in self.hub.objects:
                found["actions"] = {"upload": {"href": f"{self.hub.url}/store/{each['oid']}", "header": {}}}
            objects.append(found)
        self.say({"transfer": "basic", "objects": objects})

    def store(self, oid: str) -> None:
        self.hub.may_go_on.wait(30)
        assert hashlib.sha256(self.body).hexdigest() == oid
        self.hub.objects[oid] = self.body
        self.say({})

    def commit(self, path: str) -> None:
        name = "/".join(path.split("/")[3:5])
        repo = self.hub.repos[name]
        for line in map(json.loads, self.body.splitlines()):
            value = line["value"]
            if line["key"] == "file":
                repo["files"][value["path"]] = base64.b64decode(value["content"])
            elif line["key"] == "lfsFile":
                repo["files"][value["path"]] = self.hub.objects[value["oid"]]
        self.say({"commitUrl": f"{self.hub.url}/{name}/commit/{'1' * 40}", "commitOid": "1" * 40})

    def say(self, data: dict[str, Any], status: int = 200) -> None:
        content = json.dumps(data).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)
