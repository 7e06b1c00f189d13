//! The one call that says whether the kernel's time is kept by a time service. It has no safe wrapper.

#![expect(unsafe_code, reason = "adjtimex has no safe wrapper in rustix")]

use std::mem::MaybeUninit;

/// Whether a time service keeps the system's time; none where the kernel does not say.
pub(super) fn is_synchronised() -> Option<bool> {
    let mut state = MaybeUninit::<libc::timex>::zeroed();
    // SAFETY: all zero bytes are a `timex`, whose `modes` of 0 asks for nothing to be set; the pointer is good through the
    // call.
    let result = unsafe { libc::adjtimex(state.as_mut_ptr()) };
    (result >= 0).then_some(result != libc::TIME_ERROR)
}
