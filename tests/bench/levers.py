"""`make bench-levers`: what each lever on the encoder's time and memory is worth.

Every lever is moved alone, against the encoder as it is shipped. Each number comes from a process
of its own on one core. A lever's processes stand close to one of the shipped encoder, and what is
reported is the median of their differences, with its quartiles, so that other work on the machine
shifts both alike.
"""

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import batched
from pathlib import Path
from statistics import median, quantiles
from tempfile import TemporaryDirectory

from rich.console import Console
from rich.table import Table

from regroup.artifact import write_heads
from regroup.tokenizer_file import read_tokenizer
from tests.bench.data import REPOSITORY, RESULTS
from tests.bench.levers_graphs import OTHER_NUMBERS, write_graphs
from tests.bench.levers_parts import BUCKET, MEASURES, PARTS, heads
from tests.bench.levers_probe import Probe, Setup
from tests.local.aws import LoopbackAws
from training.encoder import ENCODERS, SERVED, EncoderName, ensure_encoder, load_spec
from training.sources import TOKENIZER

ROUNDS = 9
METRICS = ("load_ms", "encode_ms", "peak_mb")

_BOTH: tuple[EncoderName, ...] = ("minilm", "e5-small")
_GOLDEN = {"minilm": "minilm_golden", "e5-small": "e5_golden"}
_BETWEEN_SHIPPED = 6
"""How many levers are measured between two measurements of the shipped encoder."""
_TOKENS = 32
_AS_IT_IS = "ORT_DISABLE_ALL"


@dataclass(frozen=True, slots=True)
class Lever:
    """One thing done otherwise."""

    name: str
    setup: Setup
    encoders: tuple[EncoderName, ...] = _BOTH
    """Where it is measured: what cannot differ between them is measured on the quicker one."""


LEVERS = (
    Lever("weights inside the graph", Setup(graph="inside", level=_AS_IT_IS)),
    Lever("… read from a file", Setup(graph="inside", level=_AS_IT_IS, by_path=True)),
    Lever("onnxruntime's own format", Setup(graph="flat", level=_AS_IT_IS)),
    Lever(
        "… its bytes used directly",
        Setup(graph="flat", level=_AS_IT_IS, config={"session.use_ort_model_bytes_directly": "1"}),
        ("minilm",),
    ),
    Lever("fused at each load, ALL", Setup(graph="unfused", level="ORT_ENABLE_ALL")),
    Lever(
        "fused at each load, BASIC", Setup(graph="unfused", level="ORT_ENABLE_BASIC"), ("minilm",)
    ),
    Lever("never fused", Setup(graph="unfused", level=_AS_IT_IS)),
    Lever("fused once and again, ALL", Setup(level="ORT_ENABLE_ALL"), ("minilm",)),
    Lever("sums fused into norms", Setup(graph="skip-layer-norm")),
    Lever("GELU not fused", Setup(graph="split-gelu"), ("minilm",)),
    Lever("int8 products not fused", Setup(graph="split-products")),
    Lever("attention fused (MultiHeadAttention)", Setup(graph="one-attention")),
    Lever("query, key, value in one product", Setup(graph="one-projection")),
    Lever("loud neurons among the others", Setup(graph="loud-among-others")),
    Lever("loud neurons in float32", Setup(graph="loud-in-float")),
    Lever("two wide products in float32", Setup(graph="two-in-float")),
    Lever("8-bit weights (no reduce_range)", Setup(graph="eight-bits")),
    Lever("weights not packed for the CPU", Setup(config={"session.disable_prepacking": "1"})),
    Lever("no arena", Setup(arena=False), ("minilm",)),
    Lever("no memory pattern", Setup(pattern=False), ("minilm",)),
    Lever(
        "weights outside the arena",
        Setup(config={"session.use_device_allocator_for_initializers": "1"}),
        ("minilm",),
    ),
    Lever("no spinning", Setup(config={"session.intra_op.allow_spinning": "0"}), ("minilm",)),
    Lever("denormals as zero", Setup(config={"session.set_denormal_as_zero": "1"}), ("minilm",)),
    Lever("tokenizer wholly by tokenizers", Setup(tokenizer="tree"), ("e5-small",)),
    Lever("tokenizer read beside, one core", Setup(tokenizer="beside"), ("minilm",)),
    Lever("tokenizer read beside, two cores", Setup(tokenizer="beside", cores=2)),
    Lever("IO binding", Setup(feed="bound"), ("minilm",)),
    Lever(
        "malloc keeps what is freed",
        Setup(
            environment={
                "MALLOC_MMAP_THRESHOLD_": str(1 << 25),
                "MALLOC_TRIM_THRESHOLD_": str(1 << 30),
            }
        ),
    ),
    Lever(
        "malloc in huge pages (glibc 2.35)",
        Setup(environment={"GLIBC_TUNABLES": "glibc.malloc.hugetlb=1"}),
        ("minilm",),
    ),
)

