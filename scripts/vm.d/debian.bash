# shellcheck shell=bash disable=SC2034,SC2154 # variables of scripts/vm and of its other parts
# Debian's kernels: lists them, and downloads one.

# shellcheck source=SCRIPTDIR/../common/debian.sh
. "$here/common/debian.sh"

# The suites to search after those of the machine's own sources. These names find each release wherever it
# is by now. Experimental kernels are downloaded only by their full version.
suites=(stable stable-backports oldstable oldstable-backports oldoldstable testing unstable experimental)

# look_up URI SUITE: writes the kernels of a suite to the file $list, a line for each package:
# PACKAGE VERSION URI SHA256. The file is empty if there is no such suite, or Debian did not sign it. It is
# missing or old if the archive did not answer; $unasked then has apt's reason.
# Each user has separate lists, since they decide which kernels are executed.
look_up() {
    local state said index
    list_suite=$2
    list=$1-$2-$deb_arch
    list=$cache/lists-$(id -u)/${list//[!A-Za-z0-9.-]/_}
    if [ -n "$(find "$list" -mmin -1440 2>/dev/null)" ]; then return; fi
    progress "the kernels in $2 of $1"
    mkdir -p "${list%/*}"
    state=$(mktemp -d "$cache/new.XXXXXX")
    made+=("$state")
    debian_state "$state" "$deb_arch"
    debian_source "$1" "$2" >"$state/sources.list"
    said=$(debian_update "$state") || true
    for index in "$state"/lists/*_Packages*; do
        if [ -e "$index" ]; then
            index_to_list "$1" "$index" >"$state/list"
            mv "$state/list" "$list"
        else
            case $said in
                # There is no such suite, or it is not Debian's. Try again tomorrow.
                *'not have a Release file'* | *'not signed'*) [ -s "$list" ] || : >"$list" ;;
                *) unasked=$(printable <<<"${said%%$'\n'*}") ;;
            esac
        fi
    done
    rm -rf "$state"
}

index_to_list() {
    APT_CONFIG=$state/apt.conf /usr/lib/apt/apt-helper cat-file "$2" | awk -v archive="$1" -v arch="$deb_arch" '
        # Metapackages, which only depend on the newest kernel, are skipped.
        function tell() {
            if (package != "" && depends !~ / linux-image-/)
                print package, version, archive "/" file, sum
            package = version = file = depends = sum = ""
        }
        $1 == "Package:" {
            package = $2 ~ ("^linux-(image|binary|modules|base)-[0-9].*-" arch "$") ? $2 : ""
        }
        $1 == "Version:" { version = $2 }
        $1 == "Filename:" { file = $2 }
        $1 == "Depends:" { depends = $0 }
        $1 == "SHA256:" { sum = $2 }
        /^$/ { tell() }
        END { tell() }'
}

# each_list COMMAND...: calls COMMAND for each list, in order, until it succeeds.
each_list() {
    local uri suite sources list list_suite
    unasked=
    sources=$(debian_sources)
    if [ -z "$sources" ]; then unasked='apt has no sources'; fi
    while read -r uri suite; do
        [ -n "$uri" ] || continue
        look_up "$uri" "$suite"
        if [ -s "$list" ] && "$@"; then return; fi
    done <<<"$sources"
    for suite in "${suites[@]}"; do
        while read -r uri _; do
            look_up "$uri" "$suite"
            [ -s "$list" ] || continue
            if "$@"; then return; fi
            break
        done < <(debian_sources_of "$suite")
    done
    return 1
}

# kernels_in LIST: prints a line `SERIES RELEASE VERSION` for each kernel of the flavour, such as
# `6.12 6.12.107+deb13-cloud-amd64 6.12.107-1`, the newest last.
kernels_in() {
    awk -v tail="-$flavour$deb_arch" '
        {
            release = $1
            if (!sub(/^linux-image-/, "", release))
                next
            # The rest of the name must be a version. Other flavours have a word in it.
            version = release
            if (substr(version, length(version) - length(tail) + 1) != tail)
                next
            version = substr(version, 1, length(version) - length(tail))
            if (version !~ /^[0-9]+\.[0-9]+[^-]*(-[0-9]+)?$/)
                next
            match(version, /^[0-9]+\.[0-9]+/)
            print substr(version, 1, RLENGTH), release, $2
        }' "$1" | sort -V -k 3,3
}

# Succeeds if the requested kernel is in $list. Sets its release and the URIs of its packages.
has_wanted() {
    local found
    found=$(kernels_in "$list" | awk -v wanted="$wanted" '
        { release = $2; sub(/[^0-9.].*/, "", release); sub(/[^0-9.].*/, "", $3) }
        $1 == wanted || release == wanted || $3 == wanted { print $2 }' | tail -n 1)
    [ -n "$found" ] || return 1
    release=$found
    uris=$(awk -v release="$release" '
        $1 ~ /^linux-(image|binary|modules|base)-/ {
            name = $1
            sub(/^linux-[a-z]+-/, "", name)
            if (name == release)
                print $3, $4
        }' "$list")
}

