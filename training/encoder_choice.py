"""Choose an encoder by what it must read."""

from collections.abc import Sequence

from training.encoder import EncoderName

_KANA_FIRST, _KANA_LAST = "\u3041", "\u30ff"
_JAPANESE_SHARE = 0.01
"""Kana per character above which Japanese is more than a quoted word here and there."""


def encoder_for(texts: Sequence[str]) -> EncoderName:
    """Return `e5-small` where the texts hold Japanese, told by its kana, else `minilm`."""
    chars = sum(map(len, texts))
    kana = sum(_KANA_FIRST <= char <= _KANA_LAST for text in texts for char in text)
    return "e5-small" if kana > _JAPANESE_SHARE * chars else "minilm"
