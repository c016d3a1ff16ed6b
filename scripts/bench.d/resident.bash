# shellcheck shell=bash disable=SC2154 # $scratch, $is_root: of scripts/bench
# The memory and wake-ups of a runner while the command runs.

children() {
    cat "/proc/$1/task"/*/children 2>/dev/null || true
}

is_command() {
    [ "$(cat "/proc/$1/comm" 2>/dev/null)" = true ]
}

# between PID: prints the process and its descendants, except the command.
between() {
    local child
    is_command "$1" || echo "$1"
    for child in $(children "$1"); do
        between "$child"
    done
}

# Succeeds if the command has been started below PID.
is_running() {
    local child
    for child in $(children "$1"); do
        if is_command "$child" || is_running "$child"; then return 0; fi
    done
    return 1
}

wakeups() {
    local pid
    for pid in "$@"; do
        cat "/proc/$pid/task"/*/status 2>/dev/null || true
    done | awk '/^voluntary_ctxt_switches/ { sum += $2 } END { print sum + 0 }'
}

# Prints the Pss and the private memory, in kB.
memory() {
    local pid
    for pid in "$@"; do
        cat "/proc/$pid/smaps_rollup" 2>/dev/null || true
    done | awk '/^Pss:/ { pss += $2 } /^Private_/ { private += $2 } END { printf "%d %d", pss, private }'
}

kill_all() {
    local pid child
    for pid in "$@"; do
        for child in $(children "$pid"); do
            kill_all "$child"
        done
        kill -KILL "$pid" 2>/dev/null || true
    done
}

# print_resident PANEL: measures all commands at the same time. PANEL adds them to a panel of the chart.
print_resident() {
    local panel=$1 seconds line name words pids pid tries
    local -A processes before
    local names=() figures=()
    while IFS= read -r line; do
        IFS=$'\t' read -ra words <<<"$line"
        name=${words[0]}
        "${as[@]}" "${words[@]:1}" </dev/null >/dev/null 2>&1 &
        started+=($!)
        # Keeps the shell from reporting its end.
        disown
        for ((tries = 0; tries < 500; tries++)); do
            if is_running $!; then break; fi
            sleep 0.02
        done
        is_running $! || {
            say "not measured: $name does not start its command"
            continue
        }
        mapfile -t pids < <(between $!)
        processes[$name]=${pids[*]}
        names+=("$name")
    done <"$scratch/commands"
    # A runner may still be busy shortly after its command has started.
    sleep 1
    seconds=$(rounds 10 2)
    for name in "${names[@]}"; do
        read -ra pids <<<"${processes[$name]}"
        before[$name]=$(wakeups "${pids[@]}")
    done
    sleep "$seconds"
    printf '%-28s %10s %10s %15s %16s\n' '' 'private kB' 'Pss kB' processes "wake-ups in ${seconds} s"
    for name in "${names[@]}"; do
        read -ra pids <<<"${processes[$name]}"
        read -ra figures <<<"$(memory "${pids[@]}")"
        printf '%-28s %10d %10d %15d %16d\n' "$name" "${figures[1]}" "${figures[0]}" ${#pids[@]} \
            $(($(wakeups "${pids[@]}") - ${before[$name]}))
        printf '%s\t%s\t%s\tkB\n' "$panel" "$name" "${figures[1]}" >>"$scratch/points"
    done
    kill_all "${started[@]}"
    for pid in "${started[@]}"; do
        while [ -e "/proc/$pid" ]; do sleep 0.01; done
    done
    started=()
}

bench_resident() {
    if ! $is_root; then
        say "left out, since it needs root: resident"
        return
    fi
    need_peers
    need_inits
    compile_raw wait
    # Each runner was tried with a command that ends.
    as_root
    start_commands
    add_runners root
    # There is no process between, or its name says nothing.
    sed -i "/^true itself/d; /^chroot/d; /^proot/d" "$scratch/commands"
    cp "$scratch/wait" "$scratch/root/true"
    title "resident between the caller and the command of a run, as root"
    print_resident "memory of a run"
    cp "$scratch/true" "$scratch/root/true"

    mkdir -p "$scratch/init"
    cp "$scratch/true" "$scratch/init/true"
    add_inits "$scratch/init/true"
    add floor "$scratch/floor-init" "$scratch/init/true"
    rm "$scratch/init/true"
    cp "$scratch/wait" "$scratch/init/true"
    title "resident of an init"
    print_resident "memory of an init"
}
