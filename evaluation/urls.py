from django.urls import path

from evaluation import compare_views, views

app_name = "evaluation"
urlpatterns = [
    path("sessions/compare/", compare_views.page, name="compare"),
    path("sessions/compare/scores/", compare_views.scores_part, name="compare_scores"),
    path("sessions/compare/choices/", compare_views.choices, name="compare_choices"),
    path("sessions/compare/metrics.csv", compare_views.csv, name="compare_csv"),
    path("sessions/<uuid:pk>/evaluation/", views.before_after, name="before_after"),
    path("sessions/<uuid:pk>/try/", views.try_model, name="try"),
    path("trials/<uuid:pk>/", views.trial, name="trial"),
    path("trials/<uuid:pk>/cancel/", views.cancel_trial, name="cancel_trial"),
]
