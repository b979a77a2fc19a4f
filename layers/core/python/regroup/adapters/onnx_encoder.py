"""The encoder as it is served: an ONNX graph and its tokenizer, from bytes."""

import tempfile
from pathlib import Path

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from regroup.errors import ArtifactIncompatibleError, StoreError
from regroup.tokenizer_file import read_tokenizer

LAYOUT_MARK = b"\xc1\x3e"
"""How a file begins that has its weights before its graph: the tag of a protobuf field that ONNX
does not have, number 1000, in which 8 bytes, little-endian, say where the graph begins."""
WEIGHTS_PLACE = "encoder.onnx"
"""The name under which the graph of such a file looks for its weights: the file's own."""
SLOWER_FUSIONS = ("SkipLayerNormFusion",)
"""Optimisations to leave out: the fused kernel is the slower one on a CPU, the more so the longer
the text."""

_START = slice(2, 10)
_INPUTS = {"input_ids": "tensor(int64)", "attention_mask": "tensor(int64)"}
_OUTPUTS = {"embedding": "tensor(float)"}
_FOLDER_OF_WEIGHTS = "session.model_external_initializers_file_folder_path"
_ONLY_ERRORS = 3


class OnnxEncoder:
    """Turns one text at a time into its embedding; safe to use from several threads."""

    def __init__(
        self, onnx: bytes, tokenizer: bytes, *, prefix: str, max_tokens: int, threads: int = 1
    ) -> None:
        """Load graph and tokenizer and try them once.

        Args:
            onnx: takes `input_ids` and `attention_mask`, int64 (1, length), and gives `embedding`,
                float32 (1, dims) of unit length.
            tokenizer: a `tokenizer.json` without padding that cuts at `max_tokens`.
            prefix: put before every text.
            max_tokens: what the artifact promises of the tokenizer.
            threads: for the arithmetic inside one call.

        Raises:
            ArtifactIncompatibleError: either part cannot be read, or they do not fit each other.
            StoreError: the folder for temporary files has no room for the graph's weights.
        """
        self._prefix = prefix
        # The session first: what it frees while it is built, the tokenizer takes up again.
        self._session = _load_session(onnx, threads)
        self._tokenizer = read_tokenizer(tokenizer, max_tokens)
        self.dims = self._try()

    def encode(self, text: str) -> NDArray[np.float32]:
        """Return the unit-length (dims,) embedding of one text, at its own length.

        Raises:
            TypeError, UnicodeEncodeError: `text` holds a lone surrogate.
        """
        return self._run(self._tokenizer.ids(self._prefix + text))

    def _run(self, ids: list[int]) -> NDArray[np.float32]:
        tokens = np.array([ids], np.int64)
        inputs = {"input_ids": tokens, "attention_mask": np.ones_like(tokens)}
        embedding: NDArray[np.float32] = self._session.run(["embedding"], inputs)[0][0]
        return embedding

    def _try(self) -> int:
        """Embed what every text has and the vocabulary's last token: a smaller table refuses it."""
        try:
            always = self._tokenizer.ids(self._prefix)
            return len(self._run([*always, self._tokenizer.vocabulary_size - 1]))
        except Exception as error:  # onnxruntime's errors share no narrower root
            raise ArtifactIncompatibleError("the encoder does not fit its tokenizer") from error


def _load_session(content: bytes, threads: int) -> ort.InferenceSession:
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.execution_mode = ort.ExecutionMode.ORT_SEQUENTIAL
    options.log_severity_level = _ONLY_ERRORS
    session = _start_session(content, options)
    inputs = {tensor.name: tensor.type for tensor in session.get_inputs()}
    outputs = {tensor.name: tensor.type for tensor in session.get_outputs()}
    if inputs != _INPUTS or outputs != _OUTPUTS:
        raise ArtifactIncompatibleError(
            f"the encoder's graph maps {inputs} to {outputs} instead of {_INPUTS} to {_OUTPUTS}"
        )
    return session


def _start_session(content: bytes, options: ort.SessionOptions) -> ort.InferenceSession:
    start = 0
    if content.startswith(LAYOUT_MARK):
        # Such a graph was fused when it was exported.
        options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
        start = int.from_bytes(content[_START], "little")
    try:
        with tempfile.TemporaryDirectory() as folder:
            # A graph may name files: it finds its own weights here, and nothing else anywhere.
            options.add_session_config_entry(_FOLDER_OF_WEIGHTS, folder)
            if start:
                (Path(folder) / WEIGHTS_PLACE).write_bytes(memoryview(content)[:start])
            # Its maps of the file outlive the file's name.
            return _session(content[start:], options)
    except OSError as error:
        raise StoreError(
            "the encoder's weights cannot be written to the folder for temporary files: make room "
            "there (for a Lambda function, with more ephemeral storage)"
        ) from error


def _session(graph: bytes, options: ort.SessionOptions) -> ort.InferenceSession:
    try:
        return ort.InferenceSession(
            graph,
            options,
            providers=["CPUExecutionProvider"],
            disabled_optimizers=list(SLOWER_FUSIONS),
        )
    except Exception as error:  # onnxruntime's errors share no narrower root
        raise ArtifactIncompatibleError("the encoder's graph cannot be read") from error
