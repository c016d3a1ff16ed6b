# shellcheck shell=bash disable=SC2154 # $scratch, $quick: of scripts/bench
# The binary and its parts, with each set of roles.

# print_size NAME FILE
print_size() {
    size -A "$2" | awk -v name="$1" -v file="$(stat -c %s "$2")" '
        /^\.text/ { text += $2 }
        /^\.rodata|^\.data\.rel\.ro/ { rodata += $2 }
        /^\.data/ && !/rel\.ro/ { data += $2 }
        /^\.bss/ { bss += $2 }
        END { printf "%-28s %10d %10d %10d %8d %8d\n", name, file, text, rodata, data, bss }'
}

bench_size() {
    need size:binutils
    local roles built
    title "bytes of the binary, $(uname -m)"
    printf '%-28s %10s %10s %10s %8s %8s\n' roles file text rodata data bss
    print_size 'run, init, boot' target/release/rootlet
    if ! grep -q '^boot *=' Cargo.toml; then
        say "left out: the size of each role, for which Cargo.toml has no features"
        return
    fi
    for roles in run init boot run,init run,boot init,boot; do
        case $quick:$roles in
            true:*,*) continue ;;
        esac
        cargo build --locked --release --quiet --no-default-features --features "$roles" \
            --target-dir target/bench
        built=target/bench/release/rootlet
        print_size "${roles//,/, }" $built
    done
}
