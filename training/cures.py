"""What Bedrock's refusals mean and what cures each: a table, and how an error finds its row.

Bedrock documents the codes (https://docs.aws.amazon.com/bedrock/latest/userguide/
troubleshooting-api-error-codes.html) and hardly any message. The messages behind the markers were
seen in public issues, which stand beside their rows; what AWS rewords falls to the row of its code.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from regroup.aws_settings import explain
from regroup.domain.catalog import Candidate

_GUIDE = "https://docs.aws.amazon.com/bedrock/latest/userguide"
_ACCESS = f"{_GUIDE}/model-access.html"
_CODES = f"{_GUIDE}/troubleshooting-api-error-codes.html"
_PROFILES = f"{_GUIDE}/inference-profiles-support.html"
_LIFECYCLE = f"{_GUIDE}/model-lifecycle.html"
_PERMISSIONS = f"{_GUIDE}/inference-profiles-prereq.html"
_CONSOLE = "https://{region}.console.aws.amazon.com"
_MODELS = f"{_CONSOLE}/bedrock/home?region={{region}}#/model-catalog"
_QUOTAS = f"{_CONSOLE}/servicequotas/home/services/bedrock/quotas"
_SUPPORT = "https://console.aws.amazon.com/support/home"
_CREDENTIALS = "https://boto3.amazonaws.com/v1/documentation/api/latest/guide/credentials.html"
_ENDPOINTS = "https://docs.aws.amazon.com/general/latest/gr/bedrock.html"
_HEALTH = "https://health.aws.amazon.com/health/status"

_FORM = (
    "fill it in once for the account or its organisation: in the model catalog, at any Claude"
    " model; or `aws bedrock put-use-case-for-model-access --region {region} --form-data"
    " fileb://form.json`, JSON with companyName, companyWebsite, intendedUsers, industryOption,"
    " otherIndustryOption and useCases; where that was done, wait 15 minutes"
)
_POLICY = (
    "allow {action} on {resource} to {who}; a profile needs itself allowed, and its model in each"
    " of {regions}"
)
_SIGN_IN = "sign in again (`aws sso login`, or new keys), then see `aws sts get-caller-identity`"
_LATER = "try again in some minutes; where it stays, look at AWS Health and raise a support case"
_ID = (
    "compare it with `aws bedrock list-inference-profiles --region {region} --query"
    " 'inferenceProfileSummaries[].inferenceProfileId'`, and correct model_id or region in the"
    " catalog; an ARN that Terraform made is renewed by `terraform apply`"
)
_ANOTHER = (
    "take the candidate out of the deployment, or give it the id of a model that is ACTIVE: `aws"
    " bedrock list-foundation-models --region {region} --query"
    " 'modelSummaries[].[modelId,modelLifecycle.status]'`"
)
_NETWORK = (
    "let this machine reach bedrock-runtime.{region}.amazonaws.com on port 443: look at proxy,"
    " firewall, VPC endpoint and AWS_ENDPOINT_URL_BEDROCK_RUNTIME"
)
_QUOTA = (
    "ask for more on the Service Quotas page: requests and tokens a minute and a day of this model;"
    " those of new accounts may be tiny or 0"
)


@dataclass(frozen=True, slots=True)
class Cure:
    """One refusal: how it is known, what it means, what to do about it and where."""

    code: str
    """Name of AWS's exception or of the SDK's; empty: any."""
    marker: str
    """What its message holds, in lower case; empty: anything."""
    cause: str
    cure: str
    """May name {region}, {regions}, {model}, {who}, {action} and {resource}."""
    url: str
    """May name {region}."""


CURES = (
    # https://github.com/obot-platform/obot/issues/6747, truefoundry/models#934
    Cure("FTUFormNotFilled", "", "Anthropic's use-case form is missing", _FORM, _MODELS),
    Cure("", "use case details", "Anthropic's use-case form is missing", _FORM, _MODELS),
    Cure("", "use-case form", "Anthropic's use-case form is missing", _FORM, _MODELS),
    # https://github.com/aws-solutions/aws-control-tower-customizations/issues/211
    # A request for a global profile has the region `unspecified`:
    # https://docs.aws.amazon.com/bedrock/latest/userguide/inference-profiles-prereq.html
    Cure(
        "AccessDeniedException",
        "service control policy",
        "a policy of the organisation (SCP) denies it",
        "ask who runs the organisation to allow {action} in all regions of the profile: {regions};"
        " a global profile also needs the region `unspecified`",
        f"{_GUIDE}/cross-region-inference.html",
    ),
    Cure(
        "AccessDeniedException",
        "permissions boundary",
        "the permissions boundary of {who} does not allow it",
        "allow {action} on {resource} there",
        "https://docs.aws.amazon.com/IAM/latest/UserGuide/access_policies_boundaries.html",
    ),
    Cure(
        "AccessDeniedException",
        "session policy",
        "the policy of this session does not allow it",
        "allow {action} on {resource} where the role is assumed, or use another role",
        "https://docs.aws.amazon.com/IAM/latest/UserGuide/access_policies.html#policies_session",
    ),
    Cure(
        "AccessDeniedException",
        "endpoint policy",
        "the policy of the VPC endpoint does not allow it",
        "allow {action} on {resource} in the policy of the bedrock-runtime endpoint",
        f"{_GUIDE}/vpc-interface-endpoints.html",
    ),
    Cure(
        "AccessDeniedException",
        "explicit deny",
        "a policy of {who} denies it",
        "find the statement with Deny on {action} for {resource}, and take it out",
        "https://docs.aws.amazon.com/IAM/latest/UserGuide/troubleshoot_access-denied.html",
    ),
    # https://github.com/aws-samples/anthropic-on-aws/pull/252
    Cure(
        "AccessDeniedException",
        "aws-marketplace:",
        "the account has not subscribed to the model, and who asks may not do so",
        "run this command once with aws-marketplace:Subscribe and"
        " aws-marketplace:ViewSubscriptions allowed on *: the first call subscribes the account"
        " (the function's role needs neither); then wait 2 to 15 minutes",
        _ACCESS,
    ),
    Cure(
        "AccessDeniedException",
        "payment_instrument",
        "AWS Marketplace accepts no payment method of the account",
        "put a valid payment method on the account (or the organisation's payer), wait 2 minutes",
        "https://console.aws.amazon.com/billing/home#/paymentpreferences",
    ),
    Cure(
        "AccessDeniedException",
        "marketplace subscription",
        "the Marketplace subscription is not complete",
        "wait: it takes up to 15 minutes from the first call; if it stays so, look at the"
        " subscriptions of the account",
        "https://console.aws.amazon.com/marketplace/home#/subscriptions",
    ),
    Cure(
        "AccessDeniedException",
        "not authorized to perform",
        "no policy of {who} allows {action}",
        _POLICY,
        _PERMISSIONS,
    ),
    Cure(
        "AccessDeniedException",
        "access to the model",
        "the account has no access to the model",
        "open it once in the model catalog, where the console says what is missing; then wait 15"
        " minutes",
        _MODELS,
    ),
    Cure(
        "AccessDeniedException",
        "api key",
        "the Bedrock API key is not valid",
        "renew AWS_BEARER_TOKEN_BEDROCK, or unset it: it goes before all other credentials",
        f"{_GUIDE}/api-keys.html",
    ),
    # https://github.com/aws-samples/amazon-bedrock-client-for-mac/issues/1
    Cure(
        "",
        "account is not authorized",
        "the account may not use this model in {region}",
        "see whether {region} is the region you mean and offers the model; else raise a support"
        " case: new accounts may still be under review",
        _SUPPORT,
    ),
    Cure(
        "AccessDeniedException",
        "",
        "access is denied, and AWS does not say by what",
        _POLICY,
        _CODES,
    ),
    Cure(
        "BadCScoreException",
        "",
        "AWS has closed the model to this account",
        "raise a support case",
        _SUPPORT,
    ),
    # https://github.com/kirodotdev/Kiro/issues/11191, https://github.com/BerriAI/litellm/issues/28704
    Cure(
        "ValidationException",
        "operation not allowed",
        "the account or the model is closed for now: new accounts are reviewed, old models end",
        "see whether the model is ACTIVE (`aws bedrock list-foundation-models --region {region}`);"
        " if it is, raise a support case and name the request id",
        _SUPPORT,
    ),
    Cure(
        "ValidationException",
        "unsupported countries",
        "its provider does not serve the country of the account or of this machine",
        "call from a country that the provider serves, or take the candidate out",
        "https://www.anthropic.com/supported-countries",
    ),
    Cure(
        "ValidationException",
        "model identifier is invalid",
        "{region} has no model or profile {model}",
        _ID,
        _PROFILES,
    ),
    Cure(
        "ValidationException",
        "on-demand throughput",
        "the model is called by an inference profile only, never by its bare id",
        "put a profile's id into model_id (jp., apac., us. or global. before the model's): `aws"
        " bedrock list-inference-profiles --region {region}`",
        _PROFILES,
    ),
    Cure(
        "ValidationException",
        "guardrail",
        "{region} has no guardrail as the catalog names it",
        "correct guardrail_id in the catalog: `aws bedrock list-guardrails --region {region}`",
        f"{_GUIDE}/guardrails.html",
    ),
    Cure(
        "ValidationException",
        "",
        "the model does not take a plain short question",
        "compare the candidate's capabilities in the catalog with the model's card",
        f"{_GUIDE}/conversation-inference-supported-models-features.html",
    ),
    # aws-solutions-library-samples/accelerated-intelligent-document-processing-on-aws#708
    Cure(
        "ResourceNotFoundException",
        "end of its life",
        "the model has ended",
        _ANOTHER,
        _LIFECYCLE,
    ),
    # https://github.com/awslabs/llmeter/issues/35 (15 days, later 30)
    Cure(
        "ResourceNotFoundException",
        "legacy",
        "the model is Legacy, and closed to accounts that did not use it lately",
        _ANOTHER,
        _LIFECYCLE,
    ),
    Cure(
        "ResourceNotFoundException",
        "",
        "{region} has no model or profile {model}",
        _ID,
        _PROFILES,
    ),
    # https://github.com/minorun365/agent-book/issues/29
    Cure(
        "ThrottlingException",
        "per day",
        "the quota of tokens a day is used up, or 0",
        _QUOTA,
        _QUOTAS,
    ),
    Cure(
        "ThrottlingException",
        "",
        "the account's quota does not even hold this one call now",
        _QUOTA,
        _QUOTAS,
    ),
    Cure("ServiceQuotaExceededException", "", "a quota is used up, or 0", _QUOTA, _QUOTAS),
    Cure("ModelNotReadyException", "", "the model is being loaded", _LATER, _HEALTH),
    Cure("ModelTimeoutException", "", "the model took too long", _LATER, _HEALTH),
    Cure("ModelErrorException", "", "the model failed", _LATER, _HEALTH),
    Cure("ModelStreamErrorException", "", "the model broke off", _LATER, _HEALTH),
    Cure("InternalServerException", "", "Bedrock failed", _LATER, _HEALTH),
    Cure("ServiceUnavailableException", "", "Bedrock has no room now", _LATER, _HEALTH),
    Cure("UnrecognizedClientException", "", "AWS does not know the keys", _SIGN_IN, _CREDENTIALS),
    Cure("InvalidClientTokenId", "", "AWS does not know the keys", _SIGN_IN, _CREDENTIALS),
    Cure("ExpiredTokenException", "", "the credentials have expired", _SIGN_IN, _CREDENTIALS),
    Cure(
        "InvalidSignatureException",
        "",
        "the signature is wrong: the secret key, or this machine's clock",
        "set the clock (5 minutes are the most), then " + _SIGN_IN,
        _CREDENTIALS,
    ),
    Cure("CredentialRetrievalError", "", "the credentials cannot be had", _SIGN_IN, _CREDENTIALS),
    Cure("TokenRetrievalError", "", "the sign-in has expired", _SIGN_IN, _CREDENTIALS),
    Cure("SSOTokenLoadError", "", "there is no sign-in", _SIGN_IN, _CREDENTIALS),
    Cure("UnauthorizedSSOTokenError", "", "the sign-in has expired", _SIGN_IN, _CREDENTIALS),
    Cure("NoAuthTokenError", "", "there is no sign-in", _SIGN_IN, _CREDENTIALS),
    Cure("EndpointConnectionError", "", "Bedrock cannot be reached", _NETWORK, _ENDPOINTS),
    Cure("ConnectTimeoutError", "", "Bedrock cannot be reached", _NETWORK, _ENDPOINTS),
    Cure("ProxyConnectionError", "", "the proxy cannot be reached", _NETWORK, _ENDPOINTS),
    Cure(
        "SSLError",
        "",
        "the connection is not the one that TLS expects",
        "a proxy may stand between: set AWS_CA_BUNDLE to its certificate",
        _ENDPOINTS,
    ),
    Cure("ConnectionClosedError", "", "the connection broke", _NETWORK, _ENDPOINTS),
    Cure("ResponseStreamingError", "", "the connection broke", _NETWORK, _ENDPOINTS),
    Cure("ProtocolError", "", "the connection broke", _NETWORK, _ENDPOINTS),
    Cure("ReadTimeoutError", "", "no answer came in time", _LATER, _HEALTH),
    Cure("TimeoutError", "", "no answer came in time", _LATER, _HEALTH),
    Cure(
        "",
        "",
        "something that this table does not know",
        "look the code up; for AWS Support the request id is enough",
        _CODES,
    ),
)
"""The first row that fits holds: a code's rows with a marker come before the one without."""

