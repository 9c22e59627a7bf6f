import re
import time
from typing import Any
from uuid import UUID

from django.contrib.auth.models import User
from django.http import Http404
from django.urls import re_path
from rest_framework import serializers, status
from rest_framework.decorators import api_view
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.access import get_or_404
from accounts.models import Role
from evaluation import trying
from evaluation.batch_api import routes as batch_routes
from evaluation.compare_api import routes as compare_routes
from evaluation.evaluation_api import routes as evaluation_routes
from evaluation.forms import MAX_TOKENS, TrialForm, defaults
from evaluation.models import Trial
from loracraft.inputs import valid
from training import adapters
from training.choices import Kind
from training.models import Event, Session

UUID_IN_PATH = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
WAIT_SECONDS, LONGEST_WAIT = 60, 300
LISTED = 500


class TestModel(serializers.Serializer[Any]):
    model_path = serializers.CharField(max_length=500, help_text="outputs/<session id>/ or the session's id.")
    prompt = serializers.CharField(max_length=100_000, trim_whitespace=False)
    temperature = serializers.FloatField(required=False, min_value=0, max_value=5)
    top_p = serializers.FloatField(required=False, min_value=0.01, max_value=1)
    max_tokens = serializers.IntegerField(required=False, min_value=1, max_value=MAX_TOKENS)
    seed = serializers.IntegerField(required=False, min_value=0, max_value=2**32 - 1)
    use_system_prompt = serializers.BooleanField(required=False)
    expected = serializers.CharField(required=False, allow_blank=True, max_length=20_000)
    wait = serializers.FloatField(default=WAIT_SECONDS, min_value=0, max_value=LONGEST_WAIT)


def as_json(trial: Trial) -> dict[str, Any]:
    adapter = trial.answers.get("adapter") or {}
    return {
        "id": str(trial.id),
        "session_id": str(trial.session_id),
        "status": trial.status,
        "progress": trial.progress,
        "message": trial.message,
        "error": trial.error,
        "prompt": trial.prompt,
        "response": adapter.get("text"),
        "answers": trial.answers,
    }


@api_view(["POST"])
def test(request: Request) -> Response:
    """Answers a prompt with base and adapter: 200 with the answers, 202 with an id after `wait` seconds."""
    wanted = valid(TestModel, request.data)
    session = get_or_404(Session, request.user, _session_id(wanted["model_path"]), Role.MEMBER)
    wanted["max_new_tokens"] = wanted.pop("max_tokens", defaults(session)["max_new_tokens"])
    checked = TrialForm({**defaults(session), **{n: v for n, v in wanted.items() if n in TrialForm.base_fields}})
    if not checked.is_valid():
        raise serializers.ValidationError({name: [str(e) for e in errors] for name, errors in checked.errors.items()})
    try:
        trial = trying.create(session, signed_in_user(request), checked.cleaned_data["prompt"], checked.trial_settings)
    except trying.TrialProblem as problem:
        return Response({"error": str(problem), "fields": {}}, status=status.HTTP_400_BAD_REQUEST)
    _wait(trial, wanted["wait"])
    code = status.HTTP_202_ACCEPTED if trial.status in trying.OPEN else status.HTTP_200_OK
    return Response(as_json(trial), status=code)


def signed_in_user(request: Request) -> User | None:
    return request.user if isinstance(request.user, User) else None


def _session_id(model_path: str) -> str:
    """The id in outputs/<id>/, outputs/<id>/adapter, an absolute path of these, or alone."""
    found = UUID_IN_PATH.findall(model_path)
    if not found:
        raise Http404("model_path: write outputs/<session id>/, as GET /api/models/list gives it.")
    return str(found[-1])


def _wait(trial: Trial, seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while trial.status in trying.OPEN and time.monotonic() < deadline:
        time.sleep(0.25)
        trial.refresh_from_db()


@api_view(["GET"])
def trial(request: Request, pk: UUID) -> Response:
    return Response(as_json(get_or_404(Trial, request.user, pk)))


@api_view(["GET"])
def models(request: Request) -> Response:
    """The trained models of the user's teams, newest first."""
    sessions = list(Session.objects.of_user(request.user).exclude(config={})[:LISTED])
    trained = [session for session in sessions if adapters.has_any(session)]
    scores = _scores(trained)
    return Response({"models": [_model(session, scores.get(session.pk, {})) for session in trained]})


def _model(session: Session, scores: dict[str, Any]) -> dict[str, Any]:
    return {
        "session_id": str(session.pk),
        "name": session.name,
        "status": session.status,
        "base": session.config.get("model", {}).get("name"),
        "path": f"outputs/{session.pk}/",
        "adapter": f"outputs/{session.pk}/adapter/" if session.adapter.is_dir() else None,
        "score": (scores.get("adapter") or {}).get("accuracy"),
        "scores": scores,
        "created_at": session.created_at,
    }


def _scores(sessions: list[Session]) -> dict[Any, dict[str, Any]]:
    """{session: {label: summary}}, the latest of each, in one query."""
    events = Event.objects.filter(
        session__in=sessions, kind=Kind.EVALUATION, superseded=False, data__has_key="summary"
    ).order_by("seq")
    found: dict[Any, dict[str, Any]] = {}
    for event in events:
        found.setdefault(event.session_id, {})[event.data["label"]] = event.data["summary"]
    return found


UUID_PATTERN = r"(?P<pk>[0-9a-fA-F-]{36})"
routes = [
    re_path(r"^models/test/?$", test, name="api-model-test"),
    re_path(rf"^models/test/{UUID_PATTERN}/?$", trial, name="api-trial"),
    re_path(r"^models/list/?$", models, name="api-model-list"),
    *compare_routes,
    *batch_routes,
    *evaluation_routes,
]
