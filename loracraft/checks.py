from collections.abc import Sequence
from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error, Warning, register


@register()
def front_end_packages(app_configs: Sequence[Any] | None, **kwargs: Any) -> list[CheckMessage]:
    missing = [str(file) for file in settings.VENDOR_FILES.values() if not file.is_file()]
    if not missing:
        return []
    return [Warning("Front-end packages are missing.", hint="Run `make setup`.", obj=missing[0], id="loracraft.W001")]


@register()
def writable_data_folder(app_configs: Sequence[Any] | None, **kwargs: Any) -> list[CheckMessage]:
    probe = settings.DATA_DIR / ".writable"
    try:
        probe.touch()
        probe.unlink()
    except OSError as error:
        hint = f"Make {settings.DATA_DIR} writable or point LORACRAFT_DATA at another folder."
        return [Error(f"The data folder cannot be written: {error.strerror}.", hint=hint, id="loracraft.E001")]
    return []


@register(deploy=True)
def open_to_everyone(app_configs: Sequence[Any] | None, **kwargs: Any) -> list[CheckMessage]:
    if "*" not in settings.ALLOWED_HOSTS:
        return []
    return [Warning("LORACRAFT_ALLOWED_HOSTS is `*`.", hint="List the host names you serve.", id="loracraft.W002")]
