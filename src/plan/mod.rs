//! Study → DAG → plan. Pure: no clock, no environment, no file; the same study gives the same bytes.

mod dag;
mod edges;
mod estimate;
mod expand;
mod labels;
mod outlook;
mod render;
mod select;
mod set;
mod task;

pub use edges::Edges;
pub use estimate::{Estimate, Past};
pub use expand::expand;
pub use labels::Labels;
pub use outlook::Outlook;
pub use render::{Format, Times, render};
pub use select::{SelectError, Selection};
pub use set::TaskSet;
pub use task::{Inputs, Plan, Source, Task};
