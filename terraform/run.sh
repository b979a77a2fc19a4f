#!/usr/bin/env bash
# Run one Terraform command for an environment: run.sh dev apply
# Says what is missing before anything begins. The state lies in S3; which bucket is told once.
#
#   run.sh ENV check            only say what is missing
#   run.sh ENV output -raw X    one output of what is deployed
#   run.sh state-bucket         make the bucket of the state, once an account
set -eu
cd "$(dirname "$0")"

stop() {
    echo "make: $*" >&2
    exit 1
}

environment=${1:-}
shift || true
region=${STATE_REGION:-ap-northeast-1}
mkdir -p ../build/terraform
build=$(cd ../build/terraform && pwd)

if [ "$environment" != state-bucket ] && [ ! -f "environments/$environment.tfvars" ]; then
    stop "ENV is '$environment': there is no terraform/environments/$environment.tfvars." \
        "Take ENV=dev or ENV=prod, or copy one of them under another name."
fi
command -v terraform >/dev/null ||
    stop "this needs Terraform 1.10 or newer on the PATH: https://developer.hashicorp.com/terraform/install"
# Modules, provider and the address of the state, an environment each; nothing beside the sources.
export TF_DATA_DIR="$build/$environment" TF_IN_AUTOMATION=1

if [ "$environment" = state-bucket ]; then
    [ -n "${STATE_BUCKET:-}" ] || stop "give STATE_BUCKET=<name>, unique in the world."
    terraform -chdir=state init -input=false
    exec terraform -chdir=state apply -state="$build/state-bucket.tfstate" \
        -var "bucket=$STATE_BUCKET" -var "region=$region"
fi

known="$TF_DATA_DIR/terraform.tfstate"
if [ -f "$known" ]; then
    bucket=$(sed -n 's/^ *"bucket": "\(.*\)",$/\1/p' "$known" | head -n 1)
    if [ -n "${STATE_BUCKET:-}" ] && [ "$STATE_BUCKET" != "${bucket:-$STATE_BUCKET}" ]; then
        stop "STATE_BUCKET is '$STATE_BUCKET', but the state of '$environment' lies in '$bucket':" \
            "leave it out, or remove $TF_DATA_DIR to begin anew with another."
    fi
elif [ -z "${STATE_BUCKET:-}" ]; then
    stop "nothing is known of the state of '$environment' yet: add STATE_BUCKET=<bucket> once." \
        "'make state-bucket STATE_BUCKET=<name>' makes one."
fi

initialise() {
    # Modules may be new after every upgrade; the address of the state is told once.
    if [ -f "$known" ]; then
        terraform init -input=false >/dev/null
    else
        terraform init -input=false \
            -backend-config="bucket=$STATE_BUCKET" \
            -backend-config="key=regroup/$environment.tfstate" \
            -backend-config="region=$region" >&2
    fi
}

output() {
    local said
    if said=$(terraform output "$@" 2>&1); then
        printf '%s' "$said"
    elif [[ $said == *"not found"* || $said == *"No outputs found"* ]]; then
        stop "nothing is deployed as '$environment' yet: run 'make deploy ENV=$environment'."
    else
        echo "$said" >&2
        stop "the state of '$environment' could not be read, for what stands above."
    fi
}

command=${1:-check}
shift || true
case $command in
check) ;;
plan | apply)
    [ -f ../build/package/package.json ] || stop "the zips are not built: run 'make package'."
    initialise
    exec terraform "$command" -var-file="environments/$environment.tfvars" "$@"
    ;;
destroy)
    initialise
    # Halfway through, a bucket that refuses to go would have lost its policy already.
    [ "$(output -raw may_be_destroyed)" = true ] ||
        stop "'$environment' keeps what it holds. To take it away, routers, samples and keys included," \
            "set force_destroy = true and deletion_protection = false in" \
            "environments/$environment.tfvars, run 'make deploy ENV=$environment', and then this."
    exec terraform destroy -var-file="environments/$environment.tfvars" "$@"
    ;;
output)
    [ -f "$known" ] || initialise
    output "$@"
    ;;
*)
    [ -f "$known" ] || initialise
    exec terraform "$command" "$@"
    ;;
esac
