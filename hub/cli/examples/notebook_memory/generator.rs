//! The generator notebook-memory-1: invented memory use of notebooks, from stated assumptions
//! (section 4.6 of the scheduler's design). Only integers, so anybody gets the same file.

const LIFE: [usize; 10] = [60, 120, 180, 240, 360, 480, 720, 960, 1440, 2880];
const ACTIVE: [usize; 8] = [15, 30, 45, 60, 90, 120, 180, 240];
const IDLE: [usize; 8] = [15, 30, 60, 120, 240, 480, 720, 960];
/// What an execution adds at least, in MiB, for light, medium and heavy servers.
const STEP: [u64; 3] = [1, 16, 128];
const LIMIT: u64 = 28_672;

/// SplitMix64, as all replays draw.
struct Random(u64);

impl Random {
    fn below(&mut self, n: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((u128::from(z ^ (z >> 31)) * n as u128) >> 64) as usize
    }

    fn one_of(&mut self, list: &[usize]) -> usize {
        list[self.below(list.len())]
    }
}

/// The trace of so many servers over so many minutes.
pub fn usage_csv(seed: u64, servers: usize, steps: usize) -> String {
    let mut random = Random(seed.wrapping_mul(0x1234_5678_9abc_def1));
    let mut rows = Vec::new();
    for number in 0..servers {
        server(&mut random, number, steps, &mut rows);
    }
    rows.sort_unstable();
    let mut text = "t_seconds,server,usage_bytes,limit_bytes\n".to_owned();
    for (step, number, used) in rows {
        let (seconds, used, limit) = (60 * step, used << 20, LIMIT << 20);
        text.push_str(&format!("{seconds},s{number:04},{used},{limit}\n"));
    }
    text
}

/// One server's rows: step, number, use.
fn server(random: &mut Random, number: usize, steps: usize, rows: &mut Vec<(usize, usize, u64)>) {
    let class = match random.below(100) {
        0..70 => 0,
        70..92 => 1,
        _ => 2,
    };
    let base = 150 + random.below(101) as u64;
    let late = random.below(steps / 2);
    let life = random.one_of(&LIFE);
    let start = if number.is_multiple_of(2) { 0 } else { late };
    let end = if number.is_multiple_of(4) { steps } else { steps.min(start + life) };
    let (mut memory, mut spike, mut spike_left) = (base, 0, 0);
    let (mut active, mut left) = (true, random.one_of(&ACTIVE));
    let mut told = None;
    for step in start..end {
        if left == 0 {
            active = !active;
            left = random.one_of(if active { &ACTIVE } else { &IDLE });
        }
        left -= 1;
        if spike_left == 0 {
            spike = 0;
        } else {
            spike_left -= 1;
        }
        if active && random.below(15) == 0 {
            let growth = STEP[class] << random.below(8);
            match random.below(10) {
                0..6 => memory += growth,
                6 | 7 => (spike, spike_left) = (2 * growth, random.below(5)),
                8 => memory -= (memory - base) / 2,
                _ => memory = base,
            }
        }
        let used = LIMIT.min(memory + spike);
        if told != Some(used) || step == end - 1 {
            rows.push((step, number, used));
            told = Some(used);
        }
        if memory + spike >= LIMIT {
            (memory, spike, spike_left) = (base, 0, 0);
        }
    }
}
