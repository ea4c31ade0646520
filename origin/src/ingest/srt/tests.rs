use bytes::BytesMut;
use proptest::prelude::*;
use srt_protocol::connection::DuplexConnection;
use srt_protocol::packet::{
    ControlPacket, ControlTypes, HandshakeControlInfo, RejectReason, SeqNumber, ShakeType, SocketId,
};
use srt_protocol::protocol::pending_connection::ConnectionResult;
use srt_protocol::protocol::pending_connection::connect::Connect;
use srt_protocol::settings::{ConnInitSettings, KeySettings, KeySize};

use super::handshake::Accepted;
use super::*;

const CALLER: &str = "192.0.2.7:4000";
const LOCAL: SocketId = SocketId(77);

/// What a caller sends to get its connection: an induction, and the conclusion for the cookie that it got.
fn conclusion(listener: &Handshakes, passphrase: Option<(&str, KeySize)>, stream_id: &str) -> Vec<u8> {
    let origin = "192.0.2.1:8890".parse().unwrap();
    let key =
        |(phrase, key_size)| KeySettings { key_size, passphrase: String::from(phrase).try_into().unwrap() };
    let settings = ConnInitSettings {
        key_settings: passphrase.map(key),
        send_latency: Duration::from_millis(300),
        ..ConnInitSettings::default()
    };
    let id = (!stream_id.is_empty()).then(|| stream_id.to_owned());
    let mut caller = Connect::new(origin, [192, 0, 2, 7].into(), settings, id, SeqNumber::new_truncate(9));
    let now = Instant::now();
    let ConnectionResult::SendPacket((induction, _)) = caller.handle_tick(now) else { panic!() };
    let from = CALLER.parse().unwrap();
    let Some(Datagram::Induction(shake)) = gate::read(&serialized(&induction), from) else { panic!() };
    let answer = listener.induction(shake, from, Duration::ZERO);
    let ConnectionResult::SendPacket((conclusion, _)) = caller.handle_packet(Ok((answer, origin)), now)
    else {
        panic!()
    };
    serialized(&conclusion).to_vec()
}

fn answer(
    listener: &Handshakes,
    datagram: &[u8],
    uptime: Duration,
) -> Option<Result<(Accepted, String), Refusal>> {
    let from = CALLER.parse().unwrap();
    let Some(Datagram::Conclusion(shake, wants)) = gate::read(datagram, from) else { return None };
    listener.conclusion((&shake, wants), (from, LOCAL), (Instant::now(), uptime), |id| Ok(id.to_owned()))
}

fn listener(passphrase: &str) -> Handshakes {
    Handshakes::new(Duration::from_millis(120), Passphrase::try_from(passphrase.to_owned()).ok())
}

#[test]
fn a_caller_gets_a_connection_with_the_larger_latency() {
    let listener = listener("");
    let datagram = conclusion(&listener, None, "the-key");
    let Some(Ok((accepted, stream_id))) = answer(&listener, &datagram, Duration::from_secs(61)) else {
        panic!()
    };
    assert_eq!(stream_id, "the-key");
    assert_eq!(accepted.connection.settings.recv_tsbpd_latency, Duration::from_millis(300));
    assert_eq!(accepted.connection.settings.local_sockid, LOCAL);
    let Packet::Control(ControlPacket { control_type: ControlTypes::Handshake(info), .. }) =
        accepted.response
    else {
        panic!()
    };
    assert_eq!((info.shake_type, info.socket_id), (ShakeType::Conclusion, LOCAL));
}

#[test]
fn a_cookie_is_good_for_its_caller_and_a_minute_or_two() {
    let listener = listener("");
    let datagram = conclusion(&listener, None, "k");
    assert!(answer(&listener, &datagram, Duration::from_secs(119)).is_some());
    assert!(answer(&listener, &datagram, Duration::from_secs(121)).is_none());
    let other = "192.0.2.8:4000".parse().unwrap();
    let Some(Datagram::Conclusion(shake, wants)) = gate::read(&datagram, other) else { panic!() };
    let now = (Instant::now(), Duration::ZERO);
    assert!(listener.conclusion((&shake, wants), (other, LOCAL), now, |_| Ok(())).is_none());
}

