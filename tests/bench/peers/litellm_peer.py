"""LiteLLM's complexity router, which takes one of four tiers by rules about words and length.

It is asked as a request to LiteLLM's router asks it: no model is called, nothing is fetched.
"""

from collections.abc import Awaitable, Callable
from importlib import import_module
from pathlib import Path
from typing import Any

type Work = Callable[[str], Awaitable[object]]

PACKAGE = "litellm"
PART = "the rules"

ALIAS = "smart"
TIERS = {
    "SIMPLE": "bedrock/amazon.nova-micro-v1:0",
    "MEDIUM": "bedrock/amazon.nova-lite-v1:0",
    "COMPLEX": "bedrock/anthropic.claude-haiku-4-5-20251001-v1:0",
    "REASONING": "bedrock/anthropic.claude-sonnet-4-5-20250929-v1:0",
}
"""Models of LiteLLM's own price map: it looks up how much text each of them takes."""


def load() -> None:
    """Import the package."""
    import_module("litellm")


def build(_encoder: Path) -> tuple[Work, Work]:
    """Return the choice of a model, and the rules that find its tier."""
    litellm: Any = import_module("litellm")
    litellm.telemetry = False
    rules: Any = import_module("litellm.router_strategy.complexity_router")
    config = {"tiers": {tier: tier.lower() for tier in TIERS}}
    parameters = {"model": "auto_router/complexity_router", "complexity_router_config": config}
    models = [
        {"model_name": tier.lower(), "litellm_params": {"model": model}}
        for tier, model in TIERS.items()
    ]
    router = litellm.Router([{"model_name": ALIAS, "litellm_params": parameters}, *models])
    context = import_module("litellm.router_api").RoutingContext(router)
    classifier = rules.ComplexityRouter(ALIAS, context, config)

    async def choose(text: str) -> object:
        messages = [{"role": "user", "content": text}]
        return (await context.pre_routing_hook(ALIAS, {}, messages=messages)).model

    async def classify(text: str) -> object:
        return classifier.classify(text)

    return choose, classify
