//! The macro that runs the whole suite over a backend with one line.

/// Runs the whole suite over a backend, one `#[test]` per case.
///
/// With a type, the backend is made by its `with_clock(ManualClock)`; otherwise by
/// the function given, in a module of the name given.
///
/// ```
/// # mod example {
/// larder_testkit::conformance!(larder_testkit::SixMethods);
/// larder_testkit::conformance!(again, larder_testkit::SixMethods::with_clock);
/// # }
/// ```
#[macro_export]
macro_rules! conformance {
    ($backend:ty) => {
        $crate::conformance!(conformance, <$backend>::with_clock);
    };
    ($module:ident, $make:expr) => {
        mod $module {
            #[allow(unused_imports, reason = "the expression may name what is around it")]
            use super::*;

            fn subject() -> $crate::Subject {
                $crate::Subject::new($make)
            }

            $crate::for_each_case!($crate::conformance_tests);
        }
    };
}

/// One `#[test]` per case.
#[doc(hidden)]
#[macro_export]
macro_rules! conformance_tests {
    ($($topic:ident: $($case:ident)*;)*) => {
        $($(
            #[test]
            fn $case() {
                let subject = subject();
                $crate::suite::$topic::$case(&subject);
                subject.check();
            }
        )*)*
    };
}
