"""Charges of a price plan: what usage, or a period, costs in money.

    {"metric_key": "api_calls", "pricing_model": "tiered", "tiers": [{"up_to": 9, "unit_price": "0.10"}, …]}
    {"metric_key": null, "pricing_model": "flat_fee", "amount": "49.00", "description": "Base fee"}

Prices are in major units, exact decimals with at most ten places; what a charge comes to is a whole number of minor
units, rounded half up once. The arithmetic is that of metering rules (metering/engine): there is only one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final, Literal

from billing.engine.currencies import currency_exponent
from customers.errors import FieldError
from customers.kernel.amounts import AMOUNT_MAX, UNITS_MAX, units_shown
from metering.engine.exact import PRODUCT, exact_decimal, half_up, scaled, times, total, unscaled
from metering.engine.terms import Line, Package, PerUnit
from metering.engine.tiers import Graduated, Tier, Volume
from subscriptions.errors import AmountTooLarge, InvalidPricePlan

CHARGES_MAX: Final = 100
TIERS_MAX: Final = 100
KEY_MAX: Final = 64
DESCRIPTION_MAX: Final = 400
#: The key of the line that makes up for a minimum; no charge may have it.
MINIMUM: Final = "minimum"

PayIn = Literal["arrears", "advance"]
_ZERO: Final = Decimal(0)
_OF_EVERY: Final = frozenset({"key", "metric_key", "pricing_model", "pay_in", "description"})
_OF_MODEL: Final[Mapping[str, frozenset[str]]] = {
    "per_unit": frozenset({"unit_price"}),
    "tiered": frozenset({"tiers"}),
    "volume": frozenset({"tiers"}),
    "package": frozenset({"package_size", "package_price"}),
    "flat_fee": frozenset({"amount"}),
}
PRICING_MODELS: Final = tuple(_OF_MODEL)


@dataclass(frozen=True, slots=True)
class Fee:
    """The same amount for each period, whatever was used."""

    amount: Decimal

    def lines(self, units: Decimal, _cycle_units: Decimal, _charged: int) -> list[Line]:
        amount = unscaled(scaled(self.amount) * scaled(units), scale=PRODUCT)
        return [Line(kind="fee", units=units, unit_cost=self.amount, amount=amount)]


Prices = PerUnit | Package | Graduated | Volume | Fee


@dataclass(frozen=True, slots=True, kw_only=True)
class Rated:
    """What a quantity costs. The breakdown's amounts are exact, in major units as prices are, and as text; they add up
    to it before it is rounded."""

    amount_minor: int
    breakdown: tuple[dict[str, Any], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Charge:
    key: str
    metric_key: str | None
    pricing_model: str
    prices: Prices
    pay_in: PayIn
    description: str
    currency: str

    @property
    def is_fee(self) -> bool:
        return isinstance(self.prices, Fee)

    @property
    def is_advance(self) -> bool:
        return self.pay_in == "advance"

    def rate(self, quantity: Decimal) -> Rated:
        """What `quantity` costs; below nothing it costs nothing. Raises AmountTooLarge."""
        lines = self.prices.lines(max(quantity, _ZERO), _ZERO, 0)
        minor = 10 ** currency_exponent(self.currency)
        amount = half_up(times(total(line.amount for line in lines), minor))
        if amount > AMOUNT_MAX:
            raise AmountTooLarge
        return Rated(amount_minor=amount, breakdown=tuple(self._shown(line) for line in lines))

    def _shown(self, line: Line) -> dict[str, Any]:
        shown: dict[str, Any] = {"kind": line.kind}
        if line.tier is not None and isinstance(self.prices, Graduated | Volume):
            shown |= {"tier": line.tier, **_bounds(self.prices, line.tier - 1)}
        if line.units is not None:
            shown["quantity"] = _text(line.units)
        if line.unit_cost is not None:
            shown["unit_price"] = _text(line.unit_cost)
        return {**shown, "amount": _text(line.amount)}

    def to_json(self) -> dict[str, Any]:
        """The form to store: prices as text, as no reader may turn them into floats."""
        shown = {
            "key": self.key,
            "metric_key": self.metric_key,
            "pricing_model": self.pricing_model,
            **_prices_json(self.prices),
            "pay_in": self.pay_in,
        }
        return {**shown, "description": self.description} if self.description else shown


def charges_parse(data: Sequence[Mapping[str, Any]], *, currency: str) -> tuple[Charge, ...]:
    """The charges that `data` describes, as sent or as stored. Raises InvalidPricePlan with an error for each fault."""
    reader = _Reader(errors=[], currency=currency)
    if len(data) > CHARGES_MAX:
        reader.refuse("charges", "too-many", f"Must be at most {CHARGES_MAX} charges.")
        raise InvalidPricePlan(errors=reader.errors)
    charges = [reader.charge(given, index=index) for index, given in enumerate(data)]
    read = tuple(charge for charge in charges if charge is not None)
    reader.keys_differ(charges)
    if reader.errors:
        raise InvalidPricePlan(errors=reader.errors)
    return read


def _bounds(prices: Graduated | Volume, index: int) -> dict[str, str | None]:
    """A tier's units are those above `from`, up to and including `up_to`."""
    lower = prices.tiers[index - 1].up_to if index else _ZERO
    upper = prices.tiers[index].up_to
    return {"from": _text(lower or _ZERO), "up_to": None if upper is None else _text(upper)}


