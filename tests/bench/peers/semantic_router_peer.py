"""semantic-router, which takes the route whose sample texts are nearest to the prompt.

Its vectors come from our exported encoder, run with the options that we serve it with, so that
what differs is the router. It is asked in its quickest way, from within an event loop: a plain call
hands each step to another thread.
"""

import json
from collections.abc import Awaitable, Callable
from importlib import import_module
from pathlib import Path
from typing import Any

type Work = Callable[[str], Awaitable[object]]

PACKAGE = "semantic-router"
PART = "the encoder"

UTTERANCES = {
    "code": (
        "Write a Python function that merges two sorted lists.",
        "Why does this loop never end?",
        "Turn this shell script into a Makefile.",
        "Add a test for the empty list.",
        "What does this stack trace mean?",
    ),
    "mathematics": (
        "A train leaves at nine and covers 240 km in three hours. How fast is it?",
        "Solve x squared minus five x plus six equals zero.",
        "What is the probability of two sixes in a row?",
        "Prove that the square root of two is irrational.",
        "How much is 15 percent of 80?",
    ),
    "facts": (
        "What is the capital of Mongolia?",
        "When was the printing press invented?",
        "Which gas do plants take in?",
        "How many bones does an adult have?",
        "Who wrote The Tale of Genji?",
    ),
    "translation": (
        "Translate this sentence into Japanese.",
        "How do you say good evening in Spanish?",
        "Put this letter into polite French.",
        "What does this German word mean?",
        "Is this English sentence natural?",
    ),
    "summary": (
        "Sum up this article in three lines.",
        "What are the main points of the meeting notes?",
        "Shorten this paragraph to half its length.",
        "Give me a headline for this report.",
        "List what was decided and by whom.",
    ),
    "writing": (
        "Write a short poem about the first snow.",
        "Draft an apology to a customer whose parcel is late.",
        "Begin a story that is set in a lighthouse.",
        "Make this text sound friendlier.",
        "Find a name for a small bakery.",
    ),
    "extraction": (
        "Take all names and dates out of this text as JSON.",
        "Is this review positive or negative?",
        "Make a table of these figures.",
        "Which of these messages are about billing?",
        "Find the invoice number in this mail.",
    ),
    "advice": (
        "Plan three days in Kyoto with children.",
        "How should I prepare for a job interview?",
        "What can I cook with rice, eggs and spinach?",
        "Should I rent or buy a flat?",
        "How do I get better sleep?",
    ),
}
"""Sample texts by route: eight routes, the fewest clusters that our training makes."""

_ONLY_ERRORS = 3


def load() -> None:
    """Import the package."""
    import_module("semantic_router")


def build(encoder: Path) -> tuple[Work, Work]:
    """Return the choice of a route, and the encoder alone."""
    package: Any = import_module("semantic_router")
    base: Any = import_module("semantic_router.encoders").DenseEncoder
    encode = _load_encoder(encoder)

    class LocalEncoder(base):  # type: ignore[misc]
        def __call__(self, docs: list[str]) -> list[list[float]]:
            return [encode(text) for text in docs]

        async def acall(self, docs: list[str]) -> list[list[float]]:
            return self(docs)

    router = package.IndexedRouter(
        encoder=LocalEncoder(name=encoder.name),
        routes=[
            package.Route(name=name, utterances=list(texts)) for name, texts in UTTERANCES.items()
        ],
    )

    async def choose(text: str) -> object:
        return (await router.acall(text)).name

    async def embed(text: str) -> object:
        return encode(text)

    return choose, embed


def _load_encoder(folder: Path) -> Callable[[str], list[float]]:
    # Here, not above: what they take to import is no part of what semantic-router takes.
    import numpy as np
    import onnxruntime as ort
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    prefix = json.loads((folder / "encoder.json").read_bytes())["prefix"]
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = _ONLY_ERRORS
    session = ort.InferenceSession(
        # By its path: the file's graph looks for its weights in the file.
        str(folder / "encoder.onnx"),
        options,
        providers=["CPUExecutionProvider"],
        # As we serve it: the fused kernel is the slower one on a CPU.
        disabled_optimizers=["SkipLayerNormFusion"],
    )

    def encode(text: str) -> list[float]:
        tokens = np.array([tokenizer.encode(prefix + text).ids], np.int64)
        inputs = {"input_ids": tokens, "attention_mask": np.ones_like(tokens)}
        embedding: list[float] = session.run(["embedding"], inputs)[0][0].tolist()
        return embedding

    return encode
