"""Cursor pages, newest first, stable while rows are being added."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final, NoReturn
from uuid import UUID

from rest_framework.pagination import BasePagination
from rest_framework.request import Request
from rest_framework.response import Response

from customers.errors import FieldError, ValidationFailed

if TYPE_CHECKING:
    # DRF imports this module while it makes its views.
    from rest_framework.views import APIView

_LIMIT: Final = 50
_LIMIT_MAX: Final = 100


class NewestFirst(BasePagination):
    """`?limit=&cursor=` → `{"data": […], "pagination": {"has_more", "next_cursor"}}`.

    Pages by one unique column that grows with time: the UUIDv7 key, or a view's `cursor_field` such as an account's
    entry sequence.
    """

    _next_cursor: str | None = None

    def paginate_queryset(self, queryset: Any, request: Request, view: APIView | None = None) -> list[Any]:
        field: str = getattr(view, "cursor_field", "id")
        limit = limit_of(request.query_params)
        cursor = request.query_params.get("cursor")
        if cursor is not None:
            queryset = queryset.filter(**{f"{field}__lt": _position(cursor)})
        rows = list(queryset.order_by(f"-{field}")[: limit + 1])
        self._next_cursor = _cursor(getattr(rows[limit - 1], field)) if len(rows) > limit else None
        return rows[:limit]

    def get_paginated_response(self, data: Any) -> Response:
        return Response(
            {
                "data": data,
                "pagination": {"has_more": self._next_cursor is not None, "next_cursor": self._next_cursor},
            }
        )

    def get_paginated_response_schema(self, schema: dict[str, Any]) -> dict[str, Any]:
        return {
            "type": "object",
            "required": ["data", "pagination"],
            "properties": {
                "data": schema,
                "pagination": {
                    "type": "object",
                    "required": ["has_more", "next_cursor"],
                    "properties": {
                        "has_more": {"type": "boolean", "example": False},
                        "next_cursor": {"type": ["string", "null"], "example": None},
                    },
                },
            },
        }

    def get_schema_operation_parameters(self, view: APIView) -> list[dict[str, Any]]:
        return [
            {
                "name": "limit",
                "in": "query",
                "description": f"How many at most ({_LIMIT}).",
                "schema": {"type": "integer", "minimum": 1, "maximum": _LIMIT_MAX, "default": _LIMIT},
            },
            {
                "name": "cursor",
                "in": "query",
                "description": "`next_cursor` of the page before.",
                "schema": {"type": "string"},
            },
        ]


def limit_of(parameters: Mapping[str, str]) -> int:
    """How many rows a page has, as its `limit` says."""
    text = parameters.get("limit")
    if text is None:
        return _LIMIT
    if not (text.isascii() and text.isdigit() and len(text) <= 4 and 1 <= int(text) <= _LIMIT_MAX):
        _refuse("limit", f"Must be a whole number from 1 to {_LIMIT_MAX}.")
    return int(text)


def _cursor(value: UUID | int) -> str:
    text = value.hex if isinstance(value, UUID) else f"n{value}"
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def _position(cursor: str) -> UUID | int:
    try:
        text = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True).decode(
            "ascii"
        )
        position = int(text[1:20]) if text.startswith("n") else UUID(hex=text)
    except (ValueError, binascii.Error):
        _refuse("cursor", "Must be a next_cursor of this list.")
    return position


def _refuse(field: str, message: str) -> NoReturn:
    raise ValidationFailed(errors=(FieldError(field, f"invalid-{field}", message),))
