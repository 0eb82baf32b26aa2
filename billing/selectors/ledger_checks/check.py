"""A check: SQL that returns a row for each fault, and the sentence that names it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

from customers.kernel.ids import typeid

#: Columns of these names are ids of such objects, and are shown as TypeIDs.
_PREFIXES: Final = ("led", "blk", "res", "evt", "inv", "cnt")


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """`sql` is told `%(accounts)s`, the accounts to look at, or is asked once for the whole environment.

    Each row is a fault: `about` says which of its columns is the object at fault (`led`, `blk`, `res`, `evt`,
    `inv`, `cnt`, or `account_id`, which every row has; `number` of a seal; `counter` of numbers that are given), and
    `sentence` is filled from its columns.
    """

    code: str
    about: str
    sentence: str
    sql: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One thing that is wrong, in words."""

    code: str
    object: str
    account_id: UUID | None
    message: str


def fault_of(check: Check, row: Mapping[str, Any]) -> Fault:
    shown = {name: _shown(name, value) for name, value in row.items()}
    return Fault(
        code=check.code,
        object=_object(check.about, shown),
        account_id=row["account_id"],
        message=check.sentence.format(**shown),
    )


def _shown(name: str, value: Any) -> Any:
    if name in _PREFIXES and value is not None:
        return typeid(name, value)
    return value.isoformat() if hasattr(value, "isoformat") else value


def _object(about: str, shown: Mapping[str, Any]) -> str:
    if about == "number":
        return f"seal {shown['number']}"
    if about == "counter":
        return f"counter of {shown['counter']}"
    named = shown[about] if about in _PREFIXES else None
    return named or f"account {shown['account_id']}"
