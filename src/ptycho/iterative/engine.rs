//! A reconstruction from outside: epoch by epoch, and what can be looked at in between.

use ndarray::{Array2, Array3, ArrayView2, ArrayView3};
use num_complex::Complex32;

use super::crew::Crew;
use super::dm::DifferenceMap;
use super::lsqml::Lsqml;
use super::pie::Pie;
use super::refine::Pulls;
use super::state::{Measured, State};
use super::{Batches, Frame, Rule, Settings, SetupError, Subpixel};

/// What an epoch may change beside the object.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Learn {
    /// The probe.
    pub probe: bool,
    /// The positions; see [`Engine::can_refine`].
    pub positions: bool,
}

/// All that a reconstruction carries from one epoch to the next, beside data and settings.
#[derive(Debug, Clone, PartialEq)]
pub struct Snapshot {
    /// Epochs done.
    pub epoch: u32,
    /// The object, in the frame's shape.
    pub object: Array2<Complex32>,
    /// (modes, N, N).
    pub probe: Array3<Complex32>,
    /// (M,) columns.
    pub x: Vec<f64>,
    /// (M,) rows.
    pub y: Vec<f64>,
    /// The illumination map in the frame's shape, where an algorithm keeps one.
    pub illumination: Option<Array2<f32>>,
    /// (M·modes, N, N): the difference map's exit waves.
    pub waves: Option<Array3<Complex32>>,
}

enum Algorithm {
    Pie(Pie),
    DifferenceMap(DifferenceMap),
    Lsqml(Box<Lsqml>),
}

/// A reconstruction in progress. Buffers and plans are made when they are first needed and kept: an epoch
/// allocates nothing for a patch. Memory is that of the data, and for every pattern of a batch (1 + modes) complex
/// patches; the difference map keeps its exit waves, modes complex patches for every pattern.
pub struct Engine {
    state: State,
    crew: Crew,
    algorithm: Algorithm,
}

impl Engine {
    /// Sets up a reconstruction that starts from an object of ones.
    ///
    /// `probe` is (modes, N, N), in the unit of the amplitudes.
    pub fn new(
        data: Measured<'_>,
        probe: ArrayView3<'_, Complex32>,
        frame: Frame,
        settings: Settings,
    ) -> Result<Self, SetupError> {
        let algorithm = match settings.rule {
            Rule::Epie | Rule::Rpie => Algorithm::Pie(Pie::default()),
            Rule::DifferenceMap => Algorithm::DifferenceMap(DifferenceMap::default()),
            Rule::Lsqml => Algorithm::Lsqml(Box::default()),
        };
        Ok(Self { state: State::new(data, probe, frame, settings)?, crew: Crew::new(), algorithm })
    }

    /// Whether positions can be refined: not by the difference map, whose χ also carries its memory, and not
    /// where they are rounded.
    pub fn can_refine(settings: &Settings) -> bool {
        settings.rule != Rule::DifferenceMap && settings.subpixel != Subpixel::Nearest
    }

    /// Replaces the object, which must have the frame's shape. For tests, and for carrying on: a
    /// reconstruction that is to be compared starts from ones, so that no truth leaks into it.
    pub fn start_from(&mut self, object: ArrayView2<'_, Complex32>) -> Result<(), SetupError> {
        fits("object", object.shape(), &[self.state.frame.shape.0, self.state.frame.shape.1])?;
        self.state.object = object.iter().copied().collect();
        Ok(())
    }

    /// Number of patterns.
    pub fn len(&self) -> usize {
        self.state.places.len()
    }

    /// Whether there are none; never so.
    pub fn is_empty(&self) -> bool {
        self.state.places.is_empty()
    }

    /// One epoch over the patterns of `batches` (the difference map takes all of them at once, whatever these are).
    ///
    /// Returns the residual Σ(|F|/N − A)² / ΣA² over valid pixels, each pattern's taken just before its batch
    /// is acted on and A over all patterns; for the difference map Σ|Δψ|²/ΣA².
    pub fn epoch(&mut self, batches: &Batches, learn: Learn) -> f64 {
        let Self { state, crew, algorithm } = self;
        state.follow_illumination();
        let mut pulls = Pulls::new(if learn.positions { state.places.len() } else { 0 });
        let mut probe_changed = learn.probe;
        let misfit = match algorithm {
            Algorithm::Pie(pie) => pie.epoch(state, crew, batches, learn, &mut pulls),
            Algorithm::DifferenceMap(map) => map.epoch(state, crew, learn),
            Algorithm::Lsqml(lsqml) => {
                probe_changed |= state.epoch == 0;
                lsqml.epoch(state, crew, batches, learn, &mut pulls)
            }
        };
        if learn.positions {
            pulls.act(state);
        }
        state.finish_epoch(probe_changed);
        misfit / state.energy
    }

