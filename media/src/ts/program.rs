//! Which program is followed, and what it is made of.

use super::Faults;
use super::packet::Packet;
use super::section::{self, Assembler, ProgramMap};

/// The first program of a stream.
#[derive(Debug, Default)]
pub(super) struct Program {
    association: Table,
    /// Number and PID of the program's map.
    chosen: Option<(u16, u16)>,
    map_table: Table,
    map: Option<ProgramMap>,
}

#[derive(Debug, Default)]
struct Table {
    assembler: Assembler,
    counter: Option<u8>,
}

impl Program {
    /// Whether this PID carries tables.
    pub(super) fn takes(&self, pid: u16) -> bool {
        pid == section::PROGRAMS_PID || self.chosen.is_some_and(|(_, map)| map == pid)
    }

    /// Takes a packet of a table; true when the program is made of other streams now.
    pub(super) fn push(&mut self, packet: &Packet<'_>, faults: &mut Faults) -> bool {
        let Some(payload) = packet.payload else { return false };
        let is_map = packet.pid != section::PROGRAMS_PID;
        let table = if is_map { &mut self.map_table } else { &mut self.association };
        if packet.unusable {
            table.assembler.reset();
            return false;
        }
        let last = table.counter.replace(packet.counter);
        if last == Some(packet.counter) && !packet.discontinuity {
            return false;
        }
        if last.is_some_and(|last| last.wrapping_add(1) & 0x0f != packet.counter) {
            table.assembler.reset();
        }
        let mut sections = Vec::new();
        table.assembler.push(packet.starts, payload, |section| sections.push(section.to_vec()));
        let changes = sections.iter().map(|section| {
            if is_map { self.read_map(section, faults) } else { self.read_programs(section, faults) }
        });
        // Every section is read.
        changes.fold(false, |any, changed| any | changed)
    }

    /// The streams of the program, in the map's order.
    pub(super) fn streams(&self) -> &[section::Stream] {
        self.map.as_ref().map_or(&[], |map| &map.streams)
    }

    /// Whether the program's map has come.
    pub(super) fn is_known(&self) -> bool {
        self.map.is_some()
    }

    fn read_programs(&mut self, section: &[u8], faults: &mut Faults) -> bool {
        match section::programs(section) {
            Ok(Some(programs)) => {
                let kept = self.chosen.filter(|chosen| programs.contains(chosen));
                let chosen = kept.or(programs.first().copied());
                if chosen.is_some() && chosen != self.chosen {
                    self.chosen = chosen;
                    self.map_table = Table::default();
                }
            }
            Ok(None) => {}
            Err(_) => faults.damaged = faults.damaged.saturating_add(1),
        }
        false
    }

    fn read_map(&mut self, section: &[u8], faults: &mut Faults) -> bool {
        match section::program_map(section) {
            // Several programs may have their maps in one PID.
            Ok(Some(map)) if self.chosen.is_some_and(|(number, _)| number == map.number) => {
                let changed = self.map.as_ref() != Some(&map);
                self.map = Some(map);
                changed
            }
            Ok(_) => false,
            Err(_) => {
                faults.damaged = faults.damaged.saturating_add(1);
                false
            }
        }
    }
}
