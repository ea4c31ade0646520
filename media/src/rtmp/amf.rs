//! AMF0 values (Action Message Format, AMF 0): a bounded reader, and a writer for replies.
#![cfg_attr(
    not(test),
    warn(clippy::indexing_slicing, clippy::arithmetic_side_effects, clippy::cast_possible_truncation)
)]

use crate::cursor::Cursor;
use crate::{Error, Result};

/// One AMF0 value. Kinds that no encoder needs are read as the nearest of these.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    Number(f64),
    Boolean(bool),
    String(String),
    /// An object, a typed object or an ECMA array, in the order it came.
    Object(Vec<(String, Self)>),
    /// A strict array.
    Array(Vec<Self>),
    Null,
    /// Undefined, unsupported, or a reference to an earlier object.
    Undefined,
    /// Milliseconds since 1970.
    Date(f64),
}

impl Value {
    /// A property of an object.
    pub fn get(&self, name: &str) -> Option<&Self> {
        match self {
            Self::Object(properties) => {
                properties.iter().find(|(key, _)| key == name).map(|(_, value)| value)
            }
            _ => None,
        }
    }

    pub fn as_number(&self) -> Option<f64> {
        match self {
            Self::Number(number) => Some(*number),
            _ => None,
        }
    }

    pub fn as_str(&self) -> Option<&str> {
        match self {
            Self::String(text) => Some(text),
            _ => None,
        }
    }

    /// Appends the value as AMF0.
    pub fn write(&self, out: &mut Vec<u8>) {
        match self {
            Self::Number(number) => {
                out.push(NUMBER);
                out.extend_from_slice(&number.to_be_bytes());
            }
            Self::Boolean(value) => out.extend_from_slice(&[BOOLEAN, u8::from(*value)]),
            Self::String(text) => write_string(text, out),
            Self::Object(properties) => {
                out.push(OBJECT);
                for (key, value) in properties {
                    write_key(key, out);
                    value.write(out);
                }
                out.extend_from_slice(&[0, 0, OBJECT_END]);
            }
            Self::Array(values) => {
                out.push(STRICT_ARRAY);
                let count = u32::try_from(values.len()).unwrap_or(u32::MAX);
                out.extend_from_slice(&count.to_be_bytes());
                values.iter().for_each(|value| value.write(out));
            }
            Self::Null => out.push(NULL),
            Self::Undefined => out.push(UNDEFINED),
            Self::Date(milliseconds) => {
                out.push(DATE);
                out.extend_from_slice(&milliseconds.to_be_bytes());
                out.extend_from_slice(&[0, 0]);
            }
        }
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::String(text.to_owned())
    }
}

impl From<f64> for Value {
    fn from(number: f64) -> Self {
        Self::Number(number)
    }
}

/// Reads a message's values to its end.
///
/// # Errors
/// [`Error::Malformed`] when a value is damaged or of a kind that cannot be skipped (AMF3), [`Error::Limit`]
/// beyond 16 levels or 2048 values.
pub fn read(data: &[u8]) -> Result<Vec<Value>> {
    let mut reader = Reader { cursor: Cursor::new("AMF0 value", data), budget: MAX_VALUES };
    let mut values = Vec::new();
    while !reader.cursor.is_empty() {
        values.push(reader.value(0)?);
    }
    Ok(values)
}

/// Fuzz body: any bytes are values or an error, and what is read is written and read again the same.
pub fn fuzz(data: &[u8]) {
    let Ok(values) = read(data) else { return };
    let mut written = Vec::new();
    values.iter().for_each(|value| value.write(&mut written));
    let again = read(&written);
    // Compared as text, for a number may be NaN.
    assert_eq!(format!("{again:?}"), format!("{:?}", Ok::<_, Error>(values)));
}

struct Reader<'a> {
    cursor: Cursor<'a>,
    /// Values that may still be read.
    budget: usize,
}

