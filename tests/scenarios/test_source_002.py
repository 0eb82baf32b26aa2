"""Source 002, a postpaid API platform, from the first request to the lapsed contract's revival, under a test clock."""

from __future__ import annotations

from typing import Any

import pytest

from billing.services.verification import ledger_verify
from customers.kernel.database import environment_scope
from customers.models import OutboxEvent
from tests.conftest import Character
from tests.scenarios.conftest import Reply, Service

#: The day on which the source's contract is signed.
SIGNED = "2026-04-13T00:00:00Z"
CYCLE_END = "2026-05-13T00:00:00Z"
CONTRACT_END = "2027-04-13T00:00:00Z"
BUDGET = 100_000_000


class Platform:
    """The source's tenant, with everything set up as printed; `post` sends its requests."""

    def __init__(self, service: Service, character: Character) -> None:
        self.service = service
        self.world = character.test
        self.made = service.call("POST", "/v1/test-clock", {"frozen_time": SIGNED})
        assert self.made.status == 200
        self.subscription = self._signed_up()

    def post(self, path: str, body: Any, key: str, *, status: int) -> Reply:
        answer = self.service.call("POST", path, body, Idempotency_Key=key)
        assert answer.status == status, answer.body
        return answer

    def _signed_up(self) -> Reply:
        self.post(
            "/v1/billable-metrics", {"key": "api_call", "name": "API Call"}, "metric:api_call", status=201
        )
        rule = {
            "billable_metric_key": "api_call",
            "cost_type": "tiered",
            "tiers": [
                {"up_to": 10000, "credit_cost": 1000},
                {"up_to": 100000, "credit_cost": 500},
                {"up_to": None, "credit_cost": 100},
            ],
            "unit_cost": 1000,
        }
        self.post("/v1/metering-rules", rule, "rule:api_call", status=201)
        plan = self.post(
            "/v1/plans",
            {"name": "API Platform", "description": "Usage-based API access"},
            "plan:api-platform",
            status=201,
        )
        variant = self.post(
            f"/v1/plans/{plan['id']}/variants",
            {
                "name": "Monthly Postpaid",
                "billing_cycle": "monthly",
                "billing_mode": "postpaid",
                "allow_usage_while_overdue": True,
            },
            "variant:api-monthly-postpaid",
            status=201,
        )
        self.post(
            f"/v1/plans/{plan['id']}/variants/{variant['id']}/credit-grants",
            {
                "credits": 100000000,
                "grant_interval": "billing_cycle",
                "grant_type": "recurring",
                "source": "plan_grant",
                "expires_after_seconds": 2592000,
                "rollover_percentage": 0,
                "accumulation_cap": None,
            },
            "grant:api-monthly-budget",
            status=201,
        )
        customer = self.post(
            "/v1/customers",
            {"external_id": "acme_corp", "overage_policy": "allow"},
            "signup:cus_acme",
            status=201,
        )
        self.customer_id = customer["id"]
        return self.post(
            "/v1/subscriptions",
            {
                "customer_id": self.customer_id,
                "plan_variant_id": variant["id"],
                "contract_end": CONTRACT_END,
                "contract_ending_soon_days": 30,
                "external_subscription_id": "your_contract_ref_123",
                "metadata": {
                    "account_manager": "jane@yourcompany.com",
                    "annual_contract_value": "120000",
                },
            },
            "sub:contract-1",
            status=201,
        )

    def call_the_api(self, calls: int, *, label: str, units: int = 850) -> None:
        """Batches of a hundred events, as the source's buffer sends them; to be quick, of more than one call each."""
        events = 0
        while calls:
            batch: list[dict[str, Any]] = []
            while calls and len(batch) < 100:
                of_this = min(calls, units)
                batch.append(self._event(f"usage:{label}_{events:05}", of_this))
                events, calls = events + 1, calls - of_this
            answer = self.post("/v1/usage/batch", {"events": batch}, f"batch:{label}:{events}", status=202)
            assert (answer["accepted"], answer["rejected"]) == (len(batch), 0)

    def _event(self, key: str, units: int) -> dict[str, Any]:
        return {
            "customer_id": self.customer_id,
            "billable_metric_key": "api_call",
            "units": units,
            "idempotency_key": key,
            "metadata": {"endpoint": "/v1/generate"},
        }

    def until(self, instant: str) -> Reply:
        return self.post("/v1/test-clock/advance", {"to": instant}, f"clock:{instant}", status=200)

    def balance(self) -> int:
        return int(self.service.call("GET", f"/v1/customers/{self.customer_id}/credits")["balance"])

    def now(self) -> Reply:
        return self.service.call("GET", f"/v1/subscriptions/{self.subscription['id']}")

    def told(self, event: str) -> list[dict[str, Any]]:
        """Payloads of webhook events, in order."""
        with environment_scope(self.world.id):
            rows = OutboxEvent.objects.filter(event=f"subscription.{event}").order_by("sequence")
            return [row.payload for row in rows]


