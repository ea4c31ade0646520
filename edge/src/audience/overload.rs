//! When an edge has enough to do, and takes nobody new: no IO and no clock.

/// Looks at the load once a second.
#[derive(Debug)]
pub struct Overload {
    limit: f32,
    /// Seconds in a row above the limit.
    above: u32,
    full: bool,
}

impl Overload {
    /// Full above `limit`, a share of all cores from 0 to 1; never above 1.
    pub fn new(limit: f32) -> Self {
        Self { limit, above: 0, full: false }
    }

    /// The load of the last second; gives whether the edge is full. It is after two seconds above the limit, and until a
    /// tenth of it is free again.
    pub fn measured(&mut self, load: f32) -> bool {
        self.above = if load > self.limit { self.above + 1 } else { 0 };
        self.full = self.above >= 2 || self.full && load > self.limit * 0.9;
        self.full
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_peak_is_no_overload_and_it_ends_when_there_is_room() {
        let mut overload = Overload::new(0.9);
        let full = [0.95, 0.5, 0.95, 0.95, 0.88, 0.85, 0.8, 0.88].map(|load| overload.measured(load));
        assert_eq!(full, [false, false, false, true, true, true, false, false]);
        let mut never = Overload::new(1.0);
        assert!(!(0..10).any(|_| never.measured(1.0)));
    }
}
