import logging
import secrets

from django.contrib.auth.decorators import login_not_required
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render

logger = logging.getLogger(__name__)


@login_not_required
def healthz(request: HttpRequest) -> JsonResponse:
    return JsonResponse({"status": "ok"})


@login_not_required
def server_error(request: HttpRequest) -> HttpResponse:
    """The page names a reference, under which the traceback stands in the log."""
    reference = secrets.token_hex(4)
    logger.error("Error page %s for %s %s", reference, request.method, request.path, exc_info=True)
    return render(None, "500.html", {"reference": reference}, status=500)
