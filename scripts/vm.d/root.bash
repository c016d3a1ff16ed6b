# shellcheck shell=bash disable=SC2034,SC2154 # variables of scripts/vm and of its other parts
# The root: how the guest gets it, and its name there.

# type_of IMAGE: prints the type of its file system, by the magic number.
type_of() {
    local start
    start=$(dd if="$1" bs=2048 count=1 status=none | od -An -v -tx1 | tr -d ' \n')
    case $start in
        68737173*) echo squashfs ;;
        *) case ${start:2048:8} in
            e2e1f5e0) echo erofs ;;
            *) case ${start:$(((1024 + 56) * 2)):4} in
                53ef) echo ext4 ;;
                *) return 1 ;;
            esac ;;
        esac ;;
    esac
}

# Chooses how directories are shared: the tree by $share, writable ones by $rw_share. virtiofsd needs root,
# or a user namespace in which the user is root. In that namespace the files of other users seem to belong
# to nobody. This does not matter in a directory of the user's, but it does in a tree with root's programs.
choose_share() {
    local program
    virtiofsd=
    for program in /usr/libexec/virtiofsd /usr/lib/qemu/virtiofsd /usr/lib/virtiofsd; do
        if [ -x $program ]; then
            virtiofsd=$program
            break
        fi
    done
    share=9p rw_share=9p unshare=(unshare --mount --propagation private)
    if [ -z "$virtiofsd" ]; then return; fi
    if [ "$(id -u)" = 0 ]; then
        if unshare --mount true 2>/dev/null; then share=virtiofs rw_share=virtiofs; fi
    elif unshare --user --map-root-user --mount true 2>/dev/null; then
        unshare=(unshare --user --map-root-user --mount --propagation private)
        # /var/run is not visible to it.
        case $(realpath -- "$TMPDIR")/ in "$(realpath /var/run)"/*) ;; *) rw_share=virtiofs ;; esac
    fi
}

choose_root() {
    root=${root:-/}
    if [ "$root" = none ]; then
        image=none
    elif [ -d "$root" ]; then
        image=none
        root=$(realpath -- "$root")
    elif [ -e "$root" ]; then
        root=$(realpath -- "$root")
        [ -r "$root" ] || fail "cannot read $root"
        image=$(type_of "$root") || fail "$root is no squashfs, erofs or ext4"
    else
        fail "--root $root: there is no such file or directory"
    fi
    local index
    for index in "${!rw[@]}"; do
        [ -d "${rw[index]}" ] || fail "--rw ${rw[index]}: there is no such directory"
        rw[index]=$(realpath -- "${rw[index]}")
    done
    if [ "$root" = none ] || [ "$image" != none ]; then share=none; fi
    if [ ${#rw[@]} = 0 ]; then rw_share=none; fi
    note "root: $root$([ "$share" = none ] || echo ", by $share")$([ "$image" = none ] || echo ", $image")"
    if [ "$rw_share" != none ]; then note "directories to be written: ${rw[*]}, by $rw_share"; fi
    case $share:$(id -u) in
        virtiofs:*)
            (ulimit -n 100000) 2>/dev/null ||
                note "the guest cannot look at more than $(ulimit -Hn) files: virtiofsd may not have more open"
            ;;
        9p:0) note "virtiofs would be faster, but needs virtiofsd and a mount namespace" ;;
        9p:*) note "virtiofs would be faster, but needs root" ;;
    esac
}

# serve NAME DIR ro|rw: starts virtiofsd, which lets the guest's root write to everything that virtiofsd can
# write to. For ro it therefore runs in a mount namespace with a read-only copy of the mounts. The guest does
# not see this machine's /proc, /sys, /dev and /run.
serve() {
    local options=("$virtiofsd" "--socket-path=$work/$1.socket")
    case $virtiofsd in
        /usr/lib/qemu/*) options+=(-o log_level=err -o "source=$work/$1") ;;
        *) options+=(--log-level=error "--shared-dir=$work/$1") ;;
    esac
    mkdir "$work/$1"
    # shellcheck disable=SC2016 # the inner shell's
    setpriv --pdeathsig KILL "${unshare[@]}" bash -euc '
        source=$1 tree=$2 mode=$3
        shift 3
        if [ "$mode" = ro ]; then
            mount --rbind -- "$source" "$tree"
            if [ "$source" = / ]; then
                for name in proc sys dev run; do
                    ! mountpoint -q "$tree/$name" || umount -R -l -- "$tree/$name"
                done
            fi
            while read -r _ _ _ _ point _; do
                printf -v point %b "${point//\\/\\0}"
                case $point/ in
                    "$tree"/*)
                        mount -o remount,bind,ro -- "$point" ||
                            { [ "$point" != "$tree" ] && umount -l -- "$point"; }
                        ;;
                esac
            done </proc/self/mountinfo
        else
            mount --rbind -- "$source" "$tree"
        fi
        # An old virtiofsd makes a file there, which only root can do.
        case $tree in
            "$(realpath /var/run)"/*) ;;
            *) mount -t tmpfs virtiofsd /var/run && mkdir /var/run/virtiofsd ;;
        esac
        # The new user namespace has reset it.
        exec setpriv --pdeathsig KILL "$@"' vm "$2" "$work/$1" "$3" "${options[@]}" \
        <&- >"$work/$1.log" 2>&1 &
    servers+=($!)
}

await_servers() {
    local pid socket
    for pid in "${servers[@]}"; do
        for ((i = 0; i < 30000; i++)); do
            kill -0 "$pid" 2>/dev/null ||
                fail "virtiofsd failed: $(cat "$work"/*.log | head -n 1 | printable)"
            for socket in "${sockets[@]}"; do
                [ -S "$socket" ] || { sleep 0.01 && continue 2; }
            done
            continue 2
        done
        fail "virtiofsd does not answer"
    done
}

# directory TAG DIR ro|rw virtiofs|9p
directory() {
    local only=off
    if [ "$3" = ro ]; then only=on; fi
    case $4 in
        virtiofs)
            sockets+=("$work/$1.socket")
            qemu_words+=(-chardev "socket,id=$1,path=$work/$1.socket"
                -device "vhost-user-fs-pci,chardev=$1,tag=$1")
            ;;
        9p)
            qemu_words+=(-fsdev "local,id=$1,path=${2//,/,,},security_model=none,multidevs=remap,readonly=$only"
                -device "virtio-9p-pci,fsdev=$1,mount_tag=$1")
            ;;
    esac
}