impl Reader<'_> {
    fn value(&mut self, depth: usize) -> Result<Value> {
        if depth > MAX_DEPTH {
            return Err(Error::Limit { what: "AMF0 nesting levels", limit: MAX_DEPTH });
        }
        let too_many = Error::Limit { what: "AMF0 values in a message", limit: MAX_VALUES };
        self.budget = self.budget.checked_sub(1).ok_or(too_many)?;
        let cursor = &mut self.cursor;
        Ok(match cursor.u8()? {
            NUMBER => Value::Number(f64::from_be_bytes(cursor.array()?)),
            BOOLEAN => Value::Boolean(cursor.u8()? != 0),
            STRING => Value::String(self.string()?),
            LONG_STRING | XML => {
                let length = usize::try_from(cursor.u32()?).unwrap_or(usize::MAX);
                Value::String(text(cursor.take(length)?))
            }
            OBJECT => Value::Object(self.properties(depth, false)?),
            TYPED_OBJECT => {
                self.string()?; // the class name
                Value::Object(self.properties(depth, false)?)
            }
            ECMA_ARRAY => {
                cursor.u32()?; // the count is a hint, and often wrong
                Value::Object(self.properties(depth, true)?)
            }
            STRICT_ARRAY => {
                let count = cursor.u32()?;
                let mut values = Vec::new();
                for _ in 0..count {
                    values.push(self.value(depth.saturating_add(1))?);
                }
                Value::Array(values)
            }
            DATE => {
                let milliseconds = f64::from_be_bytes(cursor.array()?);
                cursor.u16()?; // the time zone, which must be ignored (§2.13)
                Value::Date(milliseconds)
            }
            REFERENCE => {
                cursor.u16()?;
                Value::Undefined
            }
            NULL => Value::Null,
            UNDEFINED | UNSUPPORTED => Value::Undefined,
            _ => return Err(cursor.malformed("the type is unknown")),
        })
    }

    /// Properties up to the end marker, which some encoders leave out of an ECMA array at a message's end.
    fn properties(&mut self, depth: usize, end_optional: bool) -> Result<Vec<(String, Value)>> {
        let mut properties = Vec::new();
        while !(end_optional && self.cursor.is_empty()) {
            let key = self.string()?;
            if key.is_empty() {
                let mut ahead = self.cursor.clone();
                if ahead.u8()? == OBJECT_END {
                    self.cursor = ahead;
                    break;
                }
            }
            properties.push((key, self.value(depth.saturating_add(1))?));
        }
        Ok(properties)
    }

    fn string(&mut self) -> Result<String> {
        let length = self.cursor.u16()?;
        self.cursor.take(usize::from(length)).map(text)
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn write_string(text: &str, out: &mut Vec<u8>) {
    match u16::try_from(text.len()) {
        Ok(length) => {
            out.push(STRING);
            out.extend_from_slice(&length.to_be_bytes());
        }
        Err(_) => {
            out.push(LONG_STRING);
            out.extend_from_slice(&u32::try_from(text.len()).unwrap_or(u32::MAX).to_be_bytes());
        }
    }
    out.extend_from_slice(text.as_bytes());
}

/// A property's name, cut at the last character that fits its 16-bit length.
fn write_key(key: &str, out: &mut Vec<u8>) {
    let key = key.get(..key.floor_char_boundary(usize::from(u16::MAX))).unwrap_or_default();
    out.extend_from_slice(&u16::try_from(key.len()).unwrap_or(u16::MAX).to_be_bytes());
    out.extend_from_slice(key.as_bytes());
}

/// Encoders nest two levels; each level costs us a stack frame.
const MAX_DEPTH: usize = 16;
/// Metadata has about twenty; each costs us some 60 bytes for as little as one of the peer's.
const MAX_VALUES: usize = 2_048;

const NUMBER: u8 = 0x00;
const BOOLEAN: u8 = 0x01;
const STRING: u8 = 0x02;
const OBJECT: u8 = 0x03;
const NULL: u8 = 0x05;
const UNDEFINED: u8 = 0x06;
const REFERENCE: u8 = 0x07;
const ECMA_ARRAY: u8 = 0x08;
const OBJECT_END: u8 = 0x09;
const STRICT_ARRAY: u8 = 0x0a;
const DATE: u8 = 0x0b;
const LONG_STRING: u8 = 0x0c;
const UNSUPPORTED: u8 = 0x0d;
const XML: u8 = 0x0f;
const TYPED_OBJECT: u8 = 0x10;

#[cfg(test)]
mod tests;
