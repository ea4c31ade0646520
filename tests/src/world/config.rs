//! The configuration file of each program of a world.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use super::layout::{Edge, Layout};
use crate::certificate::Certificate;

/// What the files of one world have in common.
pub(super) struct Common<'a> {
    pub(super) layout: &'a Layout,
    /// Folder of the world's state.
    pub(super) data: &'a Path,
    /// Programs whose state is elsewhere.
    pub(super) state: &'a [(&'static str, &'static str)],
    /// Bearer token of the admin API.
    pub(super) admin_token: &'a str,
    /// Bearer token of nodes.
    pub(super) node_token: &'a str,
    /// `None`: edges make their own at start.
    pub(super) certificate: Option<&'a Certificate>,
}

impl Common<'_> {
    fn folder(&self, name: &str) -> PathBuf {
        let elsewhere = self.state.iter().find(|(of, _)| *of == name);
        elsewhere.map_or_else(|| self.data.join(name), |(_, folder)| folder.into())
    }
}

/// `nearcast-control`'s.
pub(super) fn control(common: &Common<'_>) -> String {
    let Common { layout, admin_token, node_token, .. } = common;
    let mut text = format!(
        "zone = {:?}\n\
         data_dir = {:?}\n\
         [api]\nlisten = \"{}\"\nadmin_token = {admin_token:?}\nnode_token = {node_token:?}\n\
         [dns]\nlisten = \"{}\"\n\
         [ops]\nlisten = \"{}\"\n",
        layout.zone,
        common.folder("control"),
        layout.control,
        layout.dns,
        layout.control_ops,
    );
    for edge in &layout.edges {
        let _ = write!(text, "[[geo.networks]]\nnetwork = {:?}\nregion = {:?}\n", edge.clients, edge.region);
    }
    text
}

/// `nearcast-origin`'s.
pub(super) fn origin(common: &Common<'_>) -> String {
    let origin = &common.layout.origin;
    format!(
        "{}[node]\nid = \"origin-1\"\nregion = \"eu\"\naddresses = [\"127.0.0.1\"]\nurls = [\"http://{}\"]\n\
         [http]\nplain_listen = \"{}\"\n\
         [rtmp]\nlisten = \"{}\"\n\
         [ops]\nlisten = \"{}\"\n",
        node(common, "origin-1"),
        origin.url,
        origin.http,
        origin.rtmp,
        origin.ops,
    )
}

/// One `nearcast-edge`'s.
pub(super) fn edge(common: &Common<'_>, edge: &Edge) -> String {
    let Edge { name, region, location: (latitude, longitude), https, plain, ops, .. } = edge;
    let mut text = format!(
        "{}[node]\nid = {name:?}\nregion = {region:?}\naddresses = [\"{}\"]\n\
         urls = [\"https://{https}\", \"http://{plain}\"]\n\
         location = {{ latitude = {latitude}, longitude = {longitude} }}\n\
         [http]\nlisten = \"{https}\"\nplain_listen = \"{plain}\"\n\
         [ops]\nlisten = \"{ops}\"\n",
        node(common, name),
        https.ip(),
    );
    let _ = match common.certificate {
        Some(tls) => {
            write!(text, "[tls]\ncertificate = {:?}\nkey = {:?}\n", tls.certificate, tls.key)
        }
        None => write!(text, "[tls]\nnames = [\"localhost\", \"{}\"]\n", https.ip()),
    };
    text
}

fn node(common: &Common<'_>, name: &str) -> String {
    format!(
        "data_dir = {:?}\n[control]\nurl = \"http://{}\"\ntoken = {:?}\n",
        common.folder(name),
        common.layout.control,
        common.node_token,
    )
}
