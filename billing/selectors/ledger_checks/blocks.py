"""Blocks: what is left in each is the sum of what entries did to it, and what is held of it is pinned by open holds."""

from __future__ import annotations

from typing import Final

from billing.selectors.ledger_checks.check import Check

CHECKS: Final = (
    Check(
        code="block-is-not-its-entries",
        about="blk",
        sentence="Block {blk} has {remaining} mc left, but its entries sum to {expected}.",
        sql="""
            SELECT b.id AS blk, b.account_id, b.remaining_mc AS remaining, coalesce(t.moved, 0) AS expected
            FROM billing_credit_block b
            LEFT JOIN (
                SELECT u.block_id, sum(u.amount) AS moved FROM billing_ledger_entry e
                CROSS JOIN LATERAL unnest(e.block_ids, e.block_amounts) AS u(block_id, amount)
                WHERE e.account_id = ANY(%(accounts)s) GROUP BY 1) t ON t.block_id = b.id
            WHERE b.account_id = ANY(%(accounts)s)
              AND (b.remaining_mc <> coalesce(t.moved, 0) OR (b.state IN ('pending', 'voided')) <> (t.block_id IS NULL))
        """,
    ),
    Check(
        code="block-original-changed",
        about="blk",
        sentence="Block {blk} says that it began with {original} mc; entry {led} put {given} mc into it.",
        sql="""
            SELECT b.id AS blk, b.account_id, b.original_mc AS original, t.led, t.given FROM billing_credit_block b
            JOIN (
                SELECT DISTINCT ON (u.block_id) u.block_id, e.id AS led, u.amount AS given
                FROM billing_ledger_entry e
                CROSS JOIN LATERAL unnest(e.block_ids, e.block_amounts) AS u(block_id, amount)
                WHERE e.account_id = ANY(%(accounts)s) AND u.block_id IS NOT NULL
                ORDER BY u.block_id, e.sequence) t ON t.block_id = b.id
            WHERE b.account_id = ANY(%(accounts)s) AND b.original_mc <> t.given
        """,
    ),
    Check(
        code="block-out-of-bounds",
        about="blk",
        sentence="Block {blk} is {state} with {held} mc held of {remaining} left of {original}.",
        sql="""
            SELECT id AS blk, account_id, state, held_mc AS held, remaining_mc AS remaining, original_mc AS original
            FROM billing_credit_block
            WHERE account_id = ANY(%(accounts)s) AND NOT (
                0 <= held_mc AND held_mc <= remaining_mc AND remaining_mc <= original_mc
                AND (state = 'live') = (remaining_mc > 0))
        """,
    ),
    Check(
        code="block-held-is-not-its-holds",
        about="blk",
        sentence="Of block {blk} {held} mc are held, but open holds pin {pinned}.",
        sql="""
            SELECT b.id AS blk, b.account_id, b.held_mc AS held, coalesce(t.pinned, 0) AS pinned
            FROM billing_credit_block b
            LEFT JOIN (
                SELECT u.block_id, sum(u.amount) AS pinned FROM billing_hold h
                CROSS JOIN LATERAL unnest(h.block_ids, h.block_amounts) AS u(block_id, amount)
                WHERE h.account_id = ANY(%(accounts)s) AND h.state = 'active' GROUP BY 1) t ON t.block_id = b.id
            WHERE b.account_id = ANY(%(accounts)s) AND b.held_mc <> coalesce(t.pinned, 0)
        """,
    ),
)
