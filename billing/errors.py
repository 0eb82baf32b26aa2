"""Refusals of the billing app. The docstrings are the problems' pages in the docs."""

from __future__ import annotations

from customers.errors import Conflict, DomainError, NotFound


class InsufficientCredits(DomainError):
    """The customer's effective balance does not cover this. Nothing was written: top up and retry with the same key."""

    code, status, title = "insufficient-credits", 402, "Not enough credits"


class BlockWouldBeExpired(DomainError):
    """`expires_at` is not after the instant from which the credits would count, so they would never be usable."""

    code, status, title = "expires-in-the-past", 422, "The credits would have expired already"


class BalanceTooLarge(DomainError):
    """The balance would pass 9,000,000,000,000,000 mc, up to which every amount is exact in every language."""

    code, status, title = "balance-too-large", 422, "The balance would be too large"


class LedgerEntryNotFound(NotFound):
    """There is no such ledger entry for this customer."""

    code, title = "ledger-entry-not-found", "There is no such ledger entry"


class NotADebit(DomainError):
    """Only debits can be refunded; this ledger entry is of another kind."""

    code, status, title = "not-a-debit", 422, "The ledger entry is not a debit"


class ExceedsDebit(DomainError):
    """More would be refunded than the debit took, counting what was refunded of it before."""

    code, status, title = "refund-exceeds-debit", 422, "More than was debited"


class NothingLeftToRefund(Conflict):
    """The whole debit has been refunded already."""

    code, title = "nothing-left-to-refund", "The debit was refunded before"


class ReservationNotFound(NotFound):
    """There is no such reservation in this environment."""

    code, title = "reservation-not-found", "There is no such reservation"


class ReservationEnded(Conflict):
    """The reservation was committed or released before; each ends exactly once."""

    code, title = "reservation-ended", "The reservation has ended"


class ReservationExpired(DomainError):
    """The reservation's time ran out and its credits went back. Make a new one."""

    code, status, title = "reservation-expired", 410, "The reservation has expired"


class CatchUpFailed(DomainError):
    """Work that is due before this call could not be done at the moment. Retrying with the same key is safe."""

    code, status, title = "due-work-failed", 503, "Work that is due first could not be done"


class TopupPackageNotFound(NotFound):
    """There is no topup package with this id in the environment of the API key."""

    code, title = "topup-package-not-found", "There is no such topup package"


class TopupPackageUnknown(DomainError):
    """The body names a topup package that does not exist in this environment."""

    code, status, title = "topup-package-not-found", 422, "There is no such topup package"


class TopupPackageInactive(DomainError):
    """The topup package is not sold any more: `active` is false."""

    code, status, title = "topup-package-inactive", 422, "The topup package is inactive"


class TopupPackageInUse(Conflict):
    """Customers' auto-topups ask for this package. Point them at another one before setting `active` to false."""

    code, title = "topup-package-in-use", "The topup package is in use"


class PaymentUsedBefore(Conflict):
    """This `external_payment_id` has topped up before, for another customer or with other credits; `existing_id` in the
    problem names that topup. One payment tops up once, for ever."""

    code, title = "payment-used-before", "The payment has topped up before"


class TopupRequestUnknown(DomainError):
    """The body names a topup request that this customer never had."""

    code, status, title = "topup-request-not-found", 422, "There is no such topup request"


class AutoTopupNotFound(NotFound):
    """No auto-topup is set for this customer. Set one with PUT."""

    code, title = "auto-topup-not-found", "There is no auto-topup"


class EventNotDebited(DomainError):
    """The usage event cost nothing or does not exist for this customer, so there is nothing to give back."""

    code, status, title = "event-not-debited", 422, "The event was not debited"
