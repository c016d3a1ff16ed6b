//! The session keyring, `session-keyring(7)`: who has it may use its keys, whoever that is.

use crate::chroot::Chroot;
use crate::error::{Error, Step, Verbose};
use crate::sys::Errno;
use crate::sys::credentials::join_session_keyring;
use crate::user::capability::Capabilities;

impl Chroot {
    /// In pid 1, still as the caller: leaves the caller's session keyring for a new one where the
    /// command is to have fewer rights than the caller.
    ///
    /// It counts for the caller, since root may have far more keys than another user, who has 200
    /// for all runs that are alive. Where these are used up, the run goes on and says so if nothing
    /// but its user namespace called for a keyring.
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
            // A kernel without keys, or a filter that keeps the command from them as well.
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