# Strict, so that nothing else of a message comes through them.
_WHO = re.compile(r"User: (arn:aws[a-z-]*:(?:sts|iam)::\d{12}:[\w/+=,.@-]+)")
_ACTION = re.compile(r"not authorized to perform: ([a-z-]+:\w+)")
_RESOURCE = re.compile(r"on resource: (arn:aws[a-z-]*:bedrock:[a-z0-9-]*:\d*:[\w:/.-]+)")


@dataclass(frozen=True, slots=True)
class Refusal:
    """What an SDK's error says."""

    code: str
    request_id: str = ""
    message: str = field(default="", repr=False)
    """Only to be searched: it may quote what was sent."""
    setting: str = ""
    """Which AWS setting of this machine is missing and the cure, as `aws_settings.explain` says."""


@dataclass(frozen=True, slots=True)
class Advice:
    """A cure in words for one candidate."""

    cause: str
    cure: str
    url: str


def refusal_of(error: BaseException) -> Refusal:
    """Read the SDK's error behind one of ours, or the error itself where there is none.

    It goes by shape and by names, because only adapters import the SDK. An error without an answer
    of AWS has its type for a code.
    """
    cause = error.__cause__ or error
    answer = getattr(cause, "response", None)
    if not isinstance(answer, Mapping):
        return Refusal(type(cause).__name__, setting=explain(cause, ""))
    said, about = answer.get("Error", {}), answer.get("ResponseMetadata", {})
    code = str(said.get("Code", ""))
    # Exceptions amid a stream are spelled `throttlingException`.
    return Refusal(
        code[:1].upper() + code[1:], str(about.get("RequestId", "")), str(said.get("Message", ""))
    )


