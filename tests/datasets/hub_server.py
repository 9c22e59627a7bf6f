"""A small server that speaks the hub's HTTP interface, as huggingface_hub and datasets call it, for repositories that a
test makes. It counts what it sends and remembers what it was asked."""

from __future__ import annotations

import hashlib
import json
import re
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self
from urllib.parse import parse_qs, unquote, urlsplit

API = re.compile(
    r"/api/datasets/(?P<repo>[^/]+/[^/]+)(?:/(?P<what>revision|tree|paths-info|auth-check|refs)(?:/(?P<rest>.*))?)?$"
)
RESOLVE = re.compile(r"/datasets/(?P<repo>[^/]+/[^/]+)/resolve/(?P<rest>.*)$")


@dataclass
class Repo:
    """`commits`: {sha: {path: content}}; the newest is `main`. `readers`: tokens that may open a closed one."""

    private: bool = False
    gated: bool = False
    readers: tuple[str, ...] = ()
    card: dict[str, Any] = field(default_factory=dict)
    commits: dict[str, dict[str, bytes]] = field(default_factory=dict)

    @property
    def main(self) -> str:
        return list(self.commits)[-1]

    def at(self, revision: str) -> str | None:
        return self.main if revision == "main" else revision if revision in self.commits else None


@dataclass(frozen=True)
class Asked:
    method: str
    path: str
    token: str


class Hub:
    def __init__(self) -> None:
        self.repos: dict[str, Repo] = {}
        self.tokens: set[str] = set()
        self.asked: list[Asked] = []
        self.sent = 0
        self.running = True
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
        if self.running:
            self.stop()

    def stop(self) -> None:
        """From now on connections are refused."""
        self.running = False
        self.server.shutdown()
        self.server.server_close()

    def add(self, name: str, files: dict[str, bytes | str], **about: Any) -> str:
        """A commit with exactly these files, in a new repository or on top of an old one. Returns its sha."""
        repo = self.repos.setdefault(name, Repo(**about))
        content = {path: text.encode() if isinstance(text, str) else text for path, text in files.items()}
        digest = hashlib.sha256(f"{name} {len(repo.commits)}".encode())
        for path in sorted(content):
            digest.update(path.encode() + content[path])
        commit = digest.hexdigest()[:40]
        repo.commits[commit] = content
        return commit

    def requests(self, part: str) -> list[Asked]:
        return [asked for asked in self.asked if part in asked.path]


def etag(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:40]


