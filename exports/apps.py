from django.apps import AppConfig


class ExportsConfig(AppConfig):
    name = "exports"

    def ready(self) -> None:
        from exports import asking
        from exports.tasks import CHECKS, KIND, PUSHES
        from jobs import running

        running.register(KIND)
        running.register(CHECKS)
        running.register(PUSHES)
        asking.register()
