"""The run manifest of a session as a file, and a new session from such a file."""

from uuid import UUID

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import redirect
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST, require_safe

from accounts.access import current_team, get_or_404
from accounts.models import Role
from training import manifests, reproduction
from training.forms import ConfigFileForm
from training.models import Session
from training.setup_views import read_file

WARNINGS_SHOWN = 8


@require_safe
@never_cache
def manifest(request: HttpRequest, pk: UUID) -> HttpResponse:
    session = get_or_404(Session, request.user, pk)
    try:
        content = manifests.manifest(session)
    except manifests.NotStarted as problem:
        messages.info(request, str(problem))
        return redirect("training:session", pk)
    response = JsonResponse(content, json_dumps_params={"indent": 2, "ensure_ascii": False})
    response["Content-Disposition"] = f'attachment; filename="{manifests.file_name(session)}"'
    return response


@require_POST
def reproduce(request: HttpRequest) -> HttpResponse:
    """A draft from a manifest that is uploaded; where that is refused, back to the page it was sent from."""
    team = current_team(request.user, Role.MEMBER)
    form = ConfigFileForm(request.POST, request.FILES)
    content, problem = (None, form.errors["file"][0]) if not form.is_valid() else read_file(form.cleaned_data["file"])
    if content is None:
        return refused(request, [str(problem)])
    try:
        session, warnings = reproduction.reproduce(team, request.user, content)
    except reproduction.NotReproducible as error:
        return refused(request, error.problems)
    tell(request, warnings)
    return redirect("training:setup", session.pk, "review")


def refused(request: HttpRequest, problems: list[str]) -> HttpResponse:
    for line in problems:
        messages.error(request, line)
    target = request.POST.get("next", "")
    allowed = url_has_allowed_host_and_scheme(target, {request.get_host()}, request.is_secure())
    return redirect(target if allowed else "training:configs")


def tell(request: HttpRequest, warnings: list[str]) -> None:
    messages.success(request, "Everything that the manifest needs is here. Start this draft to do the run again.")
    for line in warnings[:WARNINGS_SHOWN]:
        messages.warning(request, line)
    if len(warnings) > WARNINGS_SHOWN:
        more = len(warnings) - WARNINGS_SHOWN
        messages.warning(request, f"And {more} more differences: manage.py reproduce prints all of them.")
