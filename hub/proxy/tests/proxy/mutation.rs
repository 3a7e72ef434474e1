//! Requests and how to spoil them, from a seed.

/// Splitmix64: <https://prng.di.unimi.it/splitmix64.c>
pub struct Chance(u64);

impl Chance {
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub fn below(&mut self, count: usize) -> usize {
        usize::try_from(self.next() % count as u64).unwrap()
    }

    pub fn pick<'a, T: ?Sized>(&mut self, all: &[&'a T]) -> &'a T {
        all[self.below(all.len())]
    }
}

const LINES: [&str; 8] = [
    "GET /user/alice/a HTTP/1.1",
    "POST /user/alice/b HTTP/1.1",
    "DELETE /user/alice/c HTTP/1.1",
    "OPTIONS /user/alice/d?x=1 HTTP/1.1",
    "GET http://a/user/alice/e HTTP/1.1",
    "PUT /user/alice/%40%2F HTTP/1.1",
    "GET /hub/f HTTP/1.0",
    "HEAD /user/alice/g HTTP/1.1",
];

const FIELDS: [&str; 14] = [
    "Accept: */*",
    "Cookie: a=1; berth-session=2",
    "Connection: keep-alive",
    "Connection: Upgrade",
    "Upgrade: h2c",
    "TE: trailers",
    "Trailer: X-Sum",
    "X-Forwarded-For: 6.6.6.6",
    "Expect: 100-continue",
    "Authorization: token t",
    "X-Empty:",
    "X-Long: 0123456789012345678901234567890123456789",
    "Keep-Alive: timeout=5",
    "Proxy-Connection: keep-alive",
];

const BODIES: [&str; 5] = [
    "",
    "Content-Length: 0\r\n\r\n",
    "Content-Length: 38\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: a\r\n\r\nxyz",
    "Transfer-Encoding: chunked\r\n\r\n5;ext=1\r\nhello\r\nA\r\n0123456789\r\n0\r\n\r\n",
    "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nX-Sum: 1\r\n\r\n",
];

/// What published attacks insert: CL.TE, TE.CL, TE.TE, CL.0, obs-fold, bare line ends, odd spaces.
const SPOILERS: [&str; 30] = [
    "Transfer-Encoding: chunked\r\n",
    "Transfer-Encoding : chunked\r\n",
    "Transfer-Encoding: xchunked\r\n",
    "Transfer-Encoding:\x0bchunked\r\n",
    "Transfer-Encoding: chunked, identity\r\n",
    "Transfer-Encoding:\r\n chunked\r\n",
    "Transfer-encoding: identity\r\n",
    " Transfer-Encoding: chunked\r\n",
    "X: X\nTransfer-Encoding: chunked\r\n",
    "Content-Length: 5\r\n",
    "Content-Length: +5\r\n",
    "Content-Length: 0x5\r\n",
    "Content-Length: 5, 5\r\n",
    "Content-Length : 5\r\n",
    "Content-Length:\t5\r\n",
    "Host: b\r\n",
    "Host: a/b\r\n",
    "Upgrade: websocket\r\nConnection: Upgrade\r\n",
    "Connection: Host, Content-Length\r\n",
    "Connection: close\r\n",
    "\r\n",
    "\n",
    "\r",
    "\0",
    "\x7f",
    "\t",
    " ",
    "0\r\n\r\n",
    "GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n",
    "HTTP/2.0\r\n\r\nSM\r\n\r\n",
];

/// A sound request.
pub fn sound(chance: &mut Chance) -> Vec<u8> {
    let mut text = format!("{}\r\nHost: a\r\n", chance.pick(&LINES));
    for _ in 0..chance.below(4) {
        text += chance.pick(&FIELDS);
        text += "\r\n";
    }
    let body = chance.pick(&BODIES);
    text += if body.is_empty() { "\r\n" } else { body };
    text.into_bytes()
}

/// Spoils bytes in one to three places.
pub fn spoil(chance: &mut Chance, bytes: &mut Vec<u8>) {
    for _ in 0..1 + chance.below(3) {
        if bytes.is_empty() {
            return;
        }
        let at = chance.below(bytes.len());
        match chance.below(7) {
            0 => bytes[at] = u8::try_from(chance.below(256)).unwrap(),
            1 => bytes[at] ^= 1 << chance.below(8),
            2 => {
                bytes.remove(at);
            }
            3 => bytes.insert(at, bytes[at]),
            4 => {
                // At the beginning of a line, where most of them hurt.
                let lines: Vec<usize> =
                    (1..bytes.len()).filter(|at| bytes[at - 1] == b'\n').collect();
                let at = if lines.is_empty() { at } else { lines[chance.below(lines.len())] };
                let spoiler = chance.pick(&SPOILERS);
                bytes.splice(at..at, spoiler.bytes());
            }
            5 => {
                let end = (at + 1 + chance.below(8)).min(bytes.len());
                bytes.drain(at..end);
            }
            _ => {
                let spoiler = chance.pick(&SPOILERS);
                bytes.splice(at..at, spoiler.bytes());
            }
        }
    }
}

/// In the normal run a share; `BERTH_LONG=1` makes it the whole. `BERTH_SEED` gives another seed.
pub fn share(part: usize, whole: usize) -> usize {
    if std::env::var_os("BERTH_LONG").is_some() { whole } else { part }
}

pub fn seed() -> u64 {
    std::env::var("BERTH_SEED").map_or(1, |text| text.parse().expect("BERTH_SEED is no number"))
}
