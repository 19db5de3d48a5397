//! (being written)
/// (being written)
pub struct Pcg64;
