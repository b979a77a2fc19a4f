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

quietly() {
    # Terraform's start is long, and of interest only where it fails.
    local said
    said=$("$@" 2>&1) || { echo "$said" >&2; exit 1; }
}

if [ "$environment" = state-bucket ]; then
    [ -n "${STATE_BUCKET:-}" ] || stop "give STATE_BUCKET=<name>, unique in the world."
    # A state for each bucket: another name must not replace the one that is there.
    export TF_DATA_DIR="$build/state-bucket-$STATE_BUCKET"
    quietly terraform -chdir=state init -input=false -backend-config="path=$TF_DATA_DIR.tfstate"
    exec terraform -chdir=state apply -var "bucket=$STATE_BUCKET" -var "region=$region" "$@"
fi

variables="environments/$environment.tfvars"
name_in() { sed -n 's/^ *name *= *"\(.*\)".*/\1/p' "$1"; }
for other in environments/*.tfvars; do
    if [ "$other" != "$variables" ] && [ "$(name_in "$other")" = "$(name_in "$variables")" ]; then
        stop "$variables and $other have the same name: give each its own, everything is called after it."
    fi
done

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
        quietly terraform init -input=false
    else
        quietly terraform init -input=false \
            -backend-config="bucket=$STATE_BUCKET" \
            -backend-config="key=regroup/$environment.tfstate" \
            -backend-config="region=$region"
    fi
}

# One output, or nothing where there is none: Terraform calls that an error, or a warning.
find_output() {
    local said
    said=$(terraform output -no-color "$@" 2>&1) || {
        [[ $said == *"not found"* ]] || { echo "$said" >&2; return 1; }
        said=
    }
    [[ $said == *"No outputs found"* ]] || printf '%s' "$said"
}

not_deployed() {
    stop "nothing is deployed as '$environment' yet: run 'make deploy ENV=$environment'."
}

unreadable() {
    stop "the state of '$environment' could not be read, for what stands above."
}

command=${1:-check}
shift || true
case $command in
check) ;;
plan | apply)
    [ -f ../build/package/package.json ] || stop "the zips are not built: run 'make package'."
    initialise
    deployed=$(find_output -raw name) || unreadable
    if [ -n "$deployed" ] && [ "$deployed" != "$(name_in "$variables")" ]; then
        stop "'$environment' is deployed as '$deployed': another name in $variables would replace all" \
            "of it. For another deployment copy the file under another ENV."
    fi
    exec terraform "$command" -var-file="$variables" "$@"
    ;;
destroy)
    [ -f ../build/package/package.json ] ||
        stop "the zips are not built, and Terraform reads them to take anything away: run 'make package'."
    initialise
    # Halfway through, a bucket that refuses to go would have lost its policy already. Where the answer is
    # gone, a destroy was interrupted: outputs leave the state first.
    may=$(find_output -raw may_be_destroyed) || unreadable
    [ -n "$(terraform state list 2>/dev/null)" ] || not_deployed # it also complains where there is none
    [ "${may:-true}" = true ] ||
        stop "'$environment' keeps what it holds. To take it away, routers, samples and keys included," \
            "set force_destroy = true and deletion_protection = false in $variables," \
            "run 'make deploy ENV=$environment', and then this."
    exec terraform destroy -var-file="$variables" "$@"
    ;;
output)
    [ -f "$known" ] || initialise
    found=$(find_output "$@") || unreadable
    if [ -z "$found" ]; then
        name=$(find_output -raw name) || unreadable
        [ -n "$name" ] || not_deployed
        stop "'$environment' has no output ${*: -1}, or it is empty: terraform/outputs.tf says which there are."
    fi
    printf '%s' "$found"
    ;;
*)
    [ -f "$known" ] || initialise
    exec terraform "$command" "$@"
    ;;
esac