type Numbers = dict[str, float]


def main() -> None:
    """Run the benchmark; print its tables and write `build/bench/levers.json`."""
    console = Console(stderr=not sys.stdout.isatty(), highlight=False)
    report: dict[str, object] = {}
    out = Console(highlight=False)
    RESULTS.mkdir(parents=True, exist_ok=True)
    for name in ENCODERS.values():
        with console.status(f"measuring {name}"):
            report[name] = found = _measure(name)
        out.print(_table(name, found))
    with console.status("measuring the parts"):
        report["parts"] = parts = _measure_parts()
    out.print(_parts_table(parts))
    (RESULTS / "levers.json").write_text(json.dumps(report, indent=1) + "\n")


def _measure(name: EncoderName) -> dict[str, Numbers]:
    """Return the medians of the shipped encoder and, by lever, what differs from them."""
    levers = [lever for lever in LEVERS if name in lever.encoders]
    with TemporaryDirectory(dir=RESULTS) as folder:
        graphs = Path(folder)
        write_graphs(name, graphs, {lever.setup.graph for lever in levers})
        shipped = _shipped(name)
        moved = {lever.name: _moved(shipped, lever.setup, graphs) for lever in levers}
        return _compare(shipped, moved, str(REPOSITORY / "tests/data" / _GOLDEN[name]))


def _compare(shipped: Probe, moved: Mapping[str, Probe], golden: str) -> dict[str, Numbers]:
    _run(shipped)  # The first one finds files that are not in memory yet.
    usual: list[Numbers] = []
    pairs: dict[str, list[tuple[Numbers, Numbers]]] = {lever: [] for lever in moved}
    for _round in range(ROUNDS):
        for some in batched(moved, _BETWEEN_SHIPPED):
            usual.append(_run(shipped))
            for lever in some:
                pairs[lever].append((usual[-1], _run(moved[lever])))
    found = {"shipped": {**_medians(usual), **_run(replace(shipped, golden=golden))}}
    for lever, probe in moved.items():
        found[lever] = differences(pairs[lever])
        if probe.setup.graph in OTHER_NUMBERS:
            found[lever] |= _run(replace(probe, golden=golden))
    return found


def _shipped(name: EncoderName) -> Probe:
    folder = ensure_encoder(name, REPOSITORY / "build/encoder")
    spec = load_spec(folder)
    tokenizer = read_tokenizer((folder / TOKENIZER).read_bytes(), spec.max_tokens)
    text = ""
    while len(tokenizer.ids(spec.prefix + text)) < _TOKENS:
        text = f"{text} a"
    return Probe(
        setup=Setup(),
        graph=str(folder / SERVED),
        tokenizer=str(folder / TOKENIZER),
        prefix=spec.prefix,
        max_tokens=spec.max_tokens,
        text=text,
        long_text="東京から大阪 " * spec.max_tokens,
    )