class Answer(BaseHTTPRequestHandler):
    hub: Hub
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: Any) -> None:
        """The tests read `asked` instead."""

    def do_GET(self) -> None:
        self.answer()

    def do_HEAD(self) -> None:
        self.answer()

    def do_POST(self) -> None:
        self.answer()

    @property
    def token(self) -> str:
        return self.headers.get("authorization", "").removeprefix("Bearer ")

    def answer(self) -> None:
        self.hub.asked.append(Asked(self.command, self.path, self.token))
        self.body = self.rfile.read(int(self.headers.get("content-length") or 0))
        path = unquote(urlsplit(self.path).path)
        if self.token and self.token not in self.hub.tokens:
            self.refuse(401, "", "Invalid credentials in Authorization header")
        elif api := API.match(path):
            self.about(api["repo"], api["what"] or "revision", api["rest"] or "main")
        elif file := RESOLVE.match(path):
            self.file(file["repo"], file["rest"])
        else:
            self.refuse(404, "", "Not Found")

    def opened(self, name: str, content: bool) -> Repo | None:
        """The repository, if the caller may see it; of a gated one everybody sees that it is there."""
        repo = self.hub.repos.get(name)
        allowed = repo is not None and self.token in repo.readers
        if repo is None or (repo.private and not allowed):
            self.refuse(404 if self.token else 401, "RepoNotFound" if self.token else "", "Repository not found")
            return None
        if repo.gated and content and not allowed:
            self.refuse(403 if self.token else 401, "GatedRepo", f"Access to dataset {name} is restricted.")
            return None
        return repo

    def about(self, name: str, what: str, rest: str) -> None:
        repo = self.opened(name, content=what in ("auth-check", "tree", "paths-info"))
        if repo is None:
            return
        revision, _, below = rest.partition("/")
        commit = repo.at(revision)
        if commit is None:
            self.refuse(404, "RevisionNotFound", f"Invalid rev id: {revision}")
        elif what == "revision":
            self.json(self.facts(name, repo, commit))
        elif what == "tree":
            self.json(self.tree(repo.commits[commit], below))
        elif what == "paths-info":
            self.json(self.paths_info(repo.commits[commit]))
        else:
            self.json({})

    def facts(self, name: str, repo: Repo, commit: str) -> dict[str, Any]:
        files = repo.commits[commit]
        return {
            "id": name,
            "sha": commit,
            "private": repo.private,
            "gated": "auto" if repo.gated else False,
            "disabled": False,
            "lastModified": "2026-05-04T03:02:01.000Z",
            "cardData": repo.card,
            "tags": [],
            "downloads": 7,
            "likes": 1,
            "siblings": [{"rfilename": path, "size": len(content)} for path, content in files.items()],
        }

    def tree(self, files: dict[str, bytes], below: str) -> list[dict[str, Any]]:
        everything = parse_qs(urlsplit(self.path).query).get("recursive", ["false"])[0].lower() == "true"
        start = f"{below}/" if below else ""
        found = []
        for path, content in files.items():
            rest = path.removeprefix(start)
            if path.startswith(start) and ("/" not in rest or everything):
                found.append(entry(path, content))
            elif path.startswith(start):
                folder = start + rest.split("/")[0]
                if folder not in {item["path"] for item in found}:
                    found.append({"type": "directory", "path": folder, "oid": etag(folder.encode()), "size": 0})
        if everything:
            inside = [path for path in files if path.startswith(start)]
            names = {path.rpartition("/")[0] for path in inside if "/" in path.removeprefix(start)}
            found += [{"type": "directory", "path": name, "oid": etag(name.encode()), "size": 0} for name in names]
        return found

    def paths_info(self, files: dict[str, bytes]) -> list[dict[str, Any]]:
        wanted = json.loads(self.body)["paths"] if self.body[:1] == b"{" else parse_qs(self.body.decode())["paths"]
        folders = {path.rpartition("/")[0] for path in files}
        found = [entry(path, files[path]) for path in wanted if path in files]
        return found + [
            {"type": "directory", "path": path, "oid": etag(path.encode()), "size": 0}
            for path in wanted
            if path in folders
        ]

    def file(self, name: str, rest: str) -> None:
        revision, _, path = rest.partition("/")
        repo = self.opened(name, content=True)
        if repo is None:
            return
        commit = repo.at(revision)
        if commit is None:
            self.refuse(404, "RevisionNotFound", f"Invalid rev id: {revision}")
        elif path not in repo.commits[commit]:
            self.refuse(404, "EntryNotFound", "Entry not found", commit)
        else:
            self.content(repo.commits[commit][path], commit)

    def content(self, content: bytes, commit: str) -> None:
        total, status, part = len(content), 200, content
        if match := re.match(r"bytes=(\d*)-(\d*)", self.headers.get("range", "")):
            start = int(match[1] or 0)
            end = min(int(match[2] or total - 1), total - 1)
            status, part = 206, content[start : end + 1]
        self.send_response(status)
        if status == 206:
            self.send_header("Content-Range", f"bytes {start}-{end}/{total}")
        self.send_header("Accept-Ranges", "bytes")
        self.send_header("ETag", f'"{etag(content)}"')
        self.send_header("X-Repo-Commit", commit)
        self.finish_with(part)

    def json(self, value: Any) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.finish_with(json.dumps(value).encode())

    def refuse(self, status: int, code: str, message: str, commit: str = "") -> None:
        self.send_response(status)
        if code:
            self.send_header("X-Error-Code", code)
        if commit:
            self.send_header("X-Repo-Commit", commit)
        self.send_header("X-Error-Message", message)
        self.finish_with(json.dumps({"error": message}).encode())

    def finish_with(self, body: bytes) -> None:
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            try:
                # In pieces, so that what a reader did not wait for is not counted.
                for at in range(0, len(body), 65_536):
                    self.wfile.write(body[at : at + 65_536])
                    self.hub.sent += len(body[at : at + 65_536])
            except (BrokenPipeError, ConnectionResetError):
                self.close_connection = True


def entry(path: str, content: bytes) -> dict[str, Any]:
    return {"type": "file", "path": path, "oid": etag(content), "size": len(content)}
