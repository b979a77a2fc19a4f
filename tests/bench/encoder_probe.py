"""Measure one exported encoder in a process of its own: its memory is then nobody else's.

`python -m tests.bench.encoder_probe tokenizer|encoder FOLDER` prints one JSON object.
"""

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

LENGTHS = (8, 32, 128)
"""Token counts of the texts that are timed, the special ones counted in."""

_REPEATS = 101
_KILOBYTES_PER_MEGABYTE = 1e3 / 1.024


def probe_tokenizer(folder: Path) -> dict[str, float]:
    """Return how long the tokenizer takes to load, and by how much the process grows."""
    from regroup.tokenizer_file import read_tokenizer

    max_tokens = json.loads((folder / "encoder.json").read_bytes())["max_tokens"]
    before = _memory_mb("VmRSS")
    started = time.perf_counter()
    tokenizer = read_tokenizer((folder / "tokenizer.json").read_bytes(), max_tokens)
    seconds = time.perf_counter() - started
    return {
        "tokenizer_load_ms": 1e3 * seconds,
        "tokenizer_rss_mb": _memory_mb("VmRSS") - before,
        "pieces": tokenizer.vocabulary_size,
    }


def probe_encoder(folder: Path) -> dict[str, float]:
    """Return load time, peak memory and time per text by number of tokens, on one thread."""
    from regroup.adapters.onnx_encoder import OnnxEncoder

    record = json.loads((folder / "encoder.json").read_bytes())
    started = time.perf_counter()
    encoder = OnnxEncoder(
        (folder / "encoder.onnx").read_bytes(),
        (folder / "tokenizer.json").read_bytes(),
        prefix=record["prefix"],
        max_tokens=record["max_tokens"],
    )
    found = {"load_ms": 1e3 * (time.perf_counter() - started)}
    encoder.encode("東京から大阪 " * record["max_tokens"])
    # Not getrusage: after an exec it still holds the peak of the process that started this one.
    found["rss_mb"] = _memory_mb("VmHWM")
    for length in LENGTHS:
        text = _text_of(folder, record["prefix"], length)
        found[f"encode_p50_ms_{length}_tokens"] = 1e3 * _median_seconds(encoder.encode, text)
    return found


def _text_of(folder: Path, prefix: str, length: int) -> str:
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    text = ""
    while len(tokenizer.encode(prefix + text)) < length:
        text = f"{text} a"
    return text


def _median_seconds(encode: Callable[[str], object], text: str) -> float:
    seconds = []
    for _ in range(_REPEATS):
        started = time.perf_counter()
        encode(text)
        seconds.append(time.perf_counter() - started)
    return median(seconds)


def _memory_mb(field: str) -> float:
    status = Path("/proc/self/status").read_text(encoding="ascii")
    (line,) = [line for line in status.splitlines() if line.startswith(f"{field}:")]
    return int(line.split()[1]) / _KILOBYTES_PER_MEGABYTE


if __name__ == "__main__":
    probe = {"tokenizer": probe_tokenizer, "encoder": probe_encoder}[sys.argv[1]]
    sys.stdout.write(json.dumps(probe(Path(sys.argv[2]))))
