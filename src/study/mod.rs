//! The study file: YAML → located tree → validated, typed [`Study`].
//!
//! Every problem of a file is reported at once. Stage kinds arrive as a [`Catalog`] value, so that
//! a file is checked against them without the code that runs them.
//!
//! [`Catalog`]: crate::kind::Catalog

mod input;
mod matching;
mod model;
mod node;
mod params;
mod space;
mod template;

pub use matching::Matcher;
pub use model::{
    Axis, AxisPoint, DeviceKind, Phase, Point, Reference, Resources, Settings, StageDecl, Study,
};
