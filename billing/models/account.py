from __future__ import annotations

from django.db import models

from customers.models import Customer, Environment


class CreditAccount(models.Model):
    """A customer's credits in four numbers, all in mc. Only the ledger kernel (billing/ledger/*.sql) writes it.

    balance = what live blocks hold minus overdraft; reserved = Σ open holds; effective = balance minus reserved.
    The row is right as of `next_change_at`: from that instant on, time itself changes it (a block expires or
    starts, a hold ends), and whoever comes first does that work, under the row's lock.
    """

    customer = models.OneToOneField(
        Customer, primary_key=True, on_delete=models.PROTECT, related_name="credit_account"
    )
    environment = models.ForeignKey(Environment, on_delete=models.PROTECT, related_name="+", db_index=False)
    # These three have domains in the database: an overdraft below zero, or a balance that JavaScript could not hold, is
    # refused whoever writes it. A check of the table would be read anew at each debit.
    balance_mc = models.BigIntegerField(default=0, db_default=0)
    reserved_mc = models.BigIntegerField(default=0, db_default=0)
    overdraft_mc = models.BigIntegerField(default=0, db_default=0)
    lifetime_earned_mc = models.BigIntegerField(default=0, db_default=0)
    # The number of the last ledger entry, and of the last change of any kind.
    sequence = models.BigIntegerField(default=0, db_default=0)
    version = models.BigIntegerField(default=0, db_default=0)
    # The account's own clock: its last entry, or the last beginning or end of a hold.
    last_entry_at = models.DateTimeField(null=True)
    next_change_at = models.DateTimeField(null=True)
    low_balance_told = models.BooleanField(default=False, db_default=False)
    has_scoped_blocks = models.BooleanField(default=False, db_default=False)
    # Pushed down from the customer's `low_balance_threshold_mc`, by a trigger.
    low_balance_at_mc = models.BigIntegerField(null=True)
    # Pushed down from the customer's auto-topup, if there is one; and whether a request of it is open.
    auto_topup_at_mc = models.BigIntegerField(null=True)
    topup_is_requested = models.BooleanField(default=False, db_default=False)
    # Pushed down by higher apps when they change: from this instant on their work is due before anything moves.
    catch_up_at = models.DateTimeField(null=True)
    cycle_started_at = models.DateTimeField(null=True)
    cycle_ends_at = models.DateTimeField(null=True)
    plan_variant_id = models.UUIDField(null=True)
    # Why usage is refused (a reason of spec section 7), or null.
    usage_suspended = models.CharField(max_length=40, null=True)  # noqa: DJ001 - null: it is not

    class Meta:
        db_table = "billing_credit_account"
        indexes = (
            models.Index(
                fields=("next_change_at",),
                name="accounts_with_something_due",
                condition=models.Q(next_change_at__isnull=False),
            ),
            models.Index(fields=("environment", "customer"), name="accounts_of_an_environment"),
            models.Index(
                fields=("environment", "next_change_at"),
                name="accounts_by_what_is_due_next",
                condition=models.Q(next_change_at__isnull=False),
            ),
        )

    def __str__(self) -> str:
        return f"{self.balance_mc} mc"

    @property
    def effective_mc(self) -> int:
        return self.balance_mc - self.reserved_mc
