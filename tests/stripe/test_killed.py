"""SIGKILL of a process that charges: whatever had reached Stripe by then, there is one payment in the end."""

from __future__ import annotations

import os
import subprocess
import sys
import time

import pytest
from django.conf import settings

from billing.models import Invoice
from billing.services.payment_sweeps import payments_sweep
from tests.stripe.conftest import GOOD, Shop, time_passes
from tests.stripe.stand_in import DELAY, LOSE, once

_CHARGES = """
import sys
from datetime import UTC, datetime
from uuid import UUID
import django
django.setup()
from billing.services.payments import invoice_charge
from customers.kernel.caller import Caller
from customers.kernel.database import environment_use
environment, invoice = map(UUID, sys.argv[1:])
environment_use(environment)
caller = Caller(environment_id=environment, actor="key:killed")
invoice_charge(caller=caller, invoice_id=invoice, now=datetime.now(UTC))
"""


def killed_while_charging(shop: Shop, invoice: Invoice) -> None:
    """Another process charges, and dies once its order is on its way."""
    environment = {
        **os.environ,
        "DJANGO_SETTINGS_MODULE": "config.settings",
        "STRIPE_API_BASE": shop.stripe.url,
        "PURSER_DATABASE_ROLE": "app",
    }
    arguments = [sys.executable, "-c", _CHARGES, str(shop.world.id), str(invoice.id)]
    process = subprocess.Popen(arguments, env=environment, cwd=settings.BASE_DIR, stdout=subprocess.DEVNULL)
    deadline = time.monotonic() + 60
    while ("POST", "/v1/payment_intents") not in [seen[:2] for seen in shop.stripe.seen]:
        assert process.poll() is None, "it ended by itself"
        assert time.monotonic() < deadline, "it never asked"
        time.sleep(0.05)
    process.kill()
    process.wait()


@pytest.mark.slow
@pytest.mark.parametrize("doing", [LOSE, DELAY], ids=["done", "done-later"])
def test_a_charge_whose_process_was_killed_is_found_and_made_once(shop: Shop, doing: str) -> None:
    # given
    invoice = shop.invoice(GOOD)
    shop.stripe.follow(once(doing))
    # when
    killed_while_charging(shop, invoice)
    # then nobody charges beside it
    assert shop.payments(invoice) == [(1, "pending")]
    assert shop.charge(invoice).refusal() == (409, "payment-under-way")
    # and it is found, or made under the same key
    time_passes(shop)
    for _ in range(20):
        payments_sweep()
        if shop.payments(invoice) != [(1, "pending")]:
            break
        time.sleep(0.5)
        time_passes(shop)
    assert shop.payments(invoice) == [(1, "succeeded")]
    assert shop.state(invoice) == ("paid", ["charge_attempted", "paid"])
    time.sleep(2.5)
    assert shop.intents(invoice) == [("succeeded", 14900)]
