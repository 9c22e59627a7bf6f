from django.contrib.auth.views import LoginView, LogoutView
from django.urls import path

from accounts import views

urlpatterns = [
    path("login/", LoginView.as_view(redirect_authenticated_user=True), name="login"),
    path("logout/", LogoutView.as_view(), name="logout"),
    path("team/", views.team, name="team"),
    path("team/token/", views.save_token, name="team-token"),
    path("team/token/remove/", views.remove_token, name="team-token-remove"),
    path("team/judge-keys/", views.save_judge_key, name="team-judge-key"),
    path("team/judge-keys/remove/", views.remove_judge_key, name="team-judge-key-remove"),
]
