//! Hints: what to do about an error. A hint must be true for every cause that the step and the errno
//! can have.

use crate::error::Step;
use crate::sys::{self, Errno};

/// Returns where the help for a role is, or for all roles.
pub(super) fn of_usage(role: &[u8]) -> Option<&'static str> {
    Some(match role {
        b"run" if cfg!(feature = "run") => {
            "'rootlet help run' lists the options; options of COMMAND come after COMMAND"
        }
        b"boot" if cfg!(feature = "boot") => "'rootlet help boot' lists the parameters",
        b"help" if cfg!(feature = "run") => {
            "'rootlet help' lists the roles; a command in a root is: rootlet run NEWROOT [COMMAND]"
        }
        b"help" => "'rootlet help' lists the roles",
        // Under another name there may be no program called rootlet.
        b"--help" => "--help lists the options; options of COMMAND come after COMMAND",
        _ => return None,
    })
}

macro_rules! hints {
    ($($($step:ident $errno:tt),+ => $text:literal;)*) => {
        Hints {
            cases: &[$($(Some((Step::$step, hints!(@$errno))),)* None,)*],
            // One text, since a table of references would be larger.
            texts: concat!($($text, "\n"),*),
        }
    };
    (@_) => { None };
    (@$errno:ident) => { Some(Errno::$errno) };
}

/// A table of hints: for a step that fails with one errno, or with any.
pub(super) struct Hints {
    /// The cases of the first text, `None`, those of the second, and so on.
    cases: &'static [Option<(Step, Option<Errno>)>],
    texts: &'static str,
}

impl Hints {
    /// The hints for every role.
    pub(super) const OF_ALL: Hints = hints! {
        Namespaces EAGAIN, Fork EAGAIN =>
            "the limit on processes is reached (ulimit -u)";
        Execute E2BIG, ExecuteInPlace E2BIG =>
            "the kernel limits each argument to 128 KiB, and all of them with the environment to a \
                 quarter of the stack's limit (ulimit -s)";
        ExecuteInPlace ENOENT =>
            "there is no such command (PATH is searched)";
        ExecuteWithoutInterpreter _ =>
            "the file exists, but its '#!' interpreter, its dynamic loader or the emulator for its \
                 architecture is missing in the root that it runs in (an emulator that binfmt_misc \
                 has with flag F need not be there)";
        ExecuteWithCarriageReturn _ =>
            "its '#!' line ends with a carriage return, which is part of the interpreter's name: \
                 remove it from all lines with dos2unix or sed -i 's/\\r$//'";
        Execute EACCES, ExecuteInPlace EACCES =>
            "it is not executable (chmod +x), or its file system is mounted noexec (mount -o \
                 remount,exec)";
        ExecuteForeign _ =>
            "it is not a program for this machine; for other architectures, on the host: apt-get \
                 install qemu-user-static binfmt-support";
        ChangeDirectory ENOENT =>
            "the directory is looked up inside the new root";
    };

    /// The hints for a process with a seccomp filter, which may be the cause.
    pub(super) const OF_FILTERS: Hints = hints! {
        Namespaces EPERM, Propagation EPERM, CloneRoot EPERM, OpenSource EPERM, OpenTarget EPERM, Mount EPERM, MountProc EPERM, MountOptions EPERM, ReadOnlyRoot EPERM, Overlay EPERM, Mask EPERM, LockMounts EPERM, PivotRoot EPERM, DetachOldRoot EPERM =>
            "a seccomp filter is in force and may forbid this: a container needs --cap-add \
                 SYS_ADMIN or --security-opt seccomp=unconfined (docker run, podman run), a \
                 systemd unit RestrictNamespaces=no";
    };

