#!/usr/bin/env bash
# Prints the path of a Python that has the OpenAPI validator. It is fetched once, into a cache.
# Exits with 69 if it cannot be had.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

die() {
    echo "$1" >&2
    exit 69
}

cache=${XDG_CACHE_HOME:-${HOME:-/tmp}/.cache}/keepstep/openapi
tools=${TEST_CACHE:-$cache}/$(sha256sum requirements.txt | cut -c 1-12)
if [ ! -e "$tools/complete" ]; then
    command -v python3 >/dev/null || die "the program python3 is missing"
    python3 -c 'import ensurepip, venv' 2>/dev/null || die "the package python3-venv is missing"
    mkdir -p "$(dirname "$tools")"
    exec 9>"$(dirname "$tools")/lock"
    flock 9
    if [ ! -e "$tools/complete" ]; then
        rm -rf "$tools"
        python3 -m venv "$tools" >&2 || die "python3 cannot make a virtual environment"
        timeout 300 "$tools/bin/pip" install -q --disable-pip-version-check \
            -r requirements.txt >"$tools/fetch.log" 2>&1 ||
            die "pip cannot fetch the validator: $(tail -n 1 "$tools/fetch.log")"
        touch "$tools/complete"
    fi
fi
echo "$tools/bin/python"
