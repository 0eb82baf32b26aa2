"""Refusals of the billing app. The docstrings are the problems' pages in the docs."""

from __future__ import annotations

from customers.errors import Conflict, DomainError, NotFound


class InsufficientCredits(DomainError):
    """The customer's effective balance does not cover this. Nothing was written: top up and retry with the same key."""

    code, status, title = "insufficient-credits", 402, "Not enough credits"


class BlockWouldBeExpired(DomainError):
    """`expires_at` is not after the instant from which the credits would count, so they would never be usable."""

    code, status, title = "expires-in-the-past", 422, "The credits would have expired already"


class BalanceTooLarge(DomainError):
    """The balance would pass 9,000,000,000,000,000 mc, up to which every amount is exact in every language."""

    code, status, title = "balance-too-large", 422, "The balance would be too large"


class LedgerEntryNotFound(NotFound):
    """There is no such ledger entry for this customer."""

    code, title = "ledger-entry-not-found", "There is no such ledger entry"


class NotADebit(DomainError):
    """Only debits can be refunded; this ledger entry is of another kind."""

    code, status, title = "not-a-debit", 422, "The ledger entry is not a debit"


class ExceedsDebit(DomainError):
    """More would be refunded than the debit took, counting what was refunded of it before."""

    code, status, title = "refund-exceeds-debit", 422, "More than was debited"


class BlockNotFound(NotFound):
    """No block of this customer has this id in the environment of the API key."""

    code, title = "block-not-found", "There is no such block"


class BlockSpent(Conflict):
    """Nothing is left of the block: it was spent, has expired, or was voided before."""

    code, title = "block-spent", "Nothing is left of the block"


class BlockHeld(Conflict):
    """All that is left of the block is held by open reservations. Try again when they have ended."""

    code, title = "block-held", "What is left of the block is held"


class NothingLeftToRefund(Conflict):
    """The whole debit has been refunded already."""

    code, title = "nothing-left-to-refund", "The debit was refunded before"


class ReservationNotFound(NotFound):
    """There is no such reservation in this environment."""

    code, title = "reservation-not-found", "There is no such reservation"


class ReservationEnded(Conflict):
    """The reservation was committed or released before; each ends exactly once."""

    code, title = "reservation-ended", "The reservation has ended"


class ReservationExpired(DomainError):
    """The reservation's time ran out and its credits went back. Make a new one."""

    code, status, title = "reservation-expired", 410, "The reservation has expired"


class CatchUpFailed(DomainError):
    """Work that is due before this call could not be done at the moment. Retrying with the same key is safe."""

    code, status, title = "due-work-failed", 503, "Work that is due first could not be done"


class TopupPackageNotFound(NotFound):
    """There is no topup package with this id in the environment of the API key."""

    code, title = "topup-package-not-found", "There is no such topup package"


class TopupPackageUnknown(DomainError):
    """The body names a topup package that does not exist in this environment."""

    code, status, title = "topup-package-not-found", 422, "There is no such topup package"


class TopupPackageInactive(DomainError):
    """The topup package is not sold any more: `active` is false."""

    code, status, title = "topup-package-inactive", 422, "The topup package is inactive"


class TopupPackageInUse(Conflict):
    """Customers' auto-topups ask for this package. Point them at another one before setting `active` to false."""

    code, title = "topup-package-in-use", "The topup package is in use"


class PaymentUsedBefore(Conflict):
    """This `external_payment_id` has topped up before, for another customer or with other credits; `existing_id` in the
    problem names that topup. One payment tops up once, for ever."""

    code, title = "payment-used-before", "The payment has topped up before"


class TopupRequestUnknown(DomainError):
    """The body names a topup request that this customer never had."""

    code, status, title = "topup-request-not-found", 422, "There is no such topup request"


class AutoTopupNotFound(NotFound):
    """No auto-topup is set for this customer. Set one with PUT."""

    code, title = "auto-topup-not-found", "There is no auto-topup"


class EventNotDebited(DomainError):
    """The usage event cost nothing or does not exist for this customer, so there is nothing to give back."""

    code, status, title = "event-not-debited", 422, "The event was not debited"


class InvoiceNotFound(NotFound):
    """There is no such invoice in this environment."""

    code, title = "invoice-not-found", "There is no such invoice"


class InvoiceIsDraft(Conflict):
    """The invoice is a draft: nobody owes it yet. Issue it first."""

    code, title = "invoice-is-draft", "The invoice has not been issued"


class InvoiceIsIssued(Conflict):
    """The invoice has been issued already; that happens once, and its amounts stand from then on."""

    code, title = "invoice-already-issued", "The invoice has been issued already"


class InvoiceIsPaid(Conflict):
    """The invoice is paid. What was wrong with it is taken back with a credit note: `POST …/credit-notes`."""

    code, title = "invoice-already-paid", "The invoice is paid"


class InvoiceIsVoid(Conflict):
    """The invoice was voided: nobody owes it, nothing is done with it any more. Others can bill what it billed."""

    code, title = "invoice-void", "The invoice is void"


class InvoiceIsUncollectible(Conflict):
    """The invoice was given up as uncollectible. It can still be charged, marked as paid, or voided."""

    code, title = "invoice-uncollectible", "The invoice is uncollectible"


