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
