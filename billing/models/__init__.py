from billing.models.account import CreditAccount
from billing.models.auto_topup import AutoTopup, TopupRequest, TopupRequestState
from billing.models.block import BlockSource, BlockState, CreditBlock
from billing.models.conversion import Conversion
from billing.models.entry import EntryKind, LedgerEntry
from billing.models.hold import Hold, HoldState
from billing.models.seal import LedgerSeal, LedgerSealPart, SealedAccount
from billing.models.topup import Topup, TopupPackage
from billing.models.verification import VerificationRun

__all__ = [
    "AutoTopup",
    "BlockSource",
    "BlockState",
    "Conversion",
    "CreditAccount",
    "CreditBlock",
    "EntryKind",
    "Hold",
    "HoldState",
    "LedgerEntry",
    "LedgerSeal",
    "LedgerSealPart",
    "SealedAccount",
    "Topup",
    "TopupPackage",
    "TopupRequest",
    "TopupRequestState",
    "VerificationRun",
]
