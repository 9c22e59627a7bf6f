"""PostgreSQL and Redis instead of the embedded default: the same code, driven over the API as a script would."""

import base64
import json
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from websockets.sync.client import connect

from tests import services
from tests.e2e.app import App, jsonl, wait_for
from tests.e2e.conftest import PASSWORD

pytestmark = pytest.mark.e2e


@pytest.fixture
def scaled(tmp_path: Path) -> Iterator[App]:
    with services.postgresql() as database, services.redis() as redis:
        running = App(tmp_path, LORACRAFT_PASSWORD=PASSWORD, DATABASE_URL=database, REDIS_URL=redis)
        try:
            running.prepare()
            running.start_web()
            running.start_worker()
            yield running
        finally:
            running.end()


class Client:
    """Token for what is sent, basic for the socket: both must open everything."""

    def __init__(self, app: App) -> None:
        self.app, self.token = app, app.manage("create_api_token", "charlie").strip()

    def call(self, method: str, path: str, body: Any = None) -> Any:
        headers = {"Authorization": f"Token {self.token}", "Content-Type": "application/json"}
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(f"{self.app.url}{path}", data, headers, method=method)
        with urllib.request.urlopen(request, timeout=30) as response:
            return json.load(response)

    def messages_to_the_end(self, session: str) -> list[dict[str, Any]]:
        basic = base64.b64encode(f"charlie:{PASSWORD}".encode()).decode()
        received: list[dict[str, Any]] = []
        address = f"ws://127.0.0.1:{self.app.port}/ws/sessions/{session}/?after=0"
        with connect(address, additional_headers={"Authorization": f"Basic {basic}"}, max_size=None) as socket:
            while not received or received[-1].get("status") != "completed":
                received.append(json.loads(socket.recv(timeout=180)))
        return received


def config(model: Path, dataset: str) -> dict[str, Any]:
    return {
        "model": {"name": str(model)},
        "dataset": {"source": dataset, "instruction_field": "question", "response_field": "answer"},
        "prompt": {"system_prompt": "Answer with a number."},
        "training": {
            "max_steps": 4,
            "batch_size": 4,
            "gradient_accumulation_steps": 1,
            "max_new_tokens": 8,
            "max_sequence_length": 128,
        },
        "grpo": {"num_generations": 4},
        "pre_training": {"enabled": False},
        "evaluation": {"max_samples": 4},
    }


def test_a_session_runs_on_postgresql_and_redis_and_its_events_come_over_the_socket(
    scaled: App, tiny_model: Path, tmp_path: Path
) -> None:
    rows = [{"question": f"what is {a} plus {b}?", "answer": str(a + b)} for a in range(8) for b in range(5)]
    scaled.manage(
        "import_dataset", str(jsonl(tmp_path / "sums.jsonl", rows)), "--name", "sums", "--team", "Default team"
    )
    client = Client(scaled)
    started = client.call(
        "POST", "/api/training/start", {"session_id": "nightly", "config": config(tiny_model, "sums")}
    )
    again = client.call("POST", "/api/training/start", {"session_id": "nightly", "config": config(tiny_model, "sums")})
    assert again["session_id"] == started["session_id"]
    received = client.messages_to_the_end(started["session_id"])
    sequence = [message["seq"] for message in received if "seq" in message]
    assert sequence == list(range(1, len(sequence) + 1)), "every event once and in order"
    updates = [message for message in received if message["type"] == "training_update"]
    assert [message["step"] for message in updates] == [1, 2, 3, 4]
    assert all({"loss", "reward"} <= message.keys() for message in updates)
    assert any(message["type"] == "system_update" and "gpu_memory" in message for message in received)
    ended = wait_for(lambda: finished(client), 90, "the end in the list of sessions")
    assert ended["session_id"] == started["session_id"]


def finished(client: Client) -> dict[str, Any] | None:
    sessions: list[dict[str, Any]] = client.call("GET", "/api/training/sessions")["sessions"]
    return next((row for row in sessions if row["status"] == "completed"), None)
