"""Who sent an `Authorization` header: the REST API and the WebSocket ask here."""

from typing import Any

from django.contrib.auth.models import User
from django.http import HttpRequest
from knox.auth import TokenAuthentication
from rest_framework.authentication import BasicAuthentication
from rest_framework.exceptions import AuthenticationFailed
from rest_framework.request import Request


class ApiTokenAuthentication(TokenAuthentication):
    def authenticate_credentials(self, token: bytes) -> tuple[User, Any]:
        # knox decodes the header unchecked: bytes that are no UTF-8 would end as a server error.
        if not token.isascii():
            raise AuthenticationFailed("Invalid token.")
        credentials: tuple[User, Any] = super().authenticate_credentials(token)
        return credentials


def user_of_header(header: bytes) -> User | None:
    """The active user whose token or name and password `header` carries, else None."""
    request = HttpRequest()
    request.META["HTTP_AUTHORIZATION"] = header.decode("latin1")
    for authentication in (ApiTokenAuthentication(), BasicAuthentication()):
        try:
            found = authentication.authenticate(Request(request))
        except AuthenticationFailed:
            return None
        if found:
            return found[0]
    return None
