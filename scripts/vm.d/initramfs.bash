# shellcheck shell=bash disable=SC2034,SC2154 # variables of scripts/vm and of its other parts
# The initramfs: rootlet, the modules of the kernel, and the command for rootlet.

choose_rootlet() {
    local top target
    top=$(realpath -- "$here/..")
    rootlet=${ROOTLET:-}
    if [ -z "$rootlet" ] && [ "$arch" != "$(uname -m)" ]; then
        rootlet=$(echo "$top/target/$arch/$arch"*-linux-gnu/release/rootlet)
        [ -e "$rootlet" ] || (
            progress "building rootlet for $arch"
            "$top/scripts/build-for" "$arch" >&2
        ) || fail "cannot build rootlet for $arch"
        rootlet=$(echo "$top/target/$arch/$arch"*-linux-gnu/release/rootlet)
    elif [ -z "$rootlet" ]; then
        target=$(realpath -m -- "${CARGO_TARGET_DIR:-$top/target}")
        rootlet=$target/release/rootlet
        [ -e "$rootlet" ] || (
            progress "building rootlet"
            unset RUSTFLAGS CARGO_BUILD_TARGET
            cd "$top" && cargo build --quiet --locked --release --target-dir "$target" >&2
        ) || fail "cannot build rootlet: give one with ROOTLET=FILE"
    fi
    [ -r "$rootlet" ] || fail "cannot read the rootlet to boot, $rootlet"
    note "rootlet: $rootlet"
}

# The escapes of fstab(5).
escaped() {
    local text=${1//\\/\\134}
    text=${text// /\\040}
    text=${text//$'\t'/\\011}
    text=${text//$'\n'/\\012}
    printf '%s' "${text//\#/\\043}"
}

make_archive() {
    local top=$work/archive path source dest index directory=/
    mkdir -p "$top/rootlet" "$top/modules"
    cp -L -- "$rootlet" "$top/init"
    chmod 755 "$top/init"
    if [ -n "$module_tree" ]; then
        wanted_modules
        while IFS= read -r path; do
            cp -- "$path" "$top/modules/"
            printf '/modules/%s\n' "${path##*/}"
        done <"$work/modules" >"$top/rootlet/modules"
    fi
    printf '%s\0' "${command[@]}" >"$top/rootlet/command"
    # The caller's exported variables, unchanged.
    cp "/proc/$$/environ" "$top/rootlet/environment"
    if [ "$root" = / ]; then
        directory=$start
    else
        for path in "${rw[@]}"; do
            case $start/ in
                "$path"/*) directory=$start ;;
            esac
        done
    fi
    printf '%s' "$directory" >"$top/rootlet/directory"
    for index in "${!rw[@]}"; do
        path=$(escaped "${rw[index]}")
        case $rw_share in
            virtiofs) echo "rw$index $path virtiofs rw 0 0" ;;
            9p) echo "rw$index $path 9p trans=virtio,version=9p2000.L,msize=262144,cache=mmap,rw 0 0" ;;
        esac
    done >"$top/rootlet/fstab"
    for source in "${files[@]}"; do
        dest=$source
        case $source in
            *:*) dest=${source##*:} source=${source%:*} ;;
        esac
        [ -e "$source" ] || fail "--file $source: there is no such file"
        dest=$(realpath -m -s -- "/$dest")
        mkdir -p "$top${dest%/*}"
        cp -RT --preserve=mode,timestamps,links -- "$source" "$top$dest"
    done
    (cd "$top" && find . -print0 | cpio --null --quiet --reproducible -o -H newc -R 0:0) >"$work/initramfs" ||
        fail "cannot make the initramfs"
    $keep || rm -rf "$top"
}
