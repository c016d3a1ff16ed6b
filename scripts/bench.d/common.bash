# shellcheck shell=bash disable=SC2154 # $scratch, $quick: of scripts/bench
# Shared by the tables: programs, fixtures, the spawner and the form of a table.

# need COMMAND:PACKAGE...: installs the packages of missing commands, if possible.
need() {
    local pair missing=()
    for pair in "$@"; do
        command -v "${pair%%:*}" >/dev/null || missing+=("${pair#*:}")
    done
    [ ${#missing[@]} -gt 0 ] || return 0
    if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
        {
            apt-get update -qq
            DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=120 \
                install -y -qq --no-install-recommends "${missing[@]}"
        } >"$scratch/apt.log" 2>&1 || true
    fi
    for pair in "$@"; do
        command -v "${pair%%:*}" >/dev/null || say "not here: ${pair%%:*} (Debian's ${pair#*:})"
    done
}

say() {
    echo "scripts/bench: $*" >&2
}

# rounds FULL QUICK: prints the number of rounds or seconds for this run.
rounds() {
    if $quick; then echo "$2"; else echo "$1"; fi
}

# compile NAME...: compiles static programs with libc. compile_raw NAME...: without libc.
compile() {
    local name
    for name in "$@"; do
        cc -O2 -static -o "$scratch/$name" "scripts/bench.d/$name.c"
    done
}

compile_raw() {
    local name
    for name in "$@"; do
        cc -Os -static -nostdlib -ffreestanding -fno-stack-protector -fno-asynchronous-unwind-tables \
            -Wl,--build-id=none -s -o "$scratch/$name" "scripts/bench.d/$name.c"
    done
}

# make_root DIRECTORY: makes a root with everything that a peer needs, and a static true.
make_root() {
    mkdir -p "$1"/{dev,etc,proc,run,sys,tmp,usr,var}
    : >"$1/etc/resolv.conf"
    : >"$1/etc/hosts"
    echo 'ID=bench' >"$1/etc/os-release"
    cp "$scratch/true" "$1/true"
}

prepare() {
    need cc:gcc unshare:util-linux setpriv:util-linux
    cargo build --locked --release --quiet
    cp target/release/rootlet "$scratch/rootlet"
    compile spawn
    compile_raw true floor floor-init
    make_root "$scratch/root"
    # A directory that everybody may write to.
    mkdir -m 1777 "$scratch/user"
    is_root=false
    if [ "$(id -u)" = 0 ]; then is_root=true; fi
}

machine() {
    local processor
    processor=$(sed -n 's/^model name.*: //p' /proc/cpuinfo | head -n 1)
    echo "$(date -u +%Y-%m-%d), $(nproc) processors: ${processor:-$(uname -m)}, Linux $(uname -r)"
    echo "load at the start: $(cut -d ' ' -f 1 /proc/loadavg)"
    echo "$(rustc --version | cut -d ' ' -f 1-2), $(target/release/rootlet --version)," \
        "$(git describe --always --dirty)"
}

title() {
    printf '\n%s\n' "$*"
}

# The commands of a table, for the spawner. The first is rootlet.
start_commands() {
    : >"$scratch/commands"
}

# command NAME WORD...
command_line() {
    local IFS=$'\t'
    printf '%s\n' "$*" >>"$scratch/commands"
}

# add NAME PROGRAM WORD...: adds a command if the program exists and the command works.
add() {
    local name=$1 program
    shift
    program=$(type -P "$1") || return 0
    shift
    if ! "${as[@]}" "$program" "$@" </dev/null >"$scratch/tried" 2>&1; then
        say "not measured: $name: $(grep -v '^ *$' "$scratch/tried" | tail -n 1)"
        return 0
    fi
    command_line "$name" "$program" "$@"
}

# spawn PAIRS SECONDS: runs the commands as the user of $as. SECONDS is the limit for each.
spawn() {
    "${as[@]}" "$scratch/spawn" "$1" "$2" "$scratch/commands" 2>"$scratch/spawn.log" ||
        { cat "$scratch/spawn.log" >&2 && return 1; }
}

# as_root, as_user: run a command in a new mount namespace, so that mounts that a peer leaves behind end with
# it. crun refuses to work if both versions of cgroups are mounted.
as_root() {
    # shellcheck disable=SC2016 # the inner shell's
    as=(unshare --mount sh -c 'umount -l /sys/fs/cgroup/unified 2>/dev/null; exec "$@"' sh)
    $is_root || as=()
}

as_user() {
    as_root
    if $is_root; then
        as+=(setpriv --reuid=nobody --regid=nogroup --clear-groups env HOME=/)
    fi
}

# print_times [PANEL]: formats the output of spawn as a table, rootlet first, the others by time, each as a
# multiple of rootlet by the median of the pairs. PANEL adds them to a panel of the chart.
print_times() {
    local panel=${1:-} results
    results=$(sort -t $'\t' -k 3n)
    {
        grep '^rootlet	' <<<"$results"
        grep -v '^rootlet	' <<<"$results"
    } | awk -F '\t' -v panel="$panel" -v points="$scratch/points" '
        BEGIN { printf "%-28s %10s %10s %15s %6s\n", "", "ms", "x rootlet", "quartiles", "pairs" }
        {
            printf "%-28s %10.3f %10.2f %15s %6d\n", $1, $3 / 1e6, $4,
                $1 == "rootlet" ? "" : sprintf("%.2f-%.2f", $5, $6), $2
            if ($1 == "floor")
                over = sprintf("rootlet is %.2f x the floor (%.2f-%.2f)", 1 / $4, 1 / $6, 1 / $5)
            if (panel != "")
                printf "%s\t%s\t%.3f\tms\n", panel, $1, $3 / 1e6 >>points
        }
        END { if (over != "") print over }'
}

# versions PACKAGE...: prints the versions of the installed packages.
versions() {
    dpkg-query -W -f '${db:Status-Abbrev}${Package} ${Version}\n' "$@" 2>/dev/null |
        sed -n 's/^ii *//p' | paste -s -d ',' | sed 's/,/, /g' | fold -s -w 98
}
