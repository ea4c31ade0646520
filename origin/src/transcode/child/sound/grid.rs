//! Samples as they come, cut into frames on a grid that every child has in common: a frame's beginning, counted in
//! samples since the broadcast's, is a multiple of its length.

use std::collections::VecDeque;

/// Samples of one AAC frame.
pub(super) const FRAME: i64 = 1024;

/// The samples of one frame.
#[derive(Debug, PartialEq)]
pub(super) struct Chunk {
    /// Its first sample.
    pub(super) at: i64,
    /// [`FRAME`] samples of each channel.
    pub(super) channels: Vec<Vec<f32>>,
}

/// Where samples stand in time.
#[derive(Debug)]
pub(super) struct Grid {
    rate: i64,
    /// The first sample of the frame that is being filled, on the grid; none before the first sample of all.
    start: Option<i64>,
    /// Samples to leave out until then.
    skip: usize,
    /// As many in each channel, less than a frame.
    filled: Vec<Vec<f32>>,
    ready: VecDeque<Chunk>,
}

/// How samples that come stand to those that have come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Arrival {
    Follows,
    /// Others are missing before them.
    Ahead,
    /// There is something in their place.
    Late,
}

impl Grid {
    /// For samples of this rate.
    pub(super) fn new(rate: u32, channels: u8) -> Self {
        let filled = vec![Vec::new(); channels.into()];
        Self { rate: rate.max(1).into(), start: None, skip: 0, filled, ready: VecDeque::new() }
    }

    /// What samples that begin at `at` are, when `held` more are on their way before them. What jitters by less than
    /// what is heard or seen follows.
    pub(super) fn arrival(&self, at: i64, held: i64) -> Arrival {
        let Some(end) = self.end() else { return Arrival::Ahead };
        let (drift, tolerated) = (at - (end + held), self.rate * DRIFT_MS / 1000);
        match drift {
            _ if drift > tolerated => Arrival::Ahead,
            _ if drift < -tolerated => Arrival::Late,
            _ => Arrival::Follows,
        }
    }

    /// Goes on at `at`: a short hole is silent, after a long one it begins anew.
    pub(super) fn skip_to(&mut self, at: i64) {
        match self.end().map(|end| at - end) {
            Some(missing) if missing <= self.rate => self.silence(missing),
            _ => {
                self.pad();
                let start = at + (FRAME - at.rem_euclid(FRAME)) % FRAME;
                self.start = Some(start);
                self.skip = usize::try_from(start - at).unwrap_or(0);
            }
        }
    }

    /// Adds samples: as many for each channel.
    pub(super) fn push<'a>(&mut self, channels: impl Iterator<Item = &'a [f32]>) {
        let skip = self.skip;
        let mut left = 0;
        for (filled, samples) in self.filled.iter_mut().zip(channels) {
            left = skip.saturating_sub(samples.len());
            filled.extend_from_slice(samples.get(skip..).unwrap_or_default());
        }
        self.skip = left;
        self.cut();
    }

    /// The next whole frame.
    pub(super) fn poll(&mut self) -> Option<Chunk> {
        self.ready.pop_front()
    }

    /// Fills the last frame with silence.
    pub(super) fn pad(&mut self) {
        let length = self.filled.first().map_or(0, Vec::len) as i64;
        if length > 0 {
            self.silence(FRAME - length);
        }
    }

    /// The sample that comes next.
    fn end(&self) -> Option<i64> {
        let filled = self.filled.first().map_or(0, Vec::len);
        self.start.map(|start| start + filled as i64 - self.skip as i64)
    }

    fn silence(&mut self, samples: i64) {
        let silence = vec![0.0; usize::try_from(samples).unwrap_or(0)];
        let channels = self.filled.len();
        self.push(std::iter::repeat_n(&silence[..], channels));
    }

    fn cut(&mut self) {
        let frame = FRAME as usize;
        while let Some(start) =
            self.start.filter(|_| self.filled.iter().all(|channel| channel.len() >= frame))
        {
            if self.filled.is_empty() {
                return;
            }
            let channels = self.filled.iter_mut().map(|channel| channel.drain(..frame).collect()).collect();
            self.ready.push_back(Chunk { at: start, channels });
            self.start = Some(start + FRAME);
        }
    }
}

/// As much as sound may be off its picture before that is seen, and as the source's own track has it.
const DRIFT_MS: i64 = 40;

#[cfg(test)]
mod tests {
    use super::*;

    /// Samples that say which they are.
    fn samples(range: std::ops::Range<i64>) -> Vec<f32> {
        range.map(|sample| sample as f32).collect()
    }

    fn push(grid: &mut Grid, range: std::ops::Range<i64>) {
        let mono = samples(range);
        grid.push(std::iter::once(&mono[..]));
    }

    fn chunks(grid: &mut Grid) -> Vec<(i64, f32, f32)> {
        let chunk = |chunk: Chunk| {
            assert_eq!(chunk.channels[0].len(), FRAME as usize);
            (chunk.at, chunk.channels[0][0], chunk.channels[0][FRAME as usize - 1])
        };
        std::iter::from_fn(|| grid.poll()).map(chunk).collect()
    }

    #[test]
    fn frames_begin_on_the_grid_whatever_comes() {
        for at in [-3000, 0, 5, 1023, 1024, 5000] {
            let mut grid = Grid::new(48_000, 1);
            assert_eq!(grid.arrival(at, 0), Arrival::Ahead);
            grid.skip_to(at);
            for packet in 0..10 {
                let begin = at + packet * 960;
                assert_eq!(grid.arrival(begin + 90, 0), Arrival::Follows);
                push(&mut grid, begin..begin + 960);
            }
            let chunks = chunks(&mut grid);
            assert!(chunks.len() >= 8, "{at}: {chunks:?}");
            for (chunk, first, last) in chunks {
                assert!(chunk % FRAME == 0 && chunk >= at);
                assert_eq!((first, last), (chunk as f32, (chunk + FRAME - 1) as f32));
            }
        }
    }

    #[test]
    fn short_holes_are_silent_and_long_ones_are_left_out() {
        let mut grid = Grid::new(48_000, 1);
        grid.skip_to(0);
        push(&mut grid, 0..1500);
        assert_eq!(grid.arrival(1500 + 1920, 0), Arrival::Follows);
        assert_eq!(grid.arrival(1500 + 1921, 0), Arrival::Ahead);
        assert_eq!(grid.arrival(1500 + 1921, 10), Arrival::Follows, "what is on its way fills it");
        assert_eq!(grid.arrival(-421, 0), Arrival::Late);
        grid.skip_to(4_000);
        push(&mut grid, 4_000..5_000);
        let times: Vec<i64> = chunks(&mut grid).iter().map(|chunk| chunk.0).collect();
        assert_eq!(times, [0, 1024, 2048, 3072]);
        grid.skip_to(100_000);
        push(&mut grid, 100_000..102_000);
        grid.pad();
        let rest = chunks(&mut grid);
        assert_eq!(rest.iter().map(|chunk| chunk.0).collect::<Vec<_>>(), [4096, 100_352, 101_376]);
        assert_eq!((rest[0].2, rest[1].1, rest[2].2), (0.0, 100_352.0, 0.0));
    }
}
