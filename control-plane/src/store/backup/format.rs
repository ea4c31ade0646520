//! The backup's file: lines of JSON, a header first, a row each, and last a checksum of all lines before it.

use std::io::{BufRead, Write};

use aws_lc_rs::digest::{Context, SHA256};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::tables::{Column, Kind};
use crate::error::{Error, Result};

/// How many rows of each table.
pub type Rows = Vec<(String, u64)>;

/// The first line.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Header {
    /// [`FORMAT`].
    format: String,
    /// The version of Nearcast that made it.
    nearcast: String,
    /// The version of the schema that the rows are of.
    pub(super) schema: i64,
    /// Milliseconds since the Unix epoch.
    pub(super) made_at: u64,
    /// For people who find the file.
    contains: String,
    /// In the order of their rows.
    pub(super) tables: Vec<Table>,
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Table {
    pub(super) name: String,
    pub(super) rows: u64,
    pub(super) columns: Vec<Column>,
}

/// A line between the first and the last.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Line {
    pub(super) table: String,
    pub(super) row: Map<String, Value>,
}

impl Header {
    pub(super) fn new(schema: i64, made_at: u64) -> Self {
        Self {
            format: FORMAT.to_owned(),
            nearcast: env!("CARGO_PKG_VERSION").to_owned(),
            schema,
            made_at,
            contains: CONTAINS.to_owned(),
            tables: Vec::new(),
        }
    }

    pub(super) fn counts(&self) -> Rows {
        self.tables.iter().map(|table| (table.name.clone(), table.rows)).collect()
    }
}

/// Writes a file line by line.
pub(super) struct Writer<'a, W> {
    out: &'a mut W,
    sum: Context,
}

impl<'a, W: Write> Writer<'a, W> {
    pub(super) fn begin(out: &'a mut W, header: &Header) -> Result<Self> {
        let mut writer = Self { out, sum: Context::new(&SHA256) };
        // Made of strings and numbers; there is always a JSON form.
        writer.line(serde_json::to_string(header).unwrap_or_default())?;
        Ok(writer)
    }

    /// A row, by the texts of its columns.
    pub(super) fn row(&mut self, table: &Table, texts: Vec<Option<String>>) -> Result<()> {
        let mut row = Map::new();
        for (Column { name, kind }, text) in table.columns.iter().zip(texts) {
            let Some(text) = text else {
                row.insert(name.clone(), Value::Null);
                continue;
            };
            let value = match kind {
                Kind::Text => Some(Value::String(text.clone())),
                Kind::Integer => text.parse::<i64>().ok().map(Value::from),
                Kind::Real => text.parse::<f64>().ok().map(Value::from),
            };
            row.insert(name.clone(), value.ok_or_else(|| super::damaged("a number", &text))?);
        }
        self.line(json!({ "table": table.name, "row": row }).to_string())
    }

    pub(super) fn finish(self) -> Result<()> {
        let last = last(self.sum);
        self.out.write_all(last.as_bytes()).and_then(|()| self.out.flush()).map_err(write)
    }

    fn line(&mut self, mut line: String) -> Result<()> {
        line.push('\n');
        self.sum.update(line.as_bytes());
        self.out.write_all(line.as_bytes()).map_err(write)
    }
}

/// Reads a file to its end and finds it whole.
///
/// # Errors
/// It is no backup, it has been cut short, or anything in it has changed since it was made.
pub(super) fn check(file: &mut impl BufRead) -> Result<Header> {
    let mut sum = Context::new(&SHA256);
    let first = line(file)?.ok_or_else(|| damage("it is empty"))?;
    let header = header(&first)?;
    sum.update(&first);
    let mut rows = 0_u64;
    loop {
        let line = line(file)?.ok_or_else(|| damage("its end is missing: it has been cut short"))?;
        if line.starts_with(LAST.as_bytes()) {
            if line != last(sum).as_bytes() {
                return Err(damage("its checksum is another: something in it has changed since it was made"));
            }
            break;
        }
        sum.update(&line);
        rows += 1;
    }
    if line(file)?.is_some() {
        return Err(damage("something stands behind its end"));
    }
    let announced = header.tables.iter().try_fold(0_u64, |sum, table| sum.checked_add(table.rows));
    if announced != Some(rows) {
        return Err(damage("it has not as many rows as its first line says"));
    }
    Ok(header)
}

/// Passes over the header of a file that has been checked.
pub(super) fn skip_header(file: &mut impl BufRead) -> Result<()> {
    line(file).map(drop)
}

/// The next row; none at the end.
pub(super) fn next(file: &mut impl BufRead) -> Result<Option<Line>> {
    let Some(line) = line(file)?.filter(|line| !line.starts_with(LAST.as_bytes())) else { return Ok(None) };
    serde_json::from_slice(&line).map(Some).map_err(|error| damage(&format!("a row cannot be read: {error}")))
}

pub(super) fn damage(problem: &str) -> Error {
    Error::DamagedBackup { problem: problem.to_owned() }
}

fn header(line: &[u8]) -> Result<Header> {
    // By its name first: what a later format holds beside it is of no interest here.
    let value: Value =
        serde_json::from_slice(line).map_err(|_| damage("its first line is not a backup's"))?;
    match value["format"].as_str() {
        Some(FORMAT) => {}
        Some(other) if other.starts_with("nearcast-backup-") => {
            return Err(damage("it was made by a newer Nearcast: use that one"));
        }
        _ => return Err(damage("its first line is not a backup's")),
    }
    serde_json::from_value(value).map_err(|error| damage(&format!("its first line cannot be read: {error}")))
}

/// A line with its end; none at the end of the file.
fn line(file: &mut impl BufRead) -> Result<Option<Vec<u8>>> {
    let mut line = Vec::new();
    let mut limited = std::io::Read::take(&mut *file, LONGEST);
    limited.read_until(b'\n', &mut line).map_err(|source| Error::ReadBackup { source })?;
    match line.last() {
        None => Ok(None),
        Some(b'\n') => Ok(Some(line)),
        Some(_) => Err(damage("a line has no end: it has been cut short, or is no backup")),
    }
}

fn last(sum: Context) -> String {
    let hex: String = sum.finish().as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
    format!("{LAST}\"{hex}\"}}\n")
}

fn write(source: std::io::Error) -> Error {
    Error::WriteBackup { source }
}

const FORMAT: &str = "nearcast-backup-1";
const CONTAINS: &str = "The state of a Nearcast control plane. Keep it secret: who has it can sign playback tokens, and \
                        has the hashes of stream keys and API tokens, and on PostgreSQL the tokens of admin and nodes.";
const LAST: &str = "{\"sha256\":";
/// A row is a few kilobytes: more than this is no backup, and must not fill memory.
const LONGEST: u64 = 64 << 20;
