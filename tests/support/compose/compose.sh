#!/usr/bin/env bash
# Builds the program of this folder, which reads compose files as Compose v2 does, and prints its path.
# Exit code 69: there is no Go, or it cannot get the modules; stderr says why.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

die() { # TEXT
    echo "compose.sh: $*" >&2
    exit 69
}

command -v go >/dev/null || die "there is no go"
version=$(go env GOVERSION) # from 1.21 on, go fetches the version that go.mod wants
[ "$(printf 'go1.21\n%s\n' "$version" | sort -V | head -n 1)" = go1.21 ] || die "$version is older than go1.21"
output=$(go mod download 2>&1) || die "go cannot get the modules: $(tail -n 1 <<<"$output")"
program=$(cd ../../.. && pwd)/build/compose/compose
mkdir -p "$(dirname "$program")"
go build -o "$program" . >&2
echo "$program"
