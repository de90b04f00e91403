//! The shapes of the native API.
