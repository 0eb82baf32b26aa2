from customers.models.api_key import ApiKey
from customers.models.approval import Approval, ApprovalLimit, ApprovalState
from customers.models.audit import AuditRecord
from customers.models.customer import Customer, OveragePolicy
from customers.models.environment import Environment, EnvironmentKind
from customers.models.idempotency import IdempotencyRecord
from customers.models.imports import ImportBatch, ImportRow, ImportStage, RowOutcome, RowReversal
from customers.models.job import Job, JobResult, JobState
from customers.models.note import CustomerNote
from customers.models.outbox import OutboxEvent, UntoldDebit
from customers.models.tenant import Tenant
from customers.models.user import User
from customers.models.webhook import (
    DeliveryState,
    EndpointStatus,
    WebhookAttempt,
    WebhookDelivery,
    WebhookEndpoint,
    WebhookLane,
    WebhookSlot,
)

__all__ = [
    "ApiKey",
    "Approval",
    "ApprovalLimit",
    "ApprovalState",
    "AuditRecord",
    "Customer",
    "CustomerNote",
    "DeliveryState",
    "EndpointStatus",
    "Environment",
    "EnvironmentKind",
    "IdempotencyRecord",
    "ImportBatch",
    "ImportRow",
    "ImportStage",
    "Job",
    "JobResult",
    "JobState",
    "OutboxEvent",
    "OveragePolicy",
    "RowOutcome",
    "RowReversal",
    "Tenant",
    "UntoldDebit",
    "User",
    "WebhookAttempt",
    "WebhookDelivery",
    "WebhookEndpoint",
    "WebhookLane",
    "WebhookSlot",
]
