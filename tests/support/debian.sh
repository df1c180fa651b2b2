# Makes a clean Debian 12 with debootstrap, for tests. Scripts that have die() source this file.

# Prints how this machine reaches its package mirror, as settings of apt for another root.
apt_settings() {
    apt-config dump | grep -E '^Acquire::(http|https|Check-|Retries)' || true
    [ -z "${http_proxy:-}" ] || echo "Acquire::http::Proxy \"$http_proxy\";"
    [ -z "${https_proxy:-}" ] || echo "Acquire::https::Proxy \"$https_proxy\";"
}

apt_mirror() {
    apt-get indextargets --format '$(REPO_URI) $(CODENAME)' 'Created-By: Packages' |
        awk '$2 == "bookworm" && $1 ~ /^http/ { print $1; exit }'
}

# debian_base CACHE DIR: prints the name of a tar file. It is made in DIR and kept in CACHE.
debian_base() {
    local cache=$1 dir=$2 mirror settings tar
    mirror=$(apt_mirror)
    settings=$(apt_settings)
    tar=$cache/bookworm-$(sha256sum <<<"$mirror $settings clean" | cut -c 1-12).tar
    if [ ! -e "$tar" ]; then
        command -v debootstrap >/dev/null || die "there is no debootstrap"
        [ "$(id -u)" -eq 0 ] || die "debootstrap needs root"
        mkdir -p "$cache"
        debootstrap --variant=minbase --include=ca-certificates bookworm "$dir/base" \
            "${mirror:-http://deb.debian.org/debian}" >"$dir/debootstrap.log" 2>&1 ||
            die "debootstrap failed: $(tail -n 1 "$dir/debootstrap.log")"
        cp /etc/ssl/certs/ca-certificates.crt "$dir/base/etc/ssl/certs/" 2>/dev/null || true
        echo "$settings" >"$dir/base/etc/apt/apt.conf.d/90test"
        # As in Debian's own images: dpkg does not wait for the disk, and apt keeps no caches.
        echo force-unsafe-io >"$dir/base/etc/dpkg/dpkg.cfg.d/quick"
        cat >"$dir/base/etc/apt/apt.conf.d/90clean" <<'END'
Dir::Cache::pkgcache "";
Dir::Cache::srcpkgcache "";
APT::Keep-Downloaded-Packages "false";
DPkg::Post-Invoke { "rm -f /var/cache/apt/archives/*.deb || true"; };
END
        rm -rf "$dir/base/var/cache/apt" "$dir/base/var/lib/apt/lists"
        tar -C "$dir/base" -c -f "$tar.$$" .
        mv "$tar.$$" "$tar"
        rm -rf "$dir/base"
    fi
    echo "$tar"
}