def _moved(shipped: Probe, setup: Setup, graphs: Path) -> Probe:
    graph = shipped.graph if setup.graph == Setup().graph else str(graphs / setup.graph)
    return replace(shipped, setup=setup, graph=graph)


def _run(probe: Probe) -> Numbers:
    command = [sys.executable, "-m", "tests.bench.levers_probe"]
    found: Numbers = json.loads(
        subprocess.run(
            command,
            cwd=REPOSITORY,
            env={**os.environ, **probe.setup.environment},
            input=json.dumps(asdict(probe)).encode(),
            check=True,
            stdout=subprocess.PIPE,
        ).stdout
    )
    return found


def _medians(runs: Sequence[Numbers]) -> Numbers:
    return {metric: median(run[metric] for run in runs) for metric in runs[0]}


def differences(pairs: Sequence[tuple[Numbers, Numbers]]) -> Numbers:
    """Return median and quartiles of what a lever adds, from pairs of (shipped, lever)."""
    found: Numbers = {}
    for metric in METRICS:
        added = [moved[metric] - shipped[metric] for shipped, moved in pairs]
        low, middle, high = quantiles(added, method="inclusive")
        found |= {metric: middle, f"{metric}_low": low, f"{metric}_high": high}
    return found


def _table(name: str, found: Mapping[str, Numbers]) -> Table:
    shipped = found["shipped"]
    table = Table(f"{name}: what a lever adds", "loading, ms", f"{_TOKENS} tokens, ms", "peak, MB")
    table.add_column("cosine, mean / least")
    as_is = (f"{shipped[metric]:.2f}" for metric in METRICS)
    table.add_row("as shipped", *as_is, _cosines(shipped), end_section=True)
    for lever, added in found.items():
        if lever != "shipped":
            cells = (_difference(added, metric) for metric in METRICS)
            table.add_row(lever, *cells, _cosines(added))
    table.caption = (
        f"median of {ROUNDS} differences (quartiles), each from a process of its own on one core; "
        f"of a text's time, {shipped['tokens_ms']:.2f} ms is for its tokens"
    )
    return table


def _difference(added: Numbers, metric: str) -> str:
    low, high = added[f"{metric}_low"], added[f"{metric}_high"]
    return f"{added[metric]:+.2f} ({low:+.2f} to {high:+.2f})"


def _cosines(found: Numbers) -> str:
    if "cosine_mean" not in found:
        return ""
    return f"{found['cosine_mean']:.5f} / {found['cosine_least']:.5f}"


def _measure_parts() -> dict[str, Numbers]:
    """Return median and quartiles of each of `MEASURES`, in milliseconds."""
    times: dict[str, list[float]] = {name: [] for name in MEASURES}
    with LoopbackAws() as aws:
        _fill(aws)
        for _round in range(ROUNDS):
            for name, found in times.items():
                command = [sys.executable, "-m", "tests.bench.levers_parts", name]
                done = subprocess.run(
                    command,
                    cwd=REPOSITORY,
                    env={**os.environ, **aws.environment()},
                    check=True,
                    stdout=subprocess.PIPE,
                )
                found.append(float(done.stdout))
    names = ("low", "ms", "high")
    return {
        name: dict(zip(names, quantiles(found, method="inclusive"), strict=True))
        for name, found in times.items()
    }


def _fill(aws: LoopbackAws) -> None:
    folder = ensure_encoder("e5-small", REPOSITORY / "build/encoder")
    small = write_heads(heads())
    aws.create_bucket(BUCKET)
    for part in PARTS:
        path = folder / part
        content = path.read_bytes() if path.is_file() else small
        aws.client("s3").put_object(Bucket=BUCKET, Key=part, Body=content)


def _parts_table(found: Mapping[str, Numbers]) -> Table:
    table = Table("an artifact's parts, e5-small", "ms (quartiles)")
    for name, one in found.items():
        table.add_row(name, f"{one['ms']:.1f} ({one['low']:.1f} to {one['high']:.1f})")
    return table


if __name__ == "__main__":
    main()
