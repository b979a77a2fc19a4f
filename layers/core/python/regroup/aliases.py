"""Names that a provider takes, for names it does not."""

import re
from collections import Counter
from collections.abc import Iterable
from hashlib import sha256

MOST_CHARS = 64
"""Of a tool's name and of a tool use's id on Bedrock."""

_DIGEST_CHARS = 8


def aliases(texts: Iterable[str], alphabet: str) -> list[str]:
    """Return for each text 1 to 64 characters of `alphabet`, no two the same.

    A text that is legal and new stays as it is. An alias begins like its text and ends in a digest
    of it, so that it is the same in every request of a conversation.

    Args:
        texts: any texts, the same one twice too.
        alphabet: what stands in the brackets of a regular expression, `a-z_`.
    """
    given = list(texts)
    legal = re.compile(f"[{alphabet}]{{1,{MOST_CHARS}}}")
    taken = {text for text in given if legal.fullmatch(text)}
    times: Counter[str] = Counter()
    named: list[str] = []
    for text in given:
        if text in taken and not times[text]:
            named.append(text)
        else:
            head = re.sub(f"[^{alphabet}]", "_", text)[: MOST_CHARS - _DIGEST_CHARS - 1]
            # Counting from the times seen keeps a text that comes a thousand times cheap.
            salt = times[text]
            while (alias := f"{head}_{_digest(text, salt)}") in taken:
                salt += 1
            taken.add(alias)
            named.append(alias)
        times[text] += 1
    return named


def _digest(text: str, salt: int) -> str:
    return sha256(f"{salt} {text}".encode()).hexdigest()[:_DIGEST_CHARS]
