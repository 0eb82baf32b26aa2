"""What a period comes to: each charge of each price term that held in it, by its own time of the period.

A term's time of a period is a `Part`. Usage is rated by what was used in the part; a fee is for the seconds that the
part held; a minimum makes up for what the part's other lines lack. Rating is the same computation at any time: before
the period's end with what is known so far, at its end, and again when events have come late.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, Final, Literal
from uuid import UUID

from subscriptions.engine.charges import MINIMUM, Charge
from subscriptions.engine.fees import Share, shares_rounded

Kind = Literal["usage", "fee", "minimum"]
#: A charge of a term, within one period.
Key = tuple[UUID, str]
_SECOND: Final = timedelta(seconds=1)
_ONE: Final = Decimal(1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """The time of a period that a price term held, `[starts_at, ends_at)`.

    `fee_seconds` is what a whole fee is for. Without `prorates` the term before keeps the fees of this period.
    """

    term: UUID
    charges: tuple[Charge, ...]
    currency: str
    minimum_minor: int | None
    starts_at: datetime
    ends_at: datetime
    prorates: bool
    fee_seconds: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Stretch:
    """A period as far as `until`. `full_end` is where it would end, or would have, if nothing cut it short."""

    starts_at: datetime
    full_end: datetime
    until: datetime
    is_over: bool
    parts: tuple[Part, ...]

    def dues(self) -> Iterator[Due]:
        """What is due by `until`, in the order of an invoice's lines."""
        for part in self.parts:
            for charge in part.charges:
                due = self._due(part, charge)
                if due is not None:
                    yield due
            if self.is_over and part.minimum_minor:
                yield Due(part=part, charge=None, kind="minimum", ends_at=part.ends_at)

    def _due(self, part: Part, charge: Charge) -> Due | None:
        if charge.is_fee:
            is_due = part.starts_at <= self.until if charge.is_advance else self.is_over
            return Due(part=part, charge=charge, kind="fee", ends_at=part.ends_at) if is_due else None
        ends_at = min(part.ends_at, self.until)
        if part.starts_at >= ends_at:
            return None
        return Due(part=part, charge=charge, kind="usage", ends_at=ends_at)


@dataclass(frozen=True, slots=True, kw_only=True)
class Due:
    """One thing to rate; `charge` is None for a part's minimum."""

    part: Part
    charge: Charge | None
    kind: Kind
    ends_at: datetime

    @property
    def starts_at(self) -> datetime:
        return self.part.starts_at

    @property
    def charge_key(self) -> str:
        return MINIMUM if self.charge is None else self.charge.key

    @property
    def key(self) -> Key:
        return self.part.term, self.charge_key


@dataclass(frozen=True, slots=True, kw_only=True)
class Rate:
    """What a due comes to in all, whatever was billed of it before."""

    due: Due
    quantity: Decimal
    amount_minor: int
    breakdown: tuple[dict[str, Any], ...] = ()
    details: Mapping[str, Any] = field(default_factory=dict)


def stretch_rate(stretch: Stretch, quantities: Mapping[Key, Decimal]) -> list[Rate]:
    """Every due of the period, with what was used of each usage charge. Raises AmountTooLarge."""
    dues = list(stretch.dues())
    fees = _fees(stretch, [due for due in dues if due.kind == "fee"])
    rates = [
        fees[due.key] if due.kind == "fee" else _usage(due, quantities[due.key])
        for due in dues
        if due.kind != "minimum"
    ]
    minimums = _minimums(stretch, [due for due in dues if due.kind == "minimum"], rates)
    by_key = {rate.due.key: rate for rate in (*rates, *minimums)}
    return [by_key[due.key] for due in dues]


def _usage(due: Due, quantity: Decimal) -> Rate:
    assert due.charge is not None  # noqa: S101 - of usage and fees
    rated = due.charge.rate(quantity)
    return Rate(due=due, quantity=quantity, amount_minor=rated.amount_minor, breakdown=rated.breakdown)


def _fees(stretch: Stretch, dues: Sequence[Due]) -> dict[Key, Rate]:
    """The n-th fee of every term together, so that parts of equal fees add up to one."""
    pools: dict[tuple[int, str], list[tuple[Due, Share]]] = defaultdict(list)
    seconds = {is_advance: _seconds(stretch, is_advance=is_advance) for is_advance in (False, True)}
    for due in dues:
        assert due.charge is not None  # noqa: S101 - of usage and fees
        share = Share(
            amount_minor=due.charge.rate(_ONE).amount_minor,
            seconds=seconds[due.charge.is_advance][due.part.term],
            of=due.part.fee_seconds,
        )
        pools[_ordinal(due), due.part.currency.upper()].append((due, share))
    return {
        due.key: _fee(due, share, amount)
        for pool in pools.values()
        for (due, share), amount in zip(pool, shares_rounded([share for _, share in pool]), strict=True)
    }


def _ordinal(due: Due) -> int:
    fees = [charge.key for charge in due.part.charges if charge.is_fee]
    return fees.index(due.charge_key)


def _fee(due: Due, share: Share, amount: int) -> Rate:
    assert due.charge is not None  # noqa: S101 - of usage and fees
    whole = due.charge.rate(_ONE)
    details = {"fee": whole.amount_minor, "seconds": share.seconds, "of_seconds": share.of}
    return Rate(due=due, quantity=_ONE, amount_minor=amount, breakdown=whole.breakdown, details=details)


def _minimums(stretch: Stretch, dues: Sequence[Due], rates: Sequence[Rate]) -> list[Rate]:
    """What each part lacks of its share of the minimum."""
    shares = [
        Share(
            amount_minor=due.part.minimum_minor or 0,
            seconds=_length(stretch, due.part.starts_at, due.part.ends_at),
            of=due.part.fee_seconds,
        )
        for due in dues
    ]
    return [
        _minimum(due, share, minimum, sum(r.amount_minor for r in rates if r.due.part.term == due.part.term))
        for due, share, minimum in zip(dues, shares, shares_rounded(shares), strict=True)
    ]


def _minimum(due: Due, share: Share, minimum: int, others: int) -> Rate:
    details = {
        "minimum": share.amount_minor,
        "seconds": share.seconds,
        "of_seconds": share.of,
        "for_the_part": minimum,
        "other_lines": others,
    }
    return Rate(due=due, quantity=_ONE, amount_minor=max(minimum - others, 0), details=details)


def _seconds(stretch: Stretch, *, is_advance: bool) -> dict[UUID, int]:
    """How long each term has the fees of this period. What was paid in advance is not given back at a cut."""
    seconds: dict[UUID, int] = {}
    holder: UUID | None = None
    for index, part in enumerate(stretch.parts):
        is_last = index == len(stretch.parts) - 1
        end = max(part.ends_at, stretch.full_end) if is_advance and is_last else part.ends_at
        length = _length(stretch, part.starts_at, end)
        if holder is None or part.prorates:
            holder = part.term
        seconds.setdefault(part.term, 0)
        seconds[holder] += length
    return seconds


def _length(stretch: Stretch, starts_at: datetime, ends_at: datetime) -> int:
    """In seconds, as differences of whole ones since the period began: those add up, whatever the fractions."""
    begun = stretch.starts_at
    return (ends_at - begun) // _SECOND - (starts_at - begun) // _SECOND