def find_cure(refusal: Refusal) -> Cure:
    """Return the row of a refusal; a setting that is missing makes its own."""
    if refusal.setting:
        cause, _, cure = refusal.setting.partition(": ")
        return Cure(refusal.code, "", cause, cure, _CREDENTIALS)
    plain = refusal.message.lower()
    return next(row for row in CURES if row.code in ("", refusal.code) and row.marker in plain)


def advise(refusal: Refusal, candidate: Candidate) -> Advice:
    """Put the cure of a refusal into words for the candidate that it met."""
    row = find_cure(refusal)
    facts = {
        "region": candidate.region,
        "regions": ", ".join(candidate.destination_regions or (candidate.region,)),
        "model": candidate.invoke_id,
        **_permission(refusal.message, candidate),
    }
    return Advice(*(text.format(**facts) for text in (row.cause, row.cure, row.url)))


def _permission(message: str, candidate: Candidate) -> dict[str, str]:
    """Return who lacks which permission on what: from the message, names and ARNs alone."""
    usual = {
        "who": (_WHO, "the credentials in use"),
        "action": (_ACTION, "bedrock:InvokeModelWithResponseStream"),
        "resource": (_RESOURCE, candidate.invoke_id),
    }
    found = {name: (pattern.search(message), text) for name, (pattern, text) in usual.items()}
    return {name: match[1] if match else text for name, (match, text) in found.items()}
