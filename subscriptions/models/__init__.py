from subscriptions.models.plan import (
    BillingCycle,
    BillingMode,
    CreditGrantTemplate,
    GrantInterval,
    GrantType,
    Plan,
    PlanVariant,
)
from subscriptions.models.subscription import (
    LIVE_STATES,
    GrantRun,
    GrantSchedule,
    Subscription,
    SubscriptionChange,
    SubscriptionPeriod,
    SubscriptionState,
)
from subscriptions.models.wind_down import WindDown

__all__ = [
    "LIVE_STATES",
    "BillingCycle",
    "BillingMode",
    "CreditGrantTemplate",
    "GrantInterval",
    "GrantRun",
    "GrantSchedule",
    "GrantType",
    "Plan",
    "PlanVariant",
    "Subscription",
    "SubscriptionChange",
    "SubscriptionPeriod",
    "SubscriptionState",
    "WindDown",
]
