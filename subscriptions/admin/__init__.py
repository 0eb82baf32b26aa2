"""The admin of the subscriptions app: a client of its services. One module per noun."""

from subscriptions.admin import (
    customer_billing,
    customer_subscriptions,
    plan_grants,
    plan_variants,
    plans,
    price_plans,
    subscriptions,
    timeline,
    wind_down,
)

__all__ = [
    "customer_billing",
    "customer_subscriptions",
    "plan_grants",
    "plan_variants",
    "plans",
    "price_plans",
    "subscriptions",
    "timeline",
    "wind_down",
]
