//! The route × caller matrix.
