//! Who the command is, and what it may.

use crate::capability::Capabilities;
use crate::chroot::Chroot;
use crate::error::{Error, Step};
use crate::sys::credentials::set_no_new_privileges;

impl Chroot {
    /// In the process that becomes the command: gives up what the command is not to have.
    pub(crate) fn give_up_rights(&self) -> Result<(), Error<'static>> {
        let dropped = self.dropped_capabilities;
        if dropped != Capabilities::NONE {
            let failed = |errno| Error::new(Step::DropCapabilities, b"", errno);
            dropped.leave_bounding().map_err(failed)?;
            dropped.leave().map_err(failed)?;
        }
        if self.no_new_privileges {
            set_no_new_privileges().map_err(|errno| Error::new(Step::Prepare, b"", errno))?;
        }
        Ok(())
    }
}
