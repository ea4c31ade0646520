//! `strict-player URL CHANNEL [SEGMENTS]`: follows every rendition of a channel and prints each broken rule.

use std::io::Write as _;
use std::process::ExitCode;

use anyhow::{Context as _, Result};
use nearcast_tests::client::{Client, Protocol};
use nearcast_tests::player::{Until, follow, renditions};

#[tokio::main]
async fn main() -> Result<ExitCode> {
    let mut args = std::env::args().skip(1);
    let usage = "usage: strict-player http://HOST:PORT CHANNEL [SEGMENTS]";
    let (url, channel) = (args.next().context(usage)?, args.next().context(usage)?);
    let segments = args.next().map_or(Ok(3), |count| count.parse()).context(usage)?;
    let client = Client::connect(&url, Protocol::H1, &rustls::RootCertStore::empty()).await?;
    let mut good = true;
    let out = &mut std::io::stdout();
    for rendition in renditions(&client, &channel).await? {
        let seen = follow(&client, &rendition, Until::Segments(segments)).await?;
        let (name, parts, deltas) = (&rendition.name, seen.parts, seen.deltas);
        writeln!(out, "{name}: {} segments, {parts} parts, {deltas} delta updates", seen.segments.len())?;
        write!(out, "{}", seen.findings)?;
        good &= seen.findings.is_empty();
    }
    Ok(if good { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
