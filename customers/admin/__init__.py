"""The admin of the customers app: a client of its services. One module per noun."""

from customers.admin import (
    api_keys,
    approvals,
    audit,
    customer_actions,
    customer_notes,
    customer_page,
    customers,
    imports,
    jobs,
    outbox,
    tenants,
    timeline_sources,
    users,
    webhook_deliveries,
    webhook_endpoints,
)

__all__ = [
    "api_keys",
    "approvals",
    "audit",
    "customer_actions",
    "customer_notes",
    "customer_page",
    "customers",
    "imports",
    "jobs",
    "outbox",
    "tenants",
    "timeline_sources",
    "users",
    "webhook_deliveries",
    "webhook_endpoints",
]