#[test]
fn the_passphrase_decides_whatever_the_length_of_the_key() {
    let secret = listener("0123456789");
    for key_size in [KeySize::AES128, KeySize::AES192, KeySize::AES256] {
        let datagram = conclusion(&secret, Some(("0123456789", key_size)), "k");
        assert!(answer(&secret, &datagram, Duration::ZERO).unwrap().is_ok(), "{key_size:?}");
    }
    let refused = |listener: &Handshakes, datagram: &[u8]| match answer(listener, datagram, Duration::ZERO) {
        Some(Err(Refusal { code: RejectReason::Core(code), reason: "passphrase", .. })) => {
            format!("{code:?}")
        }
        _ => panic!(),
    };
    let wrong = conclusion(&secret, Some(("9876543210", KeySize::AES128)), "k");
    assert_eq!(refused(&secret, &wrong), "BadSecret");
    assert_eq!(refused(&secret, &conclusion(&secret, None, "k")), "Unsecure");
    let open = listener("");
    assert_eq!(refused(&open, &conclusion(&open, Some(("0123456789", KeySize::AES128)), "k")), "Unsecure");
}

#[test]
fn extensions_that_the_library_cannot_take_do_not_reach_it() {
    let listener = listener("");
    let plain = conclusion(&listener, None, "k");
    // A filter, a group, a kind that nobody knows, and one that is cut short.
    for extension in [
        &[0, 7, 0, 2, b'c', b'e', b'f', b',', 1, 2, 3, 4][..],
        &[0, 8, 0, 1, 1, 0, 0, 0],
        &[0, 8, 0, 0, 0, 0, 0, 0],
        &[0x12, 0x34, 0, 1, 1, 0, 0, 0],
    ] {
        let datagram = [&plain[..], extension].concat();
        assert!(answer(&listener, &datagram, Duration::ZERO).unwrap().is_ok(), "{extension:?}");
    }
    assert!(answer(&listener, &[&plain[..], &[0, 5, 0, 9, 1, 2, 3, 4]].concat(), Duration::ZERO).is_none());
    let file = [&plain[..], &[0, 6, 0, 1], b"elif"].concat();
    let Some(Err(refusal)) = answer(&listener, &file, Duration::ZERO) else { panic!() };
    assert_eq!(refusal.reason, "mode");
}

#[test]
fn what_would_end_a_connection_in_a_panic_is_left_out() {
    let from = CALLER.parse().unwrap();
    let control = |kind: u16, subtype: u16, body: &[u8]| {
        let mut datagram = Vec::new();
        datagram.extend_from_slice(&(0x8000 | kind).to_be_bytes());
        datagram.extend_from_slice(&subtype.to_be_bytes());
        datagram.extend_from_slice(&[0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 77]);
        datagram.extend_from_slice(body);
        gate::read(&datagram, from).is_some()
    };
    assert!(control(1, 0, &[]) && control(5, 0, &[]) && control(6, 0, &[]), "keep-alive, shutdown, ACKACK");
    for (kind, subtype) in [(2, 0), (3, 0), (4, 0), (8, 0), (0x7fff, 0), (0x7fff, 5), (0x7fff, 8), (99, 0)] {
        assert!(!control(kind, subtype, &[0; 8]), "{kind} {subtype}");
    }
    assert!(control(7, 0, &[0, 0, 0, 9, 0, 0, 0, 12]), "a request to drop");
    assert!(!control(7, 0, &[0, 0, 0, 12, 0, 0, 0, 9]), "backwards");
}

