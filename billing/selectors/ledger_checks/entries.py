"""Ledger entries: numbered without gaps, each continuing the one before, each made of what it did to blocks."""

from __future__ import annotations

from typing import Final

from billing.selectors.ledger_checks.check import Check

#: What each entry did to each block, one row an allocation.
_ALLOCATIONS: Final = """
    SELECT e.id AS led, e.account_id, e.sequence, e.kind, e.occurred_at, e.source_type, e.source_id,
           t.block_id, t.amount
    FROM billing_ledger_entry e CROSS JOIN LATERAL unnest(e.block_ids, e.block_amounts) AS t(block_id, amount)
    WHERE e.account_id = ANY(%(accounts)s)
"""


def _of_allocations(sql: str) -> str:
    return sql.replace("ALLOCATIONS", f"({_ALLOCATIONS})")


CHECKS: Final = (
    Check(
        code="entries-missing",
        about="led",
        sentence="Entries {first} to {last} of account {account_id} are missing: {led} is number {sequence}.",
        sql="""
            SELECT id AS led, account_id, sequence, before + 1 AS first, sequence - 1 AS last FROM (
                SELECT id, account_id, sequence, coalesce(lag(sequence) OVER w, 0) AS before
                FROM billing_ledger_entry WHERE account_id = ANY(%(accounts)s)
                WINDOW w AS (PARTITION BY account_id ORDER BY sequence)) t
            WHERE sequence > before + 1
        """,
    ),
    Check(
        code="entry-number-twice",
        about="led",
        sentence="Entry {led} has number {sequence} of account {account_id}, which is wrong or taken.",
        sql="""
            SELECT id AS led, account_id, sequence FROM (
                SELECT id, account_id, sequence, coalesce(lag(sequence) OVER w, 0) AS before
                FROM billing_ledger_entry WHERE account_id = ANY(%(accounts)s)
                WINDOW w AS (PARTITION BY account_id ORDER BY sequence, id)) t
            WHERE sequence <= before
        """,
    ),
    Check(
        code="entry-balance-broken",
        about="led",
        sentence="Entry {led} (number {sequence}) says {balance_after} mc after {amount} mc; it should be {expected}.",
        sql="""
            SELECT id AS led, account_id, sequence, amount_mc AS amount, balance_after_mc AS balance_after, expected
            FROM (
                SELECT id, account_id, sequence, amount_mc, balance_after_mc,
                       coalesce(lag(balance_after_mc) OVER w, 0) + amount_mc AS expected
                FROM billing_ledger_entry WHERE account_id = ANY(%(accounts)s)
                WINDOW w AS (PARTITION BY account_id ORDER BY sequence)) t
            WHERE balance_after_mc <> expected
        """,
    ),
    Check(
        code="entry-amount-is-not-its-parts",
        about="led",
        sentence="Entry {led} moves {amount} mc, but its parts sum to {parts}.",
        sql="""
            SELECT e.id AS led, e.account_id, e.amount_mc AS amount, t.parts
            FROM billing_ledger_entry e
            CROSS JOIN LATERAL (SELECT coalesce(sum(a), 0) AS parts FROM unnest(e.block_amounts) AS u(a)) t
            WHERE e.account_id = ANY(%(accounts)s)
              AND (e.amount_mc <> t.parts OR cardinality(e.block_ids) <> cardinality(e.block_amounts))
        """,
    ),
    Check(
        code="entry-sign-wrong",
        about="led",
        sentence="Entry {led} is of kind {kind} and cannot have a part of {amount} mc.",
        sql=_of_allocations("""
            SELECT led, account_id, kind, amount FROM ALLOCATIONS t
            WHERE kind IN ('debit', 'expire') AND amount >= 0
               OR kind IN ('grant', 'refund') AND amount < 0
        """),
    ),
    Check(
        code="rollover-is-no-move",
        about="led",
        sentence="Entry {led} is a rollover, but does not move credits from one block into a fresh one of its kind.",
        sql="""
            SELECT e.id AS led, e.account_id FROM billing_ledger_entry e
            LEFT JOIN billing_credit_block o ON o.id = e.block_ids[1] AND o.account_id = e.account_id
            LEFT JOIN billing_credit_block n ON n.id = e.block_ids[2] AND n.account_id = e.account_id
            WHERE e.account_id = ANY(%(accounts)s) AND e.kind = 'rollover' AND (
                e.amount_mc <> 0 OR cardinality(e.block_ids) <> 2 OR o.id IS NULL OR n.id IS NULL OR o.id = n.id
                OR e.block_amounts[2] <= 0 OR n.source <> 'rollover' OR n.original_mc <> e.block_amounts[2]
                OR n.metric_keys IS DISTINCT FROM o.metric_keys)
        """,
    ),
    Check(
        code="extension-is-no-move",
        about="led",
        sentence="Entry {led} is half of an extension, but no other gives or takes the same {amount} mc.",
        # Grants of an extension count as nothing earned, so each must have been taken from somewhere.
        sql="""
            SELECT e.id AS led, e.account_id, e.amount_mc AS amount FROM billing_ledger_entry e
            WHERE e.account_id = ANY(%(accounts)s) AND e.kind IN ('grant', 'adjust') AND e.source_type = 'extension'
              AND NOT EXISTS (
                SELECT FROM billing_ledger_entry o
                WHERE o.source_id = e.source_id AND o.account_id = e.account_id AND o.source_type = 'extension'
                  AND o.kind = CASE e.kind WHEN 'grant' THEN 'adjust' ELSE 'grant' END AND o.amount_mc = -e.amount_mc)
        """,
    ),
    Check(
        code="entry-goes-back-in-time",
        about="led",
        sentence="Entry {led} is dated {occurred_at}, before the entry it follows ({before}).",
        sql="""
            SELECT id AS led, account_id, occurred_at, before FROM (
                SELECT id, account_id, occurred_at, lag(occurred_at) OVER w AS before
                FROM billing_ledger_entry WHERE account_id = ANY(%(accounts)s)
                WINDOW w AS (PARTITION BY account_id ORDER BY sequence)) t
            WHERE occurred_at < before
        """,
    ),
    Check(
        code="entry-of-a-strange-block",
        about="led",
        sentence="Entry {led} moves {amount} mc of block {blk}, which is not a block of account {account_id}.",
        sql=_of_allocations("""
            SELECT t.led, t.account_id, t.block_id AS blk, t.amount FROM ALLOCATIONS t
            WHERE t.block_id IS NOT NULL AND NOT EXISTS (
                SELECT FROM billing_credit_block b WHERE b.id = t.block_id AND b.account_id = t.account_id)
        """),
    ),
    Check(
        code="one-cause-two-entries",
        about="led",
        sentence="Entry {led} has the same cause ({source_type} {source_id}) as an earlier {kind} of the account.",
        sql="""
            SELECT id AS led, account_id, kind, source_type, source_id FROM (
                SELECT id, account_id, kind, source_type, source_id,
                       row_number() OVER (PARTITION BY account_id, kind, source_id ORDER BY sequence) AS n
                FROM billing_ledger_entry WHERE account_id = ANY(%(accounts)s)) t
            WHERE n > 1
        """,
    ),
    Check(
        code="refund-of-no-debit",
        about="led",
        sentence="Entry {led} says that it gives back {reverses_id}, which is not an earlier debit of the account.",
        sql="""
            SELECT r.id AS led, r.account_id, r.reverses_id FROM billing_ledger_entry r
            LEFT JOIN billing_ledger_entry d
                ON d.id = r.reverses_id AND d.account_id = r.account_id AND d.kind = 'debit'
                AND d.sequence < r.sequence
            WHERE r.account_id = ANY(%(accounts)s) AND d.id IS NULL
              AND (r.kind = 'refund' OR r.reverses_id IS NOT NULL)
        """,
    ),
    Check(
        code="refunds-exceed-debit",
        about="led",
        sentence="Debit {led} took {taken} mc, and {refunded} mc of it were given back.",
        sql="""
            SELECT d.id AS led, d.account_id, -d.amount_mc AS taken, t.refunded
            FROM (SELECT account_id, reverses_id, sum(amount_mc) AS refunded FROM billing_ledger_entry
                  WHERE account_id = ANY(%(accounts)s) AND reverses_id IS NOT NULL GROUP BY 1, 2) t
            JOIN billing_ledger_entry d ON d.id = t.reverses_id AND d.account_id = t.account_id
            WHERE t.refunded > -d.amount_mc
        """,
    ),
    Check(
        code="overdraft-repaid-that-was-not-there",
        about="led",
        sentence="Entry {led} leaves an overdraft of {overdraft} mc: more was repaid than was owed.",
        sql=_of_allocations("""
            SELECT DISTINCT ON (account_id) led, account_id, overdraft FROM (
                SELECT led, account_id, sequence,
                       -sum(amount) OVER (PARTITION BY account_id ORDER BY sequence) AS overdraft
                FROM ALLOCATIONS t WHERE block_id IS NULL) u
            WHERE overdraft < 0 ORDER BY account_id, sequence
        """),
    ),
    Check(
        code="block-never-held-that",
        about="led",
        sentence="Entry {led} moves {amount} mc of block {blk} and leaves {left} of {original} mc in it.",
        sql=_of_allocations("""
            SELECT DISTINCT ON (u.block_id) u.led, u.account_id, u.block_id AS blk, u.amount, u."left",
                   b.original_mc AS original
            FROM (SELECT led, account_id, sequence, block_id, amount,
                         sum(amount) OVER (PARTITION BY block_id ORDER BY sequence) AS "left"
                  FROM ALLOCATIONS t WHERE block_id IS NOT NULL) u
            JOIN billing_credit_block b ON b.id = u.block_id
            WHERE u."left" < 0 OR u."left" > b.original_mc ORDER BY u.block_id, u.sequence
        """),
    ),
    Check(
        code="dead-credits-spent",
        about="led",
        sentence="Entry {led} of {occurred_at} moves credits of block {blk}, good from {starts} to {ends}.",
        sql=_of_allocations("""
            SELECT t.led, t.account_id, t.occurred_at, b.id AS blk, b.effective_at AS starts, b.expires_at AS ends
            FROM ALLOCATIONS t JOIN billing_credit_block b ON b.id = t.block_id
            WHERE t.occurred_at < b.effective_at
               OR t.kind = 'expire' AND (b.expires_at IS NULL OR t.occurred_at < b.expires_at)
               OR t.kind <> 'expire' AND t.occurred_at >= b.expires_at
                  AND NOT (t.kind = 'debit' AND t.source_type = 'reservation')
                  -- What rolls over leaves at the very end.
                  AND NOT (t.kind = 'rollover' AND t.amount < 0 AND t.occurred_at = b.expires_at)
        """),
    ),
    Check(
        code="effective-balance-implausible",
        about="led",
        sentence="Entry {led} says {effective} mc effective of {balance}, but then {least} to {most} mc were held.",
        # Holds are not numbered with entries: of one that began or ended at an entry's very instant either is believed.
        # `least` is what was held for certain, `most` what may have been; at one instant, ends of `least` (0) come
        # before entries (1) and its beginnings (2) after them; `most` the other way round.
        sql="""
            WITH moments AS (
                SELECT account_id, created_at AS at, 2 AS place, amount_mc AS least, 0 AS most FROM billing_hold
                    WHERE account_id = ANY(%(accounts)s) AND created_at IS DISTINCT FROM ended_at
                UNION ALL
                SELECT account_id, ended_at, 0, -amount_mc, 0 FROM billing_hold
                    WHERE account_id = ANY(%(accounts)s) AND created_at <> ended_at
                UNION ALL
                SELECT account_id, created_at, 0, 0, amount_mc FROM billing_hold
                    WHERE account_id = ANY(%(accounts)s)
                UNION ALL
                SELECT account_id, ended_at, 2, 0, -amount_mc FROM billing_hold
                    WHERE account_id = ANY(%(accounts)s) AND ended_at IS NOT NULL
            ), timeline AS (
                SELECT account_id, at, place, NULL::uuid AS led, least, most,
                       0::bigint AS balance, 0::bigint AS effective
                FROM moments
                UNION ALL
                SELECT account_id, occurred_at, 1, id, 0, 0, balance_after_mc, effective_after_mc
                FROM billing_ledger_entry WHERE account_id = ANY(%(accounts)s)
            ), summed AS (
                SELECT account_id, led, balance, effective, sum(least) OVER w AS least, sum(most) OVER w AS most
                FROM timeline WINDOW w AS (PARTITION BY account_id ORDER BY at, place)
            )
            SELECT led, account_id, balance, effective, least, most FROM summed
            WHERE led IS NOT NULL AND balance - effective NOT BETWEEN least AND most
        """,
    ),
    Check(
        code="policy-violated",
        about="led",
        sentence="Entry {led} left {effective} mc effective although the customer's policy always was {policy}.",
        # Provable of customers that never changed: of others it is not known what held at the time. What a hold had
        # promised may be taken below a limit, when other credits died meanwhile.
        sql="""
            SELECT e.id AS led, e.account_id, e.effective_after_mc AS effective, c.overage_policy AS policy
            FROM customers_customer c JOIN billing_ledger_entry e ON e.account_id = c.id
            WHERE c.id = ANY(%(accounts)s) AND e.account_id = ANY(%(accounts)s) AND c.updated_at = c.created_at
              AND (e.kind = 'debit' OR e.kind = 'adjust' AND e.amount_mc < 0)
              AND (c.overage_policy = 'block' AND e.effective_after_mc < 0
                   OR c.overage_policy <> 'block' AND e.source_type <> 'reservation'
                      AND e.effective_after_mc < -c.overage_limit_mc)
        """,
    ),
)
