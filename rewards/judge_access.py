"""Judges in the web application: the keys that a team saved, who may spend them, and the hosts that may be asked."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from asgiref.sync import iscoroutinefunction
from django.conf import settings
from django.core.checks import CheckMessage, Error, register
from django.http import HttpRequest
from django.utils.decorators import sync_and_async_middleware

from accounts import access, addresses, secrets
from accounts.models import AnyUser, Role, Team
from rewards.functions.judge import judge_model
from rewards.judging import books, guard, surroundings
from rewards.judging.surroundings import Payer
from rewards.registry import RewardError
from rewards.sandbox import pool

logger = logging.getLogger(__name__)

MEMORY_FILE = "judge-verdicts.sqlite3"


def paid_by(team: Team) -> AbstractContextManager[None]:
    """Judges that are asked within the block get this team's keys."""
    return surroundings.paid_by(lambda: payer_of(team))


def payer_of(team: Team) -> Payer:
    """A budget counts for the team and the day."""
    return Payer(lambda origin: key_of(team, origin), f"team {team.pk} on {books.today()}", team=str(team.pk))


def key_of(team: Team, origin: str) -> str:
    """Raises RewardError if it can't be read any more."""
    try:
        return secrets.value_of(team, secrets.judge_key(origin))
    except secrets.SecretProblem as problem:
        raise RewardError(str(problem)) from None


def payer_for(user: AnyUser) -> Payer:
    """The team in whose name `user` works. Raises RewardError: somebody who may only look spends nothing."""
    team = access.teams_with(user, Role.MEMBER).first()
    if team is None:
        raise RewardError("A judge costs money or time, so only members of a team may ask one.")
    return replace(payer_of(team), hurried=True)


@sync_and_async_middleware
def middleware(get_response: Callable[[HttpRequest], Any]) -> Callable[[HttpRequest], Any]:
    """What a page or a route scores is paid for by who asks, and code of users runs in a process of the asker's own.
    Nothing is looked up until a judge is asked or code is run: only then is it known who that is, because API tokens
    are read in the view."""

    @contextmanager
    def paid(request: HttpRequest) -> Iterator[None]:
        with surroundings.paid_by(lambda: payer_for(request.user)), pool.owned_by(lambda: f"user {request.user.pk}"):
            yield

    async def with_payer_async(request: HttpRequest) -> Any:
        with paid(request):
            return await get_response(request)

    def with_payer(request: HttpRequest) -> Any:
        with paid(request):
            return get_response(request)

    return with_payer_async if iscoroutinefunction(get_response) else with_payer


def environment_for(team: Team, reward: Any) -> dict[str, str]:
    """What a trainer of this team needs and no more: the keys of the endpoints that its own reward asks."""
    keys = {origin: _key_or_nothing(team, origin) for origin in origins(reward)}
    return {surroundings.VARIABLE: json.dumps({origin: key for origin, key in keys.items() if key})}


def _key_or_nothing(team: Team, origin: str) -> str:
    """The trainer's judge says that it lacks one, and goes on without what it can't judge."""
    try:
        return secrets.value_of(team, secrets.judge_key(origin))
    except secrets.SecretProblem as problem:
        logger.warning("%s", problem)
        return ""


def origins(reward: Any) -> set[str]:
    """Of the judges in a reward as sessions store it. What can't be read there asks nobody."""
    parts = reward.get("parts", []) if isinstance(reward, dict) else []
    found = set()
    for part in parts:
        if part.get("function") != judge_model.__name__:
            continue
        try:
            found.add(addresses.parse(str(part.get("parameters", {}).get("endpoint", ""))).origin)
        except addresses.WrongAddress:
            logger.warning("A judge in a stored reward has no usable endpoint.")
    return found


def trusted() -> guard.Trusted:
    return guard.trusted(settings.JUDGE_HOSTS)


def memory_file() -> Path:
    return Path(settings.CACHE_DIR) / MEMORY_FILE


def provide() -> None:
    surroundings.machine.trusted = trusted
    surroundings.machine.memory = memory_file


@register()
def judge_hosts_are_hosts(app_configs: Sequence[Any] | None, **kwargs: Any) -> list[CheckMessage]:
    try:
        trusted()
    except ValueError as problem:
        return [Error(str(problem), hint="Write hosts as in 127.0.0.1:11434, with commas between.", id="rewards.E010")]
    return []
