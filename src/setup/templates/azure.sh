#!/usr/bin/env bash
# Made by amp-sidecar <<version>> setup azure, which changed nothing itself. Read it, then run it where az is logged in:
#
#   bash THIS-FILE
#
# It may run again: existing objects stay.
set -euo pipefail

<<name>>
resource_group=<<resource_group>>

die() {
    printf '%s\n' "$*" >&2
    exit 1
}

<<issuer>>
<<rest>>
