"""What the functions take from their environment, and how they refuse the rest."""

from zoneinfo import ZoneInfo

import pytest

from classifier.settings import Settings
from collector.bootstrap import build_application
from collector.settings import Settings as CollectorSettings
from regroup.errors import ConfigurationError

CATALOG = {"CATALOG_URI": "s3://bucket/catalog.json"}


def test_only_the_catalog_must_be_named() -> None:
    assert Settings.from_environment(CATALOG) == Settings(
        catalog_uri="s3://bucket/catalog.json",
        pointer_uri=None,
        cache_table=None,
        cache_ttl_seconds=604_800,
        sample_queue_url=None,
        sample_rate=0.0,
        explore_share=0.0,
        default_preset="balanced",
        default_candidate=None,
        model_path=None,
        kmeans_path=None,
        n_clusters=None,
        candidate_models=(),
        timezone=ZoneInfo("Asia/Tokyo"),
    )


def test_every_variable_is_read() -> None:
    environment = {
        "POINTER_URI": "s3://bucket/pointer.json",
        "CACHE_TABLE": "cache",
        "CACHE_TTL_SECONDS": "60",
        "SAMPLE_QUEUE_URL": "https://sqs/queue",
        "SAMPLE_RATE": "0.25",
        "EXPLORE_SHARE": "1",
        "DEFAULT_PRESET": "economy",
        "DEFAULT_CANDIDATE": "haiku",
        "CACHE_TIMEOUT_SECONDS": "1.5",
        "MODEL_PATH": "/opt/encoder.onnx",
        "KMEANS_PATH": "/opt/kmeans.pkl",
        "N_CLUSTERS": "8",
        "CANDIDATE_MODELS": "haiku",
        "SESSIONS_TABLE": "sessions",
        "SESSION_TTL_SECONDS": "61",
        "KEYS_TABLE": "keys",
        "BUDGET_WHEN_UNKNOWN": "closed",
        "DECISIONS_TABLE": "decisions",
        "DECISION_TTL_SECONDS": "62",
        "TABLE_TIMEOUT_SECONDS": "0.5",
        "TIMEZONE": "Europe/Berlin",
        "RESIDENCY": "jp",
        "EXPLORE_FLOOR": "0.01",
        "POINTER_CHECK_SECONDS": "5",
        "EXPLORE_MAX_COST_USD": "0.05",
    }
    assert Settings.from_environment(CATALOG | environment) == Settings(
        catalog_uri="s3://bucket/catalog.json",
        pointer_uri="s3://bucket/pointer.json",
        cache_table="cache",
        cache_ttl_seconds=60,
        cache_timeout_seconds=1.5,
        sample_queue_url="https://sqs/queue",
        sample_rate=0.25,
        explore_share=1.0,
        default_preset="economy",
        default_candidate="haiku",
        model_path="/opt/encoder.onnx",
        kmeans_path="/opt/kmeans.pkl",
        n_clusters=8,
        candidate_models=("haiku",),
        sessions_table="sessions",
        session_ttl_seconds=61,
        keys_table="keys",
        budget_when_unknown="closed",
        decisions_table="decisions",
        decision_ttl_seconds=62,
        table_timeout_seconds=0.5,
        timezone=ZoneInfo("Europe/Berlin"),
        residency="jp",
        explore_floor=0.01,
        pointer_check_seconds=5.0,
        explore_max_cost_usd=0.05,
    )


def test_an_empty_variable_is_an_unset_one() -> None:
    names = (
        "POINTER_URI CACHE_TABLE CACHE_TTL_SECONDS CACHE_TIMEOUT_SECONDS SAMPLE_QUEUE_URL "
        "SAMPLE_RATE EXPLORE_SHARE "
        "DEFAULT_PRESET DEFAULT_CANDIDATE MODEL_PATH KMEANS_PATH N_CLUSTERS CANDIDATE_MODELS "
        "SESSIONS_TABLE SESSION_TTL_SECONDS KEYS_TABLE BUDGET_WHEN_UNKNOWN DECISIONS_TABLE "
        "DECISION_TTL_SECONDS TABLE_TIMEOUT_SECONDS TIMEZONE RESIDENCY EXPLORE_FLOOR "
        "EXPLORE_MAX_COST_USD POINTER_CHECK_SECONDS"
    )
    empty = dict.fromkeys(names.split(), "")
    assert Settings.from_environment(CATALOG | empty) == Settings.from_environment(CATALOG)


