from django.apps import AppConfig


class TrainingConfig(AppConfig):
    name = "training"

    def ready(self) -> None:
        # Whoever queues a session, a page or a command, rings the worker's bell.
        from training import tasks  # noqa: F401
