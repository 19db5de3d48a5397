//! Study → DAG → plan. Pure: no clock, no environment, no file; the same study gives the same bytes.

mod dag;
mod edges;
mod estimate;
mod expand;
mod labels;
mod need;
mod outlook;
mod render;
mod select;
mod set;
mod task;

pub use edges::Edges;
pub use estimate::{Estimate, Past};
pub use expand::expand;
pub use labels::Labels;
pub use need::{Basis, Foreseen, Need};
pub use outlook::Outlook;
pub use render::{Format, Prospects, render};
pub use select::{SelectError, Selection};
pub use set::TaskSet;
pub use task::{Inputs, Plan, Source, Task};
