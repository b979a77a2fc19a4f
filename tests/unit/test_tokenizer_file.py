"""Reading a served tokenizer: the same ids as `tokenizers` gives, whatever the kind."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

from regroup import tokenizer_file
from regroup.errors import ArtifactIncompatibleError
from regroup.tokenizer_file import read_tokenizer

MAX_TOKENS = 8
PIECES = ("<s>", "<pad>", "</s>", "<unk>", "▁", "▁a", "b", "ab", "▁ab", "c")
TEXTS = ("", " ", "a", "ab", "abb a  c", "b" * 30, "a b c " * 9, "xyx", "x x", "<s>a</s>", "ＡＢ")


def unigram_tokenizer() -> Tokenizer:
    """One of the kind that `training.vocabulary` builds."""
    scored = [(piece, -float(place)) for place, piece in enumerate(PIECES)]
    tokenizer = Tokenizer(models.Unigram(scored, unk_id=3, byte_fallback=False))
    tokenizer.normalizer = normalizers.Sequence([normalizers.NFKC(), normalizers.Lowercase()])
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace("▁", prepend_scheme="always")
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", special_tokens=[("<s>", 0), ("</s>", 2)]
    )
    tokenizer.enable_truncation(MAX_TOKENS)
    return tokenizer


def content(tokenizer: Tokenizer) -> bytes:
    text: str = tokenizer.to_str()
    return text.encode()


def altered(change: Callable[[dict[str, Any]], object]) -> bytes:
    fields = json.loads(content(unigram_tokenizer()))
    change(fields)
    return json.dumps(fields, ensure_ascii=False, separators=(",", ":")).encode()


def added_token(fields: dict[str, Any]) -> None:
    flags = dict.fromkeys(("single_word", "lstrip", "rstrip", "normalized"), False)
    fields["added_tokens"] = [{"id": 3, "content": "<unk>", "special": True, **flags}]


def is_cut_by_a_dictionary(tokenizer: bytes) -> bool:
    return tokenizer_file._take_unigrams(tokenizer) is not None


@pytest.mark.parametrize(
    "change",
    [
        lambda fields: None,
        lambda fields: fields["truncation"].update(max_length=MAX_TOKENS),
        lambda fields: fields["post_processor"].update(
            single=[{"Sequence": {"id": "A", "type_id": 0}}]
        ),
        lambda fields: fields["pre_tokenizer"].update(prepend_scheme="never"),
    ],
)
@pytest.mark.parametrize("text", TEXTS)
def test_ids_of_the_usual_unigrams_are_those_of_tokenizers(
    text: str, change: Callable[[dict[str, Any]], object]
) -> None:
    tokenizer = altered(change)
    assert is_cut_by_a_dictionary(tokenizer)
    assert (
        read_tokenizer(tokenizer, MAX_TOKENS).ids(text)
        == Tokenizer.from_buffer(tokenizer).encode(text).ids
    )


@pytest.mark.parametrize(
    "change",
    [
        added_token,
        lambda fields: fields["truncation"].update(direction="Left"),
        lambda fields: fields["model"].update(byte_fallback=True),
        lambda fields: fields.update(normalizer=None),
        lambda fields: fields.update(pre_tokenizer=None),
        lambda fields: fields.update(post_processor=None),
    ],
)
@pytest.mark.parametrize("text", TEXTS)
def test_unigrams_of_another_kind_are_left_to_tokenizers(
    text: str, change: Callable[[dict[str, Any]], object]
) -> None:
    tokenizer = altered(change)
    assert not is_cut_by_a_dictionary(tokenizer)
    assert (
        read_tokenizer(tokenizer, MAX_TOKENS).ids(text)
        == Tokenizer.from_buffer(tokenizer).encode(text).ids
    )


def test_vocabulary_size_counts_all_pieces() -> None:
    assert read_tokenizer(content(unigram_tokenizer()), MAX_TOKENS).vocabulary_size == len(PIECES)


@pytest.mark.parametrize("text", ["\ud800", "a\udc00b"])
def test_a_lone_surrogate_is_refused(text: str) -> None:
    with pytest.raises(UnicodeEncodeError):
        read_tokenizer(content(unigram_tokenizer()), MAX_TOKENS).ids(text)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda fields: fields.update(truncation=None), "does not cut"),
        (
            lambda fields: fields["truncation"].update(max_length=9),
            "cuts at 9 tokens, and the manifest says 8",
        ),
        (lambda fields: fields["model"].update(vocab=[]), "cannot be read"),
        (lambda fields: fields["model"].update(vocab=5), "cannot be read"),
        (lambda fields: fields["model"].update(unk_id=99), "cannot be read"),
        (lambda fields: fields["model"].update(unk_id=-1), "cannot be read"),
        (lambda fields: fields["model"].update(unk_id=True), "cannot be read"),
        (lambda fields: fields["model"]["vocab"][5].__setitem__(1, 10**400), "cannot be read"),
        (lambda fields: fields.update(normalizer={"type": "Nothing"}), "cannot be read"),
    ],
)
def test_unigrams_that_cannot_be_served_are_refused(
    change: Callable[[dict[str, Any]], object], message: str
) -> None:
    with pytest.raises(ArtifactIncompatibleError, match=message):
        read_tokenizer(altered(change), MAX_TOKENS)
