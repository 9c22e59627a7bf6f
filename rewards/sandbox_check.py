"""`manage.py check` says where users' code is refused, and why."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.core.checks import CheckMessage, Warning, register

from rewards.sandbox import jail_process


@register()
def sandbox_is_enforced(app_configs: Sequence[Any] | None, **kwargs: Any) -> list[CheckMessage]:
    reason = jail_process.unavailable()
    if not reason:
        return []
    hint = (
        "Rewards made of library functions work all the same. For Python of your own, run LoRA Craft on Linux on"
        " x86_64, natively or in Docker with its default seccomp profile."
    )
    return [
        Warning(f"Python written by users and tests of code are refused here: {reason}", hint=hint, id="rewards.W001")
    ]