/// Fuzz body: whatever is sent before or in a connection, nothing panics.
fn fuzz(datagram: &[u8]) {
    let (listener, from, now) = (listener("0123456789"), CALLER.parse().unwrap(), Instant::now());
    match gate::read(datagram, from) {
        Some(Datagram::Conclusion(shake, wants)) => {
            // As if its cookie were ours.
            let key = Some(KeySize::AES128).filter(|_| wants.key_size.is_none());
            let own = conclusion(&listener, key.map(|size| ("0123456789", size)), "k");
            let mut forged = datagram.to_vec();
            forged[44..48].copy_from_slice(&own[44..48]);
            if let Some(Err(refusal)) = answer(&listener, &forged, Duration::ZERO) {
                serialized(&refusal.packet(&shake, LOCAL));
            }
        }
        Some(Datagram::Induction(shake)) => {
            drop(serialized(&listener.induction(shake, from, Duration::ZERO)))
        }
        Some(Datagram::Session(packet)) => {
            let own = conclusion(&listener, Some(("0123456789", KeySize::AES128)), "k");
            let Some(Ok((accepted, _))) = answer(&listener, &own, Duration::ZERO) else { panic!() };
            let mut connection = DuplexConnection::new(*accepted.connection);
            for (step, packet) in std::iter::repeat_n(packet, 3).enumerate() {
                let now = now + Duration::from_millis(150 * step as u64);
                connection.handle_packet_input(now, Ok((packet, from)));
                connection.check_timers(now);
                while connection.next_data(now).is_some() {}
                while let Some((packet, _)) = connection.next_packet(now) {
                    serialized(&packet);
                }
            }
        }
        None => {}
    }
}

fn seeds() -> Vec<Vec<u8>> {
    let listener = listener("0123456789");
    let encrypted = conclusion(&listener, Some(("0123456789", KeySize::AES128)), "#!::r=key,m=publish");
    // The key material, as it is sent again when the key is another.
    let at = encrypted.windows(3).position(|bytes| bytes == [0x12, 0x20, 0x29]).unwrap();
    let head = |kind: u16, subtype: u16| {
        let mut head = BytesMut::new();
        head.extend_from_slice(&kind.to_be_bytes());
        head.extend_from_slice(&subtype.to_be_bytes());
        head.extend_from_slice(&[0, 0, 0, 1, 0, 0, 0, 5, 0, 0, 0, 77]);
        head.to_vec()
    };
    let data = [&[0, 0, 0, 9, 0xe8, 0, 0, 1, 0, 0, 1, 0, 0, 0, 0, 77][..], &[0x47; 188]].concat();
    vec![
        [head(0xffff, 3), encrypted[at..at + 72].to_vec()].concat(),
        encrypted,
        conclusion(&listener, None, ""),
        data,
        [head(0x8007, 0), vec![0, 0, 0, 9, 0, 0, 0, 12]].concat(),
        head(0x8006, 0),
        head(0x8001, 0),
        head(0x8005, 0),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 600, failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn any_datagram_is_survived(
        which in any::<prop::sample::Index>(),
        edits in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..6),
        cut in proptest::option::weighted(0.3, any::<prop::sample::Index>()),
    ) {
        let mut datagram = which.get(&seeds()).clone();
        for (at, byte) in edits {
            let at = at.index(datagram.len());
            datagram[at] = byte;
        }
        if let Some(cut) = cut {
            datagram.truncate(cut.index(datagram.len()));
        }
        fuzz(&datagram);
    }
}

#[test]
fn the_key_changes_while_it_runs() {
    let seed = seeds().swap_remove(0);
    let Some(Datagram::Session(packet)) = gate::read(&seed, CALLER.parse().unwrap()) else { panic!() };
    assert_eq!(packet.dest_sockid(), LOCAL);
    fuzz(&seed);
}

#[test]
fn a_refusal_says_why() {
    let listener = listener("");
    let datagram = conclusion(&listener, None, "k");
    let Some(Datagram::Conclusion(shake, _)) = gate::read(&datagram, CALLER.parse().unwrap()) else {
        panic!()
    };
    let refusal = Refusal::new(ServerRejectReason::Unauthorized, "unknown_key", String::new());
    let packet = Packet::parse(&mut &*serialized(&refusal.packet(&shake, LOCAL)), false).unwrap();
    let Packet::Control(ControlPacket { dest_sockid, control_type: ControlTypes::Handshake(info), .. }) =
        packet
    else {
        panic!()
    };
    let HandshakeControlInfo { shake_type, .. } = info;
    assert_eq!(shake_type, ShakeType::Rejection(RejectReason::Server(ServerRejectReason::Unauthorized)));
    assert_eq!(dest_sockid, shake.info.socket_id);
}
