//! The steps of a run, in words. Error lines, `--verbose` and `--dry-run` use the same words.

use crate::text::line::Line;

macro_rules! steps {
    ($($(#[doc = $doc:literal])* $name:ident: $verb:literal $(, $preposition:literal)?;)*) => {
        /// A step of a run. The words complete the phrase `cannot …`.
        #[derive(Clone, Copy, PartialEq, Eq, Debug)]
        #[repr(u8)]
        pub(crate) enum Step {
            $($(#[doc = $doc])* $name,)*
        }

        impl Step {
            const ALL: &[Step] = &[$(Step::$name),*];
            // One text, since a table of references would be larger.
            const WORDS: &str = concat!($($verb, "|", $($preposition,)? "\n"),*);

            /// Returns the step with this number, which is how steps travel between rootlet's processes.
            pub(crate) fn from_number(number: u8) -> Option<Step> {
                Step::ALL.get(usize::from(number)).copied()
            }

            /// Returns the words before the object, and those between the object and the place.
            pub(super) fn words(self) -> (&'static str, &'static str) {
                crate::sys::line(Step::WORDS, self as usize, b'|')
            }
        }
    };
}

steps! {
    /// Parsing the command line. The error line begins with the option instead of the step.
    Usage: "read the command line";
    /// Reading words of the command line from a file or a descriptor.
    ReadWords: "read the words in";
    /// Printing help, a version or a plan.
    Print: "write to";
    /// Parsing a mount's text form.
    ReadMount: "understand the mount";
    /// Checking a name or path given to the library.
    TakeName: "use";
    /// Opening the directory that becomes the root.
    OpenRoot: "open the new root";
    /// Finding the working directory, which a relative path needs.
    WorkingDirectory: "find the current directory";
    /// Making the pseudo-terminal of `--pty`.
    Pty: "give the command a terminal of its own";
    /// Making descriptors for signals and for messages between rootlet's processes.
    Prepare: "set up the run";
    /// Setting up a standard descriptor of the command.
    StandardDescriptor: "give the command";
    /// Writing to the descriptor of `--status-fd`.
    TellStatus: "report the status on";
    /// Making a process in new namespaces.
    Namespaces: "make new namespaces";
    /// Mapping the caller's ranges of ids with newuidmap(1).
    MapUsers: "map the caller's ids with";
    /// Finding the caller's range of ids in /etc/subuid or /etc/subgid.
    FindRange: "find in", "a line like";
    /// Choosing the ids of `--private-users`.
    PrivateUsers: "set up private users";
    /// Locking a range of ids of `--private-users`.
    LockIds: "lock a range of ids with";
    /// Making an id-mapped mount of the new root.
    MapOwners: "map the file owners of", "on";
    /// Making an id-mapped mount of what is mounted below the new root or below a recursive bind.
    MapOwnersBelow: "map the file owners of", "on";
    /// Making an id-mapped mount of a bind.
    MapOwnersOfBind: "map the file owners of", "on";
    /// Making a namespace of a type that the kernel lacks.
    Namespace: "make a new namespace of the type";
    /// Writing the id maps of a user namespace.
    MapIds: "write";
    /// Entering a second user namespace, in which the kernel locks the mounts.
    LockMounts: "lock the mounts of the command";
    /// Making a session keyring for the command.
    Keyring: "make a session keyring";
    /// Becoming a child subreaper, for a run that shares the caller's pid namespace.
    Subreaper: "adopt orphans";
    /// Closing inherited descriptors.
    CloseFiles: "close inherited descriptors";
    /// Setting the propagation of the new mount namespace.
    Propagation: "change the propagation of the new mount namespace";
    /// Setting the host name.
    Hostname: "set the host name";
    /// Setting the domain name.
    Domainname: "set the domain name";
    /// Copying the new root's mounts.
    CloneRoot: "copy the mounts of";
    /// Making the new root read-only.
    ReadOnlyRoot: "write-protect the new root";
    /// Mounting an overlay over the new root.
    Overlay: "put an overlay on";
    /// Opening the source of a bind.
    OpenSource: "open";
    /// Finding a mount point.
    OpenTarget: "find the mount point";
    /// Creating a mount point.
    MakeMountPoint: "make the mount point";
    /// Creating a mount point below a directory bound from the host.
    MakeOutside: "make the mount point";
    /// Locking a mount point that another run may share.
    LockMountPoint: "lock the mount point";
    /// Mounting.
    Mount: "mount", "on";
    /// Binding the host's file system because a new one is not allowed.
    BindInstead: "mount the host's", "on";
    /// Mounting a proc for the run's own pid namespace.
    MountProc: "mount", "on";
    /// Warning: the run shares the caller's pid namespace, since its own could have no proc.
    SharePid: "the kernel allows no new /proc here: the command shares the caller's pid namespace \
        and /proc, as with --share pid";
    /// Warning: the caller's sysfs is bound, since a new one is not allowed.
    OthersSys: "the kernel allows no new /sys here: the command sees the caller's, with its \
        network devices";
    /// Warning: the caller's proc is bound, since a new one is not allowed.
    OthersProc: "the kernel allows no new /proc here: the command sees the caller's, with the pids \
        of the caller's pid namespace";
    /// Setting a mount's options.
    MountOptions: "set the mount options of";
    /// Making the devices of a minimal /dev.
    MakeDevices: "make the devices in";
    /// Masking the dangerous parts of proc.
    Mask: "mask";
    /// Making the new root the root directory.
    PivotRoot: "enter the new root";
    /// Detaching the old root.
    DetachOldRoot: "detach the old root";
    /// Forking the command's process.
    Fork: "start a process for";
    /// Changing to the command's working directory.
    ChangeDirectory: "change to the directory";
    /// Reading the users and groups of the new root.
    ReadOfRoot: "read the new root's";
    /// Looking up the command's user.
    FindUser: "find the user";
    /// Looking up the command's group.
    FindGroup: "find the group";
    /// Setting the supplementary groups.
    SetGroups: "set the supplementary groups";
    /// Setting the main group.
    SetGroup: "set the group of";
    /// Setting the user.
    SetUser: "become the user";
    /// Dropping capabilities.
    DropCapabilities: "drop capabilities";
    /// Leaving out a variable with a path of the host that the new root lacks.
    LeaveOutVariable: "leave out the variable, since NEWROOT has no such path:";
    /// Calling the program's hook before the command is executed.
    Hook: "run the hook of";
    /// Executing the command.
    Execute: "run";
    /// Executing the command of `init`, which enters no new root.
    ExecuteInPlace: "run";
    /// Executing a command whose interpreter, loader or emulator does not exist.
    ExecuteWithoutInterpreter: "run";
    /// Executing a command whose `#!` line ends with a carriage return.
    ExecuteWithCarriageReturn: "run";
    /// Executing a program for another architecture.
    ExecuteForeign: "run";
    /// Opening a file of the new root for the program.
    OpenInRoot: "open in the new root";
    /// Reading a file of the new root for the program.
    ReadInRoot: "read in the new root";
    /// Writing a file of the new root for the program.
    WriteInRoot: "write in the new root";
    /// Reading the command's output.
    ReadOutput: "read the command's output";
    /// Waiting for the end of a process.
    Wait: "wait for";
    /// Sending a signal to a spawned command.
    Signal: "send a signal to";
    /// Detaching a spawned command, so that it outlives the program.
    Detach: "detach";
    /// Warning: the command called reboot(2) to restart.
    Restart: "the command called reboot(2) to restart, which ended the run";
    /// Warning: the command called reboot(2) to power off.
    PowerOff: "the command called reboot(2) to power off, which ended the run";
    /// Booting as `/init` of an initramfs.
    Boot: "act as /init";
    /// Reading a file of the host, or of the initramfs.
    ReadFile: "read";
    /// Waiting for the kernel's messages about devices.
    AwaitDevices: "wait for devices";
    /// Loading a kernel module.
    LoadModule: "load the module";
    /// Loading a kernel module that uses one that is not loaded.
    LinkModule: "load the module";
    /// Opening a virtio serial port.
    OpenPort: "open the port";
    /// Opening the terminal for a guest's command.
    OpenTerminal: "open the terminal";
    /// Finding the device that `root=` names.
    FindDevice: "find the device";
    /// Mounting the file system of a device.
    MountAs: "mount", "as";
    /// Moving /dev, /proc, /sys or /run into the real root.
    MoveMount: "move the mount", "into the new root";
    /// Setting up a network device.
    Network: "set up the network device";
    /// Calling a closure in the new root.
    Call: "finish the closure";
    /// Removing a mount point that rootlet made.
    RemoveMountPoint: "remove the mount point";
}

impl Step {
    /// Returns whether the words are a whole sentence, which needs no `cannot` in front.
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
