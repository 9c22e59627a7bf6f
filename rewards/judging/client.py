"""Asks one model of one endpoint for a chat completion: tries again, adapts to what it understands, keeps to a budget.

The sentences of its errors name the host and what to do. They repeat nothing of a reply, which may repeat a key or be
meant for nobody here.
"""

from __future__ import annotations

import email.utils
import json
import random
import threading
import time
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from rewards.judging import guard
from rewards.judging.ledger import LEDGER, Account, Spent
from rewards.judging.verdict import tokens_of
from rewards.judging.wire import Line, Reply, Unanswered
from rewards.registry import RewardError

COMPLETIONS = "/chat/completions"
WORTH_ANOTHER_TRY = {408, 425, 429, 500, 502, 503, 504, 529}
NOT_UNDERSTOOD = {400, 422}
LONGEST_PAUSE, LONGEST_WAIT = 20.0, 60.0
PAGE_SECONDS, PAGE_RETRIES = 60.0, 1
# An endpoint that fails this often in a row is not asked again for the rest of a batch.
GIVE_UP_AFTER = 5
POINTS: dict[str, Any] = {"type": "number"}


class Down(RewardError):
    """The endpoint, not the answer, is the reason."""


@dataclass(frozen=True)
class Dialect:
    """What of the protocol an endpoint understands."""

    schema: bool = True
    temperature: bool = True
    limit: str = "max_tokens"

    def simpler(self, complaint: str) -> Dialect | None:
        if "max_completion_tokens" in complaint and self.limit == "max_tokens":
            return replace(self, limit="max_completion_tokens")
        if "temperature" in complaint and self.temperature:
            return replace(self, temperature=False)
        return replace(self, schema=False) if self.schema else None


# By endpoint and model, once a simpler request was answered.
_learnt: dict[tuple[str, str], Dialect] = {}


@dataclass(frozen=True)
class Request:
    model: str
    temperature: float
    max_tokens: int
    structured: bool
    labels: tuple[str, ...] = ()

    @property
    def schema(self) -> dict[str, Any]:
        """Of the reply: a label to choose, or points."""
        name, form = ("label", {"type": "string", "enum": list(self.labels)}) if self.labels else ("score", POINTS)
        properties = {"reason": {"type": "string"}, name: form}
        return {
            "type": "object",
            "properties": properties,
            "required": list(properties),
            "additionalProperties": False,
        }

    def body(self, messages: list[dict[str, str]], dialect: Dialect) -> bytes:
        content: dict[str, Any] = {"model": self.model, "messages": messages, dialect.limit: self.max_tokens}
        if dialect.temperature:
            content["temperature"] = self.temperature
        if dialect.schema and self.structured:
            form = {"name": "verdict", "strict": True, "schema": self.schema}
            content["response_format"] = {"type": "json_schema", "json_schema": form}
        return json.dumps(content).encode()


@dataclass(frozen=True)
class Patience:
    seconds: float
    retries: int
    most_calls: int
    most_tokens: int

    def hurried(self) -> Patience:
        return replace(self, seconds=min(self.seconds, PAGE_SECONDS), retries=min(self.retries, PAGE_RETRIES))


