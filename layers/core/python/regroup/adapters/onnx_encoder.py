"""The encoder as it is served: an ONNX graph and its tokenizer, from bytes."""

from typing import Any

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray
from tokenizers import Tokenizer

from regroup.errors import ArtifactIncompatibleError

_INPUTS = {"input_ids": "tensor(int64)", "attention_mask": "tensor(int64)"}
_OUTPUTS = {"embedding": "tensor(float)"}
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
        """
        self._prefix = prefix
        # The session first: what it frees while it is built, the tokenizer takes up again.
        self._session = _load_session(onnx, threads)
        self._tokenizer = _load_tokenizer(tokenizer, max_tokens)
        self.dims = self._try()

    def encode(self, text: str) -> NDArray[np.float32]:
        """Return the unit-length (dims,) embedding of one text, at its own length.

        Raises:
            TypeError: `text` holds a lone surrogate.
        """
        return self._run(self._tokenizer.encode(self._prefix + text).ids)

    def _run(self, ids: list[int]) -> NDArray[np.float32]:
        tokens = np.array([ids], np.int64)
        inputs = {"input_ids": tokens, "attention_mask": np.ones_like(tokens)}
        embedding: NDArray[np.float32] = self._session.run(["embedding"], inputs)[0][0]
        return embedding

    def _try(self) -> int:
        """Embed the last token of the vocabulary: a graph with a smaller table refuses it."""
        try:
            return len(self._run([self._tokenizer.get_vocab_size() - 1]))
        except Exception as error:  # onnxruntime's errors share no narrower root
            raise ArtifactIncompatibleError("the encoder does not fit its tokenizer") from error


def _load_tokenizer(content: bytes, max_tokens: int) -> Tokenizer:
    try:
        tokenizer = Tokenizer.from_buffer(content)
    except ValueError as error:
        raise ArtifactIncompatibleError("the tokenizer cannot be read") from error
    # A padded text is slow and, quantised, embedded differently: it must come at its own length.
    if tokenizer.padding is not None:
        raise ArtifactIncompatibleError("the tokenizer pads: export the encoder again")
    cut: dict[str, Any] | None = tokenizer.truncation
    if cut is None or cut["max_length"] != max_tokens:
        found = "does not cut" if cut is None else f"cuts at {cut['max_length']} tokens"
        raise ArtifactIncompatibleError(
            f"the tokenizer {found}, and the manifest says {max_tokens}: export the encoder again"
        )
    return tokenizer


def _load_session(content: bytes, threads: int) -> ort.InferenceSession:
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.execution_mode = ort.ExecutionMode.ORT_SEQUENTIAL
    options.log_severity_level = _ONLY_ERRORS
    try:
        session = ort.InferenceSession(
            content,
            options,
            providers=["CPUExecutionProvider"],
            # Its fused kernel is the slower one on a CPU, the more so the longer the text.
            disabled_optimizers=["SkipLayerNormFusion"],
        )
    except Exception as error:  # onnxruntime's errors share no narrower root
        raise ArtifactIncompatibleError("the encoder's graph cannot be read") from error
    inputs = {tensor.name: tensor.type for tensor in session.get_inputs()}
    outputs = {tensor.name: tensor.type for tensor in session.get_outputs()}
    if inputs != _INPUTS or outputs != _OUTPUTS:
        raise ArtifactIncompatibleError(
            f"the encoder's graph maps {inputs} to {outputs} instead of {_INPUTS} to {_OUTPUTS}"
        )
    return session
