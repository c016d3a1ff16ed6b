//! The session keyring, `session-keyring(7)`. Every process that has it may use its keys, even
//! after a change of user.

use crate::chroot::Chroot;
use crate::error::{Error, Step, Verbose};
use crate::sys::Errno;
use crate::sys::credentials::join_session_keyring;
use crate::user::capability::Capabilities;

impl Chroot {
    /// Replaces the caller's session keyring by a new one, if the command has fewer rights than the
    /// caller. This runs in pid 1, still as the caller.
    ///
    /// The new keyring counts for the caller: root may have far more keys than another user, who
    /// has 200 for all live runs together. If they are used up and only the user namespace called
    /// for a keyring, the run goes on with a warning.
    pub(crate) fn leave_session_keyring(
        &self,
        new_user_namespace: bool,
        verbose: Verbose,
    ) -> Result<(), Error> {
        let fewer_rights = self.user.is_some()
            || self.groups.is_some()
            || self.dropped_capabilities != Capabilities::NONE
            || self.no_new_privileges;
        if !fewer_rights && !new_user_namespace {
            return Ok(());
        }
        match join_session_keyring() {
            // The kernel has no keys, or a filter forbids them to the command as well.
            Ok(()) | Err(Errno::ENOSYS | Errno::EPERM) => Ok(()),
            Err(errno) => {
                let error = Error::new(Step::Keyring, b"", errno);
                if fewer_rights || errno != Errno::EDQUOT {
                    return Err(error);
                }
                verbose.left_out(&error);
                Ok(())
            }
        }
    }
}
