"""What an action answers, done or previewed. A preview is the deed undone, so it cannot differ."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.db import transaction

from billing.models import CreditAccount
from subscriptions.api.subscription_documents import SubscriptionOutput
from subscriptions.selectors.priced_twice import customer_priced_twice
from subscriptions.services.locking import Outcome


def acted(outcome: Outcome, *, preview: bool = False) -> dict[str, Any]:
    """The subscription after the action, and the customer's credits."""
    account = CreditAccount.objects.get(customer_id=outcome.subscription.customer_id)
    return {
        **SubscriptionOutput(outcome.subscription).data,
        "preview": preview,
        "credits_granted": outcome.credits_granted_mc,
        "balance": account.balance_mc,
        "effective_balance": account.effective_mc,
        "warnings": customer_priced_twice(account),
    }


def previewed(action: Callable[[], Outcome]) -> dict[str, Any]:
    """What the action would answer."""
    with transaction.atomic():
        document = acted(action(), preview=True)
        transaction.set_rollback(True)
    return document
