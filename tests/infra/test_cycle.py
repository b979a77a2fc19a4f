"""A deployment's life: applied, unchanged, published to, asked, changed in one place, gone."""

import json
from base64 import b64encode

from layers.package import PACKAGE
from tests.infra.cycle import PROMPT, Cycle, Served


def test_an_apply_leaves_nothing_to_do(cycle: Cycle) -> None:
    assert len(cycle.resources) >= 50
    assert cycle.after_apply == ()


def test_a_fresh_apply_answers_by_the_default_candidate(cycle: Cycle) -> None:
    assert cycle.unpublished.replies["chat"].status == 200
    first = cycle.unpublished.decisions[0]
    assert (first["reason"], first["routed_model"]) == ("no_artifact", "haiku")
    assert cycle.unpublished.replies["health"].json["status"] == "ok"


def test_publishing_leaves_nothing_to_do(cycle: Cycle) -> None:
    assert cycle.after_publish == ()


def test_what_was_published_answers(cycle: Cycle, small_router: tuple[object, str]) -> None:
    assert cycle.published.replies["health"].json["artifact"] == small_router[1]
    assert cycle.published.replies["chat"].headers["x-regroup-cache"] == "miss"
    assert cycle.published.replies["again"].headers["x-regroup-cache"] in ("memory", "hit")
    assert cycle.published.replies["explained"].json["version"] == small_router[1]


def test_every_candidate_answers_to_its_name(cycle: Cycle) -> None:
    for one in cycle.rendered["candidates"]:
        assert cycle.published.replies[f"as {one['name']}"].json["model"] == one["name"]


def test_feedback_and_samples_reach_the_bucket(cycle: Cycle) -> None:
    for served in (cycle.unpublished, cycle.published, cycle.changed):
        assert served.replies["feedback"].status == 200
        assert served.undelivered == ()
    kinds = {key.partition("/")[0] for key in cycle.published.samples}
    assert kinds == {"interactions", "rewards"}
    assert any(PROMPT.encode() in content for content in cycle.published.samples.values())


def test_no_log_line_holds_a_prompt(cycle: Cycle) -> None:
    for served in (cycle.unpublished, cycle.published, cycle.changed):
        assert served.decisions
        assert "canary-4711" not in served.logs


def test_the_gateway_refuses_in_the_shape_of_openai(cycle: Cycle) -> None:
    replies = cycle.published.replies

    assert replies["no key"].error == (401, "invalid_api_key")
    assert replies["bad key"].error == (401, "invalid_api_key")
    assert replies["no such path"].error == (404, "unknown_path")
    assert replies["no messages"].error == (400, "invalid_field")


def test_one_changed_variable_touches_one_function(cycle: Cycle) -> None:
    assert {(one.address, one.actions) for one in cycle.change} == {
        ("module.classifier.aws_lambda_function.this", ("update",)),
        ("module.classifier.aws_lambda_alias.live", ("update",)),
    }


def test_an_apply_leaves_the_pointer_as_it_was(cycle: Cycle) -> None:
    before, after = cycle.pointers

    assert before == after
    assert json.loads(after)["champion"]


def masked(served: Served) -> dict[str, str | None]:
    mask: dict[str, str | None] = served.replies["explained"].json["mask"]
    return mask


def test_a_residency_leaves_a_candidate_out_and_says_so(cycle: Cycle) -> None:
    assert masked(cycle.published)["llama-70b"] is None
    assert masked(cycle.changed) == {
        "haiku": None,
        "sonnet": None,
        "nova-lite": None,
        "llama-70b": "residency",
    }
    assert cycle.changed.replies["as llama-70b"].error == (422, "no_candidate")


def test_a_destroy_leaves_nothing(cycle: Cycle) -> None:
    assert cycle.left == frozenset()
    assert cycle.state_left == ()


def test_the_very_zips_that_make_package_built_were_run(cycle: Cycle) -> None:
    info = json.loads((PACKAGE / "package.json").read_text())
    (config,) = (one for name, one in cycle.built.functions.items() if name.endswith("-classifier"))
    digest = bytes.fromhex(info["classifier"]["sha256"])
    assert config["CodeSha256"] == b64encode(digest).decode()
