# shellcheck shell=bash disable=SC2154 # $scratch, $is_root: of scripts/bench
# The system calls of a run and of an init.

# count_calls WORD...: prints the number of system calls until the command is executed, and of all, without
# those of the command, a static true in NEWROOT or on the host.
count_calls() {
    local log=$scratch/user/strace
    # Another user may own it.
    rm -f "$log"
    "${as[@]}" strace -f -o "$log" "$@" </dev/null >/dev/null 2>&1
    awk '
        / <\.\.\. / || / (---|\+\+\+) / { next }
        $1 in is_command { next }
        { all++ }
        /execve\("[^"]*\/true", \["[^"]*\/true"\]/ { is_command[$1] = 1; if (!before) before = all }
        END { printf "%d %d", before, all }' "$log"
}

bench_calls() {
    need strace:strace
    need_peers
    need_inits
    if $is_root; then
        as_root
        start_commands
        add_runners root
        sed -i '/^true itself/d; /^proot/d' "$scratch/commands"
        title "system calls of a run, as root"
        print_calls
    fi
    as_user
    start_commands
    add_runners user
    sed -i -n '/^\(rootlet\|floor\|bubblewrap\)\t/p' "$scratch/commands"
    title "system calls of a run, as an ordinary user"
    print_calls
    add_inits "$scratch/true"
    add floor "$scratch/floor-init" "$scratch/true"
    title "system calls of an init"
    print_calls
}

print_calls() {
    local line words counts
    printf '%-28s %10s %10s\n' '' 'to exec' all
    while IFS= read -r line; do
        IFS=$'\t' read -ra words <<<"$line"
        read -ra counts <<<"$(count_calls "${words[@]:1}")"
        printf '%-28s %10d %10d\n' "${words[0]}" "${counts[@]}"
    done <"$scratch/commands"
}
