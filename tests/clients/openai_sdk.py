"""Run by `.venv-compat`: the OpenAI Python SDK against a server, results as JSON on stdout.

Only the base URL and the key are changed, as a user would.
"""

import json
import sys
from importlib import import_module
from typing import Any


def main() -> None:
    """Chat, stream, and make two mistakes."""
    openai = import_module("openai")
    url, key = sys.argv[1:3]
    client = openai.OpenAI(base_url=f"{url}/v1", api_key=key, max_retries=0)
    ask: dict[str, object] = {"messages": [{"role": "user", "content": "What is 12 times 7?"}]}
    ask["model"] = "regroup"

    answer = client.chat.completions.with_raw_response.create(**ask)
    completion = answer.parse()
    chunks = list(
        client.chat.completions.create(**ask, stream=True, stream_options={"include_usage": True})
    )
    results = {
        "text": completion.choices[0].message.content,
        "finish_reason": completion.choices[0].finish_reason,
        "total_tokens": completion.usage.total_tokens,
        "routed_model": answer.headers["x-regroup-model"],
        "streamed": "".join(c.choices[0].delta.content or "" for c in chunks if c.choices),
        "streamed_tokens": chunks[-1].usage.total_tokens,
        "named": client.chat.completions.create(**ask | {"model": "haiku"}).model,
        "wrong_key": _error(openai.OpenAI(base_url=f"{url}/v1", api_key="sk-wrong"), ask),
        "wrong_model": _error(client, ask | {"model": "gpt-4"}),
    }
    sys.stdout.write(json.dumps(results))


def _error(client: Any, ask: dict[str, object]) -> str:  # noqa: ANN401 - another environment
    openai = import_module("openai")
    try:
        client.chat.completions.create(**ask)
    except openai.APIStatusError as error:
        return f"{type(error).__name__} {error.code}"
    return "no error"


if __name__ == "__main__":
    main()
