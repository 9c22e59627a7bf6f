"""What a team hands to us in confidence: stored encrypted, used by child processes, never shown again."""

from __future__ import annotations

import base64
from typing import Any

from cryptography.fernet import Fernet, InvalidToken
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from django.conf import settings
from django.db.models import QuerySet

from accounts import addresses
from accounts.models import AnyUser, Team, TeamSecret

HUGGINGFACE = "huggingface"
# With the origin that alone gets it: "judge https://api.example.org".
JUDGE = "judge "
MAX_LENGTH = 500
MOST_JUDGES = 50


class SecretProblem(Exception):
    """Something an owner can put right. The message never holds any of the secret."""


def save(team: Team, by: AnyUser | None, name: str, value: str) -> TeamSecret:
    """Stores or replaces it. Raises SecretProblem for what can't be a token."""
    value = value.strip()
    check(name, value)
    if name.startswith(JUDGE) and judge_keys(team).exclude(name=name).count() >= MOST_JUDGES:
        raise SecretProblem(f"A team has at most {MOST_JUDGES} keys for judges: remove one that nobody uses.")
    fields: dict[str, Any] = {
        "ciphertext": cipher().encrypt(value.encode()).decode(),
        "ending": value[-4:],
        "saved_by_id": by.pk if by else None,
    }
    stored, _ = TeamSecret.objects.update_or_create(team=team, name=name, defaults=fields)
    return stored


def check(name: str, value: str) -> None:
    if name != HUGGINGFACE and not (name.startswith(JUDGE) and name == judge_key(name.removeprefix(JUDGE))):
        raise SecretProblem(f"There is no secret called {name}.")
    # It is sent in a header, where a line break would begin a header of its own.
    if not value.isascii() or not value.isprintable() or any(letter.isspace() for letter in value):
        raise SecretProblem(f"A {kind(name)} has no spaces and no special characters. Copy it again, all of it.")
    if not 8 <= len(value) <= MAX_LENGTH:
        raise SecretProblem(f"A {kind(name)} has 8 to {MAX_LENGTH} characters. Copy it again, all of it.")


def kind(name: str) -> str:
    return "token" if name == HUGGINGFACE else "key"


def title(name: str) -> str:
    return "Hugging Face token" if name == HUGGINGFACE else f"key for {name.removeprefix(JUDGE)}"


def judge_key(endpoint: str) -> str:
    """The name under which the key for this endpoint's scheme, host and port is kept. Raises SecretProblem."""
    try:
        return f"{JUDGE}{addresses.parse(endpoint).origin}"
    except addresses.WrongAddress as error:
        raise SecretProblem(str(error)) from None


def judge_keys(team: Team) -> QuerySet[TeamSecret]:
    judges = TeamSecret.objects.filter(team=team, name__startswith=JUDGE)
    return judges.select_related("team", "saved_by").order_by("name")


def remove(team: Team, name: str) -> bool:
    removed, _ = TeamSecret.objects.filter(team=team, name=name).delete()
    return bool(removed)


def find(team: Team, name: str) -> TeamSecret | None:
    """For pages: when it was saved, by whom, and how it ends."""
    return TeamSecret.objects.filter(team=team, name=name).select_related("saved_by").first()


def value_of(team: Team, name: str) -> str:
    """The secret itself, "" if the team has none. Raises SecretProblem if it can't be read any more."""
    stored = TeamSecret.objects.filter(team=team, name=name).first()
    return "" if stored is None else opened(stored)


def opened(stored: TeamSecret) -> str:
    """Raises SecretProblem if it can't be read any more."""
    try:
        return cipher().decrypt(stored.ciphertext.encode()).decode()
    except InvalidToken:
        raise SecretProblem(
            f"The {title(stored.name)} of {stored.team} can't be read any more, because the server's secret key was"
            " changed. An owner has to enter it again, under Team."
        ) from None


def cipher() -> Fernet:
    derived = HKDF(algorithm=SHA256(), length=32, salt=None, info=b"loracraft.accounts.secrets")
    return Fernet(base64.urlsafe_b64encode(derived.derive(settings.SECRET_KEY.encode())))
