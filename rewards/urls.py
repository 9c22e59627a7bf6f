from django.urls import path

from rewards import bench_views, case_views, composer_views, views

app_name = "rewards"
urlpatterns = [
    path("", views.library, name="list"),
    path("new/", composer_views.new, name="new"),
    path("import/", composer_views.import_preset, name="import"),
    path("compose/parts/", composer_views.parts, name="compose-parts"),
    path("compose/sample/", composer_views.sample, name="compose-sample"),
    path("compose/live/", composer_views.live, name="compose-live"),
    path("bench/", bench_views.page, name="bench"),
    path("bench/case/", case_views.add, name="bench-case"),
    path("cases/take-back/", case_views.take_back, name="case-take-back"),
    path("bench/sessions/", bench_views.find_sessions, name="bench-sessions"),
    path("bench/steps/", bench_views.steps, name="bench-steps"),
    path("bench/models/", bench_views.find_models, name="bench-models"),
    path("bench/ask/", bench_views.ask, name="bench-ask"),
    path("bench/answers/<uuid:pk>/", bench_views.answers, name="bench-answers"),
    path("bench/answers/<uuid:pk>/cancel/", bench_views.cancel, name="bench-cancel"),
    path("bench/answers/<uuid:pk>/remove/", bench_views.remove, name="bench-remove"),
    path("bench/answers/<uuid:pk>/keep/", bench_views.keep, name="bench-keep"),
    path("<uuid:pk>/", views.detail, name="detail"),
    path("<uuid:pk>/score/", views.score, name="score"),
    path("<uuid:pk>/examine/", views.examine, name="examine"),
    path("examinations/<uuid:pk>/cancel/", views.cancel_examination, name="examination-cancel"),
    path("<uuid:pk>/cases/remove/", case_views.drop, name="case-remove"),
    path("<uuid:pk>/copy/", views.copy, name="copy"),
    path("<uuid:pk>/edit/", composer_views.edit, name="edit"),
    path("<uuid:pk>/versions/", views.versions, name="versions"),
    path("<uuid:pk>/versions/<int:number>/restore/", views.restore, name="restore"),
    path("<uuid:pk>/export/", views.export, name="export"),
    path("<uuid:pk>/delete/", views.delete, name="delete"),
]
