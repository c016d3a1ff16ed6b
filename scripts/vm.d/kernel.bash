# shellcheck shell=bash disable=SC2034,SC2154 # variables of scripts/vm and of its other parts
# The kernel: QEMU boots $image_file, and $module_tree has modules.dep.

# unpack_vmlinux VMLINUZ VMLINUX: the boot protocol of x86 has the offset of the compressed ELF file. After
# it comes its size, except with gzip, whose format ends with the size anyway.
unpack_vmlinux() {
    local setup offset length magic tail=4 tool size
    [ "$(od -An -tx1 -j 514 -N 4 "$1" | tr -d ' ')" = 48647253 ] || return 1
    setup=$(od -An -tu1 -j 497 -N 1 "$1")
    read -r offset length < <(od -An -tu4 -j 584 -N 8 "$1")
    offset=$(((setup + 1) * 512 + offset))
    magic=$(od -An -tx1 -j $offset -N 4 "$1" | tr -d ' ')
    case $magic in
        1f8b*) tool=gzip tail=0 ;;
        28b52ffd) tool=zstd ;;
        02214c18) tool=lz4 ;;
        fd377a58) tool=xz ;;
        *) return 1 ;;
    esac
    command -v $tool >/dev/null || {
        note "the kernel starts slower as it is: $tool, to unpack it, is missing"
        return 1
    }
    read -r size < <(od -An -tu4 -j $((offset + length - 4)) -N 4 "$1")
    dd if="$1" iflag=skip_bytes,count_bytes skip=$offset count=$((length - tail)) status=none |
        $tool -dc >"$2" || return 1
    [ "$(wc -c <"$2")" = "$size" ]
}

# Prints the version of a vmlinuz, which its header points to.
version_of() {
    local at
    [ "$(od -An -tx1 -j 514 -N 4 "$1" | tr -d ' ')" = 48647253 ] || return 0
    at=$(od -An -tu2 -j 526 -N 2 "$1")
    dd if="$1" iflag=skip_bytes,count_bytes skip=$((at + 512)) count=200 status=none | tr '\0 ' '\n' | sed -n 1p
}

progress() {
    if [ -t 2 ] || $verbose; then say "$*..."; fi
}

# trim DIRECTORY RELEASE: keeps of a kernel's packages only the files that a guest without hardware can
# use, in boot and lib/modules. lib may be usr/lib, and from Linux 7 on the kernel is beside its modules.
trim() {
    local tree=$1/usr/lib/modules/$2 drivers image
    if [ -d "$1/lib/modules/$2" ]; then tree=$1/lib/modules/$2; fi
    mkdir -p "$1/new/boot" "$1/new/lib/modules"
    for image in "$1/boot/vmlinu"[xz]"-$2" "$tree/vmlinu"[xz]; do
        [ ! -e "$image" ] || mv "$image" "$1/new/boot/$(basename "$image" "-$2")-$2"
    done
    mv "$tree" "$1/new/lib/modules"
    find "$1" -mindepth 1 -maxdepth 1 ! -name new -exec rm -rf {} +
    mv "$1"/new/* "$1"
    rmdir "$1/new"
    drivers=$1/lib/modules/$2/kernel
    rm -rf "$drivers/sound" "$1/lib/modules/$2"/{config,System.map}
    find "$drivers/drivers" -mindepth 1 -maxdepth 1 \
        ! -name block ! -name char ! -name virtio ! -name misc ! -name net ! -name md \
        ! -name scsi ! -name nvme ! -name vhost ! -name dax ! -name nvdimm -exec rm -rf {} +
    if [ -d "$drivers/drivers/net" ]; then
        find "$drivers/drivers/net" -mindepth 1 -maxdepth 1 -type d -exec rm -rf {} +
    fi
    depmod -b "$1" "$2" 2>/dev/null || fail "depmod failed for $2"
    if [ "$deb_arch" = amd64 ] && unpack_vmlinux "$1/boot/vmlinuz-$2" "$1/boot/vmlinux"; then
        rm "$1/boot/vmlinuz-$2"
    else
        rm -f "$1/boot/vmlinux"
    fi
}

# Only Debian's general kernels have 9p. The cloud kernels are a third of the size, and exist only for some
# architectures.
choose_flavour() {
    cache=${XDG_CACHE_HOME:-~/.cache}/rootlet
    flavour=cloud-
    if [ "$share" = 9p ] || [ "$rw_share" = 9p ] || [ "$deb_arch" = riscv64 ]; then flavour=''; fi
}

choose_kernel() {
    local version directory
    module_tree=
    kernel=${kernel:-6.12}
    case $kernel in
        host)
            version=$(uname -r)
            image_file=/boot/vmlinuz-$version
            [ "$arch" = "$(uname -m)" ] || fail "--kernel host is $(uname -m), not $arch"
            [ -e "$image_file" ] || fail "there is no $image_file: give another --kernel"
            [ -r "$image_file" ] || fail "only root can read $image_file: give a copy with --kernel FILE"
            ;;
        */* | vmlinu*)
            [ -r "$kernel" ] || fail "--kernel $kernel: there is no such file, or it cannot be read"
            image_file=$(realpath -- "$kernel")
            version=$(version_of "$image_file")
            ;;
        newest | [0-9]*)
            choose_flavour
            if [ "$kernel" = newest ]; then
                newest
                kernel=$newest
            fi
            case $kernel in *[!0-9.]*) wrong "--kernel $kernel: not a version such as 6.12" ;; esac
            place=$cache/linux-$kernel-$flavour$deb_arch
            [ -e "$place" ] || fetch "$kernel"
            for image_file in "$place"/boot/vmlinu*; do :; done
            for module_tree in "$place"/lib/modules/*; do :; done
            ;;
        *) wrong "--kernel $kernel: a path, a version such as 6.12, newest, or host" ;;
    esac
    if [ -z "$module_tree" ]; then
        for directory in "${image_file%/*/*}/lib/modules/$version" "/lib/modules/$version"; do
            if [ -n "$version" ] && [ -d "$directory" ]; then
                module_tree=$directory
                break
            fi
        done
        [ -z "$module_tree" ] || [ -e "$module_tree/modules.dep" ] ||
            fail "there is no $module_tree/modules.dep: depmod -b ${module_tree%/lib/modules/*} $version makes it"
    fi
    note "kernel: $image_file"
    note "modules: ${module_tree:-none}"
}

