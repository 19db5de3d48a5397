//! Random streams. Two families: bit-exact copies of NumPy's generators (`mt19937`, `pcg64`), for draws
//! that must equal the reference study's, and keyed streams, for everything else.

mod keyed;
mod mt19937;
mod pcg64;

pub use keyed::keyed;
pub use mt19937::Mt19937;
pub use pcg64::Pcg64;
