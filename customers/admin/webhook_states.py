"""How far a webhook event has come at an endpoint, in a word and its colour."""

from __future__ import annotations

from typing import Final

from django.utils.safestring import SafeString

from customers.admin.display import badge
from customers.models import DeliveryState, WebhookDelivery

_TONES: Final = {
    DeliveryState.PENDING: "neutral",
    DeliveryState.DELIVERED: "good",
    DeliveryState.DEAD: "bad",
    DeliveryState.SKIPPED: "warning",
}


def delivery_badge(delivery: WebhookDelivery) -> SafeString:
    return badge(delivery.get_state_display(), _TONES[DeliveryState(delivery.state)])
