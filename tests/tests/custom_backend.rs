//! What an author of a backend writes to run the whole suite: one line.

// covers: C14, C16
larder::conformance!(larder::testkit::SixMethods);

// covers: C13, D-9
larder::conformance!(memory, larder::InMemoryBackend::with_clock);
