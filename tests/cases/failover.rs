//! DNS sends each viewer to the nearest edge that is alive.

use std::net::IpAddr;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use nearcast_tests::dns;
use nearcast_tests::world::World;

use crate::shared;

#[tokio::test]
async fn dns_answers_with_the_edge_of_the_viewers_region() -> Result<()> {
    for (subnet, address) in [("198.51.100.0/24", EU), ("203.0.113.0/24", US)] {
        let answer = shared().edge_addresses(subnet).await?;
        ensure!(
            answer.status == "NOERROR" && answer.addresses.first() == Some(&address),
            "{subnet}: {answer:?}"
        );
        let scope = answer.subnet.context("the client subnet is not echoed")?;
        ensure!(scope.starts_with(&format!("{subnet}/")), "the echo is {scope}");
    }
    let port = shared().layout.dns.port();
    let over_tcp = dns::dig(port, "edge.nearcast.test", &["+tcp", "+subnet=203.0.113.0/24"]).await?;
    ensure!(over_tcp.addresses.first() == Some(&US), "over TCP: {over_tcp:?}");
    let unknown = dns::dig(port, "nobody.nearcast.test", &[]).await?;
    ensure!(unknown.status == "NXDOMAIN", "{unknown:?}");
    let elsewhere = dns::dig(port, "edge.example.org", &[]).await?;
    ensure!(elsewhere.status == "REFUSED", "{elsewhere:?}");
    Ok(())
}

#[tokio::test]
async fn dns_leaves_a_dead_edge_within_ten_seconds() -> Result<()> {
    let mut world = World::builder("failover").start().await?;
    ensure!(
        world.edge_addresses("198.51.100.0/24").await?.addresses.first() == Some(&EU),
        "not eu-1 at first"
    );
    world.edge("eu-1")?.kill().await?;

    let killed = Instant::now();
    let mut tick = tokio::time::interval(Duration::from_millis(250));
    loop {
        tick.tick().await;
        let answer = world.edge_addresses("198.51.100.0/24").await?;
        if answer.addresses == [US] {
            break;
        }
        ensure!(killed.elapsed() < Duration::from_secs(10), "after 10 s DNS still says {answer:?}");
    }
    Ok(())
}

const EU: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);
const US: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(127, 0, 0, 2));
