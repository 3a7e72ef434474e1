//! Random fleets: hosts to be rebooted, spares, and servers placed as a scheduler would have.

use std::fmt::Write;

/// What a fleet is like.
#[derive(Debug, Clone, Copy)]
pub struct Shape {
    pub hosts: usize,
    pub spares: usize,
    /// Memory of the servers, in percent of that of the hosts to be rebooted.
    pub load: u64,
    pub packed: bool,
    /// Hosts of 32, 64 and 128 GB instead of 64 GB each.
    pub mixed: bool,
}

/// The fleet file of a shape and a seed.
pub fn fleet(shape: Shape, seed: u64) -> String {
    let mut random = Random(seed);
    let mut rooms: Vec<u64> = (0..shape.hosts)
        .map(|_| if shape.mixed { random.pick(&[32, 64, 64, 128]) } else { 64 })
        .collect();
    let total: u64 = rooms.iter().sum();
    rooms.extend(std::iter::repeat_n(64, shape.spares));
    let (mut needs, mut sum) = (Vec::new(), 0);
    loop {
        // Shares in percent: 37, 22, 18, 12, 11; a server has 8 GB on average.
        let need = match random.below(100) {
            0..37 => 2,
            37..59 => 4,
            59..77 => 8,
            77..89 => 16,
            _ => 28,
        };
        sum += need;
        if sum > total * shape.load / 100 {
            break;
        }
        needs.push(need);
    }
    let mut large_first: Vec<usize> = (0..needs.len()).collect();
    large_first.sort_by_key(|&server| std::cmp::Reverse(needs[server]));
    let mut free = rooms[..shape.hosts].to_vec();
    let mut at = vec![None; needs.len()];
    for server in large_first {
        let fits = (0..shape.hosts).filter(|&host| needs[server] <= free[host]);
        at[server] = match shape.packed {
            true => fits.min_by_key(|&host| free[host]),
            false => fits.min_by_key(|&host| rooms[host] - free[host]),
        };
        if let Some(host) = at[server] {
            free[host] -= needs[server];
        }
    }
    // The order of the file is an order of its own.
    let mut order: Vec<usize> = (0..rooms.len()).collect();
    for last in (1..order.len()).rev() {
        order.swap(last, random.below(last as u64 + 1) as usize);
    }
    write(&rooms, shape.hosts, &order, &needs, &at)
}

fn write(
    rooms: &[u64],
    hosts: usize,
    order: &[usize],
    needs: &[u64],
    at: &[Option<usize>],
) -> String {
    let mut text = String::new();
    for &host in order {
        let bytes = rooms[host] << 30;
        let reboot = if host < hosts { "" } else { "reboot = false\n" };
        writeln!(text, "[[host]]\nname = \"h{host:03}\"\nmemory_bytes = {bytes}\n{reboot}")
            .unwrap();
    }
    for (server, need) in needs.iter().enumerate() {
        if let Some(host) = at[server] {
            let bytes = need << 30;
            writeln!(text, "[[server]]\nname = \"s{server:04}\"\nhost = \"h{host:03}\"\nmemory_bytes = {bytes}\n").unwrap();
        }
    }
    text
}

/// SplitMix64.
struct Random(u64);

impl Random {
    fn below(&mut self, n: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((u128::from(z ^ (z >> 31)) * u128::from(n)) >> 64) as u64
    }

    fn pick(&mut self, list: &[u64]) -> u64 {
        list[self.below(list.len() as u64) as usize]
    }
}
