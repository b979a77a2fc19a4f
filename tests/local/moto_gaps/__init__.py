"""What moto lacks for the deployment's Terraform, and what makes up for it.

with LoopbackAws(complete=True) as aws:
    ...
"""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from tests.local.moto_gaps import (
    apigateway,
    bedrock,
    budgets,
    cost_explorer,
    iam,
    lambda_code,
    lambda_queues,
    lambda_settings,
    logs,
    s3,
    sqs,
)
from tests.local.moto_gaps.gap import ClientFactory, Gap

__all__ = ["GAPS", "ClientFactory", "Gap", "closed"]

GAPS: tuple[Gap, ...] = (
    *apigateway.GAPS,
    *bedrock.GAPS,
    *budgets.GAPS,
    *cost_explorer.GAPS,
    *iam.GAPS,
    *lambda_code.GAPS,
    *lambda_queues.GAPS,
    *lambda_settings.GAPS,
    *logs.GAPS,
    *s3.GAPS,
    *sqs.GAPS,
)


@contextmanager
def closed() -> Iterator[None]:
    """Make up for every gap in this process, as long as the context lasts.

    Enter it before moto's server starts: it reads the paths that it serves only once.
    """
    with ExitStack() as stack:
        for gap in GAPS:
            stack.enter_context(gap.close())
        yield
