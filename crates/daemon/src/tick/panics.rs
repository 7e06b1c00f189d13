//! Panics on the tick thread print nothing: they are caught, counted and shown as `fault`.

use std::{cell::Cell, panic, sync::Once};

thread_local! {
    static SILENT: Cell<bool> = const { Cell::new(false) };
}
static HOOK: Once = Once::new();

/// From now on the calling thread's panics skip the hook that prints. Allocates: call it before the ticks begin.
pub fn silence_panics_here() {
    HOOK.call_once(|| {
        let print = panic::take_hook();
        panic::set_hook(Box::new(move |information| {
            if !SILENT.get() {
                print(information);
            }
        }));
    });
    SILENT.set(true);
}
