"""Invoices: they add up, their lines chain, no number is missing, credit is what moved. Asked once per environment."""

from __future__ import annotations

from typing import Final

from billing.selectors.ledger_checks.check import Check

CHECKS: Final = (
    Check(
        code="invoice-is-not-its-lines",
        about="inv",
        sentence="Invoice {inv} has a subtotal of {subtotal_minor}; its lines come to {lines}.",
        sql="""
            SELECT i.id AS inv, i.customer_id AS account_id, i.subtotal_minor, coalesce(l.amount, 0) AS lines
            FROM billing_invoice i
            LEFT JOIN (SELECT invoice_id, sum(amount_minor) AS amount FROM billing_invoice_line GROUP BY 1) l
                ON l.invoice_id = i.id
            WHERE i.subtotal_minor <> coalesce(l.amount, 0)
        """,
    ),
    Check(
        code="invoice-tax-wrong",
        about="inv",
        sentence="Invoice {inv} has a tax of {tax_minor}; {tax_rate} % of its subtotal are {expected}.",
        sql="""
            SELECT id AS inv, customer_id AS account_id, tax_minor, tax_rate,
                   round(subtotal_minor * tax_rate / 100) AS expected
            FROM billing_invoice WHERE tax_minor <> round(subtotal_minor * tax_rate / 100)
        """,
    ),
    Check(
        code="invoice-number-missing",
        about="inv",
        sentence="Numbers {first} to {last} are missing before invoice {inv}.",
        sql="""
            SELECT id AS inv, customer_id AS account_id, before + 1 AS first, number_sequence - 1 AS last FROM (
                SELECT id, customer_id, number_sequence, lag(number_sequence) OVER (ORDER BY number_sequence) AS before
                FROM billing_invoice WHERE number_sequence IS NOT NULL) t
            WHERE number_sequence <> before + 1
        """,
    ),
    Check(
        code="last-invoices-missing",
        about="counter",
        sentence="Invoices are numbered up to {number}; the last one there is has {reached}.",
        sql="""
            SELECT NULL::uuid AS account_id, 'invoices' AS counter, s.last_number AS number, t.reached
            FROM billing_invoice_settings s
            CROSS JOIN (SELECT max(number_sequence) AS reached FROM billing_invoice) t
            WHERE t.reached <> s.last_number
        """,
    ),
    Check(
        code="credit-note-number-missing",
        about="cnt",
        sentence="Numbers {first} to {last} are missing before credit note {cnt}.",
        sql="""
            SELECT t.id AS cnt, i.customer_id AS account_id, before + 1 AS first, t.number_sequence - 1 AS last FROM (
                SELECT id, invoice_id, number_sequence, lag(number_sequence) OVER (ORDER BY number_sequence) AS before
                FROM billing_credit_note) t
            JOIN billing_invoice i ON i.id = t.invoice_id
            WHERE t.number_sequence <> before + 1
        """,
    ),
    Check(
        code="last-credit-notes-missing",
        about="counter",
        sentence="Credit notes are numbered up to {number}; the last one there is has {reached}.",
        sql="""
            SELECT NULL::uuid AS account_id, 'credit notes' AS counter, s.last_credit_note_number AS number, t.reached
            FROM billing_invoice_settings s
            CROSS JOIN (SELECT max(number_sequence) AS reached FROM billing_credit_note) t
            WHERE t.reached <> s.last_credit_note_number
        """,
    ),
    Check(
        code="invoice-line-alive-wrongly",
        about="inv",
        sentence="Line {position} of invoice {inv}, which is {status}, counts as {counts}.",
        sql="""
            SELECT i.id AS inv, i.customer_id AS account_id, l.position, i.status,
                   CASE WHEN l.is_live THEN 'billed' ELSE 'not billed' END AS counts
            FROM billing_invoice_line l JOIN billing_invoice i ON i.id = l.invoice_id
            WHERE l.is_live <> (i.status <> 'void')
        """,
    ),
    Check(
        code="invoice-line-chain-broken",
        about="inv",
        sentence="Line {position} of {inv} goes on from {rated_before_minor}, but the one before stands at {stood}.",
        sql="""
            SELECT l.invoice_id AS inv, i.customer_id AS account_id, l.position, l.rated_before_minor,
                   p.rated_minor AS stood
            FROM billing_invoice_line l
            JOIN billing_invoice i ON i.id = l.invoice_id
            LEFT JOIN billing_invoice_line p ON p.id = l.previous_id
            WHERE l.previous_id IS NOT NULL AND (p.id IS NULL OR p.series <> l.series
                OR p.rated_minor <> l.rated_before_minor OR l.is_live AND NOT p.is_live)
        """,
    ),
    Check(
        code="series-billed-twice",
        about="inv",
        sentence="Line {position} of invoice {inv} bills what another live line bills too.",
        sql="""
            SELECT invoice_id AS inv, account_id, position FROM (
                SELECT l.invoice_id, l.position, i.customer_id AS account_id,
                       count(*) OVER (PARTITION BY l.series, l.previous_id) AS number
                FROM billing_invoice_line l JOIN billing_invoice i ON i.id = l.invoice_id WHERE l.is_live) t
            WHERE number > 1
        """,
    ),
    Check(
        code="invoice-credited-wrongly",
        about="inv",
        sentence="Invoice {inv} counts {credited_minor} taken back by credit notes; they come to {notes}.",
        sql="""
            SELECT i.id AS inv, i.customer_id AS account_id, i.credited_minor, coalesce(n.amount, 0) AS notes
            FROM billing_invoice i
            LEFT JOIN (SELECT invoice_id, sum(amount_minor) AS amount FROM billing_credit_note
                       WHERE kind = 'reduction' GROUP BY 1) n ON n.invoice_id = i.id
            WHERE i.credited_minor <> coalesce(n.amount, 0)
        """,
    ),
    Check(
        code="invoice-credit-not-moved",
        about="inv",
        sentence="Invoice {inv} used {used} of the customer's credit; {moved} moved.",
        sql="""
            SELECT id AS inv, account_id, used, moved FROM (
                SELECT i.id, i.customer_id AS account_id, coalesce(-m.amount, 0) AS moved,
                       CASE WHEN i.status = 'void' OR i.number IS NULL THEN 0 ELSE i.credits_applied_minor END AS used
                FROM billing_invoice i
                LEFT JOIN (SELECT invoice_id, sum(amount_minor) AS amount FROM billing_credit_movement
                           WHERE credit_note_id IS NULL GROUP BY 1) m ON m.invoice_id = i.id) t
            WHERE used <> moved
        """,
    ),
    Check(
        code="credit-is-not-its-movements",
        about="account_id",
        sentence="The credit of customer {account_id} is {balance_minor} {currency}; what moved comes to {moved}.",
        sql="""
            SELECT b.customer_id AS account_id, b.balance_minor, b.currency, coalesce(m.amount, 0) AS moved
            FROM billing_credit_balance b
            LEFT JOIN (SELECT balance_id, sum(amount_minor) AS amount FROM billing_credit_movement GROUP BY 1) m
                ON m.balance_id = b.id
            WHERE b.balance_minor <> coalesce(m.amount, 0)
        """,
    ),
)
