"""Run by `.venv-compat`: say where a document breaks the schema of OpenAPI 3.0, as JSON on stdout.

The schema is the OpenAPI Initiative's, as schemathesis ships it.
"""

import json
import sys
from importlib import import_module
from pathlib import Path


def main() -> None:
    """Validate the file that is named."""
    definitions = import_module("schemathesis.specs.openapi.definitions")
    document = json.loads(Path(sys.argv[1]).read_text())
    errors = definitions.OPENAPI_30_VALIDATOR.iter_errors(document)
    sys.stdout.write(json.dumps([error.message for error in errors]))


if __name__ == "__main__":
    main()
