from __future__ import annotations

import hashlib
from decimal import Decimal
from typing import Any

from django.db import transaction
from django.db.models import F, Q
from django.utils import timezone
from rest_framework import serializers
from rest_framework.authentication import BaseAuthentication
from rest_framework.exceptions import AuthenticationFailed, NotFound
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from benchmarks.naive.models import Account, ApiKey, Block, Customer, LedgerEntry, Metric, UsageEvent


class KeyAuthentication(BaseAuthentication):
    def authenticate(self, request: Request) -> tuple[None, ApiKey]:
        digest = hashlib.sha256(request.headers.get("X-API-Key", "").encode()).hexdigest()
        key = ApiKey.objects.select_related("tenant").filter(secret_sha256=digest, revoked_at=None).first()
        if key is None:
            raise AuthenticationFailed
        return None, key


class KeyedView(APIView):
    authentication_classes = [KeyAuthentication]


class UsageSerializer(serializers.Serializer):
    external_customer_id = serializers.CharField(max_length=255)
    billable_metric_key = serializers.CharField(max_length=64)
    units = serializers.DecimalField(max_digits=20, decimal_places=6, min_value=Decimal("0.000001"))
    idempotency_key = serializers.CharField(max_length=255)
    timestamp = serializers.DateTimeField(required=False)
    properties = serializers.DictField(required=False)


class UsageView(KeyedView):
    def post(self, request: Request) -> Response:
        serializer = UsageSerializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        return _record(request.auth.tenant, serializer.validated_data)


@transaction.atomic
def _record(tenant: Any, wish: dict[str, Any]) -> Response:
    existing = UsageEvent.objects.filter(tenant=tenant, idempotency_key=wish["idempotency_key"]).first()
    if existing is not None:
        return Response(_document(existing, duplicate=True), status=202)
    metric = _get(Metric, tenant=tenant, key=wish["billable_metric_key"])
    customer = _get(Customer, tenant=tenant, external_id=wish["external_customer_id"])
    account = Account.objects.select_for_update().get(customer=customer)
    cost = metric.price * wish["units"]
    if account.balance < cost and not customer.overage_allowed:
        return Response({"code": "insufficient-credits", "balance": account.balance}, status=402)
    event = UsageEvent.objects.create(
        tenant=tenant,
        customer=customer,
        metric=metric,
        idempotency_key=wish["idempotency_key"],
        units=wish["units"],
        cost=cost,
        occurred_at=wish.get("timestamp") or timezone.now(),
        properties=wish.get("properties", {}),
    )
    _debit(account, event, cost)
    return Response(_document(event, duplicate=False), status=202)


def _debit(account: Account, event: UsageEvent, cost: Decimal) -> None:
    entries = []
    missing = cost
    blocks = (
        Block.objects.select_for_update()
        .filter(Q(expires_at=None) | Q(expires_at__gt=timezone.now()), account=account, remaining__gt=0)
        .order_by("-priority", F("expires_at").asc(nulls_last=True), "created_at", "id")
    )
    for block in blocks:
        taken = min(block.remaining, missing)
        block.remaining -= taken
        block.save(update_fields=["remaining"])
        missing -= taken
        account.balance -= taken
        entries.append(_entry(account, block, event, taken))
        if not missing:
            break
    if missing:
        account.balance -= missing
        entries.append(_entry(account, None, event, missing))
    LedgerEntry.objects.bulk_create(entries)
    account.save(update_fields=["balance", "updated_at"])


def _entry(account: Account, block: Block | None, event: UsageEvent, amount: Decimal) -> LedgerEntry:
    return LedgerEntry(
        account=account, block=block, event=event, amount=-amount, balance_after=account.balance
    )


def _document(event: UsageEvent, *, duplicate: bool) -> dict[str, Any]:
    return {
        "event_id": str(event.id),
        "idempotency_key": event.idempotency_key,
        "status": "accepted",
        "estimated_cost": event.cost,
        "duplicate": duplicate,
    }


class EntitlementView(KeyedView):
    def get(self, request: Request, external_id: str, metric_key: str) -> Response:
        tenant = request.auth.tenant
        customer = _get(Customer, tenant=tenant, external_id=external_id)
        metric = _get(Metric, tenant=tenant, key=metric_key)
        account = Account.objects.get(customer=customer)
        allowed = customer.overage_allowed or account.balance >= metric.price
        return Response(
            {
                "allowed": allowed,
                "customer_id": str(customer.id),
                "external_customer_id": external_id,
                "billable_metric_key": metric_key,
                "balance": account.balance,
                "estimated_cost": metric.price,
                "affordable_units": account.balance // metric.price,
            }
        )


class BalanceView(KeyedView):
    def get(self, request: Request, external_id: str) -> Response:
        customer = _get(Customer, tenant=request.auth.tenant, external_id=external_id)
        account = Account.objects.get(customer=customer)
        return Response(
            {"customer_id": str(customer.id), "external_customer_id": external_id, "balance": account.balance}
        )


def _get(model: Any, **fields: Any) -> Any:
    try:
        return model.objects.get(**fields)
    except model.DoesNotExist:
        raise NotFound from None
