//! HDF5 datatypes in NumPy's terms, so that the same conversions serve both formats.

use hdf5_pure::{Datatype, DatatypeByteOrder, FixedPointLayout, FloatingPointLayout};

use crate::io::npy::{DType, Header};

/// IEEE 754 binary16, which the crate has no name for.
const BINARY16: FloatingPointLayout = FloatingPointLayout {
    bit_offset: 0,
    bit_precision: 16,
    exponent_location: 10,
    exponent_size: 5,
    mantissa_location: 0,
    mantissa_size: 10,
    exponent_bias: 15,
};

/// Type and shape of a dataset as an NPY header would have them.
///
/// h5py writes a complex number as a compound of `r` and `i`, MATLAB as one of `real` and `imag`; both are
/// taken. A truth value is an enumeration over one byte.
pub fn header(datatype: &Datatype, shape: Vec<usize>) -> Header {
    let (dtype, big_endian) = dtype(datatype).unwrap_or((DType::Other, false));
    Header { descr: descr(&dtype, big_endian, datatype), dtype, big_endian, fortran: false, shape }
}

/// The type and whether it is big-endian; none if no number or text is stored so.
fn dtype(datatype: &Datatype) -> Option<(DType, bool)> {
    match datatype {
        Datatype::FixedPoint { size, byte_order, layout } => {
            let bytes = *size as usize;
            let FixedPointLayout { signed, bit_offset, bit_precision } = *layout;
            if bit_offset != 0 || usize::from(bit_precision) != 8 * bytes || ![1, 2, 4, 8].contains(&bytes) {
                return None;
            }
            Some((if signed { DType::Int(bytes) } else { DType::Uint(bytes) }, is_big(*byte_order)?))
        }
        Datatype::FloatingPoint { size, byte_order, layout } => {
            let ieee = match size {
                2 => BINARY16,
                4 => FloatingPointLayout::IEEE754_BINARY32,
                8 => FloatingPointLayout::IEEE754_BINARY64,
                _ => return None,
            };
            (*layout == ieee).then_some(())?;
            Some((DType::Float(*size as usize), is_big(*byte_order)?))
        }
        Datatype::Compound { size, members } => {
            let [re, im] = members.as_slice() else { return None };
            if !matches!((re.name.as_str(), im.name.as_str()), ("r", "i") | ("real", "imag")) {
                return None;
            }
            let ((DType::Float(part), big), same) = (dtype(&re.datatype)?, dtype(&im.datatype)?) else {
                return None;
            };
            let packed = re.byte_offset == 0 && im.byte_offset == part as u64 && *size as usize == 2 * part;
            (packed && same == (DType::Float(part), big)).then_some((DType::Complex(2 * part), big))
        }
        Datatype::Enumeration { size: 1, base_type, .. } => match dtype(base_type)? {
            (DType::Int(1) | DType::Uint(1), big) => Some((DType::Bool, big)),
            _ => None,
        },
        Datatype::String { size, .. } => Some((DType::Bytes { bytes: *size as usize }, false)),
        _ => None,
    }
}

fn is_big(order: DatatypeByteOrder) -> Option<bool> {
    match order {
        DatatypeByteOrder::LittleEndian => Some(false),
        DatatypeByteOrder::BigEndian => Some(true),
        DatatypeByteOrder::Vax => None,
    }
}

/// The type's name for messages: NumPy's where it has one.
fn descr(dtype: &DType, big_endian: bool, datatype: &Datatype) -> String {
    let order = if big_endian { '>' } else { '<' };
    match dtype {
        DType::Bool => "|b1".to_owned(),
        DType::Int(n) => format!("{order}i{n}"),
        DType::Uint(n) => format!("{order}u{n}"),
        DType::Float(n) => format!("{order}f{n}"),
        DType::Complex(n) => format!("{order}c{n}"),
        DType::Bytes { bytes } => format!("|S{bytes}"),
        _ => match datatype {
            Datatype::Compound { members, .. } => {
                let names: Vec<&str> = members.iter().take(8).map(|m| m.name.as_str()).collect();
                format!("compound of {}", names.join(", "))
            }
            Datatype::VariableLength { is_string: true, .. } => "text of any length".to_owned(),
            Datatype::VariableLength { .. } => "lists of any length".to_owned(),
            Datatype::Reference { .. } => "references".to_owned(),
            Datatype::Enumeration { .. } => "names of an enumeration".to_owned(),
            Datatype::FixedPoint { size, .. } => format!("integers of an unusual layout in {size} bytes"),
            Datatype::FloatingPoint { size, .. } => {
                format!("floating point of an unusual layout in {size} bytes")
            }
            _ => "values that are no numbers".to_owned(),
        },
    }
}
