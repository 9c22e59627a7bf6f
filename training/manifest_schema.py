"""What is read of a run manifest. Whatever else it holds is for people."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from pydantic import BaseModel, Field

FORMAT, FORMAT_VERSION = "loracraft-run-manifest", 1


class About(BaseModel):
    id: UUID
    name: str = Field("", max_length=400)


class FileWas(BaseModel):
    sha256: str
    bytes: int


class Fingerprint(BaseModel):
    files: dict[str, FileWas]


class ModelWas(BaseModel):
    own_folder: bool = False
    commit: str | None = None
    fingerprint: Fingerprint | None = None


class DatasetWas(BaseModel):
    dataset: str
    dataset_id: str
    version: int
    sha256: str
    rows: int
    mapping: dict[str, Any]
    split: dict[str, Any]


class RewardWas(BaseModel):
    composition: dict[str, Any]
    preset: dict[str, Any] | None = None


class Fallback(BaseModel):
    message: str


class Attempt(BaseModel):
    program: dict[str, Any] | None = None
    versions: dict[str, str] | None = None
    hardware: dict[str, Any] | None = None
    fallbacks: list[Fallback] = []


class Rewards(BaseModel):
    steps: int
    sha256: str | None


class Results(BaseModel):
    rewards: Rewards | None = None


class Manifest(BaseModel):
    session: About
    config: dict[str, Any]
    model: ModelWas
    dataset: DatasetWas
    reward: RewardWas
    attempts: list[Attempt]
    results: Results
