//! What was being done: the steps of a run, in words.

use crate::text::line::Line;

macro_rules! steps {
    ($($(#[doc = $doc:literal])* $name:ident: $verb:literal $(, $preposition:literal)?;)*) => {
        /// The steps of a run, in the words that `--verbose` and error lines share.
        #[derive(Clone, Copy, PartialEq, Eq, Debug)]
        #[repr(u8)]
        pub(crate) enum Step {
            $($(#[doc = $doc])* $name,)*
        }

        impl Step {
            const ALL: &[Step] = &[$(Step::$name),*];
            // One text, since a table of references would be larger than it.
            const WORDS: &str = concat!($($verb, "|", $($preposition,)? "\n"),*);

            /// The step of a number, as it travels between our own processes.
            pub(crate) fn from_number(number: u8) -> Option<Step> {
                Step::ALL.get(usize::from(number)).copied()
            }

            /// What is done to the object, and the word between the object and the place.
            pub(super) fn words(self) -> (&'static str, &'static str) {
                crate::sys::line(Step::WORDS, self as usize, b'|')
            }
        }
    };
}

steps! {
    /// Reading the command line. The line of such an error begins with the option.
    Usage: "read the command line";
    /// Words of the command line that are kept in a file or behind a descriptor.
    ReadWords: "read the words in";
    /// Help, a version or a plan.
    Print: "write to";
    /// A mount's text form.
    ReadMount: "understand the mount";
    /// A name or path given to the library.
    TakeName: "take";
    /// The directory that becomes the root.
    OpenRoot: "open the new root";
    /// The working directory, where a relative path needs it.
    WorkingDirectory: "find the current directory";
    /// A terminal of the command's own.
    Pty: "give the command a terminal of its own";
    /// Descriptors for signals and for talking between our processes.
    Prepare: "prepare the run";
    /// A standard descriptor of the command.
    StandardDescriptor: "give the command";
    /// How it goes, for whoever asked to be told.
    TellStatus: "tell the status on";
    /// The process in its new namespaces.
    Namespaces: "make new namespaces";
    /// Ranges of ids in a user namespace.
    MapUsers: "map the caller's range of ids:";
    /// The caller's range of ids.
    FindRange: "find in", "a line such as";
    /// Ids for a run of root's.
    PrivateUsers: "give the run private users";
    /// A range of ids.
    LockIds: "lock a range of ids by";
    /// An id-mapped mount.
    MapOwners: "map the file owners of", "on";
    /// The same, of a mount below the new root or below a recursive bind.
    MapOwnersBelow: "map the file owners of", "on";
    /// The same, of a bind.
    MapOwnersOfBind: "map the file owners of", "on";
    /// A type of namespace that the kernel lacks.
    Namespace: "make a new namespace of the type";
    /// The maps of a user namespace.
    MapIds: "write";
    /// A second user namespace, in which the kernel locks mounts.
    LockMounts: "lock the mounts of the command";
    /// A session keyring of the run's own.
    Keyring: "make a session keyring";
    /// What reaps for a run without a pid namespace of its own.
    Subreaper: "adopt orphans";
    /// Inherited descriptors.
    CloseFiles: "close inherited files";
    /// The propagation of the new mount namespace.
    Propagation: "make the new mount namespace a slave of the host's";
    /// The host and domain name.
    Hostname: "set the host name";
    /// As above.
    Domainname: "set the domain name";
    /// A copy of the new root's mounts.
    CloneRoot: "take the mounts of";
    /// The new root, for reading alone.
    ReadOnlyRoot: "make read-only the new root";
    /// Memory over the new root, for writes.
    Overlay: "put an overlay on";
    /// What a bind mount shows.
    OpenSource: "open";
    /// Where a mount goes.
    OpenTarget: "find the mount point";
    /// A directory or file made to be mounted on.
    MakeMountPoint: "make the mount point";
    /// The same, below something that is bound from the host.
    MakeOutside: "make the mount point";
    /// A mount point shared with another run.
    LockMountPoint: "lock the mount point";
    /// A mount.
    Mount: "mount", "on";
    /// A bind of the host's file system because a new one is not allowed.
    BindInstead: "mount the host's", "on";
    /// A proc of the run's own pid namespace.
    MountProc: "mount", "on";
    /// A run whose own pid namespace could have no proc.
    SharePid: "a new /proc is not allowed here: the command shares the caller's pid namespace and /proc, as with --share pid";
    /// A sysfs that is bound where no other can be had.
    OthersSys: "a new /sys is not allowed here: the caller's is shown, with the caller's network devices";
    /// A proc that is bound where no other can be had.
    OthersProc: "a new /proc is not allowed here: the caller's is shown, whose process numbers are not those of this pid namespace";
    /// A mount's options.
    MountOptions: "set the mount options of";
    /// A minimal /dev.
    MakeDevices: "make the devices in";
    /// What is dangerous in proc.
    Mask: "mask";
    /// The new root in place of the old one.
    PivotRoot: "enter the new root";
    /// The old root.
    DetachOldRoot: "detach the old root";
    /// The command's process.
    Fork: "start a process for";
    /// The command's working directory.
    ChangeDirectory: "change to the directory";
    /// Users and groups of the new root.
    ReadOfRoot: "read the new root's";
    /// Who the command is to be.
    FindUser: "find the user";
    /// As above.
    FindGroup: "find the group";
    /// The supplementary groups.
    SetGroups: "set the supplementary groups";
    /// The main group.
    SetGroup: "take the group of";
    /// The user.
    SetUser: "become the user";
    /// What the command may not do.
    DropCapabilities: "drop capabilities";
    /// A path of the host that the new root lacks.
    LeaveOutVariable: "leave out the variable, since NEWROOT has no such path:";
    /// What the program wants done before the command is executed.
    Hook: "call the hook of";
    /// The command itself.
    Execute: "run";
    /// The same, by `init`, which enters no new root.
    ExecuteInPlace: "run";
    /// The command, which is there, but not what it needs to be run.
    ExecuteWithoutInterpreter: "run";
    /// The command, whose `#!` line names no interpreter, since it ends with a carriage return.
    ExecuteWithCarriageReturn: "run";
    /// The command, a program for another kind of machine.
    ExecuteForeign: "run";
    /// A file of the new root, for the program.
    OpenInRoot: "open in the new root";
    /// As above.
    ReadInRoot: "read in the new root";
    /// As above.
    WriteInRoot: "write in the new root";
    /// What the command writes.
    ReadOutput: "read the command's output";
    /// The end of a process.
    Wait: "wait for";
    /// A signal for a command that was spawned.
    Signal: "send a signal to";
    /// A command that was spawned, and is to live on.
    Detach: "detach";
    /// What the command asked for with reboot(2).
    Restart: "the command asked for a restart, and ended its root with that";
    /// As above.
    PowerOff: "the command asked for a power off, and ended its root with that";
    /// The role of `/init`.
    Boot: "boot here";
    /// A file of the initramfs.
    ReadFile: "read";
    /// What the kernel tells of devices.
    AwaitDevices: "hear of devices";
    /// A kernel module.
    LoadModule: "load the module";
    /// The same, which is there, but not what it uses.
    LinkModule: "load the module";
    /// A virtio serial port.
    OpenPort: "open the port";
    /// The terminal for a guest's command.
    OpenTerminal: "open the terminal";
    /// What `root=` names.
    FindDevice: "find the device";
    /// A file system of a device.
    MountAs: "mount", "as";
    /// One of /dev, /proc, /sys and /run.
    MoveMount: "move the mount", "into the new root";
    /// A network device.
    Network: "set up the network device";
    /// A closure in the new root.
    Call: "finish the closure";
    /// The mount points that rootlet made.
    RemoveMountPoint: "remove the mount point";
}

impl Step {
    /// Are its words a sentence, and not what cannot be done?
    pub(super) fn is_whole(self) -> bool {
        matches!(self, Step::SharePid | Step::OthersSys | Step::OthersProc)
    }
}

impl Line {
    /// Appends the step in words, with its object and place.
    pub(crate) fn push_step(&mut self, step: Step, object: &[u8], place: &[u8]) {
        let (verb, preposition) = step.words();
        self.push(verb.as_bytes());
        for (word, name) in [("", object), (preposition, place)] {
            if !name.is_empty() {
                self.push(if word.is_empty() { b"" } else { b" " });
                self.push(word.as_bytes());
                self.push(b" ");
                self.push_name(name);
            }
        }
    }
}
