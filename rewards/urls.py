from django.urls import path

from rewards import views

app_name = "rewards"
urlpatterns = [
    path("", views.library, name="list"),
    path("<uuid:pk>/", views.detail, name="detail"),
    path("<uuid:pk>/score/", views.score, name="score"),
    path("<uuid:pk>/copy/", views.copy, name="copy"),
    path("<uuid:pk>/edit/", views.edit, name="edit"),
    path("<uuid:pk>/delete/", views.delete, name="delete"),
]
