from django.apps import AppConfig


class RewardsConfig(AppConfig):
    name = "rewards"

    def ready(self) -> None:
        from rewards import judge_access, sandbox_check  # noqa: F401

        judge_access.provide()
