from django.urls import path

from exports import views

app_name = "exports"
urlpatterns = [
    path("sessions/<uuid:pk>/exports/", views.panel, name="panel"),
    path("sessions/<uuid:pk>/exports/create/", views.create, name="create"),
    path("exports/<uuid:pk>/cancel/", views.cancel, name="cancel"),
    path("exports/<uuid:pk>/delete/", views.delete, name="delete"),
    path("exports/<uuid:pk>/download/<str:name>", views.download, name="download"),
]
