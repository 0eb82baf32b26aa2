"""Whoever looks after webhooks: how endpoints fare at a glance, and what failed ticked and sent again."""

from __future__ import annotations

import pytest
from django.test import override_settings

from customers.kernel.database import environment_scope
from customers.models import WebhookDelivery, WebhookLane
from tests.customers.test_webhook_delivery import emit, make_customer, make_endpoint, work
from tests.customers.webhook_receiver import Answer, receiving


@pytest.fixture
def failed(acme):
    """Two of five deliveries were given up."""
    world = acme.test
    with (
        override_settings(WEBHOOKS_ALLOW_PRIVATE=True, WEBHOOKS_DOORBELL=False),
        environment_scope(world.id),
        receiving() as receiver,
    ):
        endpoint = make_endpoint(world, receiver, ["credit.*"]).endpoint
        receiver.behave = lambda event: Answer(500 if event["amount"] < 2 else 200)
        for amount in range(5):
            emit(world, make_customer(world), amount=amount)
        work(world, endpoint)
        WebhookDelivery.objects.filter(state="pending").update(state="dead", next_attempt_at=None)
        WebhookLane.objects.all().delete()
    return acme


@pytest.mark.parametrize("width", [1440, 360])
def test_the_dead_are_ticked_and_sent_again(person, failed, width):
    somebody = person(failed.test, width=width)
    page = somebody.page
    somebody.go("/admin/customers/webhookendpoint/")
    assert page.locator("#result_list svg[aria-label='3 arrived, 2 failed']").count() == 1
    somebody.keep(f"webhook-endpoints-{width}")
    page.locator("#result_list a").first.click()
    page.wait_for_selector(".p-record")
    somebody.keep(f"webhook-endpoint-{width}")

    somebody.go("/admin/customers/webhookdelivery/?state__exact=dead")
    boxes = page.locator("#result_list input.action-select")
    assert boxes.count() == 2
    for box in boxes.all():
        box.check()
    page.locator("#changelist-actions select[name=action]").select_option("retry_chosen")
    somebody.keep(f"webhook-deliveries-{width}", full_page=False)
    page.get_by_role("button", name="Run").click()
    page.wait_for_selector("text=Send 2 deliveries again")
    page.fill("[name=reason]", "Their outage is over")
    somebody.keep(f"webhook-retry-{width}")
    page.get_by_role("button", name="Send", exact=True).click()
    page.wait_for_selector("text=2 deliveries on the way again")

    with environment_scope(failed.test.id):
        assert WebhookDelivery.objects.filter(state="pending").count() == 2
