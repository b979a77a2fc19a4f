"""What is missing in the AWS settings where an SDK could not even ask, and the cure."""

# By name: only adapters import the SDK. boto3 reads AWS_DEFAULT_REGION alone, in Lambda both are
# set: https://docs.aws.amazon.com/lambda/latest/dg/configuration-envvars.html
_CURES = {
    "NoRegionError": (
        "no AWS region is set: set AWS_DEFAULT_REGION (AWS_REGION is not read here),"
        " or a region in your profile"
    ),
    "NoCredentialsError": (
        "no AWS credentials were found: set AWS_PROFILE, or run where a role gives them"
    ),
    "PartialCredentialsError": (
        "half of the AWS credentials is missing: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY,"
        " or neither of them and AWS_PROFILE, or use a role"
    ),
    "ProfileNotFound": (
        "AWS_PROFILE names a profile that is not there: `aws configure list-profiles` shows"
        " which are"
    ),
}


def explain(error: BaseException, otherwise: str) -> str:
    """Return which setting an SDK's error is about and the cure, else the sentence given.

    Nothing of the error's own text is repeated.
    """
    return _CURES.get(type(error).__name__, otherwise)
