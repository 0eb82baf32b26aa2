from billing.models.account import CreditAccount
from billing.models.auto_topup import AutoTopup, TopupRequest, TopupRequestState
from billing.models.block import BlockSource, BlockState, CreditBlock
from billing.models.conversion import Conversion
from billing.models.credit_note import (
    CreditBalance,
    CreditMovement,
    CreditNote,
    CreditNoteKind,
    RefundStatus,
)
from billing.models.entry import EntryKind, LedgerEntry
from billing.models.hold import Hold, HoldState
from billing.models.invoice import (
    Invoice,
    InvoiceEvent,
    InvoiceLine,
    InvoiceSettings,
    InvoiceSource,
    InvoiceStatus,
    LineKind,
)
from billing.models.payment import (
    Payment,
    PaymentStatus,
    ProviderAccount,
    ProviderEvent,
    Reconciliation,
)
from billing.models.seal import LedgerSeal, LedgerSealPart, SealedAccount
from billing.models.topup import Topup, TopupPackage
from billing.models.verification import VerificationRun

__all__ = [
    "AutoTopup",
    "BlockSource",
    "BlockState",
    "Conversion",
    "CreditAccount",
    "CreditBalance",
    "CreditBlock",
    "CreditMovement",
    "CreditNote",
    "CreditNoteKind",
    "EntryKind",
    "Hold",
    "HoldState",
    "Invoice",
    "InvoiceEvent",
    "InvoiceLine",
    "InvoiceSettings",
    "InvoiceSource",
    "InvoiceStatus",
    "LedgerEntry",
    "LedgerSeal",
    "LedgerSealPart",
    "LineKind",
    "Payment",
    "PaymentStatus",
    "ProviderAccount",
    "ProviderEvent",
    "Reconciliation",
    "RefundStatus",
    "SealedAccount",
    "Topup",
    "TopupPackage",
    "TopupRequest",
    "TopupRequestState",
    "VerificationRun",
]
