"""Accounts: the numbers kept on each are what its entries, blocks and holds sum to."""

from __future__ import annotations

from typing import Final

from billing.selectors.ledger_checks.check import Check

CHECKS: Final = (
    Check(
        code="last-entries-missing",
        about="account_id",
        sentence="Account {account_id} counts {counted} entries, but its last one is number {last}.",
        sql="""
            SELECT a.customer_id AS account_id, a.sequence AS counted, coalesce(t.last, 0) AS last
            FROM billing_credit_account a
            LEFT JOIN (SELECT account_id, max(sequence) AS last FROM billing_ledger_entry
                       WHERE account_id = ANY(%(accounts)s) GROUP BY 1) t ON t.account_id = a.customer_id
            WHERE a.customer_id = ANY(%(accounts)s) AND a.sequence <> coalesce(t.last, 0)
        """,
    ),
    Check(
        code="balance-is-not-its-entries",
        about="account_id",
        sentence="Account {account_id} has a balance of {balance} mc, but its entries sum to {expected}.",
        sql="""
            SELECT a.customer_id AS account_id, a.balance_mc AS balance, coalesce(t.moved, 0) AS expected
            FROM billing_credit_account a
            LEFT JOIN (SELECT account_id, sum(amount_mc) AS moved FROM billing_ledger_entry
                       WHERE account_id = ANY(%(accounts)s) GROUP BY 1) t ON t.account_id = a.customer_id
            WHERE a.customer_id = ANY(%(accounts)s) AND a.balance_mc <> coalesce(t.moved, 0)
        """,
    ),
    Check(
        code="balance-is-not-its-blocks",
        about="account_id",
        sentence="Account {account_id} has {balance} mc, but {remaining} in blocks and {overdraft} overdrawn.",
        sql="""
            SELECT a.customer_id AS account_id, a.balance_mc AS balance, coalesce(t.remaining, 0) AS remaining,
                   a.overdraft_mc AS overdraft
            FROM billing_credit_account a
            LEFT JOIN (SELECT account_id, sum(remaining_mc) AS remaining FROM billing_credit_block
                       WHERE account_id = ANY(%(accounts)s) GROUP BY 1) t ON t.account_id = a.customer_id
            WHERE a.customer_id = ANY(%(accounts)s) AND a.balance_mc <> coalesce(t.remaining, 0) - a.overdraft_mc
        """,
    ),
    Check(
        code="overdraft-is-not-its-entries",
        about="account_id",
        sentence="Account {account_id} is overdrawn by {overdraft} mc, but its entries sum to {expected}.",
        sql="""
            SELECT a.customer_id AS account_id, a.overdraft_mc AS overdraft, coalesce(t.owed, 0) AS expected
            FROM billing_credit_account a
            LEFT JOIN (
                SELECT e.account_id, -sum(u.amount) AS owed FROM billing_ledger_entry e
                CROSS JOIN LATERAL unnest(e.block_ids, e.block_amounts) AS u(block_id, amount)
                WHERE e.account_id = ANY(%(accounts)s) AND u.block_id IS NULL GROUP BY 1) t
                ON t.account_id = a.customer_id
            WHERE a.customer_id = ANY(%(accounts)s) AND a.overdraft_mc <> coalesce(t.owed, 0)
        """,
    ),
    Check(
        code="reserved-is-not-its-holds",
        about="account_id",
        sentence="Account {account_id} has {reserved} mc reserved, but its open holds sum to {expected}.",
        sql="""
            SELECT a.customer_id AS account_id, a.reserved_mc AS reserved, coalesce(t.held, 0) AS expected
            FROM billing_credit_account a
            LEFT JOIN (SELECT account_id, sum(amount_mc) AS held FROM billing_hold
                       WHERE account_id = ANY(%(accounts)s) AND state = 'active' GROUP BY 1) t
                ON t.account_id = a.customer_id
            WHERE a.customer_id = ANY(%(accounts)s) AND a.reserved_mc <> coalesce(t.held, 0)
        """,
    ),
    Check(
        code="lifetime-earned-wrong",
        about="account_id",
        sentence="Account {account_id} says that it earned {earned} mc; its entries say {least} or more.",
        # An entry of a conversion shows credits less price: of those only what went into the block is certain.
        sql="""
            SELECT a.customer_id AS account_id, a.lifetime_earned_mc AS earned, coalesce(t.least, 0) AS least
            FROM billing_credit_account a
            LEFT JOIN (
                SELECT account_id, bool_or(kind = 'convert') AS converted,
                       sum(CASE WHEN kind = 'convert' THEN block_amounts[cardinality(block_amounts)]
                                WHEN source_type = 'extension' THEN 0
                                WHEN kind = 'grant' OR kind = 'adjust' AND amount_mc > 0 THEN amount_mc
                                ELSE 0 END) AS least
                FROM billing_ledger_entry WHERE account_id = ANY(%(accounts)s) GROUP BY 1) t
                ON t.account_id = a.customer_id
            WHERE a.customer_id = ANY(%(accounts)s)
              AND (a.lifetime_earned_mc < coalesce(t.least, 0)
                   OR a.lifetime_earned_mc > coalesce(t.least, 0) AND NOT coalesce(t.converted, false))
        """,
    ),
    Check(
        code="last-entry-dated-otherwise",
        about="account_id",
        sentence="Account {account_id} says that it last moved at {said}; its last entry or hold did at {dated}.",
        sql="""
            SELECT a.customer_id AS account_id, a.last_entry_at AS said,
                   greatest(e.occurred_at, h.began, h.ended) AS dated
            FROM billing_credit_account a
            LEFT JOIN billing_ledger_entry e ON e.account_id = a.customer_id AND e.sequence = a.sequence
            LEFT JOIN (SELECT account_id, max(created_at) AS began, max(ended_at) AS ended FROM billing_hold
                       WHERE account_id = ANY(%(accounts)s) GROUP BY 1) h ON h.account_id = a.customer_id
            WHERE a.customer_id = ANY(%(accounts)s)
              AND a.last_entry_at IS DISTINCT FROM greatest(e.occurred_at, h.began, h.ended)
        """,
    ),
    Check(
        code="due-work-would-be-overlooked",
        about="account_id",
        sentence="Account {account_id} says that nothing is due before {said}, but something is at {due}.",
        sql="""
            SELECT a.customer_id AS account_id, coalesce(a.next_change_at::text, 'ever') AS said, t.due
            FROM billing_credit_account a
            JOIN (
                SELECT account_id, min(due) AS due FROM (
                    SELECT account_id, expires_at AS due FROM billing_credit_block
                    WHERE account_id = ANY(%(accounts)s) AND state = 'live' AND remaining_mc > held_mc
                    UNION ALL
                    SELECT account_id, effective_at FROM billing_credit_block
                    WHERE account_id = ANY(%(accounts)s) AND state = 'pending'
                    UNION ALL
                    SELECT account_id, expires_at + interval '5 seconds' FROM billing_hold
                    WHERE account_id = ANY(%(accounts)s) AND state = 'active') u
                WHERE due IS NOT NULL GROUP BY 1) t ON t.account_id = a.customer_id
            WHERE a.customer_id = ANY(%(accounts)s) AND t.due < coalesce(a.next_change_at, 'infinity')
        """,
    ),
    Check(
        code="low-balance-would-be-overlooked",
        about="account_id",
        sentence="Account {account_id} tells of a low balance at {said} mc, its customer wants it at {threshold}.",
        sql="""
            SELECT a.customer_id AS account_id, coalesce(a.low_balance_at_mc::text, 'no') AS said,
                   coalesce(c.low_balance_threshold_mc::text, 'none') AS threshold
            FROM billing_credit_account a JOIN customers_customer c ON c.id = a.customer_id
            WHERE a.customer_id = ANY(%(accounts)s) AND a.low_balance_at_mc IS DISTINCT FROM c.low_balance_threshold_mc
        """,
    ),
    Check(
        code="scoped-blocks-would-be-overlooked",
        about="blk",
        sentence="Block {blk} is for certain metrics only, but account {account_id} says that it has no such blocks.",
        sql="""
            SELECT b.id AS blk, b.account_id FROM billing_credit_block b
            JOIN billing_credit_account a ON a.customer_id = b.account_id
            WHERE b.account_id = ANY(%(accounts)s) AND b.metric_keys IS NOT NULL AND b.state = 'live'
              AND NOT a.has_scoped_blocks
        """,
    ),
)
