"""What keeps a customer who was imported from being taken back."""

from __future__ import annotations

from uuid import UUID

from subscriptions.models import Subscription


def customer_has_subscriptions(customer_id: UUID) -> str | None:
    """Why a customer cannot be taken back, as far as subscriptions go."""
    subscribed = Subscription.objects.filter(customer_id=customer_id)
    return "The customer has subscribed." if subscribed.exists() else None
