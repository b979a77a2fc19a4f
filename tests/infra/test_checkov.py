"""Nothing that checkov objects to stands without a reason beside it."""

from tests.infra.scan import Scan

MOST_SKIPS = 14


def test_no_check_fails(scan: Scan) -> None:
    assert scan.failed == ()
    assert scan.passed > 100


def test_every_skip_has_a_reason_and_there_are_few(scan: Scan) -> None:
    assert len(scan.skipped) <= MOST_SKIPS
    for check, reasons in scan.skipped.items():
        assert all(len(reason.split()) >= 4 for reason in reasons), check
