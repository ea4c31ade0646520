//! Are the development world's ports free? Said before anything starts, in words that help.

use std::net::{SocketAddr, TcpListener, UdpSocket};

use anyhow::{Result, bail};
use nearcast_tests::world::Layout;

/// Fails with every port that another program holds, what it is for, and how to see who has it.
pub(crate) fn check(layout: &Layout) -> Result<()> {
    let mut needed = vec![
        (layout.control, "the API and the pages", false),
        (layout.control_ops, "the control plane's metrics", false),
        (layout.dns, "DNS", true),
        (layout.origin.http, "the origin", false),
        (layout.origin.rtmp, "RTMP publishers", false),
        (layout.origin.rtmps, "RTMPS publishers", false),
        (layout.origin.srt, "SRT publishers", true),
        (layout.origin.ops, "the origin's metrics", false),
    ];
    for edge in &layout.edges {
        needed.push((edge.https, edge.name, true));
        needed.push((edge.plain, edge.name, false));
        needed.push((edge.ops, edge.name, false));
    }
    let taken: Vec<String> = needed
        .into_iter()
        .filter(|(address, _, udp)| !free(*address, *udp))
        .map(|(address, what, _)| {
            let port = address.port();
            format!("  {address} (for {what}): `ss -lntup 'sport = :{port}'` shows who has it\n")
        })
        .collect();
    if !taken.is_empty() {
        bail!(
            "another program holds addresses that Nearcast needs; stop it and run this again:\n{}",
            taken.concat()
        );
    }
    Ok(())
}

fn free(address: SocketAddr, udp: bool) -> bool {
    // std sets SO_REUSEADDR: connections of the last run that linger do not count.
    TcpListener::bind(address).is_ok() && (!udp || UdpSocket::bind(address).is_ok())
}
