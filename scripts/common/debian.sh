# shellcheck shell=sh
# Downloads from Debian's archive without installing: apt runs with a state of its own, so that the machine's
# apt is not changed. The archives are those in the machine's sources; none is named here.

# debian_sources: prints a line `URI SUITE` for each of this machine's apt sources, in either format.
debian_sources() {
    apt-get update --print-uris 2>/dev/null | sed -n "s|^'\(.*\)/dists/\(.*\)/InRelease' .*|\1 \2|p"
}

# debian_sources_of SUITE: prints the lines of debian_sources with this suite. If the machine has none, it
# prints its archives with the suite. Debian's security suites are in a separate archive.
debian_sources_of() {
    debian_sources | awk -v suite="$1" '
        function secure(name) { return name ~ /[-\/](security|updates\/security)/ }
        $2 == suite { print; found = 1 }
        secure($2) == secure(suite) && !($1 in archives) { archives[$1]; all[++count] = $1 }
        END {
            for (i = 1; i <= count && !found; i++)
                print all[i], suite
        }'
}

# debian_state STATE ARCH...: makes STATE/apt.conf, for the lists in STATE/sources.list and packages for
# these architectures. The machine's own configuration, such as a proxy, still applies.
debian_state() {
    state=$1
    shift
    mkdir -p "$state/lists/partial" "$state/cache/archives/partial"
    : >"$state/status"
    cat >"$state/apt.conf" <<END
${APT_CONFIG:+#include "$APT_CONFIG";}
APT { Architecture "$1"; Architectures { $(printf '"%s"; ' "$@")}; Sandbox::User "root"; };
Dir { State "$state"; State::status "$state/status"; Cache "$state/cache"; };
Dir::Etc { sourcelist "$state/sources.list"; sourceparts "-"; };
Acquire::Languages "none";
END
}

# debian_source URI SUITE: prints a line for a sources.list, which requires Debian's signature.
debian_source() {
    for key in /usr/share/keyrings/debian-archive-keyring.gpg /usr/share/keyrings/debian-archive-keyring.pgp; do
        [ ! -r $key ] || break
    done
    echo "deb [target=Packages signed-by=$key] $1 $2 main"
}

# debian_update STATE: downloads the lists of STATE/sources.list, and prints apt's messages. It also fails
# if a hook of the host fails, which may not work for an ordinary user.
debian_update() {
    APT_CONFIG=$1/apt.conf apt-get -qq -o APT::Update::Error-Mode=any update 2>&1 </dev/null
}
