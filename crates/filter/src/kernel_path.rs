//! Which compilation of the loops over training points runs: one with AVX2 and FMA, or one for any processor.
//!
//! The same source is compiled for each; they differ by the rounding of fused multiplications. AVX-512 was measured and
//! is left out: its loops were no faster where the processor has 256-bit units (Zen 4), and the time goes into reading
//! points.

/// The compilation of the kernels that a decoder uses, chosen once when it is built. Outputs are bit-identical for the
/// same path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KernelPath(Compilation);

/// Private, so that [`Compilation::Avx2Fma`] stands for a processor that was asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compilation {
    /// AVX2 and FMA.
    #[cfg(target_arch = "x86_64")]
    Avx2Fma,
    /// Any processor.
    Portable,
}

impl KernelPath {
    /// The one that every processor has.
    pub const PORTABLE: Self = Self(Compilation::Portable);

    /// The fastest that this processor has.
    #[must_use]
    pub fn detect() -> Self {
        #[cfg(target_arch = "x86_64")]
        if std::arch::is_x86_feature_detected!("avx2") && std::arch::is_x86_feature_detected!("fma") {
            return Self(Compilation::Avx2Fma);
        }
        Self::PORTABLE
    }

    /// Its name: `avx2+fma` or `portable`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self.0 {
            #[cfg(target_arch = "x86_64")]
            Compilation::Avx2Fma => "avx2+fma",
            Compilation::Portable => "portable",
        }
    }

    /// The path of this name; `None` where there is none or this processor does not have it.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        [Self::detect(), Self::PORTABLE].into_iter().find(|path| path.as_str() == name)
    }

    /// What [`compiled_for_each_path`] dispatches on.
    pub fn compilation(self) -> Compilation {
        self.0
    }
}

/// The name of the kernel path that decoders use on this processor: `avx2+fma` or `portable`.
#[must_use]
pub fn kernel_path() -> &'static str {
    KernelPath::detect().as_str()
}

/// Makes a function that calls `loops::<FUSED>`, inlined into the compilation that its first argument, a
/// [`KernelPath`], says.
#[macro_export]
macro_rules! compiled_for_each_path {
    ($(#[$doc:meta])* $visible:vis fn $name:ident($($argument:ident: $of:ty),* $(,)?) $(-> $result:ty)? = $loops:ident) => {
        $(#[$doc])*
        #[cfg_attr(target_arch = "x86_64", expect(
            unsafe_code,
            reason = "code compiled for AVX2 and FMA is three times as fast, and calling it is unsafe"
        ))]
        $visible fn $name(path: $crate::kernel_path::KernelPath, $($argument: $of),*) $(-> $result)? {
            #[cfg(target_arch = "x86_64")]
            #[target_feature(enable = "avx2,fma")]
            fn fused($($argument: $of),*) $(-> $result)? {
                $loops::<true>($($argument),*)
            }
            match path.compilation() {
                // SAFETY: only `KernelPath::detect` makes this value, where the processor has both features; the
                // function touches nothing but its arguments.
                #[cfg(target_arch = "x86_64")]
                $crate::kernel_path::Compilation::Avx2Fma => unsafe { fused($($argument),*) },
                $crate::kernel_path::Compilation::Portable => $loops::<false>($($argument),*),
            }
        }
    };
}
pub use crate::compiled_for_each_path;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_lead_back_to_the_paths_that_run_here() {
        for path in [KernelPath::detect(), KernelPath::PORTABLE] {
            assert_eq!(KernelPath::named(path.as_str()), Some(path));
        }
        assert_eq!(KernelPath::named("neon"), None);
    }
}
