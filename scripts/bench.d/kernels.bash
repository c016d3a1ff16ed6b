# shellcheck shell=bash disable=SC2154 # $scratch, $quick: of scripts/bench
# A run in other kernels. Times under emulation mean nothing, so instructions are counted. The root is read
# from memory, since waiting for this machine would count too.

# count_in KERNEL ROUNDS [WORD]...: prints the line of `spawn` for each command, after WORDs.
count_in() {
    local kernel=$1 rounds=$2
    shift 2
    ROOTLET=$scratch/rootlet scripts/vm --count --kernel "$kernel" --root "$scratch/image" --timeout 600 -- \
        "$@" /spawn "$rounds" 1000 /commands 2>"$scratch/vm.log"
}

bench_kernels() {
    need qemu-system-x86_64:qemu-system-x86 cpio:cpio zstd:zstd modprobe:kmod mksquashfs:squashfs-tools
    local kernel kernels=(5.10 6.1 6.12 newest) rounds tree=$scratch/guest mounts
    if $quick; then kernels=(newest); fi
    rounds=$(rounds 30 5)
    compile many-mounts
    make_root "$tree"
    make_root "$tree/root"
    mkdir "$tree/many"
    cp "$scratch"/{rootlet,floor,spawn,many-mounts} "$tree"
    start_commands
    command_line rootlet /rootlet run /root /true
    command_line floor /floor / /root /true
    cp "$scratch/commands" "$tree"
    mksquashfs "$tree" "$scratch/image" -noappend -all-root -quiet -no-progress >"$scratch/image.log"
    title "rootlet run in other kernels, a million instructions, medians of $rounds"
    printf '%-28s %8s %10s %10s %10s\n' '' mounts rootlet floor 'x floor'
    for kernel in "${kernels[@]}"; do
        for mounts in 0 10 100 1000 5000; do
            # shellcheck disable=SC2046 # no words where there are no more mounts
            if ! count_in "$kernel" "$rounds" \
                $([ $mounts = 0 ] || echo "/many-mounts $mounts /many") >"$scratch/counted"; then
                say "not measured: Linux $kernel: $(tail -n 1 "$scratch/vm.log")"
                continue
            fi
            awk -F '\t' -v name="Linux $kernel" -v mounts="$mounts" '
                { median[$1] = $3 / 1e6; ratio[$1] = $4 }
                END {
                    printf "%-28s %8d %10.2f %10.2f %10.2f\n", name, mounts, median["rootlet"],
                        median["floor"], 1 / ratio["floor"]
                }' "$scratch/counted"
        done
    done
    versions qemu-system-x86
}
