# shellcheck shell=bash disable=SC2154 # $scratch: of scripts/bench
# The other programs that run a command in a root, each with the options that come closest to the defaults of
# rootlet.

venv=target/bench/venv

need_peers() {
    need bwrap:bubblewrap crun:crun arch-chroot:arch-install-scripts \
        systemd-nspawn:systemd-container proot:proot busybox:busybox-static \
        /usr/bin/python3:python3
    need_pychroot
}

# The snakeoil that pychroot asks for does not build any more.
need_pychroot() {
    if [ ! -x $venv/bin/pychroot ]; then
        rm -rf $venv
        /usr/bin/python3 -c 'import ensurepip' 2>/dev/null || need no-such-command:python3-venv 2>/dev/null
        {
            /usr/bin/python3 -m venv $venv &&
                $venv/bin/pip install --quiet --disable-pip-version-check --no-deps \
                    pychroot snakeoil==0.10.11 lazy-object-proxy
        } >"$scratch/pip.log" 2>&1 || say "not here: pychroot ($(tail -n 1 "$scratch/pip.log"))"
    fi
    # A place that an ordinary user can reach.
    if [ -x $venv/bin/pychroot ] && [ ! -e "$scratch/pychroot" ]; then
        cp -r $venv "$scratch/venv"
        sed "1s|.*|#!$scratch/venv/bin/python3|" $venv/bin/pychroot >"$scratch/pychroot"
        chmod 755 "$scratch/pychroot"
    fi
}

peer_versions() {
    versions bubblewrap crun util-linux arch-install-scripts systemd-container proot busybox-static \
        coreutils
    [ ! -x $venv/bin/pip ] || $venv/bin/pip list --disable-pip-version-check 2>/dev/null |
        awk '/pychroot|snakeoil/ { printf "%s%s %s", sep, $1, $2; sep = ", " } END { print "" }'
}

# script SYSFS: prints the script that a shell runs after unshare(1).
script() {
    echo "mount --make-rslave / && mount --bind \"\$1\" \"\$1\" && cd \"\$1\" && \
        mount --rbind /dev dev && mount -t proc proc proc && mount $1 sys && \
        mount -t tmpfs tmpfs dev/shm && mount --bind /etc/resolv.conf etc/resolv.conf && \
        shift && exec chroot . \"\$@\""
}

# crun_bundle DIRECTORY ROOT root|ID
crun_bundle() {
    local maps='' user='' sys='"type":"sysfs","source":"sysfs"' id
    if [ "$3" != root ]; then
        id="[{\"containerID\":0,\"hostID\":$3,\"size\":1}]"
        maps="\"uidMappings\":$id,\"gidMappings\":$id," user='{"type":"user"},'
        sys='"type":"bind","source":"/sys","options":["rbind"]'
    fi
    # A killed crun leaves its state behind.
    rm -rf "$1"
    mkdir -p "$1/state"
    [ "$3" = root ] || ! $is_root || chown "$3" "$1/state"
    cat >"$1/config.json" <<END
{"ociVersion":"1.0.0",
"process":{"user":{"uid":0,"gid":0},"args":["/true"],"env":["PATH=/"],"cwd":"/"},
"root":{"path":"$2"},
"mounts":[{"destination":"/dev","type":"bind","source":"/dev","options":["rbind"]},
{"destination":"/proc","type":"proc","source":"proc"},
{"destination":"/sys",$sys},
{"destination":"/dev/shm","type":"tmpfs","source":"tmpfs"},
{"destination":"/etc/resolv.conf","type":"bind","source":"/etc/resolv.conf","options":["bind"]}],
"linux":{$maps"namespaces":[$user{"type":"mount"},{"type":"pid"},{"type":"uts"},{"type":"ipc"}]}}
END
}

# add_runners root|user: adds each runner to the commands, with `/true` in the root.
add_runners() {
    local who=$1 root=$scratch/root sysfs='-t sysfs sysfs' unshare=() id=root floor=()
    if [ "$who" = user ]; then
        sysfs='--rbind /sys' unshare=(--user --map-root-user) floor=(user) id=$(id -u)
        ! $is_root || id=$(id -u nobody)
    fi
    crun_bundle "$scratch/crun-$who" "$root" "$id"
    add rootlet "$scratch/rootlet" run "$root" /true
    add floor "$scratch/floor" "${floor[@]}" / "$root" /true
    add 'true itself, nothing around' "$scratch/true"
    [ "$who" = user ] || add 'chroot, nothing mounted' chroot "$root" /true
    add bubblewrap bwrap --unshare-pid --unshare-uts --unshare-ipc --bind "$root" / \
        --dev-bind /dev /dev --proc /proc --bind /sys /sys --tmpfs /dev/shm \
        --ro-bind /etc/resolv.conf /etc/resolv.conf /true
    add crun crun --cgroup-manager=disabled --root="$scratch/crun-$who/state" \
        run -b "$scratch/crun-$who" bench
    add 'unshare + sh' unshare "${unshare[@]}" --mount --uts --ipc --pid --fork \
        sh -c "$(script "$sysfs")" sh "$root" /true
    add 'busybox unshare + sh' busybox unshare "${unshare[@]}" --mount --uts --ipc --pid --fork \
        busybox sh -c "$(script "$sysfs")" sh "$root" /true
    if [ "$who" = root ]; then
        add arch-chroot arch-chroot "$root" /true
        add systemd-nspawn systemd-nspawn --quiet --register=no --keep-unit --link-journal=no \
            --timezone=off --as-pid2 -D "$root" /true
    fi
    add proot proot -r "$root" -b /dev -b /proc -b /sys -b /etc/resolv.conf -w / /true
    add pychroot "$scratch/pychroot" "$root" /true
}
