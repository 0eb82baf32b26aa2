"""The published vectors of the burn order, through the kernel and through the model."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from customers.kernel.ids import uuid7
from tests.oracle.kernel import KernelAccount, app_connection, kernel_account
from tests.oracle.model import Account

CASES = json.loads((Path(__file__).parents[1] / "vectors" / "burn_order.json").read_text())["cases"]
each_case = pytest.mark.parametrize("case", CASES, ids=lambda case: case["name"])


@pytest.fixture
def kernel() -> Iterator[KernelAccount]:
    with app_connection() as connection:
        yield kernel_account(connection)


def instant(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None


def filled(side: Any, case: dict[str, Any]) -> dict[Any, str]:
    """Grants the case's blocks, oldest first, before its `now`; returns their names by id."""
    now = datetime.fromisoformat(case["now"])
    names = {}
    for block in sorted(case["blocks"], key=lambda block: block["created"]):
        names[made := uuid7()] = block["id"]
        side.grant(
            block=made,
            credits=block["amount"],
            priority=block["priority"],
            ends=instant(block["expires_at"]),
            price_paid=block["price_paid"],
            now=now - timedelta(hours=1) + timedelta(seconds=block["created"]),
        )
    return names


@each_case
def test_the_kernel_burns_in_the_published_order(kernel: KernelAccount, case: dict[str, Any]) -> None:
    now = datetime.fromisoformat(case["now"])
    names = filled(kernel, case)
    order = [names[type(kernel.customer)(block["id"])] for block in json.loads(kernel.read(now).blocks)]
    assert order == case["order"]
    assert kernel.debit(cause=uuid7(), amount=case["debit"], metric="tokens", now=now) == "debited"
    left = {names[row.id]: row.remaining_mc for row in kernel.rows("billing_credit_block")}
    assert {name: left[name] for name in case["remaining"]} == case["remaining"]


@each_case
def test_the_model_burns_in_the_published_order(case: dict[str, Any]) -> None:
    now = datetime.fromisoformat(case["now"])
    model = Account()
    names = filled(model, case)
    assert [names[block.id] for block in model.at(now).live_blocks()] == case["order"]
    model.debit(cause=uuid7(), amount=case["debit"], metric="tokens", now=now)
    left = {names[block.id]: block.remaining for block in model.blocks.values()}
    assert {name: left[name] for name in case["remaining"]} == case["remaining"]
