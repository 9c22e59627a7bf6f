from django.apps import AppConfig


class EvaluationConfig(AppConfig):
    name = "evaluation"

    def ready(self) -> None:
        from evaluation.tasks import KIND
        from jobs import running

        running.register(KIND)
