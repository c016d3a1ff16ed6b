// The reaper, for a machine that the other files of this folder make of each processor: a result,
// five arguments of a system call, a place in the list of mount points, and words in memory at the
// addresses that mod.rs gives.

.macro report message, length
    word1 {socket}
    arg2 \message
    arg3 \length
    arg4 {NOSIGNAL}
    arg5 0
    system {SENDTO}
.endm

// Nobody inside may trace this process or read its memory. The command waits until `go` is closed.
    arg1 {SET_DUMPABLE}
    arg2 0
    arg3 0
    arg4 0
    arg5 0
    system {PRCTL}
    if_equal 0, .Lreaper_protected
    report {unprotected_report}, 1
    goto .Lreaper_exit
.Lreaper_protected:
// Executing this may have cleared it. The parent ends with the program, or before.
    arg1 {SET_PDEATHSIG}
    arg2 {SIGKILL}
    system {PRCTL}
    arg1 {SET_NAME}
    arg2 {name}
    system {PRCTL}
    word1 {go}
    system {CLOSE}

.Lreaper_loop:
    arg1 {polls}
    arg2 3
    arg3 0
    arg4 0
    arg5 0
    system {PPOLL}
    if_less 0, .Lreaper_loop

// The command's process closes this pipe when it executes or ends.
    load {executed_events}
    shift 16
    if_equal 0, .Lreaper_signals
    word1 {executed}
    system {CLOSE}
    arg1 -1
    store_arg1 {executed}
.Lreaper_report:
    report {executed_report}, 1
    if_equal -{EINTR}, .Lreaper_report
    if_less 1, .Lreaper_failed

.Lreaper_signals:
    load {signals_events}
    shift 16
    if_equal 0, .Lreaper_socket
    word1 {signals}
    arg2 {buffer}
    arg3 128
    system {READ}
    if_less 128, .Lreaper_socket
    load {buffer}
    if_equal {SIGCHLD}, .Lreaper_reap
    store {number}
    goto .Lreaper_forward

.Lreaper_socket:
    load {socket_events}
    shift 16
    if_equal 0, .Lreaper_loop
    word1 {socket}
    arg2 {buffer}
    arg3 3
    arg4 {DONTWAIT}
    arg5 0
    system {RECVFROM}
    if_equal 0, .Lreaper_leave
    if_equal 1, .Lreaper_order
    if_equal 2, .Lreaper_signal
    goto .Lreaper_loop
.Lreaper_order:
    load {buffer}
    keep_bits 0xff
    if_word {order_end}, .Lreaper_leave
    if_word {order_detach}, .Lreaper_detach
    goto .Lreaper_loop
// The number follows the type.
.Lreaper_signal:
    load {buffer}
    shift 8
    keep_bits 0xff
    store {number}
    goto .Lreaper_forward
.Lreaper_detach:
    arg1 {SET_PDEATHSIG}
    arg2 0
    system {PRCTL}
    report {took_report}, 1
    word1 {socket}
    system {CLOSE}
    arg1 -1
    store_arg1 {socket}
    goto .Lreaper_loop

.Lreaper_forward:
    word1 {command}
    word2 {number}
    system {KILL}
    if_equal 0, .Lreaper_loop
    if_equal -{ESRCH}, .Lreaper_loop
    negate
    store {message_value}
    load {has_reported}
    if_equal 1, .Lreaper_loop
    arg1 1
    store_arg1 {has_reported}
    word1 {not_sent_report}
    store_byte_arg1 {message}
    report {message}, 3
    goto .Lreaper_loop

// One SIGCHLD may stand for many processes.
.Lreaper_reap:
    arg1 -1
    arg2 {status}
    arg3 {NOHANG}
    arg4 0
    system {WAIT4}
    if_equal 0, .Lreaper_socket
    if_equal -{ECHILD}, .Lreaper_socket
    if_less 0, .Lreaper_failed
    if_word {command}, .Lreaper_ended
    goto .Lreaper_reap

// This process cannot look after the command.
.Lreaper_failed:
    negate
    store {message_value}
    word1 {failed_report}
    store_byte_arg1 {message}
    report {message}, 3
    goto .Lreaper_leave

// The encoding of wait(2).
.Lreaper_ended:
    load {status}
    keep_bits 0x7f
    if_equal 0, .Lreaper_exited
    store {message_value}
    increase 128
    store {code}
    word1 {killed_report}
    store_byte_arg1 {message}
    report {message}, 2
    goto .Lreaper_leave
.Lreaper_exited:
    load {status}
    shift 8
    keep_bits 0xff
    store {code}

// The mount points are removed here: the program may end before it waits for this process.
.Lreaper_leave:
    load {count}
    if_equal 0, .Lreaper_exit
    arg1 -1
    arg2 {SIGKILL}
    system {KILL}
.Lreaper_await:
    arg1 -1
    arg2 0
    arg3 {WALL}
    arg4 0
    system {WAIT4}
    if_less 0, .Lreaper_detach_root
    goto .Lreaper_await

// As mount/removal.rs does, but anything unusual is left to the program, or to the next run in this root.
.Lreaper_detach_root:
    arg1 {slash}
    arg2 {DETACH_NOFOLLOW}
    system {UMOUNT2}
    store {detached}
    record_at {records}
.Lreaper_record:
    load {detached}
    if_equal 0, .Lreaper_lock
    field1 {PARENT}
    system {FCHDIR}
.Lreaper_unmount:
    field1 {NAME}
    arg2 {DETACH_NOFOLLOW}
    system {UMOUNT2}
    if_equal 0, .Lreaper_unmount
.Lreaper_lock:
    field1 {FILE}
    arg2 {LOCK}
    system {FLOCK}
    if_less 0, .Lreaper_unusual
    field1 {PARENT}
    field2 {NAME}
    arg3 {NOFOLLOW}
    arg4 {BASIC_STATS}
    arg5 {buffer}
    system {STATX}
    if_less 0, .Lreaper_unusual
    unless_same {found_inode}, {INODE}, .Lreaper_unusual
    unless_same {found_device}, {DEVICE}, .Lreaper_unusual
    load {found_mode}
    keep_bits_of_field {MODE_BITS}
    unless_field {MODE}, .Lreaper_unusual
    load_field {FLAGS}
    if_equal {REMOVEDIR}, .Lreaper_unlink
    unless_same {found_size}, {NO_SIZE}, .Lreaper_unusual
.Lreaper_unlink:
    field1 {PARENT}
    field2 {NAME}
    field3 {FLAGS}
    system {UNLINKAT}
    if_equal 0, .Lreaper_next
.Lreaper_unusual:
    arg1 1
    store_arg1 {has_left}
.Lreaper_next:
    next_record {RECORD}
    load {count}
    increase -1
    store {count}
    if_equal 0, .Lreaper_removed
    goto .Lreaper_record
.Lreaper_removed:
    load {has_left}
    if_equal 0, .Lreaper_exit
    report {left_report}, 1

.Lreaper_exit:
    word1 {code}
    system {EXIT_GROUP}
    goto .Lreaper_exit
