//! Colour maps: perceptually even ones for amplitudes and errors, a cyclic one for phases. The only file that
//! knows the `colorous` crate.

/// A colour map.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Map {
    /// Viridis: amplitudes.
    Viridis,
    /// Magma: patterns, black where there are no photons.
    Magma,
    /// Red over white to blue, reversed: signed values about zero.
    RedBlue,
    /// Twilight, turned by half: the circle; both ends are one dark colour, zero is lightest.
    Twilight,
}

/// Every 16th colour of Matplotlib's `twilight` (Bastian Bechtold, CC0); between them, straight lines are
/// nowhere further off than 1.4 of 255.
const TWILIGHT: [[u8; 3]; 32] = [
    [226, 217, 226],
    [214, 215, 221],
    [194, 206, 212],
    [170, 194, 204],
    [148, 180, 199],
    [129, 166, 195],
    [114, 150, 193],
    [104, 134, 190],
    [98, 117, 186],
    [95, 99, 181],
    [94, 80, 172],
    [93, 61, 160],
    [89, 42, 143],
    [81, 27, 119],
    [69, 19, 92],
    [56, 17, 69],
    [47, 20, 54],
    [58, 17, 58],
    [75, 19, 66],
    [96, 24, 74],
    [117, 30, 79],
    [136, 40, 80],
    [153, 53, 80],
    [167, 69, 80],
    [178, 87, 82],
    [188, 105, 88],
    [195, 125, 99],
    [200, 144, 115],
    [204, 164, 137],
    [210, 182, 163],
    [217, 199, 191],
    [223, 212, 214],
];

impl Map {
    /// Its name, as legends tell it.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Viridis => "viridis",
            Self::Magma => "magma",
            Self::RedBlue => "red–blue",
            Self::Twilight => "twilight (cyclic)",
        }
    }

    /// The 256 colours of a palette, in order: RGB, 768 bytes.
    pub(super) fn palette(self) -> Vec<u8> {
        (0..256usize).flat_map(|i| self.colour(i)).collect()
    }

    fn colour(self, index: usize) -> [u8; 3] {
        let rgb = |gradient: colorous::Gradient, index: usize| {
            let colour = gradient.eval_rational(index, 256);
            [colour.r, colour.g, colour.b]
        };
        match self {
            Self::Viridis => rgb(colorous::VIRIDIS, index),
            Self::Magma => rgb(colorous::MAGMA, index),
            Self::RedBlue => rgb(colorous::RED_BLUE, 255 - index),
            Self::Twilight => {
                let place = (index as f64 / 255.0 + 0.5) * TWILIGHT.len() as f64;
                let (below, part) = (place as usize, place.fract());
                let (a, b) = (TWILIGHT[below % TWILIGHT.len()], TWILIGHT[(below + 1) % TWILIGHT.len()]);
                std::array::from_fn(|c| {
                    (f64::from(a[c]) * (1.0 - part) + f64::from(b[c]) * part).round() as u8
                })
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_circle_closes_and_others_run_from_dark_to_light() {
        let twilight = Map::Twilight;
        assert_eq!(twilight.colour(0), twilight.colour(255));
        let light = |c: [u8; 3]| c.iter().map(|v| u32::from(*v)).sum::<u32>();
        assert!(light(twilight.colour(128)) > light(twilight.colour(64)).max(light(twilight.colour(192))));
        for map in [Map::Viridis, Map::Magma] {
            assert!(light(map.colour(0)) < light(map.colour(128)));
            assert!(light(map.colour(128)) < light(map.colour(255)));
            assert_eq!(map.palette().len(), 768);
        }
        let [red, _, blue] = Map::RedBlue.colour(255);
        assert!(red > blue, "what is too high is red");
    }
}
