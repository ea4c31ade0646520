//! The name server as `dig` sees it.

use std::process::Command;

use serde_json::json;

use crate::testing::{World, spec};

/// Runs dig against the server and gives all it prints.
async fn dig(world: &World, arguments: &str) -> String {
    let server = world.dns();
    let arguments: Vec<String> = arguments.split(' ').map(str::to_owned).collect();
    let run = move || {
        let mut command = Command::new("dig");
        command.arg(format!("@{}", server.ip())).arg("-p").arg(server.port().to_string());
        command.args(["+norecurse", "+tries=1", "+time=5", "+nocmd"]).args(arguments).output()
    };
    let output = tokio::task::spawn_blocking(run).await.unwrap();
    let output = output.expect("dig is needed for this test: apt-get install bind9-dnsutils");
    String::from_utf8(output.stdout).unwrap()
}

async fn world() -> (World, tempfile::TempDir) {
    let directory = tempfile::tempdir().unwrap();
    let world = World::start(directory.path()).await;
    world.populate().await;
    // What the API answered is in the fleet; wait until it is in the zone as well.
    follow(&world).await;
    (world, directory)
}

/// Asks for the zone's serial until it is the newest snapshot's.
async fn follow(world: &World) {
    let update = world.get("/snapshot").await.json();
    let version = update["full"]["version"].as_u64().unwrap().to_string();
    let newest = async {
        loop {
            let soa = dig(world, "nearcast.test SOA +short").await;
            if soa.split(' ').nth(2) == Some(version.as_str()) {
                return;
            }
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(10), newest).await.expect("the zone never caught up");
}

#[tokio::test]
async fn each_client_network_gets_its_nearest_edge_with_the_scope_of_its_network() {
    let (world, _directory) = world().await;
    for transport in ["+notcp", "+tcp"] {
        for (subnet, edge) in [("198.51.100.0/24", "127.0.0.1"), ("203.0.113.0/24", "127.0.0.2")] {
            let answer = dig(&world, &format!("edge.nearcast.test A +subnet={subnet} {transport}")).await;
            assert!(answer.contains("status: NOERROR") && answer.contains("flags: qr aa;"), "{answer}");
            assert!(answer.contains(&format!("CLIENT-SUBNET: {subnet}/24")), "{answer}");
            assert!(
                answer.contains(&format!("10\tIN\tA\t{edge}")) && answer.contains("ANSWER: 1,"),
                "{answer}"
            );
        }
    }
    let ingest = dig(&world, "ingest.nearcast.test A +subnet=203.0.113.0/24").await;
    assert!(ingest.contains("A\t127.0.0.3"), "{ingest}");
    assert!(ingest.contains("CLIENT-SUBNET: 203.0.113.0/24/0"), "one origin is everybody's: {ingest}");
    assert_eq!(dig(&world, "us-1.nearcast.test A +short").await.trim(), "127.0.0.2");
    // Loopback is in no table.
    assert_eq!(dig(&world, "edge.nearcast.test A +short").await.trim(), "127.0.0.1");
}

#[tokio::test]
async fn a_drained_edge_is_not_answered_and_when_all_are_drained_all_are() {
    let (world, _directory) = world().await;
    let ask = "edge.nearcast.test A +short +subnet=198.51.100.0/24";
    world.post("/nodes/eu-1/drain", json!({})).await;
    follow(&world).await;
    assert_eq!(dig(&world, ask).await.trim(), "127.0.0.2");
    world.post("/nodes/us-1/drain", json!({})).await;
    follow(&world).await;
    assert_eq!(dig(&world, ask).await.trim(), "127.0.0.1");
}

#[tokio::test]
async fn what_does_not_exist_is_told_from_what_has_no_such_record() {
    let (world, _directory) = world().await;
    let soa = "SOA\tns.nearcast.test. hostmaster.nearcast.test.";
    for (ask, status, has) in [
        ("nope.nearcast.test A", "NXDOMAIN", soa),
        ("a.edge.nearcast.test A", "NXDOMAIN", soa),
        ("edge.nearcast.test AAAA", "NOERROR", soa),
        ("edge.nearcast.test TXT", "NOERROR", soa),
        ("nearcast.test A", "NOERROR", soa),
        ("nearcast.test NS", "NOERROR", "NS\tns.nearcast.test."),
        ("nearcast.test NS", "NOERROR", "ns.nearcast.test.\t3600\tIN\tA\t127.0.0.1"),
        ("nearcast.test SOA", "NOERROR", soa),
        ("edge.nearcast.test ANY", "NOERROR", "A\t127.0.0.1"),
        ("example.com A", "REFUSED", "ANSWER: 0, AUTHORITY: 0"),
        (". NS", "REFUSED", "ANSWER: 0, AUTHORITY: 0"),
        ("nearcast.test AXFR", "", "; Transfer failed."),
        ("-c CH -t TXT version.bind", "REFUSED", "ANSWER: 0"),
        ("edge.nearcast.test A +edns=1 +noednsneg", "BADVERS", "ANSWER: 0"),
        ("edge.nearcast.test A +opcode=notify", "NOTIMP", "ANSWER: 0"),
    ] {
        let answer = dig(&world, ask).await;
        let status = if status.is_empty() { String::new() } else { format!("status: {status}") };
        assert!(answer.contains(&status) && answer.contains(has), "{ask}: {answer}");
        let authoritative = status.contains("NOERROR") || status.contains("NXDOMAIN");
        assert_eq!(answer.contains("flags: qr aa;"), authoritative, "{ask}: {answer}");
    }
}

#[tokio::test]
async fn http3_is_announced_before_the_first_connection() {
    let (world, _directory) = world().await;
    let answer = dig(&world, "edge.nearcast.test HTTPS +subnet=203.0.113.0/24").await;
    assert!(answer.contains(r#"HTTPS	1 . alpn="h3,h2" port=8443 ipv4hint=127.0.0.2"#), "{answer}");
    assert!(answer.contains("CLIENT-SUBNET: 203.0.113.0/24/24"), "{answer}");
    let origin = dig(&world, "ingest.nearcast.test HTTPS").await;
    assert!(origin.contains("ANSWER: 0, AUTHORITY: 1"), "an origin takes RTMP: {origin}");
}

#[tokio::test]
async fn edns_is_answered_in_kind() {
    let (world, _directory) = world().await;
    let without = dig(&world, "edge.nearcast.test A +noedns").await;
    assert!(without.contains("ANSWER: 1, AUTHORITY: 0, ADDITIONAL: 0"), "{without}");
    let with = dig(&world, "edge.nearcast.test A +dnssec").await;
    assert!(with.contains("EDNS: version: 0, flags: do;") && !with.contains("CLIENT-SUBNET"), "{with}");
    let private = dig(&world, "edge.nearcast.test A +subnet=0.0.0.0/0").await;
    assert!(private.contains("CLIENT-SUBNET: 0.0.0.0/0/0") && private.contains("A\t127.0.0.1"), "{private}");
    let v6 = dig(&world, "edge.nearcast.test A +subnet=2001:db8::/56").await;
    assert!(v6.contains("CLIENT-SUBNET: 2001:db8::/56/0"), "{v6}");
}

#[tokio::test]
async fn a_malformed_subnet_is_a_format_error() {
    let (world, _directory) = world().await;
    for (option, what) in [
        ("000118", "cut short"),
        ("00011818c63364", "a scope in a question"),
        ("00011800c633", "too few octets"),
        ("00012100c6336400", "33 bits of IPv4"),
        ("00011700c63365", "bits behind the prefix"),
        ("00031800c63364", "an unknown family"),
    ] {
        let answer = dig(&world, &format!("edge.nearcast.test A +ednsopt=8:{option}")).await;
        assert!(answer.contains("status: FORMERR"), "{what}: {answer}");
    }
}

#[tokio::test]
async fn an_answer_that_does_not_fit_is_cut_and_whole_over_tcp() {
    let directory = tempfile::tempdir().unwrap();
    let world = World::start_with(directory.path(), |config| config.dns.answers = 8).await;
    for edge in 0..4 {
        let addresses: Vec<String> = (1..=16).map(|host| format!("2001:db8:{edge}::{host}")).collect();
        let addresses: Vec<&str> = addresses.iter().map(String::as_str).collect();
        let mut spec = spec(&format!("eu-{edge}"), "edge", "eu", &addresses);
        spec["urls"] = json!(["https://eu.example"]);
        assert_eq!(world.register(&spec).await.status, 200);
    }
    follow(&world).await;
    for limit in ["+noedns", "+bufsize=512", "+bufsize=4096"] {
        let cut = dig(&world, &format!("edge.nearcast.test AAAA +ignore +notcp {limit}")).await;
        assert!(cut.contains("flags: qr aa tc;"), "{cut}");
        let size: usize =
            cut.split("rcvd: ").nth(1).unwrap().split_whitespace().next().unwrap().parse().unwrap();
        assert!(size <= if limit.contains("4096") { 1232 } else { 512 }, "{limit}: {size}");
    }
    let whole = dig(&world, "edge.nearcast.test AAAA").await;
    assert!(whole.contains("ANSWER: 64,") && whole.contains("(TCP)"), "{whole}");
}

#[tokio::test]
async fn a_port_in_use_is_one_clear_line() {
    let (world, _directory) = world().await;
    let config = super::Config { listen: world.dns(), ..super::Config::default() };
    let error = super::Server::bind(&config, "nearcast.test").await.unwrap_err().to_string();
    assert!(error.contains("`dns.listen`") && error.contains(&world.dns().port().to_string()), "{error}");
}

#[tokio::test]
async fn a_process_with_only_the_dns_role_answers_from_the_others_snapshot() {
    let directory = tempfile::tempdir().unwrap();
    let (control, _data) = world().await;
    let dns = World::start_with(directory.path(), |config| {
        config.roles = vec![crate::Role::Dns];
        config.control.url = format!("http://{}", control.http());
        config.control.token = crate::testing::NODE.to_owned();
    })
    .await;
    let newest = async { while dig(&dns, "edge.nearcast.test A +short").await.is_empty() {} };
    tokio::time::timeout(std::time::Duration::from_secs(10), newest).await.expect("no snapshot came");
    assert_eq!(dig(&dns, "edge.nearcast.test A +short +subnet=203.0.113.0/24").await.trim(), "127.0.0.2");
    assert_eq!(control.get("/nodes/dns-1").await.json()["spec"]["role"], "control");

    // The control plane goes away; its name server does not notice.
    control.daemon.drain.begin();
    control.daemon.drain.wait(std::time::Duration::from_secs(5)).await.unwrap();
    assert_eq!(dig(&dns, "edge.nearcast.test A +short +subnet=203.0.113.0/24").await.trim(), "127.0.0.2");
}
