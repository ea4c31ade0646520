//! Counters of a daemon, read from its `/metrics`.

use std::net::SocketAddr;

use anyhow::Result;

use crate::client::{Client, Protocol};

/// All samples of a daemon at one moment.
#[derive(Debug, Clone, Default)]
pub struct Samples(Vec<(String, f64)>);

impl Samples {
    /// Reads `http://{ops}/metrics`.
    pub async fn read(ops: SocketAddr) -> Result<Self> {
        let client =
            Client::connect(&format!("http://{ops}"), Protocol::H1, &rustls::RootCertStore::empty()).await?;
        let reply = client.get("/metrics").await?.expect(200)?;
        let lines = reply.text()?.lines().filter(|line| !line.starts_with('#'));
        let sample = |line: &str| {
            let (series, value) = line.rsplit_once(' ')?;
            Some((series.to_owned(), value.parse().ok()?))
        };
        Ok(Self(lines.filter_map(sample).collect()))
    }

    /// Sum of the series of this name whose labels contain all of `labels` (`status="200"`).
    pub fn sum(&self, name: &str, labels: &[&str]) -> f64 {
        let of_name = |series: &str| {
            let rest = series.strip_prefix(name)?;
            (rest.is_empty() || rest.starts_with('{')).then(|| rest.to_owned())
        };
        let matching = self.0.iter().filter(|(series, _)| {
            of_name(series).is_some_and(|rest| labels.iter().all(|label| rest.contains(label)))
        });
        matching.map(|(_, value)| value).sum()
    }
}
