from django.urls import path

from evaluation import batch_views, compare_views, views

app_name = "evaluation"
urlpatterns = [
    path("sessions/compare/", compare_views.page, name="compare"),
    path("sessions/compare/scores/", compare_views.scores_part, name="compare_scores"),
    path("sessions/compare/choices/", compare_views.choices, name="compare_choices"),
    path("sessions/compare/metrics.csv", compare_views.csv, name="compare_csv"),
    path("sessions/<uuid:pk>/evaluation/", views.before_after, name="before_after"),
    path("sessions/<uuid:pk>/try/", views.try_model, name="try"),
    path("batches/", batch_views.index, name="batches"),
    path("batches/new/", batch_views.new, name="batch_new"),
    path("batches/file/", batch_views.file, name="batch_file"),
    path("batches/models/", batch_views.find_models, name="batch_models"),
    path("batches/weights/", batch_views.find_weights, name="batch_weights"),
    path("batches/<uuid:pk>/", batch_views.detail, name="batch"),
    path("batches/<uuid:pk>/rows/<int:number>/", batch_views.row, name="batch_row"),
    path("batches/<uuid:pk>/cancel/", batch_views.cancel, name="batch_cancel"),
    path("batches/<uuid:pk>/go-on/", batch_views.go_on, name="batch_go_on"),
    path("batches/<uuid:pk>/delete/", batch_views.delete, name="batch_delete"),
    path("batches/<uuid:pk>/rows.csv", batch_views.export_csv, name="batch_csv"),
    path("batches/<uuid:pk>/rows.json", batch_views.export_json, name="batch_json"),
    path("trials/<uuid:pk>/", views.trial, name="trial"),
    path("trials/<uuid:pk>/cancel/", views.cancel_trial, name="cancel_trial"),
]
