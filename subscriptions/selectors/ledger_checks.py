"""What `verify_ledger` asks of plan grants: each entry is what its run says, and each run has its entry."""

from __future__ import annotations

from typing import Final

from billing.selectors.ledger_checks import Check

CHECKS: Final = (
    Check(
        code="plan-grant-is-not-its-run",
        about="led",
        sentence="Entry {led} moves {moved} mc for grant run {run}, which says {said}.",
        sql="""
            SELECT e.id AS led, e.account_id, e.source_id AS run, t.moved, t.said
            FROM billing_ledger_entry e
            LEFT JOIN subscriptions_grant_run r ON r.id = e.source_id AND r.subscription_id IN (
                SELECT s.id FROM subscriptions_subscription s WHERE s.customer_id = e.account_id)
            CROSS JOIN LATERAL (
                SELECT CASE WHEN e.kind = 'rollover' THEN e.block_amounts[2] ELSE e.amount_mc END AS moved,
                       CASE WHEN e.kind = 'rollover' THEN r.rolled_mc ELSE r.credits_mc END AS said) t
            WHERE e.account_id = ANY(%(accounts)s) AND e.source_type = 'grant_run'
              AND t.moved IS DISTINCT FROM t.said
        """,
    ),
)
