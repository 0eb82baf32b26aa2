"""What every payment provider can do, in our words.

Whoever calls one has written down beforehand what it is about to ask for (models/payment.py), and holds no transaction:
an answer may be lost, and is found again under the same key.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Final, Protocol

#: What everything that is made at a provider is marked with, so that its events find their way back.
ENVIRONMENT_MARK: Final = "purser_environment"


class Told(StrEnum):
    """What a provider says of a payment."""

    SUCCEEDED = "succeeded"
    PROCESSING = "processing"
    REQUIRES_ACTION = "requires_action"
    FAILED = "failed"
    CANCELED = "canceled"


@dataclass(frozen=True, slots=True, kw_only=True)
class ChargeOrder:
    """One attempt. `key` names it for ever; the same order under the same key is one charge."""

    key: str
    amount_minor: int
    currency: str
    customer: str
    method: str
    description: str
    return_url: str
    #: Nobody is there to confirm anything.
    is_off_session: bool
    metadata: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderPayment:
    """A payment as the provider has it at the moment."""

    id: str | None
    told: Told
    amount_minor: int
    currency: str
    refunded_minor: int = 0
    action_url: str = ""
    failure_code: str = ""
    failure_message: str = ""
    created_at: datetime | None = None
    metadata: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class RefundOrder:
    """Some of a payment back, once under this key."""

    key: str
    payment_id: str
    amount_minor: int
    currency: str
    metadata: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderRefund:
    """Money on its way back."""

    id: str | None
    has_failed: bool = False
    is_pending: bool = False


class ProviderUnavailable(Exception):
    """No answer, or one that says nothing: whether it was done is not known. Ask again under the same key."""


class ProviderRefused(Exception):
    """It was not done, and will not be if asked again."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(f"{code}: {message}")
        self.code, self.message = code, message


class PaymentProvider(Protocol):
    """All of these may raise ProviderUnavailable and ProviderRefused."""

    name: str

    def method_of(self, customer: str) -> str:
        """What this customer has chosen to pay with, or "" when there is nothing."""

    def charge(self, order: ChargeOrder) -> ProviderPayment: ...

    def find(self, order: ChargeOrder, *, since: datetime) -> ProviderPayment | None:
        """What became of an order whose answer was lost; None: nothing, as far as can be seen."""

    def fetch(self, payment_id: str) -> ProviderPayment: ...

    def refund(self, order: RefundOrder) -> ProviderRefund: ...

    def payments(self, *, begin: datetime, end: datetime) -> Iterator[ProviderPayment]:
        """Those made in [begin, end) by its own clock, in any order."""
