# shellcheck shell=bash disable=SC2034,SC2154 # variables of scripts/vm and of its other parts
# The run: QEMU, the messages from QEMU and from rootlet, and the end.

qemu_pid=
feeder=
servers=()
sockets=()
output=()
pumps=()
made=()
cache_lock=
work=
saved_terminal=
result=
failure=

# shellcheck disable=SC2317,SC2329 # called by the trap
clean_up() {
    local status=$? pid
    trap '' INT TERM HUP USR1
    trap - EXIT
    for pid in $qemu_pid $feeder "${output[@]}" "${pumps[@]}" "${servers[@]}"; do
        kill -KILL "$pid" 2>/dev/null || true
    done
    wait 2>/dev/null || true
    if [ -n "$saved_terminal" ]; then stty "$saved_terminal" <"$tty" || true; fi
    [ ${#made[@]} = 0 ] || rm -rf --one-file-system -- "${made[@]}"
    if [ -n "$work" ]; then
        if $keep; then say "kept: $work"; else rm -rf --one-file-system -- "$work"; fi
    fi
    exit "$status"
}

# Sets $now to the time in ms.
look_at_clock() {
    now=$((${EPOCHREALTIME/[.,]/} / 1000))
}

# Prints the time since QEMU's start, by this machine's clock.
since_start() {
    look_at_clock
    echo $((now - qemu_begin))
}

# A work directory holds the caller's environment, and SIGKILL leaves it behind. Its owner holds a lock on a
# file in it, so that the next start can recognise a left one. The file gets its name only once it is locked.
make_work() {
    local directory
    for directory in "$TMPDIR"/rootlet-vm.*; do
        remove_left "$directory"
    done
    work=$(mktemp -d "$TMPDIR/rootlet-vm.XXXXXX")
    # A directory of --keep must not be removed.
    if $keep; then return; fi
    exec {work_lock}>"$work/lock.new"
    ! flock -n "$work_lock" || mv "$work/lock.new" "$work/lock"
}

# remove_left DIRECTORY: removes a directory of this user's whose lock is free. Others who remove it take the
# same lock, so the name may belong to another directory by the time that the lock is taken.
remove_left() {
    local lock
    if [ -L "$1" ] || ! [ -d "$1" ] || ! [ -O "$1" ] || ! [ -f "$1/lock" ]; then return 0; fi
    { exec {lock}<"$1/lock"; } 2>/dev/null || return 0
    if flock -n "$lock" && [ "$1/lock" -ef "/proc/self/fd/$lock" ]; then
        note "removing $1, which was left behind"
        rm -rf --one-file-system -- "$1" || true
    fi
    exec {lock}<&-
}

# Ends the guest. Its output is lost only if nobody reads it.
end_guest() {
    kill -KILL $qemu_pid 2>/dev/null || true
    { wait $qemu_pid; } 2>/dev/null || true
    qemu_pid=
    local pid times
    for ((times = 0; times < 1000; times++)); do
        for pid in "${output[@]}"; do
            if kill -0 "$pid" 2>/dev/null; then
                sleep 0.01
                continue 2
            fi
        done
        return
    done
}

# Sets $had to the time in ms that the guest has had, without the time in which QEMU waited for a processor.
# On a busy machine the guest then has as much time as on an idle one.
look_at_guest() {
    local thread wait sum=0
    look_at_clock
    for thread in "/proc/${qemu_pid:-none}/task"/*/schedstat; do
        # Nanoseconds on a processor, and nanoseconds of waiting for one.
        { read -r _ wait _ <"$thread"; } 2>/dev/null || continue
        sum=$((sum + wait / 1000000))
    done
    # Ended threads do not count any more.
    if [ "$sum" -gt "$waited" ]; then waited=$sum; fi
    had=$((now - qemu_begin - waited))
}

over_time() {
    [ -n "$timeout" ] || return 0
    look_at_guest
    if [ "$had" -ge $((timeout * 1000)) ]; then
        end_guest
        say "the command was not done after $timeout seconds, and the guest was ended"
        exit 124
    fi
}

# Handles a failure to copy the output: nobody reads it, for which a command would get SIGPIPE, or the disk
# is full. A command that had already ended keeps its status.
# shellcheck disable=SC2317,SC2329 # called by the trap
output_failed() {
    local reason
    reason=$(cat "$work"/std*.error | head -n 1)
    case $reason in
        '' | *'Broken pipe'*) if [ -n "$result$failure" ]; then unread=true; else exit 141; fi ;;
        *) fail "cannot write the output: ${reason##*: }" ;;
    esac
}

# copy_output NAME FD: copies the guest's output as it arrives.
copy_output() {
    (
        trap - EXIT INT TERM HUP USR1
        cat <"$work/$1" 1>&"$2" 2>"$work/$1.error" || kill -USR1 $$
    ) &
    output+=($!)
}

# Copies the input from now on, since the guest has started. A job in the background of a terminal has no
# input.
copy_input() {
    if $terminal; then return; fi
    (
        trap '' TTIN
        exec setpriv --pdeathsig KILL cat <&"$stdin" 1>&"$feed" 2>/dev/null
    ) &
    feeder=$!
    exec {feed}>&-
}

# Reads the guest's console, and keeps the end of it, since a guest may print without end.
pump_console() {
    mkfifo "$work/console"
    if $verbose; then
        {
            tee /dev/fd/3 <"$work/console" | tail -c 65536 >"$work/console.log"
        } 3>&1 | printable >&2 &
    else
        tail -c 65536 <"$work/console" >"$work/console.log" &
    fi
    pumps+=($!)
}

await_pumps() {
    local pid
    for pid in "$@"; do
        while [ -n "$timeout" ] && kill -0 "$pid" 2>/dev/null; do
            over_time
            sleep 0.01
        done
        wait "$pid" 2>/dev/null || true
    done
}

# Opening a named pipe waits for the other end. QEMU has the only writing end of the status pipe, so the end
# of QEMU is seen here.
start_qemu() {
    mkfifo "$work/status" "$work/monitor.in" "$work/monitor.out"
    exec {monitor_in}<>"$work/monitor.in" {monitor_out}<>"$work/monitor.out"
    look_at_clock
    qemu_begin=$now waited=0
    pump_console
    if $terminal; then
        # A separate file description, since QEMU makes it non-blocking.
        # shellcheck disable=SC2094 # a terminal
        setpriv --pdeathsig KILL "${qemu_words[@]}" \
            <"$tty" >"$tty" 2>"$work/qemu.log" {status}>"$work/status" {console}>"$work/console" &
        qemu_pid=$!
        exec {status}<"$work/status"
    else
        mkfifo "$work/stdin" "$work/stdout" "$work/stderr"
        copy_output stdout "$stdout"
        copy_output stderr "$stderr"
        setpriv --pdeathsig KILL "${qemu_words[@]}" \
            <"$work/stdin" >/dev/null 2>"$work/qemu.log" \
            {status}>"$work/status" {out}>"$work/stdout" {err}>"$work/stderr" {console}>"$work/console" &
        qemu_pid=$!
        exec {feed}>"$work/stdin" {status}<"$work/status" {out}<"$work/stdout" {err}<"$work/stderr"
    fi
    echo '{"execute":"qmp_capabilities"}' >&"$monitor_in"
}

# heard LINE: handles a line of QEMU's monitor. It only looks for QEMU's own names, which a guest cannot
# choose.
heard() {
    case $1 in
        # A guest that has panicked stops in this way.
        *'"event": "STOP"'*) if ! $panic_event; then stopped='QEMU stopped the guest'; fi ;;
        *'"event": "GUEST_PANICKED"'*) panic_event=true ;;
        *'"event": "SHUTDOWN"'*'"guest-reset"'*) shutdown=reset ;;
        *'"event": "SHUTDOWN"'*'"guest-shutdown"'*) shutdown=shutdown ;;
    esac
}

# Reads some of the lines at most, since a guest can make QEMU print lines without end.
read_events() {
    local line count
    for ((count = 0; count < 1000; count++)); do
        IFS= read -r -t 0.01 -u "$monitor_out" line || return 0
        heard "$line"
    done
}

# record LINE: handles a line of the status port. Root in the guest can write there too, so a line that is
# not in rootlet's form is ignored, and no text in it is ever evaluated. Fails at the last line.
record() {
    local number=${1#* }
    case $1 in
        entered\ *)
            if [ -z "$entered" ] && is_number "$number" 4294967295; then
                entered=$number
                at_entry=$(since_start)
                copy_input
            fi
            ;;
        started\ *)
            if [ -n "$entered" ] && [ -z "$started" ] && is_number "$number" 4294967295; then
                started=$number
                at_command=$(since_start)
            fi
            ;;
        exit\ *) ! is_number "$number" 255 || result=$number ;;
        signal\ *)
            if is_number "$number" 64 && [ "$number" != 0 ]; then result=$((128 + number)); fi
            ;;
        failed\ *) failure=${number:0:4096} ;;
    esac
    [ -z "$result$failure" ]
}

# Reads the status lines until one decides, or QEMU has ended or stopped the guest.
await_status() {
    local line part='' code looked='' patience=300
    # QEMU with a broken KVM may wait indefinitely.
    if $guessed; then patience=30; fi
    while :; do
        line=
        code=0
        IFS= read -r -t 1 -u "$status" line || code=$?
        # No line from rootlet is this long.
        if [ ${#part} -lt 65536 ]; then part+=$line; fi
        if [ $code = 0 ]; then
            record "$part" || {
                at_end=$(since_start)
                return 0
            }
            part=
        elif [ $code -le 128 ]; then
            return
        fi
        # Also check once a second during a guest's continuous output.
        if [ "$EPOCHSECONDS" = "$looked" ]; then continue; fi
        looked=$EPOCHSECONDS
        over_time
        read_events
        [ -z "$stopped" ] || return 0
        if [ -n "$started" ]; then continue; fi
        look_at_guest
        if [ "$had" -ge $((patience * 1000)) ]; then
            stopped="the guest did not start the command in $patience seconds"
            return
        fi
    done
}

# Makes QEMU run its main loop, in which it writes output that waited for room in a pipe.
go_round() {
    local line
    round=$((round + 1))
    echo "{\"execute\":\"query-status\",\"id\":\"round $round\"}" >&"$monitor_in"
    while kill -0 "$qemu_pid" 2>/dev/null; do
        line=
        ! IFS= read -r -t 1 -u "$monitor_out" line || heard "$line"
        case $line in
            *"\"round $round\""*) return 0 ;;
        esac
        over_time
    done
    return 1
}

# Waits until QEMU has written all of the command's output: the pipes then stay empty although QEMU could
# write.
drain() {
    local empty=0 round=0
    while ! $terminal && ! $unread && [ $empty -lt 3 ]; do
        over_time
        if read -r -t 0 -u "$out" || read -r -t 0 -u "$err"; then
            empty=0
            sleep 0.005
        elif go_round; then
            empty=$((empty + 1))
        else
            return
        fi
    done
}

show_console() {
    $verbose || sed '/Kernel panic - not syncing/q' "$work/console.log" | tail -n 8 |
        printable 'vm: console: ' >&2
}

# Reports why there is no status.
explain() {
    local text panicked=$panic_event
    text=$(grep -a 'Kernel panic - not syncing: ' "$work/console.log" | tail -n 1 |
        printable | head -n 1) || true
    text=${text#*Kernel panic - not syncing: }
    if [ "$shutdown" = reset ] && [ -n "$text" ] && { [ -z "$started" ] || ! $pvpanic; }; then panicked=true; fi
    show_console
    if $panicked; then
        case $text in
            'Attempted to kill init!'*)
                say "pid 1 of the guest died, and its kernel panicked: $text"
                exit 117
                ;;
            *)
                say "the kernel of the guest panicked: $text"
                exit 116
                ;;
        esac
    fi
    [ -n "$started" ] || fail "the guest ended before it could run the command"
    case $shutdown in
        reset) say 'the guest restarted by itself, without a status of the command' ;;
        shutdown) say 'the guest powered off by itself, without a status of the command' ;;
        *)
            # On some machines QEMU does not report that a guest powers off.
            if $terminal; then
                say 'the guest powered off, or was ended from its terminal, without a status of the command'
            else
                say 'the guest powered off by itself, without a status of the command'
            fi
            ;;
    esac
    exit 118
}

# Runs one guest, until there is a status or none can follow.
boot() {
    local index
    panic_event=false shutdown='' entered='' started='' stopped='' unread=false sockets=()
    at_entry='' at_command='' at_end=''
    arguments "$accel"
    if [ "$share" = virtiofs ]; then serve root "$root" ro; fi
    if [ "$rw_share" = virtiofs ]; then
        for index in "${!rw[@]}"; do
            serve "rw$index" "${rw[index]}" rw
        done
    fi
    await_servers
    start_qemu
    await_status
}

# Ends everything that boot started, so that it can start again.
forget() {
    local pid
    end_guest
    for pid in "${servers[@]}" "${pumps[@]}"; do
        kill -KILL "$pid" 2>/dev/null || true
        { wait "$pid"; } 2>/dev/null || true
    done
    servers=() pumps=() output=()
    if ! $terminal; then exec {feed}>&- {out}<&- {err}<&-; fi
    exec {status}<&- {monitor_in}>&- {monitor_out}<&-
    rm -rf --one-file-system "$work"/{status,monitor.*,console*,std*,root*,rw*}
}

# Ends the guest that boot left running, and the script with its status.
conclude() {
    local code=0
    if [ -n "$stopped" ]; then
        end_guest
        await_pumps "${pumps[@]}"
        show_console
        printable 'vm: ' <"$work/qemu.log" >&2
        fail "$stopped, and was ended; --verbose shows more"
    fi
    if [ -n "$result$failure" ]; then
        drain
        echo '{"execute":"quit"}' >&"$monitor_in"
    fi
    wait "$qemu_pid" 2>/dev/null || code=$?
    qemu_pid=
    await_pumps "${output[@]}" "${pumps[@]}"
    if [ -n "$started" ]; then
        note "$((entered / 1000)) ms to rootlet, $((started - entered)) us more to the command"
        note "since QEMU's start: rootlet after $at_entry ms, the command after $at_command ms," \
            "its end after ${at_end:-?} ms, QEMU's end after $(since_start) ms"
    fi
    [ -z "$failure" ] || fail "rootlet failed in the guest: $(printable <<<"$failure")"
    case $result in
        '') ;;
        11[6-9])
            say "the command's own status is $result, which here would mean something else"
            exit 115
            ;;
        *) exit "$result" ;;
    esac
    read_events
    [ $code != 0 ] || explain
    printable 'vm: ' <"$work/qemu.log" >&2
    if [ $code -gt 128 ]; then
        say "QEMU was ended by signal $((code - 128)), without a status of the command"
    else
        say "QEMU failed with status $code"
    fi
    exit 119
}
