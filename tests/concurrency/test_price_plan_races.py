"""Price plans under many hands: every version once, one term at a time."""

from __future__ import annotations

from customers.kernel.database import environment_scope
from subscriptions.models import PricePlan, PriceTerm
from tests.conftest import Api, Character, run_together
from tests.subscriptions.pricing import fee, make_price_plan, subscribe_to

HANDS = 8


def test_the_same_id_at_once_makes_each_version_once(acme: Character) -> None:
    def create(number: int) -> int:
        return int(make_price_plan(Api(acme.test.secret), "plan_raced", fee(str(number)))["version"])

    versions = run_together(HANDS, create)

    assert sorted(versions) == list(range(1, HANDS + 1))
    with environment_scope(acme.test.id):
        assert PricePlan.objects.count() == 1


def test_changes_at_once_leave_terms_that_tile(api: Api, acme: Character) -> None:
    for number in range(HANDS):
        make_price_plan(api, f"plan_{number}")
    deal = subscribe_to(api, acme.test, "plan_0", begin=None)

    def change(number: int) -> int:
        body = {"plan_id": f"plan_{number}"}
        return Api(acme.test.secret).post(f"/v1/subscriptions/{deal.id}/change", body).status

    statuses = run_together(HANDS, change)

    assert set(statuses) <= {200, 409}
    with environment_scope(acme.test.id):
        terms = list(PriceTerm.objects.order_by("starts_at"))
        assert [one.ends_at for one in terms[:-1]] == [two.starts_at for two in terms[1:]]
        assert terms[-1].ends_at is None


def test_one_customer_subscribes_to_several_at_once(api: Api, acme: Character) -> None:
    make_price_plan(api)
    api.post("/v1/customers", {"external_id": "user_1"})

    def subscribe(_: int) -> int:
        body = {"external_customer_id": "user_1", "plan_id": "plan_fee"}
        return Api(acme.test.secret).post("/v1/subscriptions", body).status

    assert run_together(HANDS, subscribe) == [201] * HANDS
    assert len(api.get("/v1/customer-by-external-id/user_1/subscriptions")["data"]) == HANDS
