//! Where a websocket frame ends, so that a close frame of ours falls between two of the server's.

/// Follows the frames of one direction.
#[derive(Debug, Default)]
pub struct Frames {
    /// Bytes of a frame's head seen so far, at most 14.
    head: [u8; 14],
    head_length: usize,
    /// Bytes missing of the current frame's content.
    missing: u64,
}

/// A server's close frame with this code (RFC 6455, 5.5.1).
pub fn close(code: u16) -> [u8; 4] {
    let [high, low] = code.to_be_bytes();
    [0x88, 0x02, high, low]
}

impl Frames {
    /// Passes bytes.
    pub fn advance(&mut self, mut bytes: &[u8]) {
        loop {
            let skipped = usize::try_from(self.missing).unwrap_or(usize::MAX).min(bytes.len());
            self.missing = self.missing.saturating_sub(skipped as u64);
            let Some((&byte, rest)) = bytes.get(skipped..).and_then(|rest| rest.split_first())
            else {
                return;
            };
            bytes = rest;
            if let Some(place) = self.head.get_mut(self.head_length) {
                *place = byte;
            }
            self.head_length = self.head_length.saturating_add(1);
            if let Some(missing) = self.content() {
                self.missing = missing;
                self.head_length = 0;
            }
        }
    }

    /// Whether the bytes so far end with a whole frame.
    pub fn between(&self) -> bool {
        self.missing == 0 && self.head_length == 0
    }

    /// The length of the content, once the head is whole.
    fn content(&self) -> Option<u64> {
        let second = *self.head.get(1).filter(|_| self.head_length >= 2)?;
        let mask = if second & 0x80 == 0 { 0 } else { 4 };
        let (extended, short) = match second & 0x7f {
            126 => (2, 0),
            127 => (8, 0),
            short => (0, u64::from(short)),
        };
        if self.head_length < 2 + extended + mask {
            return None;
        }
        let length = self.head.get(2..2 + extended)?;
        Some(length.iter().fold(short, |sum, byte| sum << 8 | u64::from(*byte)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ends_are_found_however_the_bytes_come() {
        let mut stream = vec![0x81, 5];
        stream.extend(b"hello");
        stream.extend([0x89, 0]);
        stream.extend([0x82, 126, 1, 0]);
        stream.extend([7; 256]);
        stream.extend([0x82, 127, 0, 0, 0, 0, 0, 1, 0, 0]);
        stream.extend([7; 65_536]);
        stream.extend([0x81, 0x83, 1, 2, 3, 4, 9, 9, 9]);
        let ends = [7, 9, 269, 65_815, stream.len()];
        let mut frames = Frames::default();
        let mut found = Vec::new();
        for (at, byte) in stream.iter().enumerate() {
            frames.advance(&[*byte]);
            if frames.between() {
                found.push(at + 1);
            }
        }
        assert_eq!(found, ends);
        let mut frames = Frames::default();
        frames.advance(&stream);
        assert!(frames.between());
        frames.advance(&stream[..300]);
        assert!(!frames.between());
    }
}
