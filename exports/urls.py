from django.urls import path

from exports import registry_views, views

app_name = "exports"
urlpatterns = [
    path("models/", registry_views.index, name="models"),
    path("models/<uuid:pk>/", registry_views.detail, name="model"),
    path("models/<uuid:pk>/note/", registry_views.note, name="model_note"),
    path("models/<uuid:pk>/delete/", registry_views.delete, name="model_delete"),
    path("sessions/<uuid:pk>/exports/", views.panel, name="panel"),
    path("sessions/<uuid:pk>/exports/create/", views.create, name="create"),
    path("exports/<uuid:pk>/cancel/", views.cancel, name="cancel"),
    path("exports/<uuid:pk>/delete/", views.delete, name="delete"),
    path("exports/<uuid:pk>/download/<str:name>", views.download, name="download"),
]
