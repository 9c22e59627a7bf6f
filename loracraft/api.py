"""The API's one router and its one error shape: {"error": sentence, "fields": {field: [messages]}}."""

from typing import Any

from rest_framework.response import Response
from rest_framework.views import exception_handler

from accounts.api import routes as accounts_routes
from datasets_app.api import routes as datasets_routes
from evaluation.api import routes as evaluation_routes
from exports.api import routes as exports_routes
from jobs.leases import AWAY
from rewards.api import routes as rewards_routes
from training.api import routes as training_routes

routes = [
    *accounts_routes,
    *training_routes,
    *datasets_routes,
    *rewards_routes,
    *evaluation_routes,
    *exports_routes,
]


def error_response(error: Exception, context: dict[str, Any]) -> Response | None:
    if isinstance(error, AWAY):
        return Response({"error": "The database can't be reached. Try again in a moment.", "fields": {}}, status=503)
    response = exception_handler(error, context)
    if response is None:
        return None
    detail = response.data
    if isinstance(detail, dict) and "detail" in detail:
        response.data = {"error": str(detail["detail"]), "fields": {}}
    else:
        response.data = {"error": "Some fields need attention.", "fields": detail}
    return response