# Prints the modules to load, in order: dependencies and soft dependencies first, without built-in ones.
# A ? before a name marks an optional module.
module_list() {
    printf '%s\n' "$@" | awk -v tree="$module_tree" '
        function name(path) {
            sub(/.*\//, "", path)
            sub(/\.ko.*/, "", path)
            gsub(/-/, "_", path)
            return path
        }
        # The deepest dependency comes first.
        function load(module, optional,    list, count, i) {
            if (!(module in path) && !(module in builtin) && (module in alias))
                module = alias[module]
            if (module in done || module in builtin)
                return
            done[module] = 1
            if (!(module in path)) {
                if (!optional)
                    missing = missing " " module
                return
            }
            count = split(soft[module], list, " ")
            for (i = 1; i <= count; i++)
                load(name(list[i]), 1)
            count = split(needs[module], list, " ")
            for (i = count; i > 0; i--)
                load(name(list[i]), 0)
            print tree "/" path[module]
        }
        BEGIN {
            while ((getline line < (tree "/modules.builtin")) > 0)
                builtin[name(line)] = 1
            while ((getline line < (tree "/modules.dep")) > 0) {
                file = line
                sub(/:.*/, "", file)
                sub(/[^:]*: */, "", line)
                path[name(file)] = file
                needs[name(file)] = line
            }
            while ((getline line < (tree "/modules.softdep")) > 0) {
                if (line !~ /^softdep .* pre: /)
                    continue
                split(line, words, " ")
                sub(/.* pre: */, "", line)
                sub(/ *post:.*/, "", line)
                soft[words[2]] = line
            }
            while ((getline line < (tree "/modules.alias")) > 0) {
                if (split(line, words, " ") != 3 || words[2] ~ /[*?\[:]/)
                    continue
                gsub(/-/, "_", words[2])
                # The portable module, if there are others for single processors.
                if (!(words[2] in alias) || words[3] ~ /_generic$/)
                    alias[words[2]] = words[3]
            }
        }
        /^\?/ { load(name(substr($0, 2)), 1); next }
        { load(name($0), 0) }
        END {
            if (missing != "") {
                print missing > "/dev/stderr"
                exit 1
            }
        }'
}

wanted_modules() {
    local wanted=(virtio_pci virtio_console '?pvpanic-pci')
    case $share:$rw_share in *virtiofs*) wanted+=(virtiofs) ;; esac
    case $share:$rw_share in *9p*) wanted+=(9pnet_virtio 9p) ;; esac
    if [ "$image" != none ]; then wanted+=(virtio_blk "$image"); fi
    if [ "$root" != none ]; then wanted+=(overlay); fi
    if $net; then wanted+=(virtio_net); fi
    wanted+=("${modules[@]}")
    if ! module_list "${wanted[@]}" >"$work/modules" 2>"$work/missing"; then
        fail "the kernel $image_file has no module$(<"$work/missing") in $module_tree"
    fi
}
