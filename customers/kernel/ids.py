"""Identifiers: UUIDv7 in the database, TypeIDs (`blk_01k…`) on the wire.

A TypeID is a prefix, an underscore and the 26 lowercase base-32 characters (Crockford's alphabet) of the UUID's
128 bits, most significant first: https://github.com/jetify-com/typeid (specification 0.3).
"""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Final
from uuid import UUID, SafeUUID

from uuid_utils.compat import uuid7 as _uuid7

_ALPHABET: Final = "0123456789abcdefghjkmnpqrstvwxyz"
# Ten bits at a time: an id is written on every answer.
_PAIRS: Final = [high + low for high in _ALPHABET for low in _ALPHABET]
_SHIFTS: Final = tuple(range(110, -1, -10))
_VALUES: Final = {character: value for value, character in enumerate(_ALPHABET)}
_TYPEID: Final = re.compile(r"([a-z]{1,63})_([0-7][0-9a-hjkmnp-tv-z]{25})")
_MILLISECOND: Final = timedelta(milliseconds=1)
_LAST_MILLISECOND: Final = (1 << 48) - 1
_UUID: Final = re.compile(r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")


def uuid7() -> UUID:
    """A new time-ordered identifier."""
    return _uuid7()


def uuid7_run(count: int) -> list[UUID]:
    """New time-ordered identifiers, each the one before plus one: made and spelled in a third of the time."""
    first = _uuid7().int
    return [_uuid(first + place) for place in range(count)]


def _uuid(number: int) -> UUID:
    # What UUID(int=…) does, but for its checks, which take longer than everything else.
    made = UUID.__new__(UUID)
    object.__setattr__(made, "int", number)
    object.__setattr__(made, "is_safe", SafeUUID.unknown)
    return made


def uuid7_floor(instant: datetime) -> UUID:
    """The least identifier that can be given at `instant` or later: a bound for reading by time through the key."""
    return UUID(int=int(instant.timestamp() * 1000) << 80)


def uuid7_around(value: UUID, *, before: timedelta, after: timedelta) -> tuple[UUID, UUID]:
    """The bounds of identifiers made from `before` earlier than this one to `after` later; the second is excluded."""
    made = value.int >> 80
    first, last = made - before // _MILLISECOND, made + after // _MILLISECOND
    return UUID(int=max(first, 0) << 80), UUID(int=min(last, _LAST_MILLISECOND) << 80)


def typeid(prefix: str, value: UUID) -> str:
    """`value` as it is shown: `typeid("blk", …)` is `blk_` and 26 characters."""
    number = value.int
    return _all_but_last(prefix, number >> 10) + _PAIRS[number & 1023]


@lru_cache(maxsize=256)
def _all_but_last(prefix: str, number: int) -> str:
    """What ids that follow each other have in common, such as those of a batch."""
    return f"{prefix}_" + "".join([_PAIRS[(number >> shift) & 1023] for shift in _SHIFTS])


def typeid_parse(prefix: str, text: str) -> UUID | None:
    """The UUID behind a TypeID of this prefix, or None when `text` is not one."""
    found = _TYPEID.fullmatch(text)
    if found is None or found[1] != prefix:
        return None
    number = 0
    for character in found[2]:
        number = number << 5 | _VALUES[character]
    return UUID(int=number)


def uuid_parse(text: str) -> UUID | None:
    """The UUID spelled by `text` in its hyphenated form, or None; other spellings are somebody's own ids."""
    return UUID(text) if _UUID.fullmatch(text) else None
