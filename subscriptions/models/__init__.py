from subscriptions.models.billing_run import ChargeSeries, PeriodInvoice
from subscriptions.models.plan import (
    BillingCycle,
    BillingMode,
    CreditGrantTemplate,
    GrantInterval,
    GrantType,
    Plan,
    PlanVariant,
)
from subscriptions.models.price_plan import PricePlan, PricePlanStatus, PricePlanVersion, PriceTerm
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
    "ChargeSeries",
    "CreditGrantTemplate",
    "GrantInterval",
    "GrantRun",
    "GrantSchedule",
    "GrantType",
    "PeriodInvoice",
    "Plan",
    "PlanVariant",
    "PricePlan",
    "PricePlanStatus",
    "PricePlanVersion",
    "PriceTerm",
    "Subscription",
    "SubscriptionChange",
    "SubscriptionPeriod",
    "SubscriptionState",
    "WindDown",
]
