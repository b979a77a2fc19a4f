"""Measure an encoder with one lever moved, in a process of its own.

`python -m tests.bench.levers_probe` takes a `Probe` as JSON on standard input and prints one JSON
object. Everything that the lever does not name is done by `OnnxEncoder`, as it is served.
"""

import json
import os
import sys
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any, Literal

import numpy as np
import onnxruntime as ort
from tokenizers import Tokenizer

from regroup.adapters import onnx_encoder
from regroup.adapters.onnx_encoder import OnnxEncoder
from regroup.tokenizer_file import ServedTokenizer, read_tokenizer

_WARMING, _REPEATS = 3, 31
_KILOBYTES_PER_MEGABYTE = 1e3 / 1.024


@dataclass(frozen=True, slots=True)
class Setup:
    """What is done otherwise than it is shipped."""

    graph: str = "served"
    """One of `levers_graphs.GRAPHS`."""
    level: str | None = None
    """What onnxruntime does to the graph when it is loaded: a name of GraphOptimizationLevel."""
    config: Mapping[str, str] = field(default_factory=dict)
    """Entries of the session's configuration."""
    arena: bool = True
    pattern: bool = True
    by_path: bool = False
    """Whether onnxruntime reads the graph from its file, rather than from memory."""
    tokenizer: Literal["served", "tree", "beside"] = "served"
    """`tree`: all by `tokenizers`; `beside`: read in a thread beside the session."""
    feed: Literal["arrays", "bound"] = "arrays"
    cores: int = 1
    environment: Mapping[str, str] = field(default_factory=dict)
    """Variables of the process."""


@dataclass(frozen=True, slots=True)
class Probe:
    """What one process measures."""

    setup: Setup
    graph: str
    """The file."""
    tokenizer: str
    """The file."""
    prefix: str
    max_tokens: int
    text: str
    """What is timed."""
    long_text: str
    golden: str | None = None
    """A folder's file of texts and unit-length vectors; given, only cosines are measured."""


def measure(probe: Probe) -> dict[str, float]:
    """Return load time, time per text, and the process's peak memory."""
    setup = probe.setup
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[-setup.cores :])
    _move(setup, probe.graph)
    graph = b"" if setup.by_path else Path(probe.graph).read_bytes()
    tokenizer = Path(probe.tokenizer).read_bytes()
    started = time.perf_counter()
    with ThreadPoolExecutor(1) as pool:
        if setup.tokenizer == "beside":
            early = pool.submit(read_tokenizer, tokenizer, probe.max_tokens)
            _replace("read_tokenizer", lambda *_parts: early.result())
        encoder = OnnxEncoder(graph, tokenizer, prefix=probe.prefix, max_tokens=probe.max_tokens)
    load_ms = 1e3 * (time.perf_counter() - started)
    del graph, tokenizer
    if probe.golden is not None:
        return _cosines(encoder, Path(probe.golden))
    encode = _bound(encoder) if setup.feed == "bound" else encoder.encode
    encode(probe.long_text)
    # Not getrusage: after an exec it still holds the peak of the process that started this one.
    peak_mb = _memory_mb("VmHWM")
    return {
        "load_ms": load_ms,
        "encode_ms": _median_ms(partial(encode, probe.text)),
        "peak_mb": peak_mb,
        "tokens_ms": _median_ms(partial(encoder._tokenizer.ids, probe.prefix + probe.text)),
    }


def _move(setup: Setup, path: str) -> None:
    start = onnx_encoder._session

    def session(graph: bytes, options: ort.SessionOptions) -> ort.InferenceSession:
        if setup.level is not None:
            level = getattr(ort.GraphOptimizationLevel, setup.level)
            options.graph_optimization_level = level
        options.enable_cpu_mem_arena = setup.arena
        options.enable_mem_pattern = setup.pattern
        for key, value in setup.config.items():
            options.add_session_config_entry(key, value)
        source: Any = path if setup.by_path else graph
        return start(source, options)

    _replace("_session", session)
    if setup.tokenizer == "tree":
        _replace("read_tokenizer", _tree)


def _replace(name: str, other: object) -> None:
    setattr(onnx_encoder, name, other)


def _tree(content: bytes, _max_tokens: int) -> ServedTokenizer:
    tokenizer = Tokenizer.from_buffer(content)
    return ServedTokenizer(tokenizer.get_vocab_size(), lambda text: tokenizer.encode(text).ids)


def _bound(encoder: OnnxEncoder) -> Callable[[str], object]:
    """Return an `encode` whose output array is made once."""
    session: ort.InferenceSession = encoder._session
    output = ort.OrtValue.ortvalue_from_numpy(np.empty((1, encoder.dims), np.float32))
    binding = session.io_binding()
    binding.bind_ortvalue_output("embedding", output)

    def encode(text: str) -> object:
        tokens = np.array([encoder._tokenizer.ids(encoder._prefix + text)], np.int64)
        binding.bind_cpu_input("input_ids", tokens)
        binding.bind_cpu_input("attention_mask", np.ones_like(tokens))
        session.run_with_iobinding(binding)
        return output.numpy()[0]

    return encode


def _cosines(encoder: OnnxEncoder, golden: Path) -> dict[str, float]:
    rows = json.loads(golden.with_suffix(".json").read_text(encoding="utf-8"))["rows"]
    vectors = np.load(golden.with_suffix(".npy")).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    embeddings = np.stack([encoder.encode(row["text"]) for row in rows])
    cosines = (embeddings * vectors).sum(axis=1)
    return {"cosine_mean": float(cosines.mean()), "cosine_least": float(cosines.min())}


def _median_ms(call: Callable[[], object]) -> float:
    for _ in range(_WARMING):
        call()
    times = []
    for _ in range(_REPEATS):
        started = time.perf_counter()
        call()
        times.append(time.perf_counter() - started)
    return 1e3 * median(times)


def _memory_mb(name: str) -> float:
    status = Path("/proc/self/status").read_text(encoding="ascii")
    (line,) = [line for line in status.splitlines() if line.startswith(f"{name}:")]
    return int(line.split()[1]) / _KILOBYTES_PER_MEGABYTE


if __name__ == "__main__":
    given = json.load(sys.stdin)
    sys.stdout.write(json.dumps(measure(Probe(**{**given, "setup": Setup(**given["setup"])}))))