def _prices_json(prices: Prices) -> dict[str, Any]:
    match prices:
        case Fee(amount):
            return {"amount": _text(amount)}
        case PerUnit(unit_cost):
            return {"unit_price": _text(unit_cost)}
        case Package(package_size=size, package_cost=price):
            return {"package_size": _text(size), "package_price": _text(price)}
    return {"tiers": [_tier_json(tier) for tier in prices.tiers]}


def _tier_json(tier: Tier) -> dict[str, Any]:
    up_to = None if tier.up_to is None else units_shown(tier.up_to)
    return {"up_to": up_to, "unit_price": _text(tier.credit_cost)}


def _text(value: Decimal) -> str:
    return format(value, "f")


@dataclass(slots=True, kw_only=True)
class _Reader:
    """Reads as far as it can and collects what is wrong on the way; a value that is wrong reads as None."""

    errors: list[FieldError]
    currency: str

    def refuse(self, field: str, code: str, message: str) -> None:
        self.errors.append(FieldError(field[:200], code, message))

    def charge(self, given: object, *, index: int) -> Charge | None:
        at = f"charges.{index}"
        members = self.members_of(given, at=at)
        model = None if members is None else self.model(members, at=at)
        if members is None or model is None:
            return None
        self.known(members, model, at=at)
        prices = self.prices(model, members, at=at)
        key = self.text(members, "key", most=KEY_MAX, at=at) or str(index)
        metric_key = self.metric_key(members, model, at=at)
        pay_in = self.pay_in(members, model, at=at)
        description = self.text(members, "description", most=DESCRIPTION_MAX, at=at)
        if prices is None or pay_in is None:
            return None
        return Charge(
            key=key,
            metric_key=metric_key,
            pricing_model=model,
            prices=prices,
            pay_in=pay_in,
            description=description or "",
            currency=self.currency,
        )

    def keys_differ(self, charges: Sequence[Charge | None]) -> None:
        seen = {MINIMUM}
        for index, charge in enumerate(charges):
            if charge is not None and charge.key in seen:
                self.refuse(f"charges.{index}.key", "taken", "Each charge has a key of its own.")
            seen.add("" if charge is None else charge.key)

    def members_of(self, given: object, *, at: str) -> dict[str, Any] | None:
        if not isinstance(given, Mapping):
            self.refuse(at, "invalid", "Must be an object.")
            return None
        return {name: value for name, value in given.items() if value is not None}

    def known(self, given: Mapping[str, Any], model: str, *, at: str) -> None:
        for name in given:
            if name not in _OF_EVERY | _OF_MODEL[model]:
                self.refuse(f"{at}.{name}", "unknown-field", f"Does not belong to the pricing model {model}.")

    def model(self, given: Mapping[str, Any], *, at: str) -> str | None:
        model = given.get("pricing_model")
        if isinstance(model, str) and model in _OF_MODEL:
            return model
        self.refuse(f"{at}.pricing_model", "invalid", f"Must be one of {', '.join(PRICING_MODELS)}.")
        return None

    def metric_key(self, given: Mapping[str, Any], model: str, *, at: str) -> str | None:
        key = self.text(given, "metric_key", most=KEY_MAX, at=at)
        if model == "flat_fee" and key is not None:
            self.refuse(f"{at}.metric_key", "invalid", "A flat fee is for no metric.")
        if model != "flat_fee" and key is None and not isinstance(given.get("metric_key"), str):
            self.refuse(f"{at}.metric_key", "required", "Names the metric whose usage is charged.")
        return key

    def pay_in(self, given: Mapping[str, Any], model: str, *, at: str) -> PayIn | None:
        pay_in = given.get("pay_in", "arrears")
        if pay_in == "advance" and model != "flat_fee":
            self.refuse(f"{at}.pay_in", "invalid", "Usage is paid in arrears.")
            return None
        if pay_in not in ("arrears", "advance"):
            self.refuse(f"{at}.pay_in", "invalid", "Must be arrears or advance.")
            return None
        return "advance" if pay_in == "advance" else "arrears"

    def text(self, given: Mapping[str, Any], name: str, *, most: int, at: str) -> str | None:
        value = given.get(name)
        if value is None or (isinstance(value, str) and 0 < len(value) <= most and "\0" not in value):
            return value
        self.refuse(f"{at}.{name}", "invalid", f"Must be a text of 1 to {most} characters.")
        return None

    def prices(self, model: str, given: Mapping[str, Any], *, at: str) -> Prices | None:
        if model in ("tiered", "volume"):
            tiers = self.tiers(given.get("tiers"), at=f"{at}.tiers")
            return None if tiers is None else Volume(tiers) if model == "volume" else Graduated(tiers)
        if model == "package":
            size = self.number(given, "package_size", at=at, above_zero=True)
            price = self.number(given, "package_price", at=at)
            return None if size is None or price is None else Package(size, price)
        name = "amount" if model == "flat_fee" else "unit_price"
        price = self.number(given, name, at=at)
        return None if price is None else Fee(price) if model == "flat_fee" else PerUnit(price)

    def tiers(self, given: object, *, at: str) -> tuple[Tier, ...] | None:
        if not isinstance(given, list) or not 0 < len(given) <= TIERS_MAX:
            self.refuse(at, "invalid", f"Must be a list of 1 to {TIERS_MAX} tiers.")
            return None
        tiers = [
            self.tier(tier, at=f"{at}.{index}", is_last=index == len(given) - 1)
            for index, tier in enumerate(given)
        ]
        read = tuple(tier for tier in tiers if tier is not None)
        if len(read) < len(tiers):
            return None
        self.ascending(read, at=at)
        return read

    def tier(self, given: object, *, at: str, is_last: bool) -> Tier | None:
        tier = self.members_of(given, at=at)
        if tier is None:
            return None
        for name in tier.keys() - {"up_to", "unit_price"}:
            self.refuse(f"{at}.{name}", "unknown-field", "A tier has no such field.")
        if is_last and "up_to" in tier:
            self.refuse(f"{at}.up_to", "not-open", "The last tier must be open: its up_to is null.")
            return None
        up_to = None if is_last else self.number(tier, "up_to", at=at, above_zero=True)
        price = self.number(tier, "unit_price", at=at)
        if price is None or (up_to is None and not is_last):
            return None
        return Tier(up_to=up_to, credit_cost=price)

    def ascending(self, tiers: tuple[Tier, ...], *, at: str) -> None:
        below = _ZERO
        for index, tier in enumerate(tiers):
            if tier.up_to is not None and tier.up_to <= below:
                self.refuse(f"{at}.{index}.up_to", "not-ascending", "Must be above the tier before.")
            below = tier.up_to or below

    def number(
        self, given: Mapping[str, Any], name: str, *, at: str, above_zero: bool = False
    ) -> Decimal | None:
        if name not in given:
            self.refuse(f"{at}.{name}", "required", "This field is required.")
            return None
        value = exact_decimal(given[name])
        if value is None:
            self.refuse(f"{at}.{name}", "invalid", "Must be a number with at most 10 decimals.")
        elif not 0 <= value <= UNITS_MAX or (above_zero and value == 0):
            least = "above zero" if above_zero else "at least 0"
            self.refuse(f"{at}.{name}", "out-of-range", f"Must be {least} and at most {UNITS_MAX}.")
            return None
        return value
