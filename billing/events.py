"""What billing tells the world: its webhook events, and how each is put together from what just happened."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from billing.models import CreditAccount, CreditBlock, LedgerEntry
from customers.kernel.caller import Caller
from customers.kernel.ids import typeid
from customers.models import Customer
