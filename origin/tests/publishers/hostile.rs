//! What is no publisher, or lies: it harms nobody, and costs the origin little.

mod damage;

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::Shutdown;
use std::thread;

use crate::sender::{self, AUDIO, COMMAND, NULL, SET_CHUNK_SIZE, Sender, Tag, VIDEO, header, message};
use crate::shapes::outcome::{Expected, Outcome};
use crate::shapes::{CONFIG, ffmpeg, ffmpeg_in_real_time};
use crate::support::{CHANNEL, KEY, Origin, complaint};
use damage::Damage;

#[test]
fn hostile_peers_cost_little_and_the_broadcast_beside_them_loses_nothing() {
    let origin = Origin::start_with(CONFIG, &[VICTIM]);
    let file = origin.directory.path().join("plain.flv");
    assert_eq!(complaint(ffmpeg("30", 3, "-g 15", &file.to_string_lossy())), "");
    let tags = Tag::read(&file);

    let url = format!("rtmp://{}/live/{KEY}", origin.rtmp);
    let neighbour = ffmpeg_in_real_time("30", SECONDS, "-g 60", &url);
    origin.logged("a broadcast begins");
    let before = memory(&origin);
    let at = &origin.rtmp;
    let idle = idle(at);
    for (name, attack) in ATTACKS {
        attack(at);
        eprintln!("{name}: {} KiB of memory at most so far", memory(&origin).most);
    }
    lying_publishers(at, &tags);
    // A byte now and then does not prolong it.
    for mut peer in idle {
        let _closed_already = peer.socket.write_all(&[0]);
        closed(peer);
    }
    let after = memory(&origin);
    let cost = after.most - before.now;
    eprintln!("{} KiB before, {} KiB after, {cost} KiB more at most", before.now, after.now);
    assert!(cost < MEMORY, "the attacks cost {cost} KiB");

    assert_eq!(complaint(neighbour), "");
    let outcome = Outcome::of_channel(&origin, CHANNEL);
    let frames = 30 * SECONDS as usize;
    let wrong = Expected::video(frames, 30.0).compare(&outcome, f64::from(SECONDS));
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert_eq!(origin.stop().code(), Some(0));
}