note_newest() {
    local found
    if [ "$list_suite" = experimental ]; then return 1; fi
    found=$(kernels_in "$list" | tail -n 1)
    newest=$(printf '%s\n' "$newest" "${found%% *}" | sort -V | tail -n 1)
    return 1
}

# newest: prints the series of the newest kernel, or if no archive answers, of the newest in the cache.
newest() {
    newest=
    if can_fetch; then
        lock_cache
        each_list note_newest || true
        unlock_cache
    fi
    if [ -z "$newest" ]; then
        newest=$(cached | cut -d ' ' -f 1 | sort -V | tail -n 1)
        [ -n "$newest" ] || fail "no list of Debian's kernels is available, and none is in the cache"
    fi
}

# Prints a line `SERIES RELEASE` for each kernel of the flavour in the cache.
cached() {
    local place series tree
    for place in "$cache"/linux-*-"$flavour$deb_arch"; do
        series=${place##*/linux-}
        series=${series%-"$flavour$deb_arch"}
        for tree in "$place"/lib/modules/*; do
            case $series:$tree in
                *[!0-9.]*:* | *'*') ;;
                *) echo "$series ${tree##*/}" ;;
            esac
        done
    done
}

can_fetch() {
    { command -v apt-get && command -v dpkg-deb && [ -x /usr/lib/apt/apt-helper ]; } >/dev/null
}

lock_cache() {
    mkdir -p "$cache" || fail "cannot make the cache: set XDG_CACHE_HOME to another directory"
    exec {cache_lock}<"$cache"
    flock -n "$cache_lock" || {
        progress "waiting for another download"
        flock "$cache_lock"
    }
    # These are left from a killed run, since they are made only under the lock.
    rm -rf --one-file-system "$cache"/new.* 2>/dev/null || true
}

unlock_cache() {
    if [ -n "$cache_lock" ]; then exec {cache_lock}<&-; fi
    cache_lock=
}

# fetch VERSION: downloads a kernel to $place. It is unpacked beside it and then moved there, under a lock.
fetch() {
    local wanted=$1 new release uris uri sum
    can_fetch ||
        fail "there is no apt here to fetch a kernel with: give one with --kernel FILE or --kernel host"
    need depmod kmod
    lock_cache
    if [ -e "$place" ]; then
        unlock_cache
        return
    fi
    each_list has_wanted || {
        [ -z "$unasked" ] || fail "cannot look for Linux $wanted in all of Debian's suites: $unasked"
        fail "no Linux $wanted ($flavour$deb_arch) is in Debian's suites: scripts/vm --kernels lists what is"
    }
    new=$(mktemp -d "$cache/new.XXXXXX")
    made+=("$new")
    while read -r uri sum; do
        progress "downloading ${uri##*/}"
        /usr/lib/apt/apt-helper -qq -o APT::Sandbox::User=root download-file "$uri" "$new/package.deb" \
            "SHA256:$sum" >"$new/log" 2>&1 || {
            # The lists may be a day old.
            rm -f "$cache/lists-$(id -u)"/*
            fail "cannot download $uri: $(grep '^E: ' "$new/log" | head -n 1 | printable)"
        }
        dpkg-deb -x "$new/package.deb" "$new/kernel"
    done <<<"$uris"
    rm -f "$new/package.deb"
    progress "unpacking Linux $release"
    trim "$new/kernel" "$release"
    chmod 755 "$new/kernel"
    mv -T "$new/kernel" "$place"
    rm -rf "$new"
    unlock_cache
}

# Lists the kernels for --kernels. If a suite has several releases of a series, the last counts.
list_kernels() {
    can_fetch || fail "there is no apt here: --kernel FILE and --kernel host are left"
    lock_cache
    {
        cached | sed 's/$/ cached/'
        each_list print_kernels || [ -z "$unasked" ] || say "not all suites could be asked: $unasked"
    } | sort -V -s -k 1,1 | awk '
        function column(text) { return text == "" ? "-" : text }
        !($1 in newest) { order[++count] = $1; newest[$1] }
        $3 == "cached" { cached[$1] = $2; next }
        # The first match is the one that is downloaded.
        newest[$1] == "" || first[$1] == $3 { newest[$1] = $2; first[$1] = $3 }
        last[$1] != $3 { suites[$1] = suites[$1] " " $3; last[$1] = $3 }
        END {
            printf "%-8s %-30s %-30s %s\n", "VERSION", "NEWEST", "IN THE CACHE", "SUITES"
            for (i = 1; i <= count; i++)
                printf "%-8s %-30s %-30s%s\n", order[i], column(newest[order[i]]), column(cached[order[i]]),
                    suites[order[i]]
        }'
    unlock_cache
}

print_kernels() {
    kernels_in "$list" | awk -v suite="$list_suite" '{ print $1, $2, suite }'
    return 1
}
