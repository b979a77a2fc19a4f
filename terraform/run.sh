#!/usr/bin/env bash
# Run one Terraform command for an environment: run.sh dev apply
# Says what is missing before anything begins. The state lies in S3; which bucket is told once.
set -eu
cd "$(dirname "$0")"

stop() {
    echo "make: $*" >&2
    exit 1
}

environment=${1:-}
shift || true
[ -f "environments/$environment.tfvars" ] ||
    stop "ENV is '$environment': there is no terraform/environments/$environment.tfvars." \
        "Take ENV=dev or ENV=prod, or copy one of them under another name."
command -v terraform >/dev/null ||
    stop "this needs Terraform 1.10 or newer on the PATH: https://developer.hashicorp.com/terraform/install"

# Modules, provider and the address of the state, an environment each.
export TF_DATA_DIR="$PWD/../build/terraform/$environment" TF_IN_AUTOMATION=1
known="$TF_DATA_DIR/terraform.tfstate"
if [ ! -f "$known" ] && [ -z "${STATE_BUCKET:-}" ]; then
    stop "nothing is known of the state of '$environment' yet: add STATE_BUCKET=<bucket> once." \
        "'make state-bucket STATE_BUCKET=<name>' makes one."
fi

initialise() {
    # The address of the state is told once; modules may be new after every upgrade.
    if [ -f "$known" ]; then
        terraform init -input=false >/dev/null
    else
        terraform init -input=false \
            -backend-config="bucket=$STATE_BUCKET" \
            -backend-config="key=regroup/$environment.tfstate" \
            -backend-config="region=${STATE_REGION:-ap-northeast-1}" >&2
    fi
}

case ${1:-} in
plan | apply | destroy)
    if [ "$1" != destroy ] && [ ! -f ../build/package/package.json ]; then
        stop "the zips are not built: run 'make package'."
    fi
    initialise
    command=$1
    shift
    exec terraform "$command" -var-file="environments/$environment.tfvars" "$@"
    ;;
output)
    [ -f "$known" ] || initialise
    shift
    terraform output "$@" 2>/dev/null ||
        stop "nothing is deployed as '$environment' yet: run 'make deploy ENV=$environment'."
    ;;
*)
    [ -f "$known" ] || initialise
    exec terraform "$@"
    ;;
esac
