"""What the authorizer is told by its environment."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

from regroup.errors import ConfigurationError


@dataclass(frozen=True, slots=True)
class AuthorizerSettings:
    """Where the keys lie."""

    keys_table: str

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] | None = None) -> Self:
        """Read `KEYS_TABLE` from the given environment, by default the process's own.

        Raises:
            ConfigurationError: it is not set.
        """
        environment = os.environ if environment is None else environment
        table = environment.get("KEYS_TABLE", "").strip()
        if not table:
            raise ConfigurationError("KEYS_TABLE must name the DynamoDB table of the API keys")
        return cls(keys_table=table)
