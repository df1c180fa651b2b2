# Maven fetches the jars of a pom.xml into a cache, once. Scripts that have die() source this file.

# maven_libs NAME POM: prints the folder of the jars.
maven_libs() {
    local cache=${XDG_CACHE_HOME:-${HOME:-/tmp}/.cache}/keepstep/$1
    echo "${TEST_CACHE:-$cache}/$(sha256sum "$2" | cut -c 1-12)"
}

# maven_fetch LIBS POM: fetches the jars. Exits with 69 if Maven cannot get them.
maven_fetch() {
    local cache
    [ -e "$1/complete" ] && return
    command -v java >/dev/null || die "the program java is missing"
    command -v mvn >/dev/null || die "the program mvn is missing"
    cache=$(dirname "$1")
    mkdir -p "$cache"
    exec 9>"$cache/lock"
    flock 9
    [ -e "$1/complete" ] && return
    rm -rf "$1"
    if ! timeout 600 mvn -q -B -f "$2" \
        org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy-dependencies \
        -DincludeScope=runtime -DoutputDirectory="$1" >"$cache/fetch.log" 2>&1; then
        die "Maven cannot fetch the jars: $(grep -m 1 ERROR "$cache/fetch.log")"
    fi
    touch "$1/complete"
    exec 9>&-
}
