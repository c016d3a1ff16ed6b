# shellcheck shell=bash disable=SC2154 # $scratch, $quick: of scripts/bench
# The phases of a throwaway kernel. `scripts/vm -v` prints the time of each message by this machine's clock,
# and rootlet's own times by the guest's.

bench_vm() {
    need qemu-system-x86_64:qemu-system-x86 cpio:cpio zstd:zstd modprobe:kmod
    local version kernels=(6.12 6.1) rounds round log=$scratch/vm.log
    if $quick; then kernels=(6.12); fi
    rounds=$(rounds 15 2)
    title "scripts/vm --root none true, medians of $rounds, in ms"
    printf '%-28s %9s %9s %9s %9s %14s %9s\n' '' 'to /init' command "its end" "QEMU's" \
        "rootlet's part" "kernel's"
    for version in "${kernels[@]}"; do
        : >"$log"
        for ((round = 0; round < rounds; round++)); do
            if ! ROOTLET=$scratch/rootlet scripts/vm -v --kernel "$version" --root none \
                --file "$scratch/true:/true" -- /true 2>"$scratch/vm.one"; then
                say "not measured: a guest with Linux $version: $(grep -a '^vm:' "$scratch/vm.one" | tail -n 1)"
                continue 2
            fi
            grep -a '^vm: ' "$scratch/vm.one" >>"$log"
        done
        awk '
            # There are few values, which are sorted by insertion.
            function add(name, value,    i) {
                for (i = ++count[name]; i > 1 && values[name, i - 1] > value; i--)
                    values[name, i] = values[name, i - 1]
                values[name, i] = value
            }
            function median(name) { return values[name, int((count[name] + 1) / 2)] }
            /^vm: accelerator:/ { accelerator = $3 }
            / ms to rootlet, / { kernel = $2; part = $6 / 1000 }
            /^vm: since QEMU/ {
                # rootlet reports its start only after it has loaded the driver of the port.
                add("init", $12 - part)
                add("command", $12)
                add("end", $17)
                add("qemu", $22)
                add("part", part)
                add("kernel", kernel)
            }
            END {
                printf "%-28s %9.0f %9.0f %9.0f %9.0f %14.1f %9.0f\n", version " (" accelerator ")",
                    median("init"), median("command"), median("end"), median("qemu"),
                    median("part"), median("kernel")
            }' version="Linux $version" "$log"
    done
    versions qemu-system-x86
    echo "rootlet's part: from the first instruction of /init to the start of the command, by the"
    echo "guest's clock; kernel's: what that clock showed at /init."
}
