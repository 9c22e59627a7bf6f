from django.apps import AppConfig


class TrainingConfig(AppConfig):
    name = "training"

    def ready(self) -> None:
        # Whoever queues a session, a page or a command, rings the worker's bell.
        from datasets_app import chat_rendering, prompt_templates
        from jobs import running
        from rewards import bench_sources as bench
        from rewards import checks, outside
        from training import base_models, bench_sources, format_scores, reward_gate, reward_previews, tasks  # noqa: F401
        from training.preflight_tasks import PREFLIGHT

        running.register(PREFLIGHT)
        # What the pages of prompts and of rewards need of the apps that they can't import.
        chat_rendering.provide(base_models.chat_of, base_models.offered)
        prompt_templates.provide_judge(format_scores.judge)
        outside.provide(reward_previews.sources, reward_previews.row, reward_previews.uses)
        checks.provide(reward_gate.drawn)
        bench.provide(bench_sources)
