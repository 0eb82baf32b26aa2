"""Rows that are filed in an environment to which their account does not belong. Asked once for each environment."""

from __future__ import annotations

from typing import Final

from billing.selectors.ledger_checks.check import Check

CHECKS: Final = (
    Check(
        code="entry-in-another-environment",
        about="led",
        sentence="Entry {led} is filed in this environment, but its account {account_id} is not of it.",
        sql="""
            SELECT e.id AS led, e.account_id FROM billing_ledger_entry e
            WHERE NOT EXISTS (SELECT FROM billing_credit_account a WHERE a.customer_id = e.account_id)
        """,
    ),
    Check(
        code="block-in-another-environment",
        about="blk",
        sentence="Block {blk} is filed in this environment, but its account {account_id} is not of it.",
        sql="""
            SELECT b.id AS blk, b.account_id FROM billing_credit_block b
            WHERE NOT EXISTS (SELECT FROM billing_credit_account a WHERE a.customer_id = b.account_id)
        """,
    ),
    Check(
        code="hold-in-another-environment",
        about="res",
        sentence="Hold {res} is filed in this environment, but its account {account_id} is not of it.",
        sql="""
            SELECT h.id AS res, h.account_id FROM billing_hold h
            WHERE NOT EXISTS (SELECT FROM billing_credit_account a WHERE a.customer_id = h.account_id)
        """,
    ),
    Check(
        code="account-of-no-customer",
        about="account_id",
        sentence="Account {account_id} is filed in this environment, but its customer is not of it.",
        sql="""
            SELECT a.customer_id AS account_id FROM billing_credit_account a
            WHERE NOT EXISTS (SELECT FROM customers_customer c WHERE c.id = a.customer_id)
        """,
    ),
)
