"""What the generator of the API's description cannot see by itself: scopes, Idempotency-Keys, a path's second form."""

from __future__ import annotations

from typing import Any, Final

from drf_spectacular.extensions import OpenApiAuthenticationExtension
from drf_spectacular.openapi import AutoSchema

from customers.api.authentication import scope_needed

IDEMPOTENCY_KEY: Final[dict[str, Any]] = {
    "name": "Idempotency-Key",
    "in": "header",
    "description": (
        "1 to 255 printable ASCII characters, from your own order or request id: the same call sent again with the "
        "same key acts once and gets the same answer."
    ),
    "schema": {"type": "string", "minLength": 1, "maxLength": 255},
}
SECURITY: Final[list[dict[str, list[str]]]] = [{"apiKey": []}, {"bearer": []}]
_BY_EXTERNAL_ID: Final = "/v1/customer-by-external-id/"


class EdgeSchema(AutoSchema):
    """DRF's views as they are behind our edge."""

    def get_operation(self, *args: Any, **kwargs: Any) -> Any:
        operation = super().get_operation(*args, **kwargs)
        if operation is None:
            return None
        operation["operationId"] += self._ending()
        # Either header; the generator would ask for both.
        operation["security"] = SECURITY
        operation["x-scope"] = scope_needed(self.view, self.method)
        required = getattr(getattr(self.view, self.method.lower()), "idempotency_required", None)
        if required is not None:
            operation.setdefault("parameters", []).append({**IDEMPOTENCY_KEY, "required": required})
        return operation

    def _ending(self) -> str:
        """Operation ids are unique, although a view may stand behind two paths."""
        aliases: dict[str, str] = {_BY_EXTERNAL_ID: "_by_external_id", **getattr(self.view, "aliases", {})}
        return next((ending for start, ending in aliases.items() if self.path.startswith(start)), "")


class ApiKeyScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]
    """Both headers the key may stand in."""

    target_class = "customers.api.authentication.ApiKeyAuthentication"
    name = ["apiKey", "bearer"]

    def get_security_definition(self, auto_schema: AutoSchema) -> list[dict[str, Any]]:
        return [
            {
                "type": "apiKey",
                "in": "header",
                "name": "X-API-Key",
                "description": "The secret of an API key: `sk_live_…` or `sk_test_…`.",
            },
            {"type": "http", "scheme": "bearer", "description": "The same secret."},
        ]
