from django.urls import path

from exports import check_views, push_views, registry_views, views

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
    path("exports/<uuid:pk>/check/", check_views.check, name="check"),
    path("exports/<uuid:pk>/check/start/", check_views.start, name="check_start"),
    path("exports/<uuid:pk>/check/cancel/", check_views.cancel, name="check_cancel"),
    path("exports/<uuid:pk>/check/sign-off/", check_views.sign_off, name="check_sign_off"),
    path("exports/<uuid:pk>/push/", push_views.pushed, name="push"),
    path("exports/<uuid:pk>/push/start/", push_views.start, name="push_start"),
    path("exports/pushes/<uuid:pk>/cancel/", push_views.cancel, name="push_cancel"),
]
