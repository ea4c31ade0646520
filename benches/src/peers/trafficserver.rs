//! Apache Traffic Server: one thread of the network, a cache in memory, and the settings with which its documentation
//! keeps a crowd from the origin.

use anyhow::Result;
use nearcast_tests::process::Program;

use super::{installed, version};
use crate::server::Server;
use crate::site::Site;

pub(super) async fn start(site: &Site) -> Result<Server> {
    let program = installed("traffic_server")?;
    let name = format!("trafficserver {}", version(&program, "-V")?);
    let mut server = Server::new("trafficserver", name, site)?;
    let (plain, secure) = (server.plain, server.secure);
    let folder = server.folder().display().to_string();
    for name in ["run", "log", "cache"] {
        std::fs::create_dir_all(server.folder().join(name))?;
    }
    let root = server.file(
        "runroot.yaml",
        &format!(
            "prefix: /usr\nexec_prefix: /usr\nbindir: /usr/bin\nsbindir: /usr/sbin\n\
             libdir: /usr/lib/trafficserver\nlibexecdir: /usr/lib/trafficserver/modules\ndatadir: /usr/share\n\
             sysconfdir: {folder}/etc\nlocalstatedir: {folder}\nruntimedir: {folder}/run\n\
             logdir: {folder}/log\ncachedir: {folder}/cache\n"
        ),
    )?;
    let ports =
        format!("STRING {}:ip-in={} {}:ip-in={}:ssl", plain.port(), plain.ip(), secure.port(), secure.ip());
    let records = SETTINGS.iter().copied().chain([("http.server_ports", ports.as_str())]);
    let records: String =
        records.map(|(name, value)| format!("CONFIG proxy.config.{name} {value}\n")).collect();
    server.file("etc/records.config", &records)?;
    server.file("etc/remap.config", &format!("map / http://{}/\n", site.feeder.address))?;
    server.file("etc/storage.config", &format!("{folder}/cache 256M\n"))?;
    let (certificate, key) = (site.certificate.certificate.display(), site.certificate.key.display());
    let multicert = format!("dest_ip=* ssl_cert_name={certificate} ssl_key_name={key}\n");
    server.file("etc/ssl_multicert.config", &multicert)?;
    let allow = "ip_allow:\n  - apply: in\n    ip_addrs: 127.0.0.1\n    action: allow\n    methods: ALL\n";
    server.file("etc/ip_allow.yaml", allow)?;
    let program = Program::system(&program.to_string_lossy()).named("trafficserver");
    server.run(program.args([format!("--run-root={root}")]), plain).await?;
    Ok(server)
}

const SETTINGS: &[(&str, &str)] = &[
    ("exec_thread.autoconfig", "INT 0"),
    ("exec_thread.limit", "INT 1"),
    ("accept_threads", "INT 0"),
    // Stays who it was started as.
    ("admin.user_id", "STRING #-1"),
    ("crash_log_helper", "STRING NULL"),
    ("log.logging_enabled", "INT 0"),
    ("net.listen_backlog", "INT 4096"),
    ("cache.ram_cache.size", "INT 256M"),
    ("http.keep_alive_no_activity_timeout_in", "INT 3600"),
    // It prefers its own order.
    ("ssl.server.TLSv1_3.cipher_suites", "STRING TLS_AES_128_GCM_SHA256"),
    ("http2.max_concurrent_streams_in", "INT 256"),
    // One fetch for a crowd: read while it is written, look again where another has the lock.
    ("cache.enable_read_while_writer", "INT 1"),
    ("http.background_fill_active_timeout", "INT 0"),
    ("http.background_fill_completed_threshold", "FLOAT 0.0"),
    ("http.cache.max_open_read_retries", "INT 100"),
    ("http.cache.open_read_retry_time", "INT 10"),
    ("http.cache.open_write_fail_action", "INT 5"),
];
