"""What a team hands to us in confidence: stored encrypted, used by child processes, never shown again."""

from __future__ import annotations

import base64
from typing import Any

from cryptography.fernet import Fernet, InvalidToken
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from django.conf import settings

from accounts.models import AnyUser, Team, TeamSecret

HUGGINGFACE = "huggingface"
TITLES = {HUGGINGFACE: "Hugging Face token"}
MAX_LENGTH = 500


class SecretProblem(Exception):
    """Something an owner can put right. The message never holds any of the secret."""


def save(team: Team, by: AnyUser | None, name: str, value: str) -> TeamSecret:
    """Stores or replaces it. Raises SecretProblem for what can't be a token."""
    value = value.strip()
    check(name, value)
    fields: dict[str, Any] = {
        "ciphertext": cipher().encrypt(value.encode()).decode(),
        "ending": value[-4:],
        "saved_by_id": by.pk if by else None,
    }
    stored, _ = TeamSecret.objects.update_or_create(team=team, name=name, defaults=fields)
    return stored


def check(name: str, value: str) -> None:
    if name not in TITLES:
        raise SecretProblem(f"There is no secret called {name}.")
    # It is sent in a header, where a line break would begin a header of its own.
    if not value.isascii() or not value.isprintable() or any(letter.isspace() for letter in value):
        raise SecretProblem("A token has no spaces and no special characters. Copy it again, all of it.")
    if not 8 <= len(value) <= MAX_LENGTH:
        raise SecretProblem(f"A token has 8 to {MAX_LENGTH} characters. Copy it again, all of it.")


def remove(team: Team, name: str) -> bool:
    removed, _ = TeamSecret.objects.filter(team=team, name=name).delete()
    return bool(removed)


def find(team: Team, name: str) -> TeamSecret | None:
    """For pages: when it was saved, by whom, and how it ends."""
    return TeamSecret.objects.filter(team=team, name=name).select_related("saved_by").first()


def value_of(team: Team, name: str) -> str:
    """The secret itself, "" if the team has none. Raises SecretProblem if it can't be read any more."""
    stored = TeamSecret.objects.filter(team=team, name=name).first()
    if stored is None:
        return ""
    try:
        return cipher().decrypt(stored.ciphertext.encode()).decode()
    except InvalidToken:
        raise SecretProblem(
            f"The {TITLES[name]} of {team} can't be read any more, because the server's secret key was changed. An"
            " owner has to enter it again, under Team."
        ) from None


def cipher() -> Fernet:
    derived = HKDF(algorithm=SHA256(), length=32, salt=None, info=b"loracraft.accounts.secrets")
    return Fernet(base64.urlsafe_b64encode(derived.derive(settings.SECRET_KEY.encode())))
