"""Where the benchmarks' data lies, and how to get it."""

import os
import sys
from pathlib import Path

REPOSITORY = Path(__file__).parents[2]
RESULTS = REPOSITORY / "build/bench"

_ADVICE = """The benchmarks need the data folder, which is not part of this repository.

Looked for {name} in: {places}

Put the file there, or name its folder: REGROUP_DATA=/path/to/folder make ...
It holds one JSON object a line, with `id`, `dataset`, `split` (train or test), `text`, and `scores`
(in [0, 1] by model name). routerdc.jsonl.gz is made from the data that RouterDC (Chen et al. 2024)
publishes with its code, routerbench_subset.jsonl.gz (with `cost_usd` by model) from the part of
RouterBench (Hu et al. 2024) there, japanese_chat.jsonl.gz from the answers and judgements that
shisa-ai/shaberi publishes.
"""


def find_data(name: str) -> Path:
    """Return a data file, or end the program saying how to get it."""
    named = os.environ.get("REGROUP_DATA")
    places = [Path(named)] if named else [REPOSITORY.parent / "shared/data"]
    for place in places:
        if (place / name).is_file():
            return place / name
    sys.exit(_ADVICE.format(name=name, places=", ".join(str(place) for place in places)))
