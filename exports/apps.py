from django.apps import AppConfig


class ExportsConfig(AppConfig):
    name = "exports"

    def ready(self) -> None:
        from exports.tasks import KIND
        from jobs import running

        running.register(KIND)
