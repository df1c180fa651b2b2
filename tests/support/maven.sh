# Sourced: jars that a pom.xml names, fetched by Maven once into a cache.

# maven_libs NAME POM: the folder they lie in.
maven_libs() {
    local cache=${XDG_CACHE_HOME:-${HOME:-/tmp}/.cache}/keepstep/$1
    echo "${TEST_CACHE:-$cache}/$(sha256sum "$2" | cut -c 1-12)"
}

# maven_fetch LIBS POM: get them; ends with 69 where they cannot be had.
maven_fetch() {
    local cache
    [ -e "$1/complete" ] && return
    command -v java >/dev/null || die "no java"
    command -v mvn >/dev/null || die "no mvn"
    cache=$(dirname "$1")
    mkdir -p "$cache"
    exec 9>"$cache/lock"
    flock 9
    [ -e "$1/complete" ] && return
    rm -rf "$1"
    if ! timeout 600 mvn -q -B -f "$2" \
        org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy-dependencies \
        -DincludeScope=runtime -DoutputDirectory="$1" >"$cache/fetch.log" 2>&1; then
        die "the jars cannot be had from Maven: $(grep -m 1 ERROR "$cache/fetch.log")"
    fi
    touch "$1/complete"
    exec 9>&-
}
