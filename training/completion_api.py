"""Stored answers of a session, and what its groups were good for, over REST."""

from typing import Any

from django.urls import re_path
from rest_framework import serializers
from rest_framework.decorators import api_view
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.access import get_or_404
from training import completions, divergence, signal_ledger
from training.completion_forms import CompletionSearch
from training.models import Completion, Session


@api_view(["GET"])
def search(request: Request, session_id: str, **_: Any) -> Response:
    """The newest first; `next` is the cursor `before` of what follows, null at the end."""
    session = get_or_404(Session, request.user, session_id)
    form = CompletionSearch(request.query_params)
    if not form.is_valid():
        raise serializers.ValidationError({name: [str(each) for each in said] for name, said in form.errors.items()})
    given = form.cleaned_data
    page = completions.search(session, form.filters(), given["before"], given["limit"] or completions.PAGE)
    numbers = completions.places(page.rows)
    shown = [as_json(row, numbers[row.pk]) for row in page.rows]
    return Response({"completions": shown, "next": page.cursor, "complete": page.complete})


def as_json(row: Completion, prompt: int) -> dict[str, Any]:
    return {
        "id": row.pk,
        "step": row.step,
        "prompt": prompt,
        "answer": row.index + 1,
        "text": row.text,
        "characters": row.characters,
        "length": row.length,
        "total": row.total,
        "advantage": row.advantage,
        "cut_off": row.cut_off,
        "failed": row.failed,
    }


@api_view(["GET"])
def signal(request: Request, session_id: str, **_: Any) -> Response:
    """The ledger of groups, null where no step counted them, and what to inspect."""
    session = get_or_404(Session, request.user, session_id)
    found = signal_ledger.ledger(session)
    here, dismissed = divergence.sorted_out(session)
    notes = [{**note.as_json(), "dismissed": False} for note in here]
    notes += [{**each.note.as_json(), "dismissed": True} for each in dismissed]
    return Response({"ledger": found.as_json() if found else None, "inspect": notes})


OF_SESSION = r"^sessions/(?P<session_id>[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12})"
routes = [re_path(rf"{OF_SESSION}/completions/?$", search), re_path(rf"{OF_SESSION}/signal/?$", signal)]
