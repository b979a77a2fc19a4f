"""What a SageMaker training job is told: its folders by the environment, the rest by a file."""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from regroup.errors import ConfigurationError
from training.routers import AUTO, NOT_SERVED, ROUTERS

_OWN_PREFIX, _OWN_NAMES = "sagemaker_", ("_tuning_objective_metric",)
"""Hyperparameters that SageMaker's SDK and its tuning jobs add."""
_SHOWN_CHARS = 40


@dataclass(frozen=True, slots=True)
class Settings:
    """Where a job's files lie. Names in capitals are those of the environment."""

    training: Path | None
    """SM_CHANNEL_TRAINING: holds the labelled data."""
    encoder: Path | None
    """SM_CHANNEL_ENCODER: what `regroup encoder` wrote. Without it a packaged one is exported."""
    catalog: Path | None
    """SM_CHANNEL_CATALOG: holds `catalog.json`. Without it prices come from the data alone."""
    model: Path
    """SM_MODEL_DIR: SageMaker packs what lies here as `model.tar.gz`."""
    output_data: Path
    """SM_OUTPUT_DATA_DIR: SageMaker packs what lies here as `output.tar.gz`."""
    hyperparameters: Path
    failure: Path
    """Its text becomes the job's `FailureReason`."""
    checkpoints: Path
    """There when the job has a `CheckpointConfig`; SageMaker keeps its content on S3."""

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] | None = None) -> Self:
        """Read where the files lie; REGROUP_ML_ROOT stands for `/opt/ml` outside SageMaker.

        Folders: https://docs.aws.amazon.com/sagemaker/latest/dg/model-train-storage.html
        """
        environment = os.environ if environment is None else environment
        root = Path(environment.get("REGROUP_ML_ROOT") or "/opt/ml")

        def channel(name: str) -> Path | None:
            folder = environment.get(f"SM_CHANNEL_{name}")
            return Path(folder) if folder else None

        return cls(
            training=channel("TRAINING"),
            encoder=channel("ENCODER"),
            catalog=channel("CATALOG"),
            model=Path(environment.get("SM_MODEL_DIR") or root / "model"),
            output_data=Path(environment.get("SM_OUTPUT_DATA_DIR") or root / "output" / "data"),
            hyperparameters=root / "input" / "config" / "hyperparameters.json",
            failure=root / "output" / "failure",
            checkpoints=root / "checkpoints",
        )


def _served(router: str) -> str:
    names = [name for name in (AUTO, *ROUTERS) if name not in NOT_SERVED]
    if router not in names:
        raise ValueError(f"there are: {', '.join(names)}")
    return router


class Hyperparameters(BaseModel):
    """What a job may choose; the same words as the options of `regroup train`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    average: Literal["rows", "datasets"] = "rows"
    split: Annotated[str, Field(min_length=1)] | None = None
    n_clusters: Annotated[int, Field(ge=2)] | None = None
    seed: Annotated[int, Field(ge=0, lt=2**32)] = 0
    encoder: Literal["minilm", "e5-small"] | None = None
    """Of the packaged ones; where the job has a channel `encoder`, that one is used."""
    router: Annotated[str, AfterValidator(_served)] = AUTO
    champion: Annotated[str, Field(min_length=1)] | None = None
    """Pointer of what is live, to compare with; the job's role must be allowed to read it."""

    @classmethod
    def from_json(cls, content: bytes) -> Self:
        """Read `hyperparameters.json`: an object of strings, as SageMaker writes it.

        The SDK writes every value as JSON, the console as it is typed: `rows` and `"rows"` are the
        same, and so are `null` and no value.

        Raises:
            ConfigurationError: naming the hyperparameter and what is allowed.
        """
        try:
            return cls.model_validate(_given(content))
        except ValidationError as error:
            first = error.errors()[0]
            name = ".".join(map(str, first["loc"]))
            if first["type"] == "extra_forbidden":
                known = ", ".join(cls.model_fields)
                raise ConfigurationError(
                    f"no hyperparameter is called {name!r:.{_SHOWN_CHARS}}; there are: {known}"
                ) from error
            raise ConfigurationError(
                f"hyperparameter {name}: {first['msg']}, not {first['input']!r:.{_SHOWN_CHARS}}"
            ) from error


def _given(content: bytes) -> dict[str, str]:
    try:
        values = json.loads(content)
    except ValueError as error:
        raise ConfigurationError("hyperparameters.json is not JSON") from error
    if not isinstance(values, dict) or not all(isinstance(one, str) for one in values.values()):
        raise ConfigurationError("hyperparameters.json holds no object of strings")
    plain = {
        name: _plain(value)
        for name, value in values.items()
        if not name.startswith(_OWN_PREFIX) and name not in _OWN_NAMES
    }
    return {name: value for name, value in plain.items() if value is not None}


def _plain(value: str) -> str | None:
    """Undo the SDK's quotes; whatever else may look like JSON is meant as it is written."""
    try:
        decoded = json.loads(value)
    except (ValueError, RecursionError):
        return value
    return decoded if decoded is None or isinstance(decoded, str) else value
