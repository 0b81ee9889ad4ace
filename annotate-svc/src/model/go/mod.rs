//! What the original, a Go program, says of input it cannot read. Old clients compare these texts
//! (annotate.md, section 6). They are those of Go 1.19.

pub(super) mod json;
mod quote;
pub(super) mod time;