class PaymentUnderWay(Conflict):
    """A payment of this invoice is under way, or waits for the payer to confirm it. Try again when it has ended."""

    code, title = "payment-under-way", "A payment is under way"


class LaterInvoiceContinues(Conflict):
    """A later invoice goes on where this one stopped: it bills the same charges' further usage. Void that one first;
    `invoice_id` in the problem names it.
    """

    code, title = "later-invoice-continues", "A later invoice continues this one"


class InvoiceIsCredited(Conflict):
    """There are credit notes on this invoice, and they stand. Take back the rest with another credit note."""

    code, title = "invoice-credited", "There are credit notes on the invoice"


class CreditAlreadyUsed(Conflict):
    """This invoice put money onto the customer's credit, and later invoices have used it. Void those first."""

    code, title = "credit-already-used", "The credit has been used"


class BilledMeanwhile(Conflict):
    """Another invoice billed the same at the same moment. Look at that one, and try again if something is left."""

    code, title = "billed-meanwhile", "The same was billed at the same moment"


class InvoiceTooLarge(DomainError):
    """An amount of the invoice would pass 1,000,000,000,000,000 minor units. Look at the prices and the quantities."""

    code, status, title = "invoice-too-large", 422, "The invoice would be too large"


class CreditNoteNotFound(NotFound):
    """There is no such credit note in this environment."""

    code, title = "credit-note-not-found", "There is no such credit note"


class CreditNoteTooLarge(DomainError):
    """More would be taken back than there is: than is due of an open invoice, or than was paid of a paid one, counting
    earlier credit notes. `available` in the problem says how much there is.
    """

    code, status, title = "credit-note-too-large", 422, "More than there is to take back"


class CreditNoteKindForbidden(Conflict):
    """A `reduction` is for an invoice that is not paid yet; `balance` and `refund` give back what was paid."""

    code, title = "credit-note-kind", "Not this kind of credit note now"


class RefundNotPossible(Conflict):
    """The invoice was not paid by a provider that can pay back. Give the money as `balance`, for the next invoice."""

    code, title = "refund-not-possible", "This cannot be paid back"


class PaymentDeclined(DomainError):
    """The payment was declined: `failure_code` and `detail` say why as the provider told it, `payment_id` names the
    attempt. The invoice stays open. Have the customer choose another way to pay, then charge it again.
    """

    code, status, title = "payment-declined", 402, "The payment was declined"


class PaymentNotFound(NotFound):
    """There is no such payment in this environment."""

    code, title = "payment-not-found", "There is no such payment"


class NoPaymentProvider(Conflict):
    """This customer's payment provider is not set up in this environment. Connect Stripe with
    `PUT /v1/payment-providers/stripe`, or take the money otherwise and mark the invoice as paid.
    """

    code, title = "no-payment-provider", "No payment provider is set up"


class PaidByHand(Conflict):
    """The customer's `payment_provider` is `manual`: nothing is charged. Mark the invoice as paid once it is."""

    code, title = "paid-by-hand", "This customer pays by hand"


class PaymentDetailsMissing(Conflict):
    """The provider does not know what to charge: the customer needs a `payment_provider_customer_id`, and there a saved
    payment method, or a `payment_method_id`.
    """

    code, title = "payment-details-missing", "There is nothing to charge"


class PaymentProviderUnavailable(DomainError):
    """The payment provider gave no answer, so whether it charged is not known yet. The payment is `pending`, and the
    provider is asked again until it is known; charging again goes on with the same payment, and makes no second one.
    """

    code, status, title = "payment-provider-unavailable", 503, "The payment provider gave no answer"


class ProviderAccountNotFound(NotFound):
    """No account at this payment provider is connected in this environment."""

    code, title = "payment-provider-not-found", "The payment provider is not connected"


class ProviderSecretUnreadable(Conflict):
    """The provider's keys were stored under another signing key of this installation. Connect the provider anew."""

    code, title = "payment-provider-unreadable", "The provider's keys cannot be read"


class ProviderEventRefused(DomainError):
    """The webhook's signature does not fit its body, or is too old. Check the endpoint's signing secret at Stripe."""

    code, status, title = "provider-event-refused", 400, "The event was not signed by the provider"


class NotASandboxPayment(Conflict):
    """Only payments of the sandbox can be told what becomes of them, and only while they wait for it."""

    code, title = "not-a-sandbox-payment", "The payment does not wait for the sandbox"


class ReconciliationNotFound(NotFound):
    """There is no such reconciliation in this environment."""

    code, title = "reconciliation-not-found", "There is no such reconciliation"


class NumbersGiven(Conflict):
    """Numbers follow each other without gaps, so the next one can only be chosen before the first was given."""

    code, title = "numbers-given", "Numbers have been given already"


class NoEmailAddress(DomainError):
    """The customer has no e-mail address. Set one, or say where to send the invoice: `to`."""

    code, status, title = "no-email-address", 422, "There is no e-mail address"


class MailNotSetUp(Conflict):
    """This installation has no mail server (`EMAIL_URL`), so nothing can be sent."""

    code, title = "mail-not-set-up", "No mail server is set up"
