//! What a result was made from: the records in the store, walked back to the source files, and every object
//! on the way hashed again. The walk is data; renderers make text, JSON or an RO-Crate of it.

mod findings;
mod json;
mod lineage;
mod place;
mod ro_crate;
mod text;
mod verify;
mod walk;

pub use findings::Finding;
pub use json::json;
pub use lineage::{Asked, Edge, Held, Lineage, LostNode, Node, SourceNode, State, TaskNode};
pub use place::{Place, PlaceError};
pub use ro_crate::{CrateError, Credits, Named, Written, write_crate};
pub use text::text;
pub use verify::states;
pub use walk::{WalkError, walk};
