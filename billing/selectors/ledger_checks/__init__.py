"""Everything that must be true of the ledger, as queries that return what is not.

They run as the application, in one environment: row-level security shows them its rows only.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from billing.selectors.ledger_checks import accounts, blocks, entries, holds, invoices, seals, strays
from billing.selectors.ledger_checks.check import Check, Fault, fault_of

OF_ACCOUNTS: Final = (*entries.CHECKS, *blocks.CHECKS, *holds.CHECKS, *accounts.CHECKS, *seals.CHECKS)
#: Asked once for an environment.
OF_ENVIRONMENTS: Final = (*strays.CHECKS, *seals.CHAIN, *invoices.CHECKS)

#: What higher apps know must be true of their records and the ledger.
_registered: Final[list[Check]] = []


def check_register(*checks: Check) -> None:
    """Have checks of a higher app made with the ledger's own. Called when apps are ready."""
    _registered.extend(check for check in checks if check not in _registered)


def checks_of_accounts() -> Sequence[Check]:
    """Asked for each batch of accounts."""
    return (*OF_ACCOUNTS, *_registered)


__all__ = ["OF_ENVIRONMENTS", "Check", "Fault", "check_register", "checks_of_accounts", "fault_of"]
