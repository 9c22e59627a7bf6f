from django.urls import path

from training import session_views, setup_views, views

app_name = "training"
urlpatterns = [
    path("sessions/", views.sessions, name="sessions"),
    path("sessions/recent/", views.recent, name="recent"),
    path("sessions/new/", setup_views.new, name="new"),
    path("now/", views.now, name="now"),
    path("sessions/<uuid:pk>/setup/<slug:step>/", setup_views.setup, name="setup"),
    path("sessions/<uuid:pk>/template/", setup_views.use_template, name="use_template"),
    path("sessions/<uuid:pk>/template/save/", setup_views.save_template, name="save_template"),
    path("sessions/<uuid:pk>/prompt/preview/", setup_views.prompt_preview, name="prompt_preview"),
    path("sessions/<uuid:pk>/config/import/", setup_views.import_config, name="import_config"),
    path("sessions/<uuid:pk>/config/save/", setup_views.save_config, name="save_config"),
    path("sessions/<uuid:pk>/config/load/", setup_views.load_config, name="load_config"),
    path("sessions/<uuid:pk>/start/", setup_views.start, name="start"),
    path("sessions/<uuid:pk>/stop/", views.stop, name="stop"),
    path("sessions/<uuid:pk>/resume/", views.resume, name="resume"),
    path("sessions/<uuid:pk>/cancel/", views.cancel, name="cancel"),
    path("sessions/<uuid:pk>/delete/", views.delete, name="delete"),
    path("sessions/<uuid:pk>/clone/", views.clone, name="clone"),
    path("sessions/<uuid:pk>/", session_views.session, name="session"),
    path("sessions/<uuid:pk>/head/", session_views.head, name="session_head"),
    path("sessions/<uuid:pk>/checkpoints/", session_views.checkpoints, name="checkpoints"),
    path("sessions/<uuid:pk>/events/", session_views.events, name="events"),
    path("sessions/<uuid:pk>/series/", session_views.series_json, name="series"),
    path("sessions/<uuid:pk>/groups/", session_views.groups, name="groups"),
    path("sessions/<uuid:pk>/groups/<int:seq>/<int:group>/<int:index>/", session_views.completion, name="completion"),
    path("sessions/<uuid:pk>/metrics.csv", session_views.metrics_csv, name="metrics_csv"),
    path("sessions/<uuid:pk>/log.txt", session_views.log_text, name="log"),
    path("sessions/<uuid:pk>/config.json", session_views.config_json, name="config_json"),
    path("models/", views.models, name="models"),
    path("configs/", views.configs, name="configs"),
    path("configs/<uuid:pk>/config.json", views.config_file, name="config_file"),
    path("configs/<uuid:pk>/delete/", views.config_delete, name="config_delete"),
]
