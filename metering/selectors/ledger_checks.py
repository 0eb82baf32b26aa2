"""What `verify_ledger` asks of usage events: each that cost something was debited exactly that, once."""

from __future__ import annotations

from typing import Final

from billing.selectors.ledger_checks import Check

CHECKS: Final = (
    Check(
        code="event-is-not-its-debit",
        about="evt",
        sentence="Usage event {evt} costs {cost} mc, but its ledger entry ({led}) says {debited}.",
        sql="""
            SELECT u.id AS evt, u.customer_id AS account_id, u.cost_mc AS cost, e.id AS led,
                   coalesce(-e.amount_mc, 0) AS debited
            FROM metering_usage_event u
            LEFT JOIN billing_ledger_entry e
                -- Named again: else the debits of everybody are read for each batch.
                ON e.account_id = ANY(%(accounts)s) AND e.account_id = u.customer_id AND e.kind = 'debit'
                AND e.id = u.ledger_entry_id
                AND (e.source_id = u.id OR e.source_type = 'reservation' AND EXISTS (
                    SELECT FROM metering_reservation_step s
                    WHERE s.reservation_id = e.source_id AND s.kind = 'commit' AND s.event_id = u.id))
            WHERE u.customer_id = ANY(%(accounts)s)
              AND (u.cost_mc <> coalesce(-e.amount_mc, 0) OR (u.ledger_entry_id IS NULL) <> (e.id IS NULL))
        """,
    ),
    Check(
        code="debit-of-no-event",
        about="led",
        sentence="Entry {led} debits usage event {evt}, which is not there.",
        sql="""
            SELECT e.id AS led, e.account_id, e.source_id AS evt FROM billing_ledger_entry e
            WHERE e.account_id = ANY(%(accounts)s) AND e.kind = 'debit' AND e.source_type = 'event'
              -- Looked up one by one: as a join, and with old statistics, each entry is held against all events.
              AND (SELECT u.customer_id FROM metering_usage_event u
                   WHERE u.environment_id = e.environment_id AND u.id = e.source_id)
                  IS DISTINCT FROM e.account_id
              AND NOT EXISTS (SELECT FROM metering_event_archive a WHERE a.environment_id = e.environment_id
                AND a.first_id <= e.source_id AND a.end_id > e.source_id)
        """,
    ),
)
