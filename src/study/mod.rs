//! The study file: YAML → located tree → validated, typed [`Study`].
//!
//! Every problem of a file is reported at once. Stage kinds arrive as a [`Catalog`] value, so that
//! a file is checked against them without the code that runs them.
//!
//! [`Catalog`]: crate::kind::Catalog

mod axes;
mod coverage;
mod definitions;
mod fanout;
mod fields;
mod files;
mod graph;
mod input;
mod link;
mod mapping;
mod matching;
mod model;
mod node;
mod overrides;
mod outputs;
mod params;
mod placeholders;
mod priority;
mod quantity;
mod read;
mod rescue;
mod resources;
mod retries;
mod scalar;
mod schema;
mod shape;
mod space;
mod stage;
mod template;
mod tuning;
mod validate;
mod wording;
mod yaml;

pub use fanout::{Fanout, Found, Settings};
pub use model::{Axis, AxisPoint, DeviceKind, Phase, Points, Resources, StageDecl, Study};
pub use quantity::{size_in_bytes as size, time_in_seconds as time};
pub use read::{LoadError, folder, load, parse};
pub use rescue::{Grow, Halve, Rescue};
pub use retries::{Retries, Retry};
pub use schema::schema;