    /// Moves a factor between object and probe, which the data cannot tell apart: the object is divided
    /// by it, the probe multiplied. The difference map's waves are what both make together, and stay.
    pub fn exchange(&mut self, factor: f64) {
        self.state.exchange(factor);
        self.state.remember_spectrum();
    }

    /// Epochs done.
    pub fn epochs(&self) -> u32 {
        self.state.epoch
    }

    /// The object, in the frame given to [`new`](Self::new).
    pub fn object(&self) -> ArrayView2<'_, Complex32> {
        view(self.state.frame.shape, &self.state.object)
    }

    /// The probe, (modes, N, N).
    pub fn probe(&self) -> ArrayView3<'_, Complex32> {
        self.stack(&self.state.probe)
    }

    /// (M,) columns and rows of the patches' centres, as refined.
    pub fn positions(&self) -> (&[f64], &[f64]) {
        (&self.state.x, &self.state.y)
    }

    /// The illumination map that LSQML preconditions with, once there is one.
    pub fn illumination(&self) -> Option<ArrayView2<'_, f32>> {
        let map = &self.state.illumination;
        (!map.is_empty()).then(|| view(self.state.frame.shape, map))
    }

    /// The difference map's exit waves, (M·modes, N, N), once there are some.
    pub fn waves(&self) -> Option<ArrayView3<'_, Complex32>> {
        match &self.algorithm {
            Algorithm::DifferenceMap(map) if !map.waves.is_empty() => Some(self.stack(&map.waves)),
            _ => None,
        }
    }

    /// Illumination of every object pixel: Σ|P|² over all patterns and modes, in units of max Σ|P|², so that 1
    /// means one pattern with the brightest part of the probe there.
    pub fn coverage(&self) -> Array2<f32> {
        self.state.coverage()
    }

    /// Goes on where an earlier reconstruction of the same data, with the same settings, was. The power to keep
    /// stays that of the probe given to [`new`](Self::new).
    pub fn go_on_from(&mut self, snapshot: Snapshot) -> Result<(), SetupError> {
        let (side, count) = (self.state.side, self.len());
        let modes = self.state.modes();
        let frame = [self.state.frame.shape.0, self.state.frame.shape.1];
        fits("object", snapshot.object.shape(), &frame)?;
        fits("probe", snapshot.probe.shape(), &[modes, side, side])?;
        fits("positions", &[snapshot.x.len(), snapshot.y.len()], &[count; 2])?;
        if let Some(map) = &snapshot.illumination {
            fits("illumination", map.shape(), &frame)?;
        }
        if let Some(waves) = &snapshot.waves {
            fits("waves", waves.shape(), &[count * modes, side, side])?;
        }
        let (x, y) = (snapshot.x, snapshot.y);
        let state = &mut self.state;
        state.places = super::scan::places(&x, &y, side, state.frame, state.settings.subpixel)?;
        (state.x, state.y) = (x, y);
        state.object = snapshot.object.into_iter().collect();
        state.probe = snapshot.probe.into_iter().collect();
        state.illumination = snapshot.illumination.map(|map| map.into_iter().collect()).unwrap_or_default();
        state.epoch = snapshot.epoch;
        state.remember_spectrum();
        if let Algorithm::DifferenceMap(map) = &mut self.algorithm {
            map.waves = snapshot.waves.map(|waves| waves.into_iter().collect()).unwrap_or_default();
        }
        Ok(())
    }

    /// What [`go_on_from`](Self::go_on_from) takes.
    pub fn snapshot(&self) -> Snapshot {
        let (x, y) = self.positions();
        Snapshot {
            epoch: self.epochs(),
            object: self.object().to_owned(),
            probe: self.probe().to_owned(),
            x: x.to_vec(),
            y: y.to_vec(),
            illumination: self.illumination().map(|v| v.to_owned()),
            waves: self.waves().map(|v| v.to_owned()),
        }
    }

    fn stack<'a>(&self, values: &'a [Complex32]) -> ArrayView3<'a, Complex32> {
        let side = self.state.side;
        // INVARIANT: probes and waves are whole stacks of side × side.
        ArrayView3::from_shape((values.len() / (side * side), side, side), values)
            .expect("buffers are made with the shapes they are viewed in")
    }
}

fn fits(what: &'static str, found: &[usize], expected: &[usize]) -> Result<(), SetupError> {
    if found == expected {
        return Ok(());
    }
    Err(SetupError::Shape { what, found: format!("{found:?}"), expected: format!("{expected:?}") })
}

fn view<T>(shape: (usize, usize), data: &[T]) -> ArrayView2<'_, T> {
    // INVARIANT: object and maps are made with these shapes and keep their lengths.
    ArrayView2::from_shape(shape, data).expect("buffers are made with the shapes they are viewed in")
}
