"""Connecting Stripe: keys go in, and never come out again."""

from __future__ import annotations

import pytest
from django.test import override_settings

from billing.models import ProviderAccount
from billing.services.provider_accounts import provider_of, webhook_secret_of
from customers.errors import DomainError
from customers.kernel.database import environment_scope
from customers.models import AuditRecord
from tests.billing.invoicing import make_customer
from tests.conftest import Api

PATH = "/v1/payment-providers/stripe"
KEYS = {"secret_key": "sk_test_51Nabcdefgh4Tzq", "webhook_secret": "whsec_8fAbcdefgh"}


def connect(api: Api, **changes: object) -> object:
    return api.send("PUT", PATH, {**KEYS, **changes})


class TestConnecting:
    def test_an_account_is_connected_and_shown_without_its_keys(self, api):
        answer = api.send("PUT", PATH, KEYS)

        assert answer.status == 200, answer
        assert answer["key_hint"] == "4Tzq"
        assert answer["webhook_url"].endswith("/v1/providers/stripe/webhook")
        assert api.get(PATH).json == answer.json
        for secret in KEYS.values():
            assert secret.encode() not in answer.bytes

    def test_keys_are_stored_encrypted_and_audited_without_them(self, api, acme):
        connect(api)

        with environment_scope(acme.test.id):
            account = ProviderAccount.objects.get()
            stored = bytes(account.secret_key_encrypted) + bytes(account.webhook_secret_encrypted)
            record = AuditRecord.objects.get(action="payment_provider.set")
            assert webhook_secret_of(account) == KEYS["webhook_secret"]
        for secret in KEYS.values():
            assert secret.encode() not in stored
            assert secret not in str(record.changes)
        assert record.changes == {"key_hint": [None, "4Tzq"]}

    def test_it_is_replaced(self, api):
        connect(api)

        assert connect(api, secret_key="rk_test_another9999").status == 200  # type: ignore[attr-defined]
        assert api.get(PATH)["key_hint"] == "9999"

    def test_it_is_disconnected(self, api):
        connect(api)

        assert api.delete(PATH).status == 204
        assert api.delete(PATH).status == 204
        assert api.get(PATH).refusal() == (404, "payment-provider-not-found")

    @pytest.mark.parametrize(
        ("changes", "field"),
        [
            ({"secret_key": "sk_live_51Nabcdefgh"}, "secret_key"),
            ({"secret_key": "pk_test_51Nabcdefgh"}, "secret_key"),
            ({"webhook_secret": "secret"}, "webhook_secret"),
            ({"secret_key": "sk_test_51\nX-Other: 1"}, "secret_key"),
            ({"secret_key": "sk_test_\u00e9"}, "secret_key"),
            ({"webhook_secret": "whsec_ "}, "webhook_secret"),
            ({"secret_key": None}, "secret_key"),
            ({"secret_key": 5}, "secret_key"),
            ({"account": "acct_1"}, "account"),
        ],
    )
    def test_wrong_keys_are_refused(self, api, changes, field):
        answer = api.send("PUT", PATH, {**KEYS, **changes})

        assert answer.refusal() == (422, "validation-failed")
        assert [error["field"] for error in answer["errors"]] == [field]
        assert api.get(PATH).status == 404

    def test_a_live_environment_takes_live_keys(self, acme):
        live = Api(acme.live.secret)

        assert live.send("PUT", PATH, KEYS).refusal() == (422, "validation-failed")
        assert live.send("PUT", PATH, {**KEYS, "secret_key": "sk_live_51Nabcd"}).status == 200

    def test_environments_have_accounts_of_their_own(self, api, acme, rival):
        connect(api)

        assert Api(acme.live.secret).get(PATH).status == 404
        assert Api(rival.test.secret).get(PATH).status == 404

    def test_it_needs_the_scope_for_keys(self, api):
        key = api.post("/v1/api-keys", {"name": "billing", "scopes": ["invoices:write", "invoices:read"]})

        assert api.send("PUT", PATH, KEYS, key=key["secret"]).refusal() == (403, "scope-missing")
        assert api.get(PATH, key=key["secret"]).refusal() == (403, "scope-missing")

    def test_under_another_signing_key_nothing_is_read(self, api, acme):
        connect(api)
        customer = make_customer(acme.test, payment_provider="stripe")

        with (
            environment_scope(acme.test.id),
            override_settings(WEBHOOKS_SIGNING_KEY="changed"),
            pytest.raises(DomainError) as refused,
        ):
            provider_of(customer=customer)
        assert refused.value.code == "payment-provider-unreadable"
