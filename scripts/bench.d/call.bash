# shellcheck shell=bash disable=SC2154 # $scratch, $is_root: of scripts/bench
# Running code in another root from within a program.

bench_call() {
    if ! $is_root; then
        say "left out, since fork + chroot and pychroot need root: call"
        return
    fi
    need_pychroot
    local mebibytes program=()
    if [ -x "$scratch/pychroot" ]; then
        # Runs once for each line. pychroot runs the body in a child process. The body needs two statements.
        program=("$scratch/venv/bin/python3" -c '
import sys, time
from pychroot.base import Chroot
def call():
    start = time.monotonic_ns()
    with Chroot(sys.argv[1]):
        inside = True
        inside = False
    return time.monotonic_ns() - start
for line in sys.stdin:
    print(call(), flush=True)
' "$scratch/root")
    fi
    cargo build --locked --release --quiet --manifest-path scripts/bench.d/call/Cargo.toml \
        --target-dir target/bench
    as_root
    for mebibytes in 1 256; do
        title "Chroot::call with an empty closure, in a program of $mebibytes MiB"
        "${as[@]}" target/bench/release/call "$scratch/root" "$mebibytes" \
            "$(rounds 1000 200)" "$(rounds 20 1)" "${program[@]}" | print_times
    done
}
