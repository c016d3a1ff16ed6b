//! Directories of the host in a guest behave like a local file system.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::process::Stdio;

use crate::common::{User, end, users};
use crate::place::{Place, cannot};

/// Uses of files that fail on one or another network file system.
const USE_MEMORY: &str = r"
import fcntl, mmap, os, socket, sqlite3, stat, sys
os.chdir(sys.argv[1])

with open('mapped', 'w+b') as file:
    file.truncate(8192)
    shared = mmap.mmap(file.fileno(), 8192, mmap.MAP_SHARED)
    shared[4096:4102] = b'mapped'
    shared.flush()
    assert os.pread(file.fileno(), 6, 4096) == b'mapped'
print('mmap')

# In WAL mode processes share memory that is mapped from a file.
first = sqlite3.connect('database')
assert first.execute('PRAGMA journal_mode=WAL').fetchone() == ('wal',)
with first:
    first.execute('CREATE TABLE t (x)')
if os.fork() == 0:
    second = sqlite3.connect('database')
    with second:
        second.execute('INSERT INTO t VALUES (1)')
    os._exit(0)
os.wait()
assert first.execute('SELECT count(*) FROM t').fetchone() == (1,)
print('sqlite')
";

const USE_ALL: &str = r"
# Locks of both kinds do not know of each other, and each keeps another process out.
with open('locked', 'w+b') as file, open('locked', 'r+b') as other:
    fcntl.flock(file, fcntl.LOCK_EX)
    fcntl.lockf(file, fcntl.LOCK_EX)
    try:
        fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)
        print('flock is no lock')
    except BlockingIOError:
        print('flock')
    if os.fork() == 0:
        try:
            with open('locked', 'r+b') as third:
                fcntl.lockf(third, fcntl.LOCK_EX | fcntl.LOCK_NB)
            os._exit(1)
        except OSError:
            os._exit(0)
    print('lockf' if os.wait()[1] == 0 else 'lockf is no lock')

os.mkfifo('fifo')
if os.fork() == 0:
    open('fifo', 'w').write('by a fifo')
    os._exit(0)
assert open('fifo').read() == 'by a fifo'
os.wait()
print('fifo')

server = socket.socket(socket.AF_UNIX)
server.bind('socket')
server.listen()
client = socket.socket(socket.AF_UNIX)
client.connect('socket')
print('socket')

os.symlink('mapped', 'link')
os.link('mapped', 'hard')
os.rename('hard', 'renamed')
os.chmod('renamed', 0o640)
found = os.stat('renamed')
assert (found.st_nlink, stat.S_IMODE(found.st_mode)) == (2, 0o640)
# An open file that is removed stays.
with open('gone', 'w+') as file:
    os.unlink('gone')
    file.write('still there')
    file.seek(0)
    assert file.read() == 'still there'
# git asks whose a directory is.
assert os.stat('.').st_uid == os.getuid()
print('names and owner')
";

#[test]
fn programs_find_a_real_file_system_in_a_directory_that_can_be_written() {
    if cannot() {
        return;
    }
    for user in users() {
        let place = Place::new(user);
        let directory = place.root.directory("written");
        place.root.file("use.py", [USE_MEMORY, USE_ALL].concat());
        let name = directory.to_str().unwrap();
        let mut command = place.vm(&["--rw", name, "--", "/usr/bin/python3", "use.py", name]);
        if user == User::Root {
            // Give the directory to another user, when the tests run as root.
            std::os::unix::fs::chown(&directory, Some(0), Some(0)).unwrap();
        }
        let ended = end(&mut command);
        let expected = "mmap\nsqlite\nflock\nlockf\nfifo\nsocket\nnames and owner\n";
        assert_eq!((ended.status, &*ended.stdout), (0, expected), "{ended:?}");
        let mapped = fs::read(directory.join("mapped")).unwrap();
        assert_eq!(&mapped[4096..4102], b"mapped");
        // Files that the guest's root made belong to the user on the host.
        use std::os::unix::fs::MetadataExt;
        let owners = ["mapped", "fifo", "socket"].map(|name| {
            let found = fs::symlink_metadata(directory.join(name)).unwrap();
            found.uid()
        });
        let whose = fs::metadata(&directory).unwrap().uid();
        assert_eq!(owners, [whose; 3]);
        place.assert_clean();
    }
}

/// 9p is used without virtiofs, which needs a user who can make user namespaces.
#[test]
fn the_limits_of_9p_are_those_in_the_help() {
    if cannot() || !users().contains(&User::Ordinary) {
        return;
    }
    let place = Place::new(User::Ordinary);
    let directory = place.root.directory("written");
    let rest = "
for make in (os.mkfifo, lambda name: socket.socket(socket.AF_UNIX).bind(name)):
    try:
        make('special')
    except OSError as error:
        print(error.strerror)
print(os.stat('.').st_uid == 0)
";
    place.root.file("use.py", [USE_MEMORY, rest].concat());
    place.root.script("without/unshare", "#!/bin/sh\nexit 1\n");
    let name = directory.to_str().unwrap();
    let mut command = place.vm(&["--rw", name, "--", "/usr/bin/python3", "use.py", name]);
    let path = std::env::var("PATH").unwrap();
    let without = place.root.path().join("without");
    command.env("PATH", format!("{}:{path}", without.display()));
    let ended = end(&mut command);
    let refused = "No such device or address\n";
    let expected = format!("mmap\nsqlite\n{refused}{refused}False\n");
    assert_eq!(
        (ended.status, ended.stdout),
        (0, expected),
        "{}",
        ended.stderr
    );
    let mapped = fs::read(directory.join("mapped")).unwrap();
    assert_eq!(&mapped[4096..4102], b"mapped");
    place.assert_clean();
}

/// As the help says, the guest may see an old file, or none, until it drops its caches.
#[test]
fn a_replaced_file_is_seen_when_caches_are_dropped() {
    if cannot() {
        return;
    }
    for user in users() {
        let place = Place::new(user);
        place.root.file("file", "old");
        let text = "cat file && echo && read -r line && { cat file; echo; } 2>&1 &&
            echo 2 >/proc/sys/vm/drop_caches && cat file";
        let mut command = place.vm(&["--", "sh", "-c", text]);
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        assert_eq!(lines.next().unwrap().unwrap(), "old");
        place.root.file("new", "new");
        fs::rename(
            place.root.path().join("new"),
            place.root.path().join("file"),
        )
        .unwrap();
        child.stdin.take().unwrap().write_all(b"go on\n").unwrap();
        let rest: Vec<_> = lines.map(Result::unwrap).collect();
        assert_eq!(rest.last().unwrap(), "new", "{rest:?}");
        assert!(child.wait().unwrap().success());
        place.assert_clean();
    }
}
