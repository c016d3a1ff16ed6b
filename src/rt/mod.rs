//! The binary's replacement for libc: the entry point, memory functions, an allocator, the panic handler.
//!
//! Only the binary has it. The library leaves all of this to the program that uses it.

mod allocator;
#[cfg_attr(target_arch = "x86_64", path = "x86_64.rs")]
#[cfg_attr(target_arch = "aarch64", path = "aarch64.rs")]
#[cfg_attr(target_arch = "riscv64", path = "riscv64.rs")]
mod arch;
mod start;

use core::sync::atomic::{AtomicBool, Ordering};

#[cfg(feature = "boot")]
pub(crate) use allocator::ALLOCATOR;
pub(crate) use start::Words;

/// Unoptimized builds refer to these two; with `panic = "abort"` nothing calls them.
#[unsafe(no_mangle)]
extern "C" fn rust_eh_personality() {}
#[unsafe(no_mangle)]
extern "C" fn _Unwind_Resume() {}

/// Whether a panic must end the machine.
static ENDS_THE_MACHINE: AtomicBool = AtomicBool::new(false);

/// Makes a panic end the machine from now on: if the first process ended, the kernel would panic too.
pub(crate) fn end_the_machine_on_panic() {
    ENDS_THE_MACHINE.store(true, Ordering::Relaxed);
}

/// Reports a panic as an internal error. Only a debug build prints the location: the locations would add
/// 4 kB to the release build.
#[panic_handler]
fn panic(info: &core::panic::PanicInfo) -> ! {
    match info.location() {
        Some(location) if cfg!(debug_assertions) => {
            end(&["internal error in ", location.file(), "\n"])
        }
        _ => end(&["internal error; a debug build prints the location\n"]),
    }
}

/// Prints one line and exits with the status for rootlet's own failures.
fn end(line: &[&str]) -> ! {
    use crate::sys::process::{exit, id};
    use crate::sys::system::{Ending, reboot};
    use crate::sys::{BorrowedFd, fs::write_all};
    for words in ["rootlet: "].iter().chain(line) {
        let _ = write_all(BorrowedFd::STDERR, words.as_bytes());
    }
    if ENDS_THE_MACHINE.load(Ordering::Relaxed) && id() == 1 {
        let _ = reboot(Ending::PowerOff);
    }
    exit(125)
}
