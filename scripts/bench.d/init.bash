# shellcheck shell=bash disable=SC2154 # $scratch, $quick, $is_root: of scripts/bench
# The cost of an init: at the start, for each orphan, for each signal, and idle.

need_inits() {
    need tini:tini dumb-init:dumb-init catatonit:catatonit
}

init_versions() {
    versions tini dumb-init catatonit
}

# add_inits WORD...: adds each init, with this command.
add_inits() {
    # shellcheck disable=SC2034 # read by add and spawn
    as=()
    start_commands
    add rootlet "$scratch/rootlet" init -- "$@"
    add tini tini -s -- "$@"
    add dumb-init dumb-init -- "$@"
    add catatonit catatonit -- "$@"
}

bench_init() {
    need_inits
    add_inits "$scratch/true"
    add floor "$scratch/floor-init" "$scratch/true"
    add 'true itself, nothing around' "$scratch/true"
    title "rootlet init, around a static true"
    spawn "$(rounds 2000 200)" "$(rounds 20 1)" | print_times "rootlet init"
    init_versions
}

median() {
    sort -n | awk '{ all[NR] = $1 } END { print all[int((NR + 1) / 2)] }'
}

# rounds_of COUNT BEFORE...: writes the output of the commands to $scratch/NAME.results. The commands take
# turns in coming first, since the first one of a round is slower.
rounds_of() {
    local count=$1 round index name words lines
    shift
    mapfile -t lines <"$scratch/commands"
    rm -f "$scratch"/*.results
    for ((round = 0; round < count; round++)); do
        for ((index = 0; index < ${#lines[@]}; index++)); do
            IFS=$'\t' read -ra words <<<"${lines[(index + round) % ${#lines[@]}]}"
            name=${words[0]}
            "$@" "${words[@]:1}" 2>/dev/null >>"$scratch/$name.results"
        done
    done
}

names() {
    cut -f 1 "$scratch/commands"
}

bench_signals() {
    need_inits
    compile signals
    local count name time base=''
    count=$(rounds 1000000 20000)
    # As few as possible, to try each init.
    add_inits "$scratch/signals" 1
    sed -i "s/1$/$count/" "$scratch/commands"
    rounds_of "$(rounds 3 1)" env
    title "$count signals from the command to its init and back"
    printf '%-28s %10s %10s\n' '' 'us each' 'x rootlet'
    for name in $(names); do
        time=$(median <"$scratch/$name.results")
        base=${base:-$time}
        awk -v name="$name" -v time="$time" -v base="$base" -v count="$count" \
            'BEGIN { printf "%-28s %10.2f %10.2f\n", name, time / 1e3 / count, time / base }'
    done
}

bench_orphans() {
    need_inits
    compile orphans
    local count=20000 burst name figures
    local enter=(unshare --fork --pid --mount-proc --kill-child)
    $is_root || enter+=(--user --map-root-user)
    for burst in 1 100 2000; do
        if $quick && [ $burst != 100 ]; then continue; fi
        add_inits "$scratch/true"
        command_line rootlet-w "$scratch/rootlet" init -w -- "$scratch/true"
        sed -i "s|/true$|/orphans\t$count\t$burst|" "$scratch/commands"
        rounds_of "$(rounds 7 1)" "${enter[@]}"
        title "$count orphans in bursts of $burst"
        printf '%-28s %10s %10s %10s %15s %8s\n' '' ms 'x rootlet' 'us CPU each' 'wake-ups' zombies
        local base=''
        for name in $(names); do
            figures=$(for field in 1 2 3 4; do
                cut -d ' ' -f $field "$scratch/$name.results" | median
            done | paste -s -d ' ')
            base=${base:-${figures%% *}}
            awk -v name="$name" -v base="$base" -v count="$count" \
                '{ printf "%-28s %10.1f %10.2f %10.3f %15d %8d\n", name, $1 / 1e6, $1 / base,
                       $2 / 1e3 / count, $3, $4 }' <<<"$figures"
        done
    done
}

bench_idle() {
    need strace:strace
    local seconds init tracer calls
    seconds=$(rounds 60 2)
    "$scratch/rootlet" init sleep 1000 &
    init=$!
    # After its start the init sleeps, and so does its command.
    until [ "$(cut -d ' ' -f 3 "/proc/$init/stat")" = S ] &&
        [ "$(cat "/proc/$(tr -d ' ' <"/proc/$init/task/$init/children")/comm" 2>/dev/null)" = sleep ]; do
        sleep 0.01
    done
    : >"$scratch/strace"
    # -c counts only calls that end, so not those in progress when strace attaches and detaches.
    strace -f -c -o "$scratch/calls" -p "$init" 2>"$scratch/strace" &
    tracer=$!
    until grep -q attached "$scratch/strace"; do sleep 0.01; done
    sleep "$seconds"
    kill -INT "$tracer"
    wait "$tracer" || true
    kill "$init"
    wait "$init" || true
    calls=$(awk '$NF == "total" { print $4 }' "$scratch/calls")
    title "system calls of an idle rootlet init in $seconds s: ${calls:-0}"
}
