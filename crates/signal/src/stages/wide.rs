//! Loops over channels, compiled a second time for processors with AVX2, which take four numbers at once.
//!
//! The source is the same and has no operation that may be fused, so the bits are the same on every processor.

/// Makes a function that runs `loops`, inlined into the compilation that suits this processor best.
macro_rules! compiled_wide {
    ($(#[$doc:meta])* $visible:vis fn $name:ident($($argument:ident: $of:ty),* $(,)?) = $loops:ident) => {
        $(#[$doc])*
        #[cfg_attr(target_arch = "x86_64", expect(
            unsafe_code,
            reason = "code compiled for AVX2 takes half the time, and calling it is unsafe"
        ))]
        $visible fn $name($($argument: $of),*) {
            #[cfg(target_arch = "x86_64")]
            {
                #[target_feature(enable = "avx2")]
                fn wide($($argument: $of),*) {
                    $loops($($argument),*);
                }
                if std::arch::is_x86_feature_detected!("avx2") {
                    // SAFETY: the processor has it; the function touches nothing but its arguments
                    return unsafe { wide($($argument),*) };
                }
            }
            $loops($($argument),*);
        }
    };
}
pub(super) use compiled_wide;
