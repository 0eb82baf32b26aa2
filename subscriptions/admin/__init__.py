"""The admin of the subscriptions app: a client of its services. One module per noun."""

from subscriptions.admin import plan_grants, plan_variants, plans

__all__ = ["plan_grants", "plan_variants", "plans"]
