"""Northwind AI's customers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoCustomer:
    """`activity` is events a day; `fate` what makes the customer worth a look."""

    display_name: str | None
    slug: str
    activity: float
    fate: str = ""
    policy: str = "block"


_LIVELY: Final = (
    ("Brightline Labs", "brightline", 9.0),
    ("Otter Creek Robotics", "ottercreek", 7.5),
    ("Halcyon Health", "halcyon", 7.0),
    ("Meridian Legal", "meridian", 6.0),
    ("Pinecone Press", "pinecone", 5.5),
    ("Kestrel Logistics", "kestrel", 5.0),
    ("Juniper & Rye", "juniper", 4.5),
    ("Tidewater Insurance", "tidewater", 4.0),
    ("Lumen Academy", "lumen", 4.0),
    ("Copperfield Studios", "copperfield", 3.5),
    ("Vantage Realty", "vantage", 3.0),
    ("Saffron Kitchen", "saffron", 3.0),
)
_QUIET: Final = (
    ("Quarry Street Design", "quarrystreet", 1.6),
    ("Birch Telecom", "birch", 1.4),
    ("Solstice Travel", "solstice", 1.2),
    ("Anchor Bay Fisheries", "anchorbay", 1.1),
    ("Redwood Analytics", "redwood", 1.0),
    ("Pilot Light Media", "pilotlight", 1.0),
    ("Harbor & Main", "harbormain", 0.8),
    ("Orchard Finance", "orchard", 0.7),
    ("Cinder Games", "cinder", 0.6),
    ("Northfield Schools", "northfield", 0.5),
    ("Tessellate", "tessellate", 0.4),
)

CUSTOMERS: Final = (
    *(DemoCustomer(display_name=name, slug=slug, activity=activity) for name, slug, activity in _LIVELY),
    *(DemoCustomer(display_name=name, slug=slug, activity=activity) for name, slug, activity in _QUIET),
    DemoCustomer(display_name="Fathom Search", slug="fathom", activity=4.0, fate="low"),
    DemoCustomer(display_name="Cobalt Courier", slug="cobalt", activity=3.5, fate="spent"),
    DemoCustomer(
        display_name="Ironbark Mining", slug="ironbark", activity=6.0, fate="overdrawn", policy="notify"
    ),
    DemoCustomer(display_name="Larkspur Bio", slug="larkspur", activity=2.0, fate="adjusted", policy="allow"),
    DemoCustomer(display_name="Old Mill Bakery", slug="oldmill", activity=0.3, fate="deleted"),
    DemoCustomer(display_name=None, slug="usr_7f3a19", activity=0.9),
    DemoCustomer(display_name=None, slug="usr_c2e880", activity=0.5),
    DemoCustomer(display_name="Marlow Freight", slug="marlow", activity=2.5, fate="overdue"),
)

#: What colleagues wrote about some of them; the first one is pinned.
NOTES: Final = {
    "brightline": (
        "Launches on the first of the month: no changes to their plan in the last days before.",
        "Mara called about the invoice of September. Sent her the lines, she is happy with them.",
    ),
    "ironbark": (
        "In overdraft by agreement until the new contract is signed. Ask Tom before you block anything.",
    ),
    "marlow": (
        "Renewal is with their purchasing department. Do not cancel.",
        "Purchasing asked for a PDF of the price list, sent.",
    ),
}