@pytest.mark.parametrize("environment", [{}, {"CATALOG_URI": ""}])
def test_a_missing_catalog_is_named(environment: dict[str, str]) -> None:
    with pytest.raises(ConfigurationError, match=r"^CATALOG_URI is not set: give s3://"):
        Settings.from_environment(environment)


@pytest.mark.parametrize(
    ("variable", "value", "allowed"),
    [
        *(
            (variable, value, "from 0 to 1")
            for variable in ("SAMPLE_RATE", "EXPLORE_SHARE")
            for value in ("2", "-0.1", "1.0000001", "nan", "NaN", "inf", "-inf", "half", " ")
        ),
        *(
            (variable, value, "from 1 to 100000000")
            for variable in ("CACHE_TTL_SECONDS", "SESSION_TTL_SECONDS", "DECISION_TTL_SECONDS")
            for value in ("0", "-1", "1.5", "nan", "100000001", "a day", "9" * 5_000)
        ),
        *(
            (variable, value, "from 0.01 to 10")
            for variable in ("CACHE_TIMEOUT_SECONDS", "TABLE_TIMEOUT_SECONDS")
            for value in ("0", "11", "nan", "slow")
        ),
        *(
            ("N_CLUSTERS", value, "from 1 to 10000")
            for value in ("0", "-1", "10001", "8.0", "inf", "many")
        ),
        *(("POINTER_CHECK_SECONDS", value, "from 0 to 3600") for value in ("-1", "3601", "soon")),
        *(("EXPLORE_FLOOR", value, "from 0 to 0.5") for value in ("0.51", "-1", "nan")),
        *(("EXPLORE_MAX_COST_USD", value, "from 0 to 10000") for value in ("-1", "nan", "much")),
    ],
)
def test_a_number_out_of_range_is_refused_by_name_and_range(
    variable: str, value: str, allowed: str
) -> None:
    with pytest.raises(ConfigurationError) as caught:
        Settings.from_environment({**CATALOG, variable: value})
    assert str(caught.value) == f"{variable} is {value!r}: it must be a number {allowed}"


@pytest.mark.parametrize(
    ("variable", "value", "allowed"),
    [
        ("BUDGET_WHEN_UNKNOWN", "shut", "cheapest, closed, open"),
        ("RESIDENCY", "eu", "jp, apac, us, global"),
    ],
)
def test_a_word_that_is_not_known_is_refused_with_those_that_are(
    variable: str, value: str, allowed: str
) -> None:
    with pytest.raises(ConfigurationError) as caught:
        Settings.from_environment({**CATALOG, variable: value})
    assert str(caught.value) == f"{variable} is {value!r}: it may be {allowed}"


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("haiku", ("haiku",)),
        ("haiku,sonnet", ("haiku", "sonnet")),
        (" haiku , sonnet ,", ("haiku", "sonnet")),
        (",, ,", ()),
    ],
)
def test_candidate_models_are_split_at_commas(text: str, names: tuple[str, ...]) -> None:
    settings = Settings.from_environment({**CATALOG, "CANDIDATE_MODELS": text})
    assert settings.candidate_models == names


@pytest.mark.parametrize(
    ("environment", "settings"),
    [
        ({"SAMPLE_BUCKET": "b"}, CollectorSettings("b", "Asia/Tokyo")),
        ({"SAMPLE_BUCKET": "b", "TIMEZONE": ""}, CollectorSettings("b", "Asia/Tokyo")),
        ({"SAMPLE_BUCKET": "b", "TIMEZONE": "UTC"}, CollectorSettings("b", "UTC")),
    ],
)
def test_the_collector_needs_a_bucket_and_lives_in_tokyo_unless_told(
    environment: dict[str, str], settings: CollectorSettings
) -> None:
    assert CollectorSettings.from_environment(environment) == settings


@pytest.mark.parametrize("environment", [{}, {"SAMPLE_BUCKET": ""}])
def test_a_missing_bucket_is_named(environment: dict[str, str]) -> None:
    with pytest.raises(ConfigurationError, match=r"^SAMPLE_BUCKET is not set"):
        CollectorSettings.from_environment(environment)


@pytest.mark.parametrize("timezone", ["Tokyo", "Asia/", "/etc/passwd", "../UTC", "a\0b", "JST-9"])
def test_a_timezone_that_is_none_is_named(timezone: str) -> None:
    with pytest.raises(ConfigurationError, match=r"^TIMEZONE is .*: use a name such as Asia/Tokyo"):
        build_application(CollectorSettings("bucket", timezone))
    with pytest.raises(ConfigurationError, match=r"^TIMEZONE is .*: use a name such as Asia/Tokyo"):
        Settings.from_environment({**CATALOG, "TIMEZONE": timezone})
