from django.contrib import admin
from django.urls import include, path

from loracraft import api, views

urlpatterns = [
    path("healthz", views.healthz, name="healthz"),
    path("admin/", admin.site.urls),
    path("api/", include(api.routes)),
    path("", include("accounts.urls")),
    path("", include("training.urls")),
    path("datasets/", include("datasets_app.urls")),
    path("rewards/", include("rewards.urls")),
    path("", include("evaluation.urls")),
    path("", include("exports.urls")),
]
