"""A tenant with a metric, a price and many funded customers: `python -m benchmarks.catalogue`, in the application's own
name. Prints what the drivers need to know as a JSON object.
"""

from __future__ import annotations

import json
from typing import Any, Final

import config.wsgi  # noqa: F401 - sets Django up
from benchmarks.requests import ACCOUNTS
from customers.kernel.caller import Caller
from customers.kernel.clock import system_now
from customers.kernel.database import call_all, environment_scope
from customers.services.tenants import tenant_create
from metering.selectors.config import config_get
from metering.services.metrics import metric_create
from metering.services.rules import rule_create

_CUSTOMERS: Final = """
INSERT INTO customers_customer (id, environment_id, public_id, external_id, external_key, created_at, updated_at)
SELECT id, $1, id::text, name, name, $2, $2 FROM (
  SELECT purser_uuid7() AS id, 'bench_' || lpad(n::text, 5, '0') AS name FROM generate_series(0, $3 - 1) AS n) AS new
"""
# In Django's connection a statement is its own transaction; ten thousand grants in one would hold as many locks.
_GRANTS: Final = """
SELECT count(g.status) FROM (
  SELECT id FROM customers_customer WHERE environment_id = $1 AND external_key BETWEEN $2 AND $3) AS c,
LATERAL billing_credits_grant_v1(
  p_environment => $1, p_account => c.id, p_block => purser_uuid7(), p_kind => 'grant', p_credits => 1000000000000,
  p_priority => 0, p_effective_at => $4, p_expires_at => NULL, p_metric_keys => NULL, p_source => 'manual',
  p_price_paid => NULL, p_currency => NULL, p_metadata => '{}', p_source_type => 'manual', p_source_id => c.id,
  p_actor => 'system:bench', p_reason => '', p_key => NULL, p_request => '', p_now => $4) AS g
"""
# Tables that have seen use: plans made for empty ones would be kept while they fill.
_EVENTS: Final = """
SELECT count(u.status) FROM (
  SELECT external_key AS name FROM customers_customer
  WHERE environment_id = $1 AND external_key BETWEEN $2 AND $3) AS c,
LATERAL metering_usage_record_v1(
  p_environment => $1, p_config_version => $4::bigint, p_by => 'external', p_reference => c.name,
  p_new_customer => purser_uuid7(), p_event => purser_uuid7(), p_metric => $5, p_metric_key => 'bench_call',
  p_rule => $6, p_scoped => false, p_priced_customer => NULL, p_priced_variant => NULL, p_dimension => '',
  p_value => '', p_cycle_units => NULL, p_cycle_charged => NULL, p_steady_from => NULL, p_steady_to => NULL,
  p_units => 1, p_cost => 1,
  p_key => 'first of ' || c.name, p_fingerprint => '', p_timestamp => NULL, p_properties => NULL,
  p_metadata => NULL, p_actor => 'system:bench', p_request => '', p_now => $7) AS u
"""
_STEP: Final = 1000


def make() -> dict[str, Any]:
    now = system_now()
    made = tenant_create(actor="system:bench", name="Bench", now=now)
    environment_id = made.test.id
    caller = Caller(environment_id=environment_id, actor="system:bench")
    with environment_scope(environment_id):
        for key, prices in _METRICS.items():
            metric_create(caller=caller, key=key, name=key, now=now)
            rule_create(caller=caller, metric_key=key, definition=prices, now=now)
        call_all(_CUSTOMERS, [environment_id, now, ACCOUNTS])
    config = config_get(environment_id)
    metric = config.metrics["bench_call"]
    rule = metric.default_rules[0]
    for first in range(0, ACCOUNTS, _STEP):
        bounds = [f"bench_{number:05}" for number in (first, first + _STEP - 1)]
        with environment_scope(environment_id):
            call_all(_GRANTS, [environment_id, *bounds, now])
            call_all(_EVENTS, [environment_id, *bounds, config.version, metric.id, rule.id, now])
    return {
        "secret": made.test_key.secret,
        "environment": str(environment_id),
        "config_version": config.version,
        "metric": str(metric.id),
        "rule": str(rule.id),
    }


_METRICS: Final[dict[str, dict[str, Any]]] = {
    "bench_call": {"cost_type": "per_unit", "unit_cost": 1},
    "bench_tiered": {
        "cost_type": "tiered",
        "tiers": [{"up_to": 1000, "credit_cost": 3}, {"up_to": None, "credit_cost": 2}],
    },
    **{f"bench_{number:02}": {"cost_type": "per_unit", "unit_cost": 1 + number} for number in range(100)},
}

if __name__ == "__main__":
    print(json.dumps(make()))
