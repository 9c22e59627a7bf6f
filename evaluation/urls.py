from django.urls import path

from evaluation import views

app_name = "evaluation"
urlpatterns = [
    path("sessions/<uuid:pk>/evaluation/", views.before_after, name="before_after"),
    path("sessions/<uuid:pk>/try/", views.try_model, name="try"),
    path("trials/<uuid:pk>/", views.trial, name="trial"),
    path("trials/<uuid:pk>/cancel/", views.cancel_trial, name="cancel_trial"),
]
