"""What a client of the API sent, checked by a serializer."""

from typing import Any

from rest_framework import serializers


def valid(serializer: type[serializers.Serializer[Any]], data: Any) -> dict[str, Any]:
    """Raises ValidationError, each message at its field."""
    given = serializer(data=data)
    given.is_valid(raise_exception=True)
    return dict(given.validated_data)
