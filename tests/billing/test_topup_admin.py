"""Topups and packages in the admin: somebody has paid and asks where their credits are."""

from __future__ import annotations

from typing import Any

import pytest

from tests.conftest import Api, Character
from tests.desk import Desk, somebody

TOPUPS, PACKAGES = "/admin/billing/topup/", "/admin/billing/topuppackage/"
PACK = {
    "name": "Pack of 100",
    "credits": 100_000,
    "bonus_credits": 5_000,
    "price": 1_000,
    "currency": "USD",
    "expires_after_seconds": 2_592_000,
}


@pytest.fixture
def desk(acme: Character) -> Desk:
    return Desk(somebody("support"), acme.test)


@pytest.fixture
def bought(api: Api) -> dict[str, Any]:
    package = api.post("/v1/topup-packages", PACK)["id"]
    body = {"external_customer_id": "ada", "package_id": package, "external_payment_id": "pi_42"}
    answer = api.post("/v1/topup/grant", body, idempotency_key="order-1")
    assert answer.status == 201, answer
    return {**dict(answer.json), "package": package}


@pytest.mark.parametrize("term", ["pi_42", "ada"])
def test_a_topup_is_found_by_payment_and_customer(desk, bought, term):
    listed = desk.open(f"{TOPUPS}?q={term}")

    assert bought["topup_id"] in listed
    assert "10.00" in listed
    assert bought["topup_id"] not in desk.open(f"{TOPUPS}?q=pi_43")


def test_its_page_leads_to_what_it_made(desk, bought):
    page = desk.open(f"{TOPUPS}{bought['topup_id']}/change/")

    for word in (
        "/admin/billing/creditblock/blk_",
        "/admin/billing/ledgerentry/led_",
        bought["package"],
        "order-1",
    ):
        assert word in page, word
    assert desk.queries(f"{TOPUPS}{bought['topup_id']}/change/") <= 15
    assert desk.queries(TOPUPS) <= 15


def test_a_package_has_a_page(desk, bought):
    page = desk.open(f"{PACKAGES}{bought['package']}/change/")

    for word in ("Pack of 100", "30 days", "10.00", "Sold"):
        assert word in page, word
    assert "Pack of 100" in desk.open(PACKAGES)


def test_the_search_finds_both_by_id_and_only_here(desk, acme, bought):
    for public_id in (bought["topup_id"], bought["package"]):
        assert f"/{public_id}/change/" in desk.open(f"/admin/search/?s={public_id}")
    desk.look_at(acme.live)
    for public_id in (bought["topup_id"], bought["package"]):
        assert f"/{public_id}/change/" not in desk.open(f"/admin/search/?s={public_id}")
    assert "pi_42" not in desk.open(TOPUPS)


def test_credits_paid_in_credits_and_without_a_price_are_shown(desk, api):
    base = {"external_customer_id": "ada", "credits": 5_000}
    paid = api.post("/v1/topup/grant", {**base, "price_paid": 2_000, "currency": "mc"}, idempotency_key="a")
    free = api.post("/v1/topup/grant", base, idempotency_key="b")

    for made in (paid, free):
        assert made.status == 201, made
        assert "Topup of ada" in desk.open(f"{TOPUPS}{made['topup_id']}/change/")