    /// The hints for `run` and `boot`.
    pub(super) const OF_RUN: Hints = hints! {
        Execute ENOENT =>
            "there is no such command in the new root (PATH is searched there)";
        ReadWords ENOENT, ReadWords ENOTDIR =>
            "@FILE stands for the words in FILE: a NEWROOT that begins with @ is written ./@NEWROOT";
        ReadWords EFBIG =>
            "the limit is 8 MiB";
        OpenRoot ENOENT, OpenRoot ENOTDIR =>
            "NEWROOT is the directory that holds the new root file system, such as 'mmdebstrap \
                 --variant=minbase stable NEWROOT' makes";
        OpenRoot EACCES =>
            "this user needs search permission on every directory on the way to NEWROOT (chmod u+x \
                 or o+x)";
        Namespaces ENOSPC, Namespaces EUSERS =>
            "the limit on namespaces is reached (/proc/sys/user/max_*_namespaces): if \
                 max_user_namespaces is 0, run as root, or: sysctl user.max_user_namespaces=10000";
        FindRange _ =>
            "such a line gives this user a range of ids, see subuid(5): as root, add one to \
                 /etc/subuid and one to /etc/subgid";
        MapUsers ENOENT =>
            "it is in the package uidmap (Debian), shadow or shadow-utils";
        Namespace _ =>
            "the kernel, or a sandbox in its place (gVisor), lacks this type, or /proc is not \
                 mounted";
        Namespaces EINVAL =>
            "this kernel lacks one of the mount, UTS, IPC, pid and user namespaces, as emulators \
                 do (qemu-user)";
        MapOwners ENOSYS, MapOwnersOfBind ENOSYS =>
            "--private-users needs Linux 5.12";
        MapOwners EINVAL =>
            "this file system has no id-mapped mounts in this kernel (ext4, xfs and vfat have \
                 them from Linux 5.12 on, btrfs from 5.15, erofs from 5.19, squashfs from 6.2, \
                 tmpfs from 6.3): copy NEWROOT to another";
        MapOwnersBelow EINVAL =>
            "this file system, mounted below NEWROOT, has no id-mapped mounts: unmount it, or \
                 leave out what is mounted below NEWROOT (--overlay)";
        MapOwnersOfBind EINVAL =>
            "this file system has no id-mapped mounts: with the option 'noidmap' it is bound \
                 without, and its files belong to nobody inside";
        MapOwners EPERM, MapOwnersBelow EPERM, MapOwnersOfBind EPERM =>
            "the file system belongs to another user namespace: run as the host's root";
        MapIds ENOENT =>
            "/proc must be mounted to map users";
        MountProc EPERM =>
            "the kernel allows no new /proc where the caller's is missing or partly covered: leave \
                 out '--unshare pid', or uncover it (docker run --security-opt \
                 systempaths=unconfined, podman run --security-opt unmask=ALL)";
        Overlay ENODEV =>
            "the kernel has no overlay file system";
        OpenSource ENOENT =>
            "SRC is a path of the host; the option 'optional' leaves the mount out instead";
        MakeMountPoint EROFS, MakeMountPoint EACCES, MakeMountPoint ENOSPC, MakeMountPoint EDQUOT =>
            "create it beforehand, write to memory instead (--overlay), or leave the mount out: \
                 with the option 'optional', or a default mount with --no-mounts";
        CloneRoot ENOSPC, OpenSource ENOSPC, Mount ENOSPC =>
            "the limit on mounts is reached: see sysctl fs.mount-max";
        OpenTarget EBUSY =>
            "a mount on / of NEWROOT would hide NEWROOT itself";
        LockMountPoint EAGAIN =>
            "another process holds a lock on it: lslocks(8) shows which";
        LockMountPoint ENOSYS, LockMountPoint ENOLCK, LockMountPoint EOPNOTSUPP, LockMountPoint EBADF, LockMountPoint EINVAL =>
            "another run may be using it, and this file system has no locks to show that: wait for \
                 that run to end, or keep the mount point (chmod 755)";
        MakeOutside _ =>
            "rootlet creates nothing below a directory bound from the host: create it beforehand";
        Mount ENOTDIR =>
            "mount a directory on a directory, and a file on a file";
        Mount EINVAL =>
            "the file system may not know one of these options";
        Mount ENODEV =>
            "the kernel has no such file system";
        MountAs EROFS =>
            "its journal cannot be replayed on a read-only device: rootflags=noload (ext4) or \
                 rootflags=norecovery (xfs) mounts it as it is";
        MountAs ENODEV =>
            "the kernel has no such file system: list its module in /rootlet/modules";
        LinkModule ENOENT =>
            "the file exists, but a module that it depends on is not loaded: list that one first";
        DropCapabilities EPERM =>
            "the caller needs CAP_SETPCAP, which root has, and every user in a new user namespace";
        Subreaper _ =>
            "with --share pid, processes that the command leaves may outlive the run";
        Keyring EDQUOT =>
            "the limit on keys is reached: each live run of a user takes one; root can raise the \
                 limit (sysctl kernel.keys.maxkeys and maxbytes)";
        ReadOfRoot EINVAL =>
            "it is not a regular file; numeric users and groups need no file";
    };

    /// Returns the first hint for the step and the errno.
    #[inline(never)]
    pub(super) fn find(&self, step: Step, errno: Errno) -> Option<&'static str> {
        let mut number = 0;
        for case in self.cases {
            match case {
                None => number += 1,
                Some((of, why)) if *of == step && why.is_none_or(|why| why == errno) => {
                    return Some(sys::line(self.texts, number, b'\n').0);
                }
                Some(_) => {}
            }
        }
        None
    }
}
