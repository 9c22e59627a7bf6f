from django.apps import AppConfig


class EvaluationConfig(AppConfig):
    name = "evaluation"

    def ready(self) -> None:
        from evaluation import answer_sets
        from evaluation.tasks import ANSWER_SETS, BATCHES, EVALUATIONS, KIND
        from jobs import running
        from rewards import bench_sources

        running.register(KIND)
        running.register(ANSWER_SETS)
        running.register(BATCHES)
        running.register(EVALUATIONS)
        # The test bench of rewards lets models answer, and can't import this app.
        bench_sources.provide_models(answer_sets)
