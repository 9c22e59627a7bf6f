from django.contrib import admin
from django.urls import include, path

from loracraft import api, views
from training import views as pages

urlpatterns = [
    path("healthz", views.healthz, name="healthz"),
    path("admin/", admin.site.urls),
    path("api/", include(api.routes)),
    path("", pages.home, name="home"),
    path("help/", pages.help_page, name="help"),
    path("", include("accounts.urls")),
    path("", include("training.urls")),
    path("datasets/", include("datasets_app.urls")),
    path("rewards/", include("rewards.urls")),
    path("", include("evaluation.urls")),
    path("", include("exports.urls")),
]

handler500 = "loracraft.views.server_error"
