"""What of an interval's credits is kept for the next one."""

from __future__ import annotations

from typing import Final

#: Rolled credits burn after the new ones.
_BEHIND: Final = 5


def rolled(eligible_mc: int, percentage: int, credits_mc: int, cap_mc: int | None) -> int:
    """The part of what is left that rolls over, rounded down, so that it and the new grant stay within the cap."""
    kept = max(eligible_mc, 0) * percentage // 100
    return kept if cap_mc is None else min(kept, max(cap_mc - credits_mc, 0))


def rolled_priority(template_priority: int) -> int:
    return max(0, template_priority - _BEHIND)