/// What it is called, and what it does to the origin at an address.
type Attack = (&'static str, fn(&str));

/// One attack after the other; each sees its connections closed where it broke the rules, and kept where not.
const ATTACKS: &[Attack] = &[
    ("other protocols", |at| {
        for hello in [&b"GET / HTTP/1.1\r\n\r\n"[..], b"\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03"] {
            let mut peer = Sender::knock(at);
            peer.socket.write_all(hello).unwrap();
            closed(peer);
        }
    }),
    ("values in values", |at| {
        for nest in [&b"\x0a\0\0\0\x01"[..], b"\x03\0\x01a", b"\x08\0\0\0\x01\0\x01a"] {
            let body = [sender::string("connect"), sender::number(1.0), nest.repeat(10_000)].concat();
            refused(at, &message(3, 0, COMMAND, 0, &body));
        }
        // Five bytes that announce four thousand million values.
        refused(at, &message(3, 0, COMMAND, 0, b"\x0a\xff\xff\xff\xff"));
    }),
    ("commands of a byte", |at| {
        for body in [&[NULL][..], &[2], &[2, 0xff, 0xff], &[]] {
            refused(at, &message(3, 0, COMMAND, 0, body));
        }
    }),
    ("16 MB of nulls", |at| {
        let nulls = vec![NULL; 0xff_ffff];
        crowd(20, at, |at| refused(at, &message(3, 0, COMMAND, 0, &nulls)));
    }),
    ("messages without end", |at| {
        // Not published, so nothing is owed to it; what is held of each is what this measures.
        let begin = [connected(), header(6, 0, 4 << 20, VIDEO, 1), vec![7; 3 << 20]].concat();
        let held: Vec<Sender> = (0..100).map(|_| sent(at, &begin)).collect();
        held.into_iter().for_each(closed);
        let many: Vec<u8> = (2..64).flat_map(|id| header(id, 0, 1 << 20, VIDEO, 1)).collect();
        refused(at, &[connected(), many].concat());
        for size in [0, 1, 127, 0x8000_0000_u32] {
            refused(at, &message(2, 0, SET_CHUNK_SIZE, 0, &size.to_be_bytes()));
        }
    }),
    ("200,000 streams", |at| {
        let create = [&sender::string("createStream")[..], &sender::number(2.0), &[NULL]].concat();
        let release = [&sender::string("releaseStream")[..], &sender::number(2.0), &[NULL]].concat();
        for command in [create, release] {
            refused(at, &[connected(), message(3, 0, COMMAND, 0, &command).repeat(200_000)].concat());
        }
    }),
    ("pings whose answers nobody reads", |at| {
        let pings = message(2, 0, 4, 0, &[0, 6, 1, 2, 3, 4]).repeat(400_000);
        refused(at, &[connected(), pings].concat());
    }),
    ("noise", |at| {
        let mut damage = Damage::new(1);
        for _ in 0..150 {
            let noise = damage.noise(3_000);
            drop(sent(at, &noise));
            drop(sent(at, &[connected(), noise].concat()));
        }
    }),
    ("a recorded encoder, damaged", |at| {
        let mut damage = Damage::new(2);
        for _ in 0..300 {
            let mut bytes = RECORDED.to_vec();
            damage.edit(&mut bytes, 6);
            drop(sent_raw(at, &bytes));
        }
    }),
    ("what is allowed, if strange", |at| {
        let mut peer = Sender::publish(at, VICTIM);
        let picture = [header(6, 0, 300, VIDEO, 1), vec![0x17; 128]].concat();
        let sound = message(4, 0, AUDIO, 1, &[0xaf, 1, 0x21]);
        let strange = [
            message(2, 0, SET_CHUNK_SIZE, 0, &128_u32.to_be_bytes()),
            // A picture in three chunks with a sound and a ping between, and one that is given up.
            picture.clone(),
            sound.clone(),
            [&[0xc6][..], &[0; 128]].concat(),
            message(2, 0, 4, 0, &[0, 6, 1, 2, 3, 4]),
            [&[0xc6][..], &[0; 44]].concat(),
            picture,
            message(2, 0, 2, 0, &6_u32.to_be_bytes()),
            sound,
            message(4, 0, 18, 1, &sender::string("@setDataFrame")),
            message(4, 0, 18, 1, &[sender::string("@setDataFrame"), sender::string("onMetaData")].concat()),
            message(4, 0, 18, 1, b"\x0a\xff\xff\xff\xff"),
            message(4, 0, 18, 1, &[]),
            message(6, 0, VIDEO, 1, &[]),
            message(2, 0, 5, 0, &1_u32.to_be_bytes()),
        ];
        peer.socket.write_all(&strange.concat()).unwrap();
        peer.unpublish();
    }),
];

/// Connections that say nothing, or part of a greeting, or nothing behind it.
fn idle(at: &str) -> Vec<Sender> {
    let silent = (0..150).map(|_| Sender::knock(at));
    let slow = (0..150).map(|_| sent_raw(at, &[3, 0, 0]));
    let greeted = (0..50).map(|_| Sender::greet(at));
    silent.chain(slow).chain(greeted).collect()
}

/// Publishers with a good key whose frames, times and configurations are wrong.
fn lying_publishers(at: &str, tags: &[Tag]) {
    for seed in 0..40 {
        let mut damage = Damage::new(seed);
        let mut peer = Sender::publish(at, VICTIM);
        let mut lies = tags.to_vec();
        damage.tags(&mut lies);
        let bytes: Vec<u8> = lies
            .iter()
            .flat_map(|tag| message(if tag.is_video() { 6 } else { 4 }, tag.time, tag.kind, 1, &tag.body))
            .collect();
        // A codec that we do not take ends it early; otherwise we do, and its channel is free for the next.
        let _refused = peer.socket.write_all(&bytes).and_then(|()| peer.socket.shutdown(Shutdown::Write));
        closed(peer);
    }
}

/// A greeted connection on which these bytes were sent, as far as they were taken.
fn sent(at: &str, bytes: &[u8]) -> Sender {
    let mut peer = Sender::greet(at);
    let _closed_already = peer.socket.write_all(bytes);
    peer
}

/// The same without a greeting.
fn sent_raw(at: &str, bytes: &[u8]) -> Sender {
    let mut peer = Sender::knock(at);
    let _closed_already = peer.socket.write_all(bytes);
    peer
}

fn connected() -> Vec<u8> {
    let largest = message(2, 0, SET_CHUNK_SIZE, 0, &0x7f_ffff_u32.to_be_bytes());
    [largest, message(3, 0, COMMAND, 0, &sender::connect())].concat()
}

/// Sends bytes that break the rules behind a greeting and sees the connection closed.
fn refused(at: &str, bytes: &[u8]) {
    let largest = message(2, 0, SET_CHUNK_SIZE, 0, &0xff_ffff_u32.to_be_bytes());
    closed(sent(at, &[&largest, bytes].concat()));
}

/// Reads until the origin closes; fails when it does not.
fn closed(mut peer: Sender) {
    let mut rest = [0; 64 << 10];
    loop {
        match peer.socket.read(&mut rest) {
            Ok(0) => return,
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::ConnectionReset => return,
            Err(error) => panic!("the connection was not closed: {error}"),
        }
    }
}

/// The same from many at once.
fn crowd(count: usize, at: &str, attack: impl Fn(&str) + Sync) {
    thread::scope(|scope| {
        for _ in 0..count {
            scope.spawn(|| attack(at));
        }
    });
}

/// Resident memory of a process, in KiB.
struct Memory {
    now: u64,
    most: u64,
}

fn memory(origin: &Origin) -> Memory {
    let status =
        std::fs::read_to_string(format!("/proc/{}/status", origin.child.id())).expect("the origin lives");
    let field = |name: &str| -> u64 {
        let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
        line.trim().trim_end_matches(" kB").parse().unwrap()
    };
    Memory { now: field("VmRSS:"), most: field("VmHWM:") }
}

/// The channel whose key the attackers have.
const VICTIM: &str = "victim";
/// How long the broadcast beside the attacks lasts.
const SECONDS: u32 = 20;
/// In KiB. Twenty peers with 64 KiB each, three hundred with a handshake, and what an allocator keeps of it.
const MEMORY: u64 = 64 << 10;
/// All that FFmpeg sent in a second of publishing.
const RECORDED: &[u8] = include_bytes!("../../../media/testdata/ffmpeg-5.1.rtmp");
