from billing.models.account import CreditAccount
from billing.models.block import BlockSource, BlockState, CreditBlock
from billing.models.entry import EntryKind, LedgerEntry
from billing.models.hold import Hold, HoldState

__all__ = [
    "BlockSource",
    "BlockState",
    "CreditAccount",
    "CreditBlock",
    "EntryKind",
    "Hold",
    "HoldState",
    "LedgerEntry",
]
