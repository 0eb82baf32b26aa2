"""Holds: each ends once, and what it committed is the debit it made."""

from __future__ import annotations

from typing import Final

from billing.selectors.ledger_checks.check import Check

CHECKS: Final = (
    Check(
        code="hold-is-not-its-parts",
        about="res",
        sentence="Hold {res} is for {amount} mc, but its parts sum to {parts} or are not of the account's blocks.",
        sql="""
            SELECT h.id AS res, h.account_id, h.amount_mc AS amount, t.parts FROM billing_hold h
            CROSS JOIN LATERAL (
                SELECT coalesce(sum(u.amount), 0) AS parts,
                       count(u.block_id) AS pinned, count(b.id) AS known
                FROM unnest(h.block_ids, h.block_amounts) AS u(block_id, amount)
                LEFT JOIN billing_credit_block b ON b.id = u.block_id AND b.account_id = h.account_id) t
            WHERE h.account_id = ANY(%(accounts)s)
              AND (h.amount_mc <> t.parts OR t.pinned <> t.known
                   OR cardinality(h.block_ids) <> cardinality(h.block_amounts))
        """,
    ),
    Check(
        code="hold-end-contradicts-itself",
        about="res",
        sentence="Hold {res} is {state}, ended at {ended} and committed {committed} mc: that cannot be.",
        sql="""
            SELECT id AS res, account_id, state, ended_at AS ended, committed_mc AS committed FROM billing_hold
            WHERE account_id = ANY(%(accounts)s) AND (
                (state = 'active') <> (ended_at IS NULL) OR (state = 'committed') <> (committed_mc IS NOT NULL))
        """,
    ),
    Check(
        code="hold-commit-is-not-its-debit",
        about="res",
        sentence="Hold {res} is {state} and committed {committed} mc, but its debits sum to {debited}.",
        sql="""
            SELECT h.id AS res, h.account_id, h.state, h.committed_mc AS committed, coalesce(t.debited, 0) AS debited
            FROM billing_hold h
            LEFT JOIN (
                SELECT source_id, -sum(amount_mc) AS debited FROM billing_ledger_entry
                WHERE account_id = ANY(%(accounts)s) AND kind = 'debit' AND source_type = 'reservation'
                GROUP BY 1) t ON t.source_id = h.id
            WHERE h.account_id = ANY(%(accounts)s) AND coalesce(h.committed_mc, 0) <> coalesce(t.debited, 0)
        """,
    ),
    Check(
        code="debit-of-no-hold",
        about="led",
        sentence="Entry {led} settles hold {res}, which the account does not have.",
        sql="""
            SELECT e.id AS led, e.account_id, e.source_id AS res FROM billing_ledger_entry e
            WHERE e.account_id = ANY(%(accounts)s) AND e.source_type = 'reservation' AND NOT EXISTS (
                SELECT FROM billing_hold h WHERE h.id = e.source_id AND h.account_id = e.account_id)
        """,
    ),
)
