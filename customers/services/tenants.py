"""Tenants and their two environments."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from django.db import IntegrityError, transaction

from customers.errors import Conflict, FieldError, ValidationFailed
from customers.kernel.caller import Caller
from customers.kernel.database import environment_scope
from customers.models import Environment, EnvironmentKind, Tenant
from customers.services.api_keys import IssuedKey, api_key_issue
from customers.services.audit import audit_record


@dataclass(frozen=True, slots=True, kw_only=True)
class NewTenant:
    """A tenant as it begins: two environments, a key to each."""

    tenant: Tenant
    live: Environment
    test: Environment
    live_key: IssuedKey
    test_key: IssuedKey


@transaction.atomic
def tenant_create(
    *, actor: str, name: str, request_id: str = "", address: str = "", now: datetime
) -> NewTenant:
    """A tenant with its environments and one key each. There is no environment yet to call from, hence `actor`."""
    if not name.strip() or len(name) > 200 or "\x00" in name:
        raise ValidationFailed(errors=(FieldError("name", "invalid-name", "Must be 1 to 200 characters."),))
    try:
        with transaction.atomic():
            tenant = Tenant.objects.create(name=name, created_at=now)
    except IntegrityError:
        raise Conflict(f"There is a tenant named {name} already.") from None
    made = {}
    for kind in EnvironmentKind:
        environment = Environment.objects.create(tenant=tenant, kind=kind, created_at=now)
        caller = Caller(environment_id=environment.id, actor=actor, request_id=request_id, address=address)
        made[kind] = (environment, _open_environment(caller, tenant, now))
    live, live_key = made[EnvironmentKind.LIVE]
    test, test_key = made[EnvironmentKind.TEST]
    return NewTenant(tenant=tenant, live=live, test=test, live_key=live_key, test_key=test_key)


def _open_environment(caller: Caller, tenant: Tenant, now: datetime) -> IssuedKey:
    with environment_scope(caller.environment_id):
        audit_record(
            caller=caller,
            action="tenant.created",
            object_type="tenant",
            object_id=str(tenant.id),
            changes={"name": [None, tenant.name]},
            now=now,
        )
    return api_key_issue(caller=caller, name="First key", now=now)
