"""/v1/api-keys, also as /v1/admin/api-keys."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from drf_spectacular.utils import OpenApiExample, extend_schema
from rest_framework import serializers
from rest_framework.response import Response

from customers.api.fields import InstantField, StrictSerializer, TextField, TypeIdField
from customers.api.idempotency import idempotent
from customers.api.requests import ApiRequest
from customers.api.views import Endpoint, object_id
from customers.errors import NotFound
from customers.models import ApiKey
from customers.services.api_keys import SCOPES, api_key_issue, api_key_revoke


class ApiKeyCreate(StrictSerializer):
    name = TextField(max_length=200)
    scopes = serializers.ListField(
        child=serializers.ChoiceField(choices=[(scope, scope) for scope in SCOPES]),
        required=False,
        max_length=len(SCOPES),
    )
    expires_at = InstantField(required=False, allow_null=True)


class ApiKeyShow(serializers.Serializer[ApiKey]):
    id = TypeIdField("key")
    name = serializers.CharField()
    hint = serializers.CharField()
    scopes = serializers.ListField(child=serializers.CharField())
    created_at = InstantField()
    expires_at = InstantField(allow_null=True)
    revoked_at = InstantField(allow_null=True)
    last_used_at = InstantField(allow_null=True)


class ApiKeyIssued(ApiKeyShow):
    secret = serializers.CharField(allow_null=True, help_text="Shown in this answer only.")
    duplicate = serializers.BooleanField(required=False)


_EXAMPLE: dict[str, Any] = {
    "id": "key_01jzgd2kq8e5rtx3m9v7c4b6na",
    "name": "Backend",
    "hint": "sk_test_…Xa3f",
    "scopes": [],
    "created_at": "2026-04-03T09:01:00Z",
    "expires_at": None,
    "revoked_at": None,
    "last_used_at": None,
}
_ALIASES = {"/v1/admin/": "_admin"}
_SHOWN = OpenApiExample("A key", value=_EXAMPLE, response_only=True)


class ApiKeys(Endpoint):
    resource = "keys"
    aliases = _ALIASES
    queryset = ApiKey.objects.none()
    serializer_class = ApiKeyShow

    @extend_schema(
        operation_id="api_keys_list",
        tags=["API keys"],
        summary="List API keys",
        description="Newest first, the revoked and expired ones too. Secrets are never shown again.",
        responses=ApiKeyShow(many=True),
        examples=[_SHOWN],
    )
    def get(self, request: ApiRequest) -> Response:
        return self.page(ApiKey.objects.filter(environment_id=request.caller.environment_id), ApiKeyShow)

    @extend_schema(
        operation_id="api_keys_create",
        tags=["API keys"],
        summary="Issue an API key",
        description=(
            "In the environment of the key that asks, and with no wider scopes. The secret is shown once: the same "
            "Idempotency-Key again shows the key without it."
        ),
        request=ApiKeyCreate,
        responses={201: ApiKeyIssued},
        examples=[
            OpenApiExample(
                "The new key",
                value={**_EXAMPLE, "secret": "sk_test_<44 letters and digits>"},
                response_only=True,
            ),
            OpenApiExample(
                "For ingestion only", value={"name": "Ingest", "scopes": ["usage:write"]}, request_only=True
            ),
        ],
    )
    @idempotent(again="shown_again", secret=True)
    def post(self, request: ApiRequest) -> Response:
        wish = self.read(ApiKeyCreate)
        issued = api_key_issue(
            caller=request.caller,
            name=wish["name"],
            scopes=wish.get("scopes", ()),
            expires_at=wish.get("expires_at"),
            within=request.key.scopes,
            now=request.now,
        )
        request.idempotency_effect(issued.key.id)
        return Response({**ApiKeyShow(issued.key).data, "secret": issued.secret}, status=201)

    def shown_again(self, _request: ApiRequest, effect_id: UUID) -> Response:
        key = ApiKey.objects.get(id=effect_id)
        return Response({**ApiKeyShow(key).data, "secret": None, "duplicate": True}, status=201)


class ApiKeyDetail(Endpoint):
    resource = "keys"
    aliases = _ALIASES
    serializer_class = ApiKeyShow

    @extend_schema(
        operation_id="api_keys_get",
        tags=["API keys"],
        summary="Get an API key",
        responses=ApiKeyShow,
        examples=[_SHOWN],
    )
    def get(self, request: ApiRequest, key_id: str) -> Response:
        key = ApiKey.objects.filter(
            environment_id=request.caller.environment_id, id=object_id("key", key_id)
        ).first()
        if key is None:
            raise NotFound(f"There is no API key {key_id}.")
        return Response(ApiKeyShow(key).data)


class ApiKeyRevoke(Endpoint):
    resource = "keys"
    aliases = _ALIASES
    serializer_class = ApiKeyShow

    @extend_schema(
        operation_id="api_keys_revoke",
        tags=["API keys"],
        summary="Revoke an API key",
        description="For good. Most endpoints refuse the key at once, the hot ones within a few seconds.",
        request=None,
        responses=ApiKeyShow,
        examples=[_SHOWN],
    )
    @idempotent()
    def post(self, request: ApiRequest, key_id: str) -> Response:
        key = api_key_revoke(caller=request.caller, key_id=object_id("key", key_id), now=request.now)
        return Response(ApiKeyShow(key).data)
