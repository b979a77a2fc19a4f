"""How Bedrock refuses, in its own words, and what a person must be told of each.

The words were seen in public issues, which `training.cures` names beside its rows; account numbers
and names are made up.
"""

from dataclasses import dataclass

ROLE = "arn:aws:sts::123456789012:assumed-role/deployer/ann@example.com"
OSAKA_MODEL = "arn:aws:bedrock:ap-northeast-3::foundation-model/anthropic.claude-haiku-5-5"
_DENIED = f"User: {ROLE} is not authorized to perform: bedrock:InvokeModelWithResponseStream on"
_ON_MODEL = f"{_DENIED} resource: {OSAKA_MODEL}"
_MARKETPLACE = (
    "Model access is denied due to IAM user or service role is not authorized to perform the"
    " required AWS Marketplace actions (aws-marketplace:ViewSubscriptions,"
    " aws-marketplace:Subscribe) to enable access to this model."
)
_NOT_COMPLETE = "Your AWS Marketplace subscription for this model cannot be completed at this time."
DENIED, INVALID, GONE = "AccessDeniedException", "ValidationException", "ResourceNotFoundException"


@dataclass(frozen=True, slots=True)
class Refused:
    """One refusal, and a piece each of the cause, cure and address that it should lead to."""

    status: int
    code: str
    message: str
    cause: str
    cure: str
    url: str


