"""The smoke test where no router is published yet: the default candidate answers."""

from tests.integration.test_smoke import Observed, row
from tests.local.stack import LocalStack


def test_a_deployment_without_a_router_passes_and_that_is_said() -> None:
    with LocalStack() as stack:
        result = Observed(stack).smoke()

    assert result.exit_code == 0, result.output
    assert "200, no router is published yet" in row(result, "GET /healthz")
    assert "DEFAULT_CANDIDATE answers" in row(result, "its prediction is remembered")
    assert "10 of 10 checks are ok, 0 failed" in result.stdout
