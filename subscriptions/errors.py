"""Refusals of the subscriptions app. The docstrings are the problems' pages in the docs."""

from __future__ import annotations

from customers.errors import Conflict, DomainError, NotFound


class PlanNotFound(NotFound):
    """There is no such plan in this environment."""

    code, title = "plan-not-found", "There is no such plan"


class PlanVariantNotFound(NotFound):
    """There is no such plan variant in this environment."""

    code, title = "plan-variant-not-found", "There is no such plan variant"


class CreditGrantNotFound(NotFound):
    """There is no such credit-grant template on this plan variant."""

    code, title = "credit-grant-not-found", "There is no such credit grant"


class PlanVariantArchived(Conflict):
    """The plan or its variant is archived or superseded: it takes no new subscriptions. Name its present version."""

    code, title = "plan-variant-archived", "The plan variant is not sold any more"


class SubscriptionNotFound(NotFound):
    """There is no such subscription in this environment."""

    code, title = "subscription-not-found", "There is no such subscription"


class SubscriptionExists(Conflict):
    """The customer has a live credit subscription already; `subscription_id` names it. Change or cancel that."""

    code, title = "subscription-exists", "The customer has a live subscription"


class ExternalSubscriptionIdTaken(Conflict):
    """Another subscription of this environment has this `external_subscription_id`; `subscription_id` names it."""

    code, title = "external-subscription-id-taken", "The external subscription id is taken"


class SubscriptionStateConflict(Conflict):
    """The subscription's state does not allow this action; `allowed` lists what it does allow."""

    code, title = "subscription-state-conflict", "The subscription's state does not allow this"


class RenewalNotDue(Conflict):
    """Renewing begins `renewal_due_days` before the period's end; `renewable_from` says when."""

    code, title = "renewal-not-due", "The subscription cannot be renewed yet"


class AlreadyRenewed(Conflict):
    """The next period was renewed before. Each period is renewed once."""

    code, title = "already-renewed", "The period was renewed before"


class NotPrepaid(Conflict):
    """Only prepaid subscriptions are renewed; postpaid ones advance by themselves."""

    code, title = "not-prepaid", "The subscription advances by itself"


class ContractDateRefused(DomainError):
    """`contract_end` must lie ahead of the present and, when extending, ahead of the present contract's end."""

    code, status, title = "contract-end-refused", 422, "The contract cannot end then"


class StartDateRefused(DomainError):
    """`start_date` lies in the future, or so far back that its periods cannot be counted."""

    code, status, title = "start-date-refused", 422, "The subscription cannot start then"


class ResumeDateRefused(DomainError):
    """`resumes_at` must lie ahead of the present."""

    code, status, title = "resumes-at-refused", 422, "The subscription cannot resume then"


class SameVariant(Conflict):
    """The subscription is on this variant already."""

    code, title = "same-plan-variant", "The subscription is on this variant"


class SubscriptionParked(Conflict):
    """Work that was due on the subscription failed, was tried again just now, and failed again; `detail` says why."""

    code, title = "subscription-parked", "The subscription's due work fails"


class PaymentAlreadyUsed(Conflict):
    """This `external_payment_id` renewed a period before; each payment renews one period, once."""

    code, title = "payment-already-used", "The payment renewed a period before"


class PlanArchived(Conflict):
    """The plan is archived: it takes no new variants and no new subscriptions, until it is unarchived."""

    code, title = "plan-archived", "The plan is archived"


class PlanVariantSuperseded(Conflict):
    """A newer version took this variant's place, so its terms and credit grants stay as they are for those who are on
    it; `current_version_id` names the newest. Change that one."""

    code, title = "plan-variant-superseded", "The plan variant has a newer version"


class CreditGrantArchived(Conflict):
    """The credit grant is archived; its terms stay as they were. Create another one."""

    code, title = "credit-grant-archived", "The credit grant is archived"


class FallbackRefused(DomainError):
    """`fallback_variant_id` must name another plan variant of this environment that is still sold."""

    code, status, title = "fallback-refused", 422, "The variant cannot fall back to that one"


class InvalidPricePlan(DomainError):
    """The charges of the price plan make no sense: tiers that do not ascend, a last tier that is not open, a negative
    price, a field that does not belong to the pricing model. `errors` names each place."""

    code, status, title = "invalid-price-plan", 422, "The price plan is not valid"


class AmountTooLarge(DomainError):
    """A line would come to more than an invoice can hold (10^15 minor units). Look for a price or a quantity that was
    entered in the wrong unit."""

    code, status, title = "amount-too-large", 422, "The amount is too large for an invoice"


class PricePlanNotFound(NotFound):
    """There is no such price plan in this environment, or it has no such version."""

    code, title = "price-plan-not-found", "There is no such price plan"


class PricePlanArchived(Conflict):
    """The price plan is archived: it takes no new versions and no new subscriptions, until it is unarchived. Those
    who have it keep it."""

    code, title = "price-plan-archived", "The price plan is archived"


class PricePlanDeprecated(Conflict):
    """This version of the price plan is deprecated: those who are on it stay, and nobody comes to it any more. Name
    another version, or make the price plan's next one."""

    code, title = "price-plan-deprecated", "The version of the price plan is deprecated"


class BillingPeriodDiffers(DomainError):
    """A plan variant's billing cycle and its price plan's billing period must be the same. And a subscription moves to
    another billing period only when its present period ends: send `effective: "period_end"`."""

    code, status, title = "billing-period-differs", 422, "The billing periods differ"


class PlanKindDiffers(Conflict):
    """A subscription to a price plan moves to price plans, one to a plan's variant moves to plan variants. To change
    from one to the other, cancel the subscription and subscribe anew."""

    code, title = "plan-kind-differs", "The subscription is of the other kind"


class NothingToRetry(DomainError):
    """No period of this customer's waits for an invoice that could not be made: somebody has made it since."""

    code, status, title = "nothing-to-retry", 409, "No invoice has failed here"


class NothingToBill(DomainError):
    """Up to the cutoff there is nothing to bill: no subscription to a price plan, or none whose time has begun."""

    code, status, title = "nothing-to-bill", 422, "There is nothing to bill"


class AlreadyInvoiced(Conflict):
    """Everything up to the cutoff is on an invoice; `invoice_id` names the last one. Void that one to bill it anew."""

    code, title = "already-invoiced", "This has been invoiced already"


class CurrencyRequired(DomainError):
    """The customer owes money in several currencies, and an invoice has one: say which `currency`. `currencies` lists
    those with something to bill."""

    code, status, title = "currency-required", 422, "Name the currency"


class CutoffInFuture(DomainError):
    """`cutoff_date` lies ahead: what will be used until then is not known. In a test environment it may."""

    code, status, title = "cutoff-in-future", 422, "The cutoff lies in the future"


class ReplacesRefused(Conflict):
    """Only an invoice that was voided can be replaced, by one that stands."""

    code, title = "replaces-refused", "The invoice cannot be replaced"


class InvoiceLineNotFound(NotFound):
    """The invoice has no such line. Its own document lists the lines it has, each with its id."""

    code, title = "invoice-line-not-found", "There is no such line"
