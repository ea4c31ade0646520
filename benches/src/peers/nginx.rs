//! nginx: `proxy_cache` on a file system in memory, with `sendfile` and open files kept.

use anyhow::Result;
use nearcast_tests::process::Program;

use super::{installed, version};
use crate::server::Server;
use crate::site::Site;

pub(super) async fn start(site: &Site) -> Result<Server> {
    let nginx = installed("nginx")?;
    let mut server = Server::new("nginx", format!("nginx {}", version(&nginx, "-v")?), site)?;
    let folder = server.folder().display();
    let (plain, secure, origin) = (server.plain, server.secure, site.feeder.address);
    let (certificate, key) = (site.certificate.certificate.display(), site.certificate.key.display());
    let config = format!(
        "daemon off;
user root;
pid {folder}/pid;
error_log stderr error;
worker_processes 1;
worker_rlimit_nofile 16384;
events {{ worker_connections 8192; }}
http {{
    access_log off;
    sendfile on;
    tcp_nopush on;
    open_file_cache max=1000 inactive=1h;
    open_file_cache_valid 1h;
    keepalive_timeout 1h;
    keepalive_requests 1000000000;
    http2_max_concurrent_streams 256;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    proxy_cache_path {folder}/cache levels=1:2 keys_zone=media:16m max_size=512m inactive=1h use_temp_path=off;
    upstream origin {{
        server {origin};
        keepalive 64;
    }}
    server {{
        listen {plain} backlog=4096;
        listen {secure} ssl http2 backlog=4096;
        ssl_certificate {certificate};
        ssl_certificate_key {key};
        ssl_protocols TLSv1.3;
        location / {{
            proxy_pass http://origin;
            proxy_http_version 1.1;
            proxy_set_header Connection \"\";
            proxy_cache media;
            proxy_cache_lock on;
            proxy_cache_lock_timeout 30s;
            proxy_cache_lock_age 30s;
        }}
    }}
}}
"
    );
    let file = server.file("nginx.conf", &config)?;
    let program = Program::system(&nginx.to_string_lossy()).named("nginx").args(["-c".to_owned(), file]);
    server.run(program, plain).await?;
    Ok(server)
}
