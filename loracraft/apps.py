from django.apps import AppConfig


class LoracraftConfig(AppConfig):
    name = "loracraft"

    def ready(self) -> None:
        from loracraft import checks  # noqa: F401