@pytest.fixture
def platform(service: Service, acme: Character) -> Any:
    made = Platform(service, acme)
    yield made
    assert ledger_verify(environment_id=acme.test.id).findings == []


def test_the_subscription_as_printed(platform: Platform) -> None:
    made = platform.subscription

    assert (made["status"], made["current_period_start"], made["current_period_end"]) == (
        "active",
        SIGNED,
        CYCLE_END,
    )
    assert (made["contract_start"], made["contract_end"]) == (SIGNED, CONTRACT_END)
    assert made["external_subscription_id"] == "your_contract_ref_123"
    assert platform.balance() == BUDGET
    (created,) = platform.told("created")
    assert (created["subscription_id"], created["customer_id"]) == (made["id"], platform.customer_id)


def test_one_call_as_printed_and_its_repetition(platform: Platform) -> None:
    body = {
        "customer_id": platform.customer_id,
        "billable_metric_key": "api_call",
        "units": 1,
        "metadata": {"endpoint": "/v1/generate", "request_id": "req_abc123", "response_status": 200},
    }

    answers = [platform.post("/v1/usage", body, "usage:req_abc123", status=202) for _ in range(2)]

    assert [answer["duplicate"] for answer in answers] == [False, True]
    assert platform.balance() == BUDGET - 1_000


def test_fifteen_thousand_calls_are_the_printed_summary(platform: Platform) -> None:
    platform.call_the_api(15_000, label="april")

    platform.until(CYCLE_END)

    (renewed,) = platform.told("renewed")
    assert renewed["billing_mode"] == "postpaid"
    assert renewed["prior_period"] == {"start": SIGNED, "end": CYCLE_END}
    assert renewed["new_period"] == {"start": CYCLE_END, "end": "2026-06-13T00:00:00Z"}
    assert renewed["credits_granted"] == BUDGET
    assert renewed["usage_summary"] == {
        "total_credits_consumed": 12_500_000,
        "net_balance_at_cycle_start": BUDGET,
        "net_balance_at_cycle_end": 87_500_000,
        "by_billable_metric": {"api_call": {"units": 15_000, "credits": 12_500_000}},
    }


@pytest.mark.slow
def test_the_full_cycle_of_85000_calls(platform: Platform) -> None:
    # day 1 to 30
    for week, day in enumerate(("2026-04-14", "2026-04-21", "2026-04-28", "2026-05-05", "2026-05-12")):
        platform.until(f"{day}T09:30:00Z")
        platform.call_the_api(17_000, label=f"week{week}", units=1)
    assert platform.balance() == 52_500_000
    # when the cycle ends, at the very instant at which the old budget expires
    platform.until(CYCLE_END)
    # then
    (renewed,) = platform.told("renewed")
    summary = renewed["usage_summary"]
    assert summary["total_credits_consumed"] == 47_500_000
    assert summary["net_balance_at_cycle_end"] == 52_500_000
    assert summary["by_billable_metric"] == {"api_call": {"units": 85_000, "credits": 47_500_000}}
    assert renewed["created_at"] == CYCLE_END
    assert platform.balance() == BUDGET
    # and the tiers begin anew
    platform.call_the_api(100, label="june")
    assert platform.balance() == BUDGET - 100_000


