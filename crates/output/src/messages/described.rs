//! A message as the registry knows it.

/// A message beside what the documents say of it.
pub(super) struct Described {
    /// Its key in the documents.
    pub(super) key: &'static str,
    /// Its entry in `docs/asyncapi.json` (`message`) and its schema, which `docs/openapi.json` has too where HTTP answers so.
    pub(super) fragment: &'static str,
    /// An example of it, serialised as a client gets it.
    pub(super) example: fn() -> serde_json::Result<String>,
}
