from django.apps import AppConfig


class TrainingConfig(AppConfig):
    name = "training"

    def ready(self) -> None:
        # Whoever queues a session, a page or a command, rings the worker's bell.
        from datasets_app import chat_rendering, prompt_templates
        from training import base_models, format_scores, tasks  # noqa: F401

        # What the pages of prompts need of models and rewards, which the app below can't import.
        chat_rendering.provide(base_models.chat_of, base_models.offered)
        prompt_templates.provide_judge(format_scores.judge)