def test_overage_is_settled_as_the_source_does(platform: Platform) -> None:
    # given: 55,000 credits for the first 100,000 calls, 50,000 for half a million more
    platform.call_the_api(600_000, label="much")
    assert platform.balance() == -5_000_000
    platform.until(CYCLE_END)
    (renewed,) = platform.told("renewed")
    end = renewed["usage_summary"]["net_balance_at_cycle_end"]
    assert end == -5_000_000
    # the new budget repaid the overdraft first
    assert platform.balance() == BUDGET - 5_000_000
    # when
    platform.post(
        f"/v1/customers/{platform.customer_id}/credits/adjust",
        {"delta": -end, "metadata": {"source": "postpaid_settlement"}},
        f"settle:{platform.subscription['id']}:{CYCLE_END}",
        status=201,
    )
    # then
    assert platform.balance() == BUDGET


def test_the_contract_is_extended_in_time(platform: Platform) -> None:
    done = platform.until("2027-03-14T00:00:00Z")
    assert (done["frozen_time"], len(platform.told("renewed"))) == ("2027-03-14T00:00:00Z", 11)
    (soon,) = platform.told("contract_ending_soon")
    assert (soon["contract_end"], soon["days_remaining"]) == (CONTRACT_END, 30)
    assert soon["created_at"] == "2027-03-14T00:00:00Z"
    # when
    extended = platform.post(
        f"/v1/subscriptions/{platform.subscription['id']}/extend",
        {
            "contract_end": "2028-04-13T00:00:00Z",
            "reason": "annual renewal signed",
            "metadata": {"amendment_id": "AMD-2027-001", "new_annual_value": "144000"},
        },
        "extend:AMD-2027-001",
        status=200,
    )
    # then
    assert (extended["status"], extended["contract_end"]) == ("active", "2028-04-13T00:00:00Z")
    platform.until("2027-06-01T00:00:00Z")
    assert platform.told("contract_ended") == []
    assert [renewed["prior_period"]["end"] for renewed in platform.told("renewed")][-2:] == [
        CONTRACT_END,
        "2027-05-13T00:00:00Z",
    ]
    assert platform.balance() == BUDGET


def test_a_contract_lapses_and_is_revived(platform: Platform) -> None:
    # given: eleven months, and some usage in the twelfth
    platform.until("2027-03-20T00:00:00Z")
    platform.call_the_api(2_000, label="last")
    # when nobody renews
    platform.until("2027-05-01T00:00:00Z")
    # then
    (ended,) = platform.told("contract_ended")
    assert (ended["contract_end"], ended["created_at"]) == (CONTRACT_END, CONTRACT_END)
    assert ended["usage_summary"]["by_billable_metric"] == {
        "api_call": {"units": 2_000, "credits": 2_000_000}
    }
    assert platform.now()["status"] == "contract_ended"
    assert len(platform.told("renewed")) == 11
    platform.until("2027-07-01T00:00:00Z")
    assert (platform.balance(), len(platform.told("renewed"))) == (0, 11)
    # when the customer comes back
    platform.post(
        f"/v1/subscriptions/{platform.subscription['id']}/extend",
        {"contract_end": "2028-04-13T00:00:00Z", "reason": "customer returned after lapse"},
        "extend:AMD-2027-002",
        status=200,
    )
    # then: a new period from now
    now = platform.now()
    assert (now["status"], now["current_period_start"], now["current_period_end"]) == (
        "active",
        "2027-07-01T00:00:00Z",
        "2027-08-01T00:00:00Z",
    )
    assert platform.balance() == BUDGET
    platform.until("2027-08-01T00:00:00Z")
    assert platform.told("renewed")[-1]["prior_period"] == {
        "start": "2027-07-01T00:00:00Z",
        "end": "2027-08-01T00:00:00Z",
    }


def test_an_unpaid_invoice_blocks_by_policy(platform: Platform) -> None:
    platform.call_the_api(600_000, label="much")
    path = f"/v1/customers/{platform.customer_id}"
    blocked = platform.service.call("PATCH", path, {"overage_policy": "block"}, Idempotency_Key="block:inv_1")
    assert blocked.status == 200

    check = platform.service.call("GET", f"{path}/entitlements/api_call?units=1")
    assert (check["allowed"], check["balance"], check["affordable_units"]) == (False, -5_000_000, 0)
    platform.service.call("PATCH", path, {"overage_policy": "allow"}, Idempotency_Key="allow:inv_1")
    assert platform.service.call("GET", f"{path}/entitlements/api_call?units=1")["allowed"] is True
