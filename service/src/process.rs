//! What the operating system knows of this process, read from `/proc` (proc(5)) at each scrape.

use std::fs;
use std::time::{SystemTime, UNIX_EPOCH};

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::metrics::{family::Family, gauge::Gauge};

use crate::metrics::Registry;

/// Adds `process_*` and `build` to the registry.
pub(crate) fn register(registry: &Registry, version: &'static str) {
    let started = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |since| since.as_secs_f64());
    registry.register_collector(Box::new(Process { started }));
    let build = Family::<Vec<(String, String)>, Gauge>::default();
    build.get_or_create(&vec![("version".into(), version.into())]).set(1);
    registry.register("build", "Always 1; the labels say what runs", build);
}

/// Seconds of CPU, user and system, that the process has used. `None` without `/proc`.
pub(crate) fn cpu_seconds() -> Option<f64> {
    cpu_ticks(&fs::read_to_string("/proc/self/stat").ok()?).map(|ticks| ticks as f64 / TICKS_PER_SECOND)
}

/// Fields 14 and 15; the second field is a name in parentheses that may hold anything.
fn cpu_ticks(stat: &str) -> Option<u64> {
    let mut fields = stat.rsplit_once(')')?.1.split_ascii_whitespace().skip(11);
    Some(fields.next()?.parse::<u64>().ok()? + fields.next()?.parse::<u64>().ok()?)
}

/// `VmRSS` of `/proc/self/status`, which is in KiB whatever the page size.
fn resident_bytes(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.split_ascii_whitespace().next()?.parse::<u64>().ok().map(|kib| kib * 1024)
}

/// `USER_HZ` is 100 on every Linux that Rust runs on.
const TICKS_PER_SECOND: f64 = 100.0;

#[derive(Debug)]
struct Process {
    started: f64,
}

impl Collector for Process {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
        let mut gauge = |name, help, value: Option<f64>| match value {
            Some(value) => {
                let gauge = ConstGauge::new(value);
                gauge.encode(encoder.encode_descriptor(name, help, None, gauge.metric_type())?)
            }
            None => Ok(()),
        };
        let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
        let open = fs::read_dir("/proc/self/fd").ok().map(|entries| entries.count() as f64);
        let resident = resident_bytes(&status).map(|bytes| bytes as f64);
        gauge("process_resident_memory_bytes", "Memory in RAM", resident)?;
        gauge("process_open_fds", "Open file descriptors", open)?;
        gauge("process_start_time_seconds", "Start, in seconds since the Unix epoch", Some(self.started))?;
        if let Some(seconds) = cpu_seconds() {
            let counter = ConstCounter::new(seconds);
            let help = "User and system CPU time";
            counter.encode(encoder.encode_descriptor(
                "process_cpu_seconds",
                help,
                None,
                counter.metric_type(),
            )?)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_name_cannot_shift_the_fields() {
        let stat = "42 (a) R 1 (b)) S 1 2 3 4 5 6 7 8 9 10 250 50 0 0 20";
        assert_eq!(cpu_ticks(stat), Some(300));
        assert_eq!(cpu_ticks("42 (cut"), None);
        assert_eq!(resident_bytes("VmPeak:\t9 kB\nVmRSS:\t   12 kB\n"), Some(12 * 1024));
    }

    #[test]
    fn this_process_is_on_show() {
        let registry = Registry::new();
        register(&registry, "1.2.3");
        let text = registry.render();
        for expected in [
            "nearcast_process_cpu_seconds_total ",
            "nearcast_process_resident_memory_bytes ",
            "nearcast_process_open_fds ",
            "nearcast_process_start_time_seconds ",
            "nearcast_build{version=\"1.2.3\"} 1",
        ] {
            assert!(text.contains(expected), "{expected} is not in {text}");
        }
    }
}
