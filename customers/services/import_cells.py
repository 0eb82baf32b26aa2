"""What a cell's text means: amounts, instants, JSON. A cell that means nothing is refused with a sentence."""

from __future__ import annotations

import json
import re
from datetime import datetime
from decimal import Decimal, InvalidOperation
from typing import Any, Final, NoReturn

from customers.kernel.amounts import AMOUNT_MAX, MC_PER_CREDIT, decimal_parse, units_refusal
from customers.kernel.instants import instant_parse
from customers.kernel.json import json_storable
from customers.services.checks import key_refusal, metadata_refusal, text_refusal

_WHOLE: Final = re.compile(r"[+-]?\d{1,20}", re.ASCII)
_DAY: Final = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)
_DIGITS_MAX: Final = 400
#: How our own exports write a text that a spreadsheet would take for a formula.
_QUOTED: Final = ("'=", "'+", "'-", "'@", "'\t", "'\r")


class CellRefusedError(Exception):
    """The text is not what the field takes; the message says what that is."""


def cell_text(cell: str) -> str:
    """A cell without the space around it, and as it was before an export guarded it against spreadsheets."""
    text = cell.strip()
    return text[1:] if text.startswith(_QUOTED) else text


def read_text(text: str) -> str:
    return text


def read_reason(text: str) -> str:
    refusal = text_refusal(text, 1000)
    return text if refusal is None else _refuse(refusal)


def read_key(text: str) -> str:
    refusal = key_refusal(text)
    return text if refusal is None else _refuse(refusal)


def read_whole(text: str) -> int:
    """An integer, such as an amount in mc."""
    if _WHOLE.fullmatch(text) is None or abs(int(text)) > AMOUNT_MAX:
        _refuse(f"Must be a whole number of at most {AMOUNT_MAX}, without separators.")
    return int(text)


def read_decimal(text: str) -> Decimal:
    """A quantity: exact, at most ten decimals."""
    value = decimal_parse(text.removeprefix("+"))
    if value is None:
        _refuse("Must be a number such as 1250 or 0.5, without thousands separators.")
    refusal = units_refusal(value)
    return value if refusal is None else _refuse(refusal)


def read_credits(text: str) -> int:
    """Credits as people write them, in mc."""
    credits_given = read_decimal(text)
    if abs(credits_given) > AMOUNT_MAX // MC_PER_CREDIT:
        _refuse(f"Must be at most {AMOUNT_MAX // MC_PER_CREDIT} credits.")
    # At most twelve digits and ten decimals: exact.
    amount = credits_given * MC_PER_CREDIT
    if amount != amount.to_integral_value():
        _refuse("Has more than three decimals: a millicredit is the smallest amount.")
    return int(amount)


def read_instant(text: str) -> datetime:
    """RFC 3339 with its offset; a day alone is its beginning in UTC."""
    instant = instant_parse(f"{text}T00:00:00Z" if _DAY.fullmatch(text) else text)
    return _refuse("Must be an instant such as 2026-04-03T09:01:00Z.") if instant is None else instant


def read_object(text: str) -> dict[str, Any]:
    """A JSON object, such as metadata; its numbers stay what they are."""
    value = _json(text)
    refusal = metadata_refusal(value)
    if refusal is not None:
        _refuse(refusal)
    try:
        stored: dict[str, Any] = json_storable(value)
        json.dumps(stored, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        _refuse("Must not contain half surrogate pairs.")
    except ValueError as error:
        _refuse(str(error))
    return stored


def read_list(text: str) -> list[str]:
    """Several words: a JSON list, or divided by spaces, commas or semicolons."""
    if text.startswith("["):
        value = _json(text)
        if not isinstance(value, list) or not all(isinstance(each, str) for each in value):
            _refuse("Must be a list of texts.")
        return value
    return [word for word in re.split(r"[\s,;|]+", text) if word]


def _json(text: str) -> Any:
    try:
        return json.loads(text, parse_float=_exact, parse_int=_integer, parse_constant=_exact)
    except (ValueError, InvalidOperation, RecursionError):
        _refuse("Must be JSON.")


def _exact(text: str) -> Decimal:
    value = Decimal(text) if len(text) <= _DIGITS_MAX else None
    if value is None or not value.is_finite() or abs(value.adjusted()) > _DIGITS_MAX:
        raise ValueError("no number of JSON")
    return value


def _integer(text: str) -> int:
    if len(text) > _DIGITS_MAX:
        raise ValueError("a number that is too long")
    return int(text)


def _refuse(message: str) -> NoReturn:
    raise CellRefusedError(message)
