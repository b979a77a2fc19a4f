"""One SDK each, behind the protocols of `regroup.ports`."""
