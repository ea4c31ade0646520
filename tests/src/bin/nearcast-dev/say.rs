//! What the runner prints.

use std::io::Write as _;

use nearcast_tests::world::World;

/// One line; a closed terminal is no reason to stop.
pub(crate) fn line(text: &str) {
    let _ = writeln!(std::io::stdout(), "{text}");
}

/// Something is done.
pub(crate) fn step(text: &str) {
    line(&format!("  ✓ {text}"));
}

/// Everything runs: how to watch, publish and look inside.
pub(crate) fn ready(world: &World, channel: &str, key: &str, broadcasting: bool) {
    let layout = &world.layout;
    let (control, dns, zone) = (layout.control, layout.dns, &layout.zone);
    line(&format!("\nNearcast runs.\n\n  Watch      http://{control}/watch/{channel}"));
    for edge in &layout.edges {
        line(&format!(
            "             http://{}/live/{channel}/index.m3u8 (any HLS player; edge {}, region {})",
            edge.plain, edge.name, edge.region
        ));
    }
    let hint = if broadcasting {
        format!(" (channel {channel} has the test broadcast now: stop this and run `make run PUBLISH=none`)")
    } else {
        String::new()
    };
    line(&format!(
        "\n  Publish    from OBS: Settings, Stream, Service \"Custom\"{hint}\n\
         \x20            Server      rtmp://{}/live\n\
         \x20            Stream Key  {key}\n\
         \x20            Output: H.264 and AAC, keyframe interval 2 s\n\
         \x20            over TLS    rtmps://{}/live\n\
         \x20            over SRT    srt://{}?streamid={key}",
        layout.origin.rtmp, layout.origin.rtmps, layout.origin.srt
    ));
    line("\n  DNS        the nearest edge, for a viewer in each region");
    for edge in &layout.edges {
        line(&format!(
            "             dig @{} -p {} edge.{zone} +short +subnet={}   # {}",
            dns.ip(),
            dns.port(),
            edge.clients,
            edge.name
        ));
    }
    line(&format!(
        "\n  API        http://{control}/api/v1/openapi.json   (Authorization: Bearer {})\n\
         \x20 Metrics    http://{}/metrics\n\
         \x20 Logs       {}\n\n\
         Ctrl-C stops everything.",
        world.admin_token(),
        layout.control_ops,
        world.logs().display()
    ));
}
