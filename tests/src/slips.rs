//! Slips of a careless hand in a text, by chance that a seed decides. The tests of the hub's loader
//! and of its reload read this file too.

/// SplitMix64.
pub struct Chance(pub u64);

impl Chance {
    /// A number from 0 to below `most`; 0 if there is none.
    pub fn below(&mut self, most: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        let below = (mixed ^ (mixed >> 31)) % (most.max(1) as u64);
        usize::try_from(below).unwrap_or_default()
    }

    fn pick<'a>(&mut self, from: &[&'a str]) -> &'a str {
        from.get(self.below(from.len())).copied().unwrap_or_default()
    }
}

/// What stands where it should not, or in the place of something else.
const SLIPS: [&str; 24] = [
    "",
    "\"",
    "[",
    "]",
    "{",
    "}",
    "=",
    ",",
    "#",
    "\n",
    "\\",
    "\u{0}",
    "é",
    "💾",
    "-1",
    "0",
    "1e999",
    "9999999999999999999",
    "true",
    "\"16\"",
    "\"99999999 TB\"",
    "\"-3d\"",
    "2026-02-30",
    "[[host]]\n",
];

/// One to three slips: something cut, doubled, moved, or written over.
pub fn mutate(text: &str, chance: &mut Chance) -> String {
    let mut text = text.to_owned();
    for _ in 0..=chance.below(3) {
        let at = text.floor_char_boundary(chance.below(text.len() + 1));
        let end = text.floor_char_boundary((at + chance.below(24)).min(text.len())).max(at);
        match chance.below(5) {
            0 => text.replace_range(at..end, ""),
            1 => text.insert_str(at, chance.pick(&SLIPS)),
            2 => text.replace_range(at..end, chance.pick(&SLIPS)),
            3 => {
                let again = text.get(at..end).unwrap_or_default().to_owned();
                text.insert_str(at, &again);
            }
            _ => {
                let mut lines: Vec<&str> = text.lines().collect();
                let (a, b) = (chance.below(lines.len()), chance.below(lines.len()));
                if !lines.is_empty() {
                    lines.swap(a, b);
                }
                text = lines.join("\n") + "\n";
            }
        }
    }
    text
}
