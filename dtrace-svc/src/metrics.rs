//! The service's own metrics.
