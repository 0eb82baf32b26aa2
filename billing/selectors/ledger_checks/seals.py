"""Seals: each continues the one before, and what was sealed is still there to the byte."""

from __future__ import annotations

from typing import Final

from billing.selectors.ledger_checks.check import Check

#: Asked once for each environment.
CHAIN: Final = (
    Check(
        code="seal-missing",
        about="number",
        sentence="Seals {first} to {last} are missing before seal {number}.",
        sql="""
            SELECT NULL::uuid AS account_id, number, before + 1 AS first, number - 1 AS last FROM (
                SELECT number, coalesce(lag(number) OVER (ORDER BY number), 0) AS before FROM billing_ledger_seal) t
            WHERE number <> before + 1
        """,
    ),
    Check(
        code="seal-chain-broken",
        about="number",
        sentence="Seal {number} does not continue seal {before}.",
        sql="""
            SELECT NULL::uuid AS account_id, number, number - 1 AS before FROM (
                SELECT number, previous_hash, first_position,
                       lag(hash, 1, decode(repeat('00', 32), 'hex')) OVER w AS expected,
                       lag(last_position, 1, 0::bigint) OVER w + 1 AS position
                FROM billing_ledger_seal WINDOW w AS (ORDER BY number)) t
            WHERE previous_hash <> expected OR first_position <> position
        """,
    ),
    Check(
        code="seal-changed",
        about="number",
        sentence="Seal {number} does not match its own hash: the seal or one of its parts was changed or removed.",
        sql="""
            SELECT NULL::uuid AS account_id, s.number FROM billing_ledger_seal s
            CROSS JOIN LATERAL (
                SELECT string_agg(billing_seal_part_digest(p.account_id, p.first_sequence, p.last_sequence, p.hash), ''
                                  ORDER BY p.account_id) AS parts,
                       coalesce(sum(p.last_sequence - p.first_sequence + 1), 0) AS entries, count(*) AS accounts
                FROM billing_ledger_seal_part p
                WHERE p.environment_id = s.environment_id AND p.seal_number = s.number) t
            WHERE s.hash IS DISTINCT FROM billing_seal_hash(
                    s.previous_hash, s.environment_id, s.number, s.first_position, s.last_position, s.accounts,
                    s.sealed_at, t.parts)
               OR s.accounts <> t.accounts OR t.entries <> s.last_position - s.first_position + 1
        """,
    ),
    Check(
        code="seal-taken-off-the-end",
        about="account_id",
        sentence="Account {account_id} was sealed up to entry {sequence}; the seals that are there reach {reached}.",
        sql="""
            SELECT w.account_id, w.sequence, coalesce(t.reached, 0) AS reached FROM billing_sealed_account w
            FULL JOIN (SELECT account_id, max(last_sequence) AS reached FROM billing_ledger_seal_part GROUP BY 1) t
                ON t.account_id = w.account_id
            WHERE w.sequence IS DISTINCT FROM t.reached
        """,
    ),
    Check(
        code="seal-part-of-no-seal",
        about="account_id",
        sentence="A part of seal {number} is there for account {account_id}, but that seal is not.",
        sql="""
            SELECT p.account_id, p.seal_number AS number FROM billing_ledger_seal_part p
            WHERE NOT EXISTS (SELECT FROM billing_ledger_seal s
                              WHERE s.environment_id = p.environment_id AND s.number = p.seal_number)
        """,
    ),
)

#: Asked for each batch of accounts.
CHECKS: Final = (
    Check(
        code="seal-parts-not-contiguous",
        about="account_id",
        sentence="Seal {number} covers account {account_id} from entry {first}; it should go on from {expected}.",
        sql="""
            SELECT account_id, seal_number AS number, first_sequence AS first, expected FROM (
                SELECT account_id, seal_number, first_sequence,
                       lag(last_sequence, 1, 0::bigint) OVER (PARTITION BY account_id ORDER BY first_sequence) + 1
                           AS expected
                FROM billing_ledger_seal_part WHERE account_id = ANY(%(accounts)s)) t
            WHERE first_sequence <> expected
        """,
    ),
    Check(
        code="sealed-entry-changed",
        about="led",
        sentence="Account {account_id}, entry {sequence} ({led}) is not what seal {number} sealed: {what}.",
        # All digests of a part are compared with the part's hash; only where that fails, which entry it was is found
        # by the beginnings of the digests.
        sql="""
            WITH broken AS MATERIALIZED (
                SELECT p.*, p.hash = sha256(d.all_of_them) AS entries_are_right FROM billing_ledger_seal_part p
                CROSS JOIN LATERAL (
                    SELECT coalesce(string_agg(t.digest, '' ORDER BY t.sequence, t.id), '') AS all_of_them,
                           coalesce(string_agg(substr(t.digest, 1, 8), '' ORDER BY t.sequence, t.id), '') AS beginnings
                    FROM (SELECT e.sequence, e.id, billing_entry_digest(e) AS digest FROM billing_ledger_entry e
                          WHERE e.account_id = p.account_id AND e.sequence >= p.first_sequence
                            AND e.sequence <= p.last_sequence) t) d
                WHERE p.account_id = ANY(%(accounts)s)
                  AND (p.hash <> sha256(d.all_of_them) OR p.digests <> d.beginnings)
            )
            SELECT t.led, b.account_id, b.seal_number AS number,
                   coalesce(t.sequence::text, b.first_sequence || ' to ' || b.last_sequence) AS sequence,
                   CASE WHEN b.entries_are_right THEN 'the seal itself was changed'
                        WHEN t.sequence IS NULL THEN 'one of them was changed, and the seal too'
                        WHEN t.led IS NULL THEN 'it was removed'
                        ELSE 'it was changed, exchanged or inserted' END AS what
            FROM broken b
            LEFT JOIN LATERAL (
                SELECT e.id AS led, n.sequence
                FROM generate_series(b.first_sequence, b.last_sequence) AS n(sequence)
                LEFT JOIN billing_ledger_entry e ON e.account_id = b.account_id AND e.sequence = n.sequence
                WHERE e.id IS NULL OR substr(billing_entry_digest(e), 1, 8) IS DISTINCT FROM
                    substr(b.digests, (8 * (n.sequence - b.first_sequence) + 1)::integer, 8)) t ON true
        """,
    ),
)
