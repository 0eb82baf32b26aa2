"""What Northwind AI sells. Its metric keys leave `api_call` free for whoever follows the quickstart."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoMetric:
    """`units` is the range of one event; `definition` the price in force since the beginning, `later` the one since."""

    key: str
    name: str
    description: str
    units: tuple[int, int]
    definition: Mapping[str, Any]
    later: Mapping[str, Any] | None = None


METRICS: Final = (
    DemoMetric(
        key="chat_message",
        name="Chat message",
        description="One message to an assistant, whatever its length.",
        units=(1, 12),
        definition={"cost_type": "per_unit", "unit_cost": 500},
    ),
    DemoMetric(
        key="image_generation",
        name="Image generation",
        description="One picture.",
        units=(1, 4),
        definition={"cost_type": "per_unit", "unit_cost": 5000},
        later={"cost_type": "per_unit", "unit_cost": 4000},
    ),
    DemoMetric(
        key="embedding_token",
        name="Embedding tokens",
        description="Tokens embedded for search.",
        units=(800, 24000),
        definition={"cost_type": "per_unit", "unit_cost": "0.05"},
    ),
    DemoMetric(
        key="gpu_second",
        name="GPU seconds",
        description="Seconds on a dedicated GPU.",
        units=(5, 240),
        definition={"cost_type": "per_unit", "unit_cost": 35, "minimum_cost": 500},
    ),
    DemoMetric(
        key="document_export",
        name="Document export",
        description="A report as PDF, whatever its length.",
        units=(1, 1),
        definition={"cost_type": "flat", "unit_cost": 2000},
    ),
    DemoMetric(
        key="transcription_minute",
        name="Transcription minutes",
        description="Minutes of speech turned into text; cheaper the more of them in a month.",
        units=(2, 55),
        definition={
            "cost_type": "tiered",
            "tier_mode": "graduated",
            "tiers": [
                {"up_to": 60, "credit_cost": 800},
                {"up_to": 600, "credit_cost": 600},
                {"up_to": None, "credit_cost": 400},
            ],
        },
    ),
)
