# shellcheck shell=bash disable=SC2154 # $scratch, $is_root: of scripts/bench
# The time of a run.

bench_run() {
    if ! $is_root; then
        say "left out, since it needs root: run"
        return
    fi
    need_peers
    as_root
    start_commands
    add_runners root
    title "rootlet run, static true, default mounts, as root"
    spawn "$(rounds 500 60)" "$(rounds 20 0.5)" | print_times "rootlet run"
    peer_versions
}

bench_user() {
    need_peers
    as_user
    start_commands
    add_runners user
    title "rootlet run, static true, default mounts, as an ordinary user"
    spawn "$(rounds 500 60)" "$(rounds 20 0.5)" | print_times "rootlet run as an ordinary user"
}

# The runners that are fast enough for the difference to matter.
bench_mounts() {
    if ! $is_root; then
        say "left out, since it needs root: mounts"
        return
    fi
    local count
    need bwrap:bubblewrap
    compile many-mounts
    mkdir -p "$scratch/many"
    for count in 100 1000 5000; do
        as_root
        start_commands
        add_runners root
        sed -i -n '/^\(rootlet\|floor\|bubblewrap\|crun\)\t/p' "$scratch/commands"
        as+=("$scratch/many-mounts" "$count" "$scratch/many")
        title "rootlet run, on a host with $count more mounts"
        spawn "$(rounds 200 20)" "$(rounds 20 2)" | print_times
    done
}

# rootlet resolves each target inside the root. The others take it as a path.
bench_binds() {
    if ! $is_root; then
        say "left out, since it needs root: binds"
        return
    fi
    local count index root=$scratch/binds-root source=$scratch/source binds floor bwrap
    need bwrap:bubblewrap
    make_root "$root"
    mkdir -p "$source"
    as_root
    for count in 1 10 100 1000; do
        binds=() floor=() bwrap=()
        for ((index = 0; index < count; index++)); do
            mkdir -p "$root/$index"
            binds+=(-B "$source:/$index")
            floor+=("$source" "$root/$index")
            bwrap+=(--bind "$source" "/$index")
        done
        start_commands
        add rootlet "$scratch/rootlet" run "${binds[@]}" "$root" /true
        add floor "$scratch/floor" "${floor[@]}" / "$root" /true
        add bubblewrap bwrap --unshare-pid --unshare-uts --unshare-ipc --bind "$root" / \
            --dev-bind /dev /dev --proc /proc --bind /sys /sys --tmpfs /dev/shm \
            --ro-bind /etc/resolv.conf /etc/resolv.conf "${bwrap[@]}" /true
        # This takes seconds for each.
        if $quick && [ "$count" = 1000 ]; then sed -i '/^bubblewrap/d' "$scratch/commands"; fi
        title "rootlet run, with $count binds"
        spawn "$(rounds 200 20)" "$(rounds 20 1)" | print_times
    done
}
