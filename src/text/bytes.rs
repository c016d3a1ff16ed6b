//! The types that the library accepts for a path, a name or an argument.

use alloc::borrow::{Cow, ToOwned};
use alloc::boxed::Box;
use alloc::ffi::CString;
use alloc::string::String;
use alloc::vec::Vec;
use core::ffi::CStr;

/// A path, a name or an argument: any bytes except NUL.
///
/// Text and bytes implement it, and with the feature `std` also `OsStr`, `Path` and their owned types.
/// Other crates cannot implement it, so more types may be added.
///
/// ```
/// use rootlet::Mount;
///
/// let text = Mount::bind("/srv/data");
/// assert_eq!(Mount::bind(b"/srv/data"), text);
/// assert_eq!(Mount::bind(String::from("/srv/data")), text);
/// assert_eq!(Mount::bind(c"/srv/data"), text);
/// ```
pub trait AsBytes: sealed::Sealed {
    /// Returns the bytes.
    fn as_bytes(&self) -> &[u8];
}

pub(crate) mod sealed {
    /// Implemented only here and in the conversions of std.
    pub trait Sealed {}
}

macro_rules! as_bytes {
    ($($type:ty: $value:ident => $bytes:expr;)*) => {
        $(
            impl $crate::text::bytes::sealed::Sealed for $type {}
            impl $crate::text::bytes::AsBytes for $type {
                fn as_bytes(&self) -> &[u8] {
                    let $value = self;
                    $bytes
                }
            }
        )*
    };
}
#[allow(unused_imports, reason = "the conversions of std use it")]
pub(crate) use as_bytes;

as_bytes! {
    [u8]: bytes => bytes;
    Vec<u8>: bytes => bytes;
    str: text => text.as_bytes();
    String: text => text.as_bytes();
    CStr: text => text.to_bytes();
    CString: text => text.as_bytes();
}

impl<const LENGTH: usize> sealed::Sealed for [u8; LENGTH] {}
impl<const LENGTH: usize> AsBytes for [u8; LENGTH] {
    fn as_bytes(&self) -> &[u8] {
        self
    }
}

impl<T: AsBytes + ?Sized> sealed::Sealed for &T {}
impl<T: AsBytes + ?Sized> AsBytes for &T {
    fn as_bytes(&self) -> &[u8] {
        (**self).as_bytes()
    }
}

impl<T: AsBytes + ?Sized> sealed::Sealed for &mut T {}
impl<T: AsBytes + ?Sized> AsBytes for &mut T {
    fn as_bytes(&self) -> &[u8] {
        (**self).as_bytes()
    }
}

impl<T: AsBytes + ?Sized> sealed::Sealed for Box<T> {}
impl<T: AsBytes + ?Sized> AsBytes for Box<T> {
    fn as_bytes(&self) -> &[u8] {
        (**self).as_bytes()
    }
}

impl<T: AsBytes + ToOwned + ?Sized> sealed::Sealed for Cow<'_, T> {}
impl<T: AsBytes + ToOwned + ?Sized> AsBytes for Cow<'_, T> {
    fn as_bytes(&self) -> &[u8] {
        (**self).as_bytes()
    }
}
