# shellcheck shell=bash disable=SC2034,SC2154 # variables of scripts/vm and of its other parts
# The words for QEMU.

arguments() {
    local words index console speed=''
    local cpu=max gic=''
    # shellcheck disable=SC2054 # the commas are QEMU's
    qemu_words=("$qemu" -nodefaults -no-user-config -display none -no-reboot)
    # KVM offers only the host's own type of interrupt controller.
    if [ "$1" = kvm ]; then gic=,gic-version=host; fi
    case $arch in
        x86_64) qemu_words+=(-M "q35,accel=$1,memory-backend=memory") console=ttyS0 ;;
        aarch64) qemu_words+=(-M "virt,accel=$1,memory-backend=memory$gic") console=ttyAMA0 cpu=cortex-a72 ;;
        riscv64) qemu_words+=(-M "virt,accel=$1,memory-backend=memory") console=ttyS0 cpu=rv64 ;;
    esac
    if [ "$1" = kvm ]; then cpu=host; fi
    # With TCG more processors are slower, and sometimes lose console output.
    local processors=1
    if [ "$1" = kvm ]; then
        processors=$(nproc)
        if [ "$processors" -gt 4 ]; then processors=4; fi
    fi
    # shellcheck disable=SC2054
    qemu_words+=(-cpu "$cpu" -smp "${cpus:-$processors}" -m "$memory"
        -object "memory-backend-memfd,id=memory,share=on,size=${memory%M}$(case $memory in *G) ;; *) echo M ;; esac)"
        -kernel "$image_file" -initrd "$work/initramfs"
        -chardev "pipe,id=monitor,path=$work/monitor" -mon chardev=monitor,mode=control
        -chardev "file,id=console,path=$work/console,append=on" -serial chardev:console
        -device pvpanic-pci
        -device virtio-serial-pci
        -chardev "file,id=status,path=$work/status,append=on"
        -device virtserialport,chardev=status,name=status)
    if $count; then qemu_words+=(-icount 'shift=0,sleep=off'); fi
    words="console=$console panic=-1 rootlet.status=status rootlet.end=wait"
    if $terminal; then
        # Ctrl-]
        # shellcheck disable=SC2054
        qemu_words+=(-echr 29 -chardev stdio,id=terminal,mux=on,signal=off
            -device virtconsole,chardev=terminal)
        words+=" rootlet.terminal=hvc0 rootlet.size=$size"
    else
        # QEMU makes its input non-blocking for every process that shares it, so it never gets the caller's.
        # shellcheck disable=SC2054
        qemu_words+=(-chardev stdio,id=stdin,signal=off
            -device virtserialport,chardev=stdin,name=stdin
            -chardev "file,id=stdout,path=$work/stdout,append=on"
            -device virtserialport,chardev=stdout,name=stdout
            -chardev "file,id=stderr,path=$work/stderr,append=on"
            -device virtserialport,chardev=stderr,name=stderr)
        words+=" rootlet.stdin=stdin rootlet.stdout=stdout rootlet.stderr=stderr"
    fi
    # These steps are useless here, and take long because each instruction is emulated.
    if [ "$1" = tcg ]; then speed='cryptomgr.notests initcall_blacklist=jent_mod_init,load_system_certificate_list'; fi
    # If a busy host makes the guest wait, the kernel takes the timer for broken.
    if [ "$arch" = x86_64 ]; then speed+=' noreplace-smp no_timer_check reboot=t'; fi
    words+=" $speed"
    $verbose || words+=' quiet'
    if [ "$image" != none ]; then
        local snapshot=off only=on
        # A file system with a journal may need to write before it can be read.
        if [ "$image" = ext4 ]; then snapshot=on only=off; fi
        # shellcheck disable=SC2054
        qemu_words+=(-drive "file=${root//,/,,},format=raw,if=none,id=root,readonly=$only,snapshot=$snapshot"
            -device virtio-blk-pci,drive=root)
        words+=" root=/dev/vda rootfstype=$image ro rootwait rootlet.overlay"
    elif [ "$root" != none ]; then
        directory root "$root" ro "$share"
        case $share in
            virtiofs) words+=' root=root rootfstype=virtiofs' ;;
            9p) words+=' root=root rootfstype=9p rootflags=trans=virtio,version=9p2000.L,msize=262144,cache=loose' ;;
        esac
        words+=' ro rootwait rootlet.overlay'
    fi
    for index in "${!rw[@]}"; do
        directory "rw$index" "${rw[index]}" rw "$rw_share"
    done
    if $net; then
        # shellcheck disable=SC2054
        qemu_words+=(-netdev user,id=net -device virtio-net-pci,netdev=net,romfile=)
        # QEMU's user network always has these addresses.
        words+=' ip=10.0.2.15::10.0.2.2:255.255.255.0:::off:10.0.2.3'
    fi
    qemu_words+=(-append "$words${append:+ $append}")
}