class Client:
    """For one batch. Safe for several threads."""

    def __init__(self, line: Line, request: Request, patience: Patience, key: str, scope: str) -> None:
        self.line, self.request, self.patience, self.key = line, request, patience, key
        self.host = line.address.place
        self.account: Account = (scope, str(line.address), request.model)
        self.path = line.address.path.removesuffix(COMPLETIONS) + COMPLETIONS
        # Of this batch alone.
        self.spent = Spent()
        self._lock = threading.Lock()
        self._failed_in_row = 0
        self._last = ""

    def ask(self, messages: list[dict[str, str]]) -> bytes:
        """The body of a 200 reply. Raises RewardError."""
        if self._failed_in_row >= GIVE_UP_AFTER:
            raise Down(f"Not asked: the judge failed {GIVE_UP_AFTER} times in a row before. {self._last}")
        try:
            body = self._in_its_dialect(messages)
        except Down as error:
            with self._lock:
                self._failed_in_row, self._last = self._failed_in_row + 1, str(error)
            raise
        with self._lock:
            self._failed_in_row = 0
        return body

    def _in_its_dialect(self, messages: list[dict[str, str]]) -> bytes:
        about = (str(self.line.address), self.request.model)
        dialect = _learnt.get(about, Dialect(schema=self.request.structured))
        while True:
            reply = self._patiently(self.request.body(messages, dialect))
            if reply.status == 200:
                _learnt[about] = dialect
                return reply.body
            simpler = dialect.simpler(reply.body.decode(errors="replace")) if reply.status in NOT_UNDERSTOOD else None
            if simpler is None:
                raise Down(self._refused(reply))
            dialect = simpler

    def _patiently(self, body: bytes) -> Reply:
        """The first reply that another try would not better. Raises RewardError."""
        for tries in range(self.patience.retries + 1):
            failure, wait = "", None
            try:
                reply = self._once(body)
            except Unanswered as error:
                failure = f"The judge at {self.host} {error}."
            except guard.Unknown as error:
                failure = str(error)
            else:
                if reply.status not in WORTH_ANOTHER_TRY:
                    return reply
                failure, wait = self._refused(reply), asked_to_wait(reply)
            if tries == self.patience.retries or (wait or 0) > LONGEST_WAIT:
                break
            pause(wait if wait is not None else min(2.0**tries, LONGEST_PAUSE) * random.uniform(0.5, 1))
        tried = f" Tried {tries + 1} times." if tries else ""
        raise Down(f"{failure}{tried}")

    def _once(self, body: bytes) -> Reply:
        LEDGER.take_call(self.account, self.patience.most_calls, self.patience.most_tokens)
        with self._lock:
            self.spent.calls += 1
        headers = {"Content-Type": "application/json", "Accept": "application/json", "User-Agent": "lora-craft"}
        if self.key:
            headers["Authorization"] = f"Bearer {self.key}"
        try:
            reply = self.line.post(self.path, headers, body, self.patience.seconds)
        except guard.Blocked as error:
            raise Down(str(error)) from None
        if reply.status == 200:
            tokens = tokens_of(reply.body, len(body))
            LEDGER.add_tokens(self.account, tokens)
            with self._lock:
                self.spent.tokens += tokens
        return reply

    def _refused(self, reply: Reply) -> str:
        return f"The judge at {self.host} {_meaning(reply.status, bool(self.key))} ({reply.status})."


def _meaning(status: int, has_key: bool) -> str:
    if 300 <= status < 400:
        return "sends its callers on to another address, which is not followed: give the final one"
    if status in (401, 403):
        return (
            "does not accept the team's key: an owner saves another one on the team's page"
            if has_key
            else "asks for a key, and there is none for it: an owner saves one on the team's page"
        )
    if status == 429:
        return "asks for fewer calls, or its credit is used up: lower “At once”, or try later"
    if status >= 500:
        return "has a fault of its own: try later"
    return {
        402: "wants to be paid first",
        404: "knows no such model, or nothing at this address: check both",
        413: "takes no request of this length: show it less",
    }.get(status, "did not understand the request: check the name of the model, and whether it is made for chats")


def asked_to_wait(reply: Reply) -> float | None:
    """Seconds, from a number or a date in Retry-After."""
    value = reply.headers.get("retry-after", "").strip()
    if value.isdecimal():
        return float(value)
    try:
        until = email.utils.parsedate_to_datetime(value)
    except ValueError:
        return None
    until = until if until.tzinfo else until.replace(tzinfo=UTC)
    return max(0.0, (until - datetime.now(UTC)).total_seconds())


def pause(seconds: float) -> None:
    time.sleep(seconds)