REFUSALS = (
    Refused(
        404, "FTUFormNotFilled", "", "use-case form", "put-use-case-for-model-access", "catalog"
    ),
    Refused(
        404,
        GONE,
        "Model use case details have not been submitted for this account. Fill out the Anthropic"
        " use case details form before using the model.",
        "use-case form",
        "companyName",
        "https://ap-northeast-1.console.aws.amazon.com/bedrock/home?region=ap-northeast-1#/model-",
    ),
    Refused(
        400,
        INVALID,
        "You have not filled out the required use-case form for this model.",
        "use-case form",
        "15 minutes",
        "model-catalog",
    ),
    Refused(
        403,
        DENIED,
        f"{_ON_MODEL} with an explicit deny in a service control policy:"
        " arn:aws:organizations::210987654321:policy/o-1/service_control_policy/p-1",
        "(SCP)",
        "profile: ap-northeast-1, ap-northeast-3;",
        "cross-region-inference",
    ),
    Refused(
        403,
        DENIED,
        f"{_ON_MODEL} because no permissions boundary allows the action",
        f"boundary of {ROLE}",
        f"on {OSAKA_MODEL}",
        "boundaries",
    ),
    Refused(
        403,
        DENIED,
        f"{_ON_MODEL} because no session policy allows the action",
        "policy of this session",
        f"on {OSAKA_MODEL}",
        "session",
    ),
    Refused(
        403,
        DENIED,
        f"{_ON_MODEL} because no VPC endpoint policy allows the action",
        "VPC endpoint",
        "endpoint",
        "vpc-interface-endpoints",
    ),
    Refused(
        403,
        DENIED,
        f"{_ON_MODEL} with an explicit deny in an identity-based policy",
        f"policy of {ROLE} denies",
        f"for {OSAKA_MODEL}",
        "IAM",
    ),
    Refused(
        403,
        DENIED,
        f"{_MARKETPLACE} {_NOT_COMPLETE} If you recently fixed this issue, try again after 2"
        " minutes.",
        "not subscribed",
        "aws-marketplace:Subscribe",
        "model-access",
    ),
    Refused(
        403,
        DENIED,
        "Model access is denied due to INVALID_PAYMENT_INSTRUMENT:A valid payment instrument must"
        f" be provided. {_NOT_COMPLETE}",
        "payment",
        "payment method",
        "billing",
    ),
    Refused(403, DENIED, _NOT_COMPLETE, "not complete", "15 minutes", "marketplace"),
    Refused(
        403,
        DENIED,
        f"{_ON_MODEL} because no identity-based policy allows the"
        " bedrock:InvokeModelWithResponseStream action",
        f"no policy of {ROLE} allows bedrock:InvokeModelWithResponseStream",
        f"allow bedrock:InvokeModelWithResponseStream on {OSAKA_MODEL} to {ROLE}",
        "inference-profiles-prereq",
    ),
    Refused(
        403,
        DENIED,
        "You don't have access to the model with the specified model ID.",
        "no access to the model",
        "model catalog",
        "model-catalog",
    ),
    Refused(
        403,
        DENIED,
        "Authentication failed: Please make sure your API Key is valid.",
        "API key",
        "AWS_BEARER_TOKEN_BEDROCK",
        "api-keys",
    ),
    Refused(
        403,
        DENIED,
        "Your account is not authorized to invoke this API operation.",
        "may not use this model in ap-northeast-1",
        "support",
        "support",
    ),
    Refused(403, DENIED, "", "does not say", "jp.anthropic.claude-haiku-5-5", "error-codes"),
    Refused(403, "BadCScoreException", "", "closed", "support", "support"),
    Refused(400, INVALID, "Operation not allowed", "closed for now", "ACTIVE", "support"),
    Refused(
        400,
        INVALID,
        "Access to Anthropic models is not allowed from unsupported countries, regions, or"
        " territories.",
        "country",
        "take the candidate out",
        "supported-countries",
    ),
    Refused(
        400,
        INVALID,
        "The provided model identifier is invalid.",
        "ap-northeast-1 has no model or profile jp.anthropic.claude-haiku-5-5",
        "list-inference-profiles --region ap-northeast-1",
        "inference-profiles-support",
    ),
    Refused(
        400,
        INVALID,
        "Invocation of model ID anthropic.claude-haiku-5-5 with on-demand throughput isn\u2019t"
        " supported. Retry your request with the ID or ARN of an inference profile that contains"
        " this model.",
        "inference profile only",
        "jp., apac., us. or global.",
        "inference-profiles-support",
    ),
    Refused(
        400,
        INVALID,
        "The guardrail identifier or version provided in the request does not exist.",
        "no guardrail",
        "guardrail_id",
        "guardrails",
    ),
    Refused(
        400, INVALID, "maxTokens is too small", "short question", "capabilities", "conversation"
    ),
    Refused(
        404,
        GONE,
        "This model version has reached the end of its life. Please refer to the AWS documentation"
        " for more details.",
        "has ended",
        "modelLifecycle.status",
        "model-lifecycle",
    ),
    Refused(
        404,
        GONE,
        "Access denied. This Model is marked by provider as Legacy and you have not been actively"
        " using the model in the last 30 days. Please upgrade to an active model on Amazon Bedrock",
        "Legacy",
        "ACTIVE",
        "model-lifecycle",
    ),
    Refused(
        404,
        GONE,
        "Could not resolve the foundation model from the model identifier.",
        "has no model or profile",
        "terraform apply",
        "inference-profiles-support",
    ),
    Refused(
        429,
        "ThrottlingException",
        "Too many tokens per day, please wait before trying again.",
        "tokens a day",
        "tiny or 0",
        "servicequotas",
    ),
    Refused(
        429,
        "ThrottlingException",
        "Too many requests, please wait before trying again.",
        "quota",
        "Service Quotas",
        "https://ap-northeast-1.console.aws.amazon.com/servicequotas/home/services/bedrock/quotas",
    ),
    Refused(400, "ServiceQuotaExceededException", "", "quota", "Service Quotas", "servicequotas"),
    Refused(429, "ModelNotReadyException", "", "being loaded", "again", "health"),
    Refused(408, "ModelTimeoutException", "", "too long", "again", "health"),
    Refused(424, "ModelErrorException", "", "model failed", "again", "health"),
    Refused(424, "ModelStreamErrorException", "", "broke off", "again", "health"),
    Refused(500, "InternalServerException", "", "Bedrock failed", "again", "health"),
    Refused(503, "ServiceUnavailableException", "", "no room", "again", "health"),
    Refused(
        403,
        "UnrecognizedClientException",
        "The security token included in the request is invalid.",
        "does not know the keys",
        "aws sso login",
        "credentials",
    ),
    Refused(403, "InvalidClientTokenId", "", "does not know the keys", "new keys", "credentials"),
    Refused(
        403,
        "ExpiredTokenException",
        "The security token included in the request is expired",
        "expired",
        "aws sso login",
        "credentials",
    ),
    Refused(
        403,
        "InvalidSignatureException",
        "Signature not yet current",
        "clock",
        "set the clock",
        "credentials",
    ),
    Refused(418, "TeapotException", "I am a teapot", "does not know", "request id", "error-codes"),
)
