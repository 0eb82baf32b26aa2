"""The five roles, as Django groups. `manage.py roles` makes them, and puts them back in order after an upgrade.

Nobody may change the ledger, events or the audit trail: there are no permissions for that which any page would ask for.
"""

from __future__ import annotations

from typing import Final

from django.contrib.auth.models import Group, Permission
from django.contrib.contenttypes.models import ContentType
from django.db import transaction

from billing.models import CreditAccount

_VIEW: Final = (
    "customers.view_tenant",
    "customers.view_environment",
    "customers.view_apikey",
    "customers.view_customer",
    "customers.view_customernote",
    "customers.view_auditrecord",
    "customers.view_outboxevent",
    "customers.view_webhookendpoint",
    "customers.view_webhookdelivery",
    "customers.view_job",
    "customers.view_approval",
    "billing.view_creditaccount",
    "billing.view_creditblock",
    "billing.view_ledgerentry",
    "billing.view_hold",
    "billing.view_topup",
    "billing.view_topuppackage",
    "billing.view_verificationrun",
    "billing.view_invoice",
    "billing.view_creditnote",
    "billing.view_payment",
    "billing.view_reconciliation",
    "billing.view_provideraccount",
    "metering.view_billablemetric",
    "metering.view_meteringrule",
    "metering.view_usageevent",
    "subscriptions.view_plan",
    "subscriptions.view_planvariant",
    "subscriptions.view_priceplan",
    "subscriptions.view_subscription",
)
_MOVE_CREDITS: Final = ("billing.grant_credits", "billing.adjust_credits", "billing.refund_credits")
#: To write to colleagues about a customer. Everybody withdraws their own notes; those of others, who has `change`.
_NOTE: Final = ("customers.add_customernote",)
#: To approve and reject what others ask for above their limits (docs/approvals.md).
_DECIDE: Final = ("customers.change_approval",)
_BILL: Final = ("billing.change_invoice", "billing.change_invoicesettings")
_SUPPORT: Final = (
    *_MOVE_CREDITS,
    *_NOTE,
    "billing.release_holds",
    "customers.change_customer",
    "customers.change_webhookdelivery",
    "subscriptions.add_subscription",
    "subscriptions.change_subscription",
)
_OPERATE: Final = (
    *_DECIDE,
    "customers.add_customer",
    "customers.delete_customer",
    "customers.change_customernote",
    "customers.add_webhookendpoint",
    "customers.change_webhookendpoint",
    "customers.change_job",
    "customers.add_apikey",
    "customers.change_apikey",
    # To move its test clock, which live ones do not have.
    "customers.change_environment",
    "metering.add_billablemetric",
    "metering.change_billablemetric",
    "metering.add_meteringrule",
    "subscriptions.add_plan",
    "subscriptions.change_plan",
)
#: To bring in customers, grants and events as files, and to take them back.
_IMPORT: Final = ("customers.view_importbatch", "customers.add_importbatch")
_OWN: Final = (
    # Whoever can set it decides where the money goes.
    "billing.change_provideraccount",
    "customers.break_glass",
    "customers.change_approvallimit",
    "customers.add_tenant",
    "customers.view_user",
    "customers.add_user",
    "customers.change_user",
    "auth.view_group",
)

ROLES: Final = {
    "viewer": _VIEW,
    "support": (*_VIEW, *_SUPPORT),
    "operator": (*_VIEW, *_SUPPORT, *_OPERATE, *_BILL, *_IMPORT),
    "finance": (*_VIEW, *_MOVE_CREDITS, *_NOTE, *_DECIDE, *_BILL, *_IMPORT),
    "owner": (*_VIEW, *_SUPPORT, *_OPERATE, *_BILL, *_IMPORT, *_OWN),
}

#: Permissions for deeds that are not the adding, changing or deleting of a row.
DEEDS: Final = {
    "grant_credits": "Can grant credits",
    "adjust_credits": "Can adjust balances",
    "refund_credits": "Can refund debits",
    "release_holds": "Can release holds",
}


@transaction.atomic
def roles_seed() -> None:
    """Each role with exactly its permissions. Roles of other names, and who has which, stay as they are."""
    _deeds_seed()
    known = {f"{app}.{codename}": key for app, codename, key in _permissions()}
    for name, permissions in ROLES.items():
        group, _ = Group.objects.get_or_create(name=name)
        group.permissions.set([known[permission] for permission in permissions])


def _deeds_seed() -> None:
    accounts = ContentType.objects.get_for_model(CreditAccount)
    for codename, name in DEEDS.items():
        Permission.objects.get_or_create(content_type=accounts, codename=codename, defaults={"name": name})


def _permissions() -> list[tuple[str, str, int]]:
    return list(Permission.objects.values_list("content_type__app_label", "codename", "id"))
