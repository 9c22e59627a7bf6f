from django.apps import AppConfig


class DatasetsConfig(AppConfig):
    name = "datasets_app"

    def ready(self) -> None:
        from datasets_app import sweeping
        from datasets_app.tasks import CHECK, KIND
        from jobs import dispatcher, running

        running.register(KIND)
        running.register(CHECK)
        dispatcher.looks.append(sweeping.look)
