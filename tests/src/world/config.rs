//! The configuration file of each program of a world.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use super::layout::{Edge, Layout, Origin};
use crate::certificate::Certificate;

/// What the files of one world have in common.
pub(super) struct Common<'a> {
    pub(super) layout: &'a Layout,
    /// Folder of the world's state.
    pub(super) data: &'a Path,
    /// Programs whose state is elsewhere.
    pub(super) state: &'a [(&'static str, &'static str)],
    /// Edges that ask others, and whom.
    pub(super) below: &'a [(&'static str, &'static str)],
    /// Bearer token of the admin API.
    pub(super) admin_token: &'a str,
    /// Bearer token of nodes.
    pub(super) node_token: &'a str,
    /// `None`: edges make their own at start.
    pub(super) certificate: Option<&'a Certificate>,
}

/// `nearcast-control`'s.
pub(super) fn control(common: &Common<'_>) -> String {
    let Common { layout, admin_token, node_token, .. } = common;
    let mut text = format!(
        "zone = {:?}\ndata_dir = {:?}\n\
         [http]\nplain_listen = \"{}\"\n\
         [api]\nadmin_token = {admin_token:?}\nnode_token = {node_token:?}\n\
         [webhooks]\nallow_http = true\nprivate_addresses = true\n\
         [dns]\nlisten = \"{}\"\n\
         [ops]\nlisten = \"{}\"\n",
        layout.zone,
        common.folder("control"),
        layout.control,
        layout.dns,
        layout.control_ops,
    );
    for Edge { region, clients, location: (latitude, longitude), .. } in &layout.edges {
        let _ = write!(
            text,
            "[[geo.regions]]\nid = {region:?}\nnetworks = [{clients:?}]\n\
             location = {{ latitude = {latitude:?}, longitude = {longitude:?} }}\n"
        );
    }
    text
}

/// `nearcast-origin`'s.
pub(super) fn origin(common: &Common<'_>, origin: &Origin) -> String {
    format!(
        "[node]\nid = {:?}\nregion = \"eu\"\naddresses = [\"127.0.0.1\"]\nurls = [\"http://{}\"]\n\
         [http]\nplain_listen = \"{}\"\n\
         [rtmp]\nlisten = \"{}\"\n\
         [rtmps]\nlisten = \"{}\"\n\
         [srt]\nlisten = \"{}\"\n\
         [ops]\nlisten = \"{}\"\n{}",
        origin.name,
        origin.url,
        origin.http,
        origin.rtmp,
        origin.rtmps,
        origin.srt,
        origin.ops,
        control_client(common, origin.name),
    )
}

/// One `nearcast-edge`'s.
pub(super) fn edge(common: &Common<'_>, edge: &Edge) -> String {
    let Edge { name, region, location: (latitude, longitude), https, plain, ops, .. } = edge;
    let tls = match common.certificate {
        Some(tls) => format!("certificate = {:?}\nkey = {:?}", tls.certificate, tls.key),
        None => format!("names = [\"localhost\", \"{}\"]", https.ip()),
    };
    let parents = common.below.iter().filter(|(below, _)| below == name);
    let parents = parents.filter_map(|(_, parent)| common.layout.edge(parent));
    let parents: Vec<_> = parents.map(|parent| format!("http://{}", parent.plain)).collect();
    format!(
        "[node]\nid = {name:?}\nregion = {region:?}\naddresses = [\"{}\"]\n\
         urls = [\"https://{https}\", \"http://{plain}\"]\n\
         latitude = \"{latitude}\"\nlongitude = \"{longitude}\"\n\
         [http]\nlisten = \"{https}\"\nplain_listen = \"{plain}\"\n\
         [tls]\n{tls}\n\
         [ops]\nlisten = \"{ops}\"\n\
         [upstream]\nparents = {parents:?}\n{}",
        https.ip(),
        control_client(common, name),
    )
}

fn control_client(common: &Common<'_>, name: &str) -> String {
    format!(
        "[control]\nurl = \"http://{}\"\ntoken = {:?}\nsnapshot = {:?}\n",
        common.layout.control,
        common.node_token,
        common.folder(name).join("snapshot.json"),
    )
}

impl Common<'_> {
    fn folder(&self, name: &str) -> PathBuf {
        let elsewhere = self.state.iter().find(|(of, _)| *of == name);
        elsewhere.map_or_else(|| self.data.join(name), |(_, folder)| folder.into())
    }
}
