"""The prompts that time the encoders have the lengths they are said to have."""

from pathlib import Path

import pytest
from tokenizers import Tokenizer

from tests.bench.prompts_by_length import prompts_of
from training.sources import TOKENIZER


@pytest.mark.parametrize("tokens", [9, 32, 512])
def test_prompts_are_distinct_and_of_the_length_asked_for(minilm: Path, tokens: int) -> None:
    tokenizer = minilm / TOKENIZER
    prompts = prompts_of(tokenizer, "query: ", tokens, 20, seed=1)
    reader = Tokenizer.from_file(str(tokenizer))
    reader.no_truncation()
    assert {len(reader.encode(f"query: {prompt}").ids) for prompt in prompts} == {tokens}
    assert len(set(prompts)) == 20
    assert prompts == prompts_of(tokenizer, "query: ", tokens, 20, seed=1)
    assert not set(prompts) & set(prompts_of(tokenizer, "query: ", tokens, 20, seed=2))
