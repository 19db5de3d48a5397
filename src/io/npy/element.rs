//! Numbers that arrays can be read as, and from which stored types each may be read.

use ndarray_npy::WritableElement;
use num_complex::{Complex32, Complex64};

use super::{DType, Header, NpyError};

/// A number type that arrays are read and written as.
///
/// Reading converts: any real or integer type to a real one, any numeric type to a complex one, and
/// integers (or floats that are whole numbers) to `i64` and `u8`. Complex is never narrowed to real, nor text to
/// numbers.
pub trait Element: Copy + Sized + WritableElement {
    /// Decodes `bytes`, a whole number of elements of the header's type, and appends them to `into`.
    fn decode(header: &Header, bytes: &[u8], into: &mut Vec<Self>) -> Result<(), NpyError>;
}

/// Appends each stored number of the given type, converted.
macro_rules! numbers {
    ($header:ident, $bytes:ident, $into:ident, $stored:ty, $convert:expr) => {{
        // `Endian` is decided outside the loop so that the loop vectorises.
        let (items, _) = $bytes.as_chunks::<{ size_of::<$stored>() }>();
        if $header.big_endian {
            $into.extend(items.iter().map(|b| $convert(<$stored>::from_be_bytes(*b))));
        } else {
            $into.extend(items.iter().map(|b| $convert(<$stored>::from_le_bytes(*b))));
        }
        Ok(())
    }};
}

/// Appends any real stored type through `$convert`, a cast generic over the source type.
macro_rules! real {
    ($header:ident, $bytes:ident, $into:ident, $wanted:expr, |$v:ident| $convert:expr) => {
        match $header.dtype {
            DType::Float(4) => numbers!($header, $bytes, $into, f32, |$v: f32| $convert),
            DType::Float(8) => numbers!($header, $bytes, $into, f64, |$v: f64| $convert),
            DType::Float(2) => numbers!($header, $bytes, $into, u16, |h: u16| {
                let $v = half(h);
                $convert
            }),
            DType::Uint(1) | DType::Bool => numbers!($header, $bytes, $into, u8, |$v: u8| $convert),
            DType::Uint(2) => numbers!($header, $bytes, $into, u16, |$v: u16| $convert),
            DType::Uint(4) => numbers!($header, $bytes, $into, u32, |$v: u32| $convert),
            DType::Uint(8) => numbers!($header, $bytes, $into, u64, |$v: u64| $convert),
            DType::Int(1) => numbers!($header, $bytes, $into, i8, |$v: i8| $convert),
            DType::Int(2) => numbers!($header, $bytes, $into, i16, |$v: i16| $convert),
            DType::Int(4) => numbers!($header, $bytes, $into, i32, |$v: i32| $convert),
            DType::Int(8) => numbers!($header, $bytes, $into, i64, |$v: i64| $convert),
            _ => Err($header.wrong_type($wanted)),
        }
    };
}

impl Element for f32 {
    fn decode(header: &Header, bytes: &[u8], into: &mut Vec<Self>) -> Result<(), NpyError> {
        real!(header, bytes, into, "real numbers", |v| v as f32)
    }
}

impl Element for f64 {
    fn decode(header: &Header, bytes: &[u8], into: &mut Vec<Self>) -> Result<(), NpyError> {
        real!(header, bytes, into, "real numbers", |v| v as f64)
    }
}

impl Element for i64 {
    fn decode(header: &Header, bytes: &[u8], into: &mut Vec<Self>) -> Result<(), NpyError> {
        let start = into.len();
        let refuse = |value: String| NpyError::Number { value, wanted: "a 64-bit integer" };
        match header.dtype {
            DType::Uint(8) => {
                let mut wide: Vec<u64> = Vec::with_capacity(bytes.len() / 8);
                let result: Result<(), NpyError> = numbers!(header, bytes, wide, u64, |v: u64| v);
                result?;
                for v in wide {
                    into.push(i64::try_from(v).map_err(|_| refuse(v.to_string()))?);
                }
                Ok(())
            }
            DType::Float(_) => {
                let mut floats = Vec::with_capacity(bytes.len() / header.item_size());
                f64::decode(header, bytes, &mut floats)?;
                for v in floats {
                    // 2⁶³ is exact in f64, i64::MAX is not.
                    if v.fract() != 0.0 || v.abs() >= 9_223_372_036_854_775_808.0 || v.is_nan() {
                        into.truncate(start);
                        return Err(refuse(v.to_string()));
                    }
                    into.push(v as i64);
                }
                Ok(())
            }
            _ => real!(header, bytes, into, "integers", |v| v as i64),
        }
    }
}

impl Element for u8 {
    fn decode(header: &Header, bytes: &[u8], into: &mut Vec<Self>) -> Result<(), NpyError> {
        let mut wide = Vec::with_capacity(bytes.len() / header.item_size());
        i64::decode(header, bytes, &mut wide)?;
        let narrow = |v: i64| {
            u8::try_from(v).map_err(|_| NpyError::Number {
                value: v.to_string(),
                wanted: "a whole number from 0 to 255",
            })
        };
        into.extend(wide.into_iter().map(narrow).collect::<Result<Vec<u8>, _>>()?);
        Ok(())
    }
}

macro_rules! complex {
    ($complex:ident, $part:ty) => {
        impl Element for $complex {
            fn decode(header: &Header, bytes: &[u8], into: &mut Vec<Self>) -> Result<(), NpyError> {
                let parts = match header.dtype {
                    DType::Complex(n) => Header { dtype: DType::Float(n / 2), ..header.clone() },
                    _ => {
                        return real!(header, bytes, into, "complex numbers", |v| $complex::new(
                            v as $part, 0.0
                        ));
                    }
                };
                let mut flat: Vec<$part> = Vec::with_capacity(bytes.len() / parts.item_size());
                <$part>::decode(&parts, bytes, &mut flat)?;
                let (pairs, _) = flat.as_chunks::<2>();
                into.extend(pairs.iter().map(|[re, im]| $complex::new(*re, *im)));
                Ok(())
            }
        }
    };
}

complex!(Complex32, f32);
complex!(Complex64, f64);

/// Half precision to single, exactly (IEEE 754 binary16: 1 sign, 5 exponent, 10 fraction bits).
fn half(bits: u16) -> f32 {
    let sign = if bits >> 15 == 1 { -1.0 } else { 1.0 };
    let exponent = i32::from(bits >> 10 & 0x1f);
    let fraction = f32::from(bits & 0x3ff);
    match exponent {
        0 => sign * fraction * 2f32.powi(-24),
        31 if fraction == 0.0 => sign * f32::INFINITY,
        31 => f32::NAN,
        e => sign * (1024.0 + fraction) * 2f32.powi(e - 25),
    }
}
