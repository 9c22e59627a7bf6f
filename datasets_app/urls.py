from django.urls import path

from datasets_app import views

app_name = "datasets"
urlpatterns = [
    path("", views.list_datasets, name="list"),
    path("upload/", views.upload, name="upload"),
    path("generate/", views.generate, name="generate"),
    path("generate/task/", views.task, name="task"),
    path("generate/example/", views.example, name="example"),
    path("<uuid:pk>/", views.detail, name="detail"),
    path("<uuid:pk>/preview/", views.preview, name="preview"),
    path("<uuid:pk>/mapping/", views.mapping, name="mapping"),
    path("<uuid:pk>/split/", views.split, name="split"),
    path("<uuid:pk>/accept/", views.accept, name="accept"),
    path("<uuid:pk>/delete/", views.delete, name="delete"),
]
