from django.apps import AppConfig


class RewardsConfig(AppConfig):
    name = "rewards"

    def ready(self) -> None:
        from jobs import running
        from rewards import judge_access, sandbox_check  # noqa: F401
        from rewards.tasks import EXAMINATION

        judge_access.provide()
        running.register(EXAMINATION)
