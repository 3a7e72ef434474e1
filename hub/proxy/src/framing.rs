//! The strict grammar of HTTP/1.1 requests, over bytes as they arrive and before the HTTP library
//! sees them. That library repairs some doubtful heads (two equal lengths, a length beside
//! chunks); whoever repairs may repair differently from the program behind, which is smuggling.
//!
//! ```text
//! Head ──length──> Body ──────┐      Head ──Upgrade──> Held ──refused──> Head
//!  ^ ^───────chunks──> Chunks─┤                          └───accepted──> Raw
//!  └─────────────────────────-┘
//! ```

use memchr::memchr;

/// Largest head, in bytes: JupyterLab's longest cookies and URLs stay below 20 KiB.
pub const HEAD_MAX: usize = 64 * 1024;

/// Longest line of a chunk's size with its extensions, in bytes.
const CHUNK_LINE_MAX: usize = 256;

/// Largest trailer section, in bytes.
const TRAILERS_MAX: usize = 8 * 1024;

/// Where in a connection's requests the reader stands.
#[derive(Debug, Default, PartialEq, Eq)]
pub enum State {
    /// Before or in a head.
    #[default]
    Head,
    /// In a body of which so many bytes are missing.
    Body(u64),
    /// In a body of chunks.
    Chunks(Chunk),
    /// Behind a head that asks for another protocol: nothing goes on until that is decided.
    Held,
    /// The other protocol's bytes.
    Raw,
}

/// Where in a chunked body.
#[derive(Debug, PartialEq, Eq)]
pub enum Chunk {
    /// In the line of its size.
    Size,
    /// In its data, so many bytes missing.
    Data(u64),
    /// In the line end behind the data.
    End,
    /// In the lines behind the last chunk.
    Trailers,
}

/// What to do with the bytes at hand.
#[derive(Debug, PartialEq, Eq)]
pub enum Step {
    /// So many of them are sound and may go on; at least one.
    Pass(usize),
    /// They are an incomplete element: read on.
    More,
    /// Nothing goes on before the other protocol is accepted or refused.
    Hold,
    /// The request is refused, for this reason.
    Refuse(&'static str),
    /// The head is longer than [`HEAD_MAX`].
    TooLong,
}

/// Looks at the bytes that follow those passed so far. `scanned` is how many of them an earlier
/// call has seen already, so that a head coming byte by byte costs no square of its length.
pub fn step(state: &mut State, bytes: &[u8], scanned: usize) -> Step {
    match state {
        _ if bytes.is_empty() => Step::More,
        State::Raw => Step::Pass(bytes.len()),
        State::Held => Step::Hold,
        State::Body(missing) => {
            let passed = pass(missing, bytes);
            if *missing == 0 {
                *state = State::Head;
            }
            Step::Pass(passed)
        }
        State::Head => match find_end(bytes, scanned) {
            Err(reason) => Step::Refuse(reason),
            Ok(None) if bytes.len() >= HEAD_MAX => Step::TooLong,
            Ok(None) => Step::More,
            // The same limit however the bytes come.
            Ok(Some(end)) if end > HEAD_MAX => Step::TooLong,
            Ok(Some(end)) => match head(bytes.get(..end).unwrap_or_default()) {
                Ok(next) => {
                    *state = next;
                    Step::Pass(end)
                }
                Err(reason) => Step::Refuse(reason),
            },
        },
        State::Chunks(chunk) => match chunks(chunk, bytes, scanned) {
            (Step::Pass(passed), true) => {
                *state = State::Head;
                Step::Pass(passed)
            }
            (step, _) => step,
        },
    }
}

fn pass(missing: &mut u64, bytes: &[u8]) -> usize {
    let passed = usize::try_from(*missing).unwrap_or(usize::MAX).min(bytes.len());
    *missing = missing.saturating_sub(passed as u64);
    passed
}

/// One step in a chunked body, and whether it was the last.
fn chunks(chunk: &mut Chunk, bytes: &[u8], scanned: usize) -> (Step, bool) {
    match chunk {
        Chunk::Data(missing) => {
            let passed = pass(missing, bytes);
            if *missing == 0 {
                *chunk = Chunk::End;
            }
            (Step::Pass(passed), false)
        }
        Chunk::End => match bytes {
            [b'\r', b'\n', ..] => {
                *chunk = Chunk::Size;
                (Step::Pass(2), false)
            }
            [b'\r'] => (Step::More, false),
            _ => (Step::Refuse("a chunk is longer than it says"), false),
        },
        Chunk::Size => {
            let Some(newline) = bytes.iter().position(|byte| *byte == b'\n') else {
                let long = bytes.len() > CHUNK_LINE_MAX;
                return (
                    if long { Step::Refuse("a chunk's line is too long") } else { Step::More },
                    false,
                );
            };
            let line = bytes.get(..newline).unwrap_or_default();
            match line.strip_suffix(b"\r").and_then(chunk_size) {
                None => (Step::Refuse("a chunk's size is malformed"), false),
                Some(size) => {
                    *chunk = if size == 0 { Chunk::Trailers } else { Chunk::Data(size) };
                    (Step::Pass(newline.saturating_add(1)), false)
                }
            }
        }
        Chunk::Trailers if bytes.starts_with(b"\r\n") => (Step::Pass(2), true),
        Chunk::Trailers if bytes == b"\r" => (Step::More, false),
        Chunk::Trailers => match find_end(bytes, scanned) {
            Err(reason) => (Step::Refuse(reason), false),
            Ok(None) if bytes.len() >= TRAILERS_MAX => {
                (Step::Refuse("the trailers are too long"), false)
            }
            Ok(None) => (Step::More, false),
            Ok(Some(end)) => {
                let fields = bytes.get(..end.saturating_sub(2)).unwrap_or_default();
                match lines(fields).find_map(|line| field(line).err()) {
                    Some(reason) => (Step::Refuse(reason), false),
                    None => (Step::Pass(end), true),
                }
            }
        },
    }
}

/// The size in a chunk's line: 1 to 15 hexadecimal digits, then at most extensions of visible text.
fn chunk_size(line: &[u8]) -> Option<u64> {
    let digits = line.iter().take_while(|byte| byte.is_ascii_hexdigit()).count();
    let (size, extension) = line.split_at_checked(digits)?;
    let sound = extension.is_empty()
        || (extension.starts_with(b";")
            && extension.iter().all(|byte| matches!(byte, b' '..=b'~')));
    if !sound || !(1..=15).contains(&digits) {
        return None;
    }
    u64::from_str_radix(std::str::from_utf8(size).ok()?, 16).ok()
}

/// The end of a head, behind its empty line. A bare LF is refused at once, or the sender of one
/// would wait for the time limit.
fn find_end(bytes: &[u8], scanned: usize) -> Result<Option<usize>, &'static str> {
    let mut from = scanned;
    while let Some(at) = bytes.get(from..).and_then(|rest| memchr(b'\n', rest)) {
        let newline = from.saturating_add(at);
        let before = bytes.get(..newline).unwrap_or_default();
        if !before.ends_with(b"\r") {
            return Err("a line ends without CR");
        }
        if before.ends_with(b"\r\n\r") {
            return Ok(Some(newline.saturating_add(1)));
        }
        if before == b"\r" {
            return Err("the head starts with an empty line");
        }
        from = newline.saturating_add(1);
    }
    Ok(None)
}

/// Lines without their ends. `find_end` has seen a CR before each LF; any other CR is left, to be
/// refused.
fn lines(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    text.split_inclusive(|byte| *byte == b'\n')
        .map(|line| line.strip_suffix(b"\r\n").unwrap_or(line))
}

/// Checks a whole head and says what follows it.
fn head(head: &[u8]) -> Result<State, &'static str> {
    let head = head.strip_suffix(b"\r\n").ok_or("the head has no end")?;
    let mut lines = lines(head);
    let request = request_line(lines.next().unwrap_or_default())?;
    let mut host: Option<&[u8]> = None;
    let mut length: Option<u64> = None;
    let mut chunked = false;
    let mut upgrade = false;
    for line in lines {
        let (name, value) = field(line)?;
        if name.eq_ignore_ascii_case(b"host") {
            if host.replace(value).is_some() {
                return Err("two Host fields");
            }
        } else if name.eq_ignore_ascii_case(b"content-length") {
            let parsed = decimal(value).ok_or("Content-Length is not a number")?;
            if length.replace(parsed).is_some() {
                return Err("two Content-Length fields");
            }
        } else if name.eq_ignore_ascii_case(b"transfer-encoding") {
            if chunked || !value.eq_ignore_ascii_case(b"chunked") {
                return Err("a Transfer-Encoding other than chunked");
            }
            chunked = true;
        } else if name.eq_ignore_ascii_case(b"upgrade") {
            upgrade = true;
        }
    }
    let host = host.ok_or("no Host field")?;
    // A Unix socket's path comes escaped.
    if !host.iter().all(|byte| byte.is_ascii_alphanumeric() || b"-._~:[]%".contains(byte)) {
        return Err("Host is not a host");
    }
    if let Some(authority) = request.authority
        && !authority.eq_ignore_ascii_case(host)
    {
        return Err("the target names another host than Host");
    }
    match (chunked, length) {
        (true, Some(_)) => Err("Transfer-Encoding and Content-Length"),
        (true, None) if request.old => Err("Transfer-Encoding in HTTP/1.0"),
        (true, None) => Ok(State::Chunks(Chunk::Size)),
        (false, Some(missing)) if missing > 0 => Ok(State::Body(missing)),
        (false, _) if upgrade => Ok(State::Held),
        (false, _) => Ok(State::Head),
    }
}

struct RequestLine<'a> {
    /// The host of a target in absolute form.
    authority: Option<&'a [u8]>,
    /// HTTP/1.0.
    old: bool,
}

fn request_line(line: &[u8]) -> Result<RequestLine<'_>, &'static str> {
    let mut words = line.split(|byte| *byte == b' ');
    let (Some(method), Some(target), Some(version), None) =
        (words.next(), words.next(), words.next(), words.next())
    else {
        return Err("the request line is malformed");
    };
    if method.is_empty() || !method.iter().all(|byte| is_token(*byte)) || method == b"CONNECT" {
        return Err("the method is malformed");
    }
    let old = match version {
        b"HTTP/1.1" => false,
        b"HTTP/1.0" => true,
        _ => return Err("neither HTTP/1.1 nor HTTP/1.0"),
    };
    // A fragment never travels; bytes above 126 are escaped by every browser.
    if target.is_empty() || !target.iter().all(|byte| matches!(byte, b'!'..=b'~') && *byte != b'#')
    {
        return Err("the target holds a forbidden byte");
    }
    let authority = if target.starts_with(b"/") || target == b"*" {
        None
    } else {
        let rest = [b"http://".as_slice(), b"https://"].into_iter().find_map(|scheme| {
            let (head, tail) = target.split_at_checked(scheme.len())?;
            head.eq_ignore_ascii_case(scheme).then_some(tail)
        });
        let rest = rest.ok_or("the target is neither a path nor a URL")?;
        let end = rest.iter().position(|byte| b"/?".contains(byte)).unwrap_or(rest.len());
        Some(rest.get(..end).unwrap_or_default())
    };
    Ok(RequestLine { authority, old })
}

/// Splits and checks one field line. A line that starts with a space would continue the one
/// before in some programs, and has no name here.
fn field(line: &[u8]) -> Result<(&[u8], &[u8]), &'static str> {
    let colon = line.iter().position(|byte| *byte == b':').ok_or("a field without a colon")?;
    let (name, value) = line.split_at(colon);
    if name.is_empty() || !name.iter().all(|byte| is_token(*byte)) {
        return Err("a field's name is malformed");
    }
    let value = value.get(1..).unwrap_or_default();
    if value.iter().any(|byte| (*byte < b' ' && *byte != b'\t') || *byte == 0x7f) {
        return Err("a field holds a control byte");
    }
    Ok((name, value.trim_ascii()))
}

fn decimal(text: &[u8]) -> Option<u64> {
    if text.is_empty() || text.len() > 18 || !text.iter().all(u8::is_ascii_digit) {
        return None;
    }
    std::str::from_utf8(text).ok()?.parse().ok()
}

/// Which bytes a token may have (RFC 9110, 5.6.2): looked up, since every byte of a name is asked.
const TOKEN: [bool; 256] = {
    let mut token = [false; 256];
    let others = b"!#$%&'*+-.^_`|~";
    let mut byte = 0;
    while byte < token.len() {
        token[byte] = (byte as u8).is_ascii_alphanumeric() && byte < 128;
        byte += 1;
    }
    let mut other = 0;
    while other < others.len() {
        token[others[other] as usize] = true;
        other += 1;
    }
    token
};

fn is_token(byte: u8) -> bool {
    TOKEN[usize::from(byte)]
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Feeds a connection in pieces of the given size; says where it stands and what was refused.
    fn feed(text: &str, piece: usize) -> String {
        let mut state = State::default();
        let mut pending: Vec<u8> = Vec::new();
        let mut passed = 0;
        for part in text.as_bytes().chunks(piece) {
            let mut scanned = pending.len();
            pending.extend_from_slice(part);
            loop {
                match step(&mut state, &pending, scanned) {
                    Step::Pass(count) => {
                        assert!(count > 0, "no progress");
                        pending.drain(..count);
                        passed += count;
                        scanned = 0;
                    }
                    Step::More => break,
                    Step::Hold => return format!("held after {passed}"),
                    Step::Refuse(reason) => return reason.to_owned(),
                    Step::TooLong => return "the head is too long".to_owned(),
                }
            }
        }
        format!("{state:?} after {passed} of {}", text.len())
    }

    fn check(text: &str, expected: &str) {
        for piece in [1, 2, 3, 7, 100_000] {
            assert_eq!(feed(text, piece), expected, "in pieces of {piece}: {text:?}");
        }
    }

    #[test]
    fn sound_requests_pass_whole() {
        for text in [
            "GET / HTTP/1.1\r\nHost: a\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a\r\n\r\nGET /b HTTP/1.1\r\nHost:a:80\r\n\r\n",
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabcGET / HTTP/1.0\r\nhost: a\r\n\r\n",
            "PUT / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: Chunked\r\n\r\n\
             3;a=b\r\nabc\r\nA\r\n0123456789\r\n0\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n",
            "PUT / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX-Sum: 1\r\n\r\n",
            "GET http://a:8/x?y HTTP/1.1\r\nHost: a:8\r\n\r\n",
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n",
        ] {
            check(text, &format!("Head after {0} of {0}", text.len()));
        }
    }

    #[test]
    fn bytes_behind_an_upgrade_are_held() {
        let head = "GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\n\r\n";
        check(&format!("{head}GET /smuggled"), &format!("held after {}", head.len()));
    }

    #[test]
    fn doubtful_requests_are_refused() {
        let with = |fields: &str| format!("POST / HTTP/1.1\r\nHost: a\r\n{fields}\r\n");
        for (text, expected) in [
            (
                with("Content-Length: 1\r\nTransfer-Encoding: chunked\r\n"),
                "Transfer-Encoding and Content-Length",
            ),
            (with("Transfer-Encoding: chunked\r\r\n"), "a field holds a control byte"),
            (
                with("Transfer-Encoding: chunked\r\n") + "0\r\nX: 1\r\r\n\r\n",
                "a field holds a control byte",
            ),
            (
                with("Transfer-Encoding: chunked\r\nContent-Length: 1\r\n"),
                "Transfer-Encoding and Content-Length",
            ),
            (with("Content-Length: 1\r\nContent-Length: 1\r\n"), "two Content-Length fields"),
            (with("Content-Length: 1, 1\r\n"), "Content-Length is not a number"),
            (with("Content-Length: +1\r\n"), "Content-Length is not a number"),
            (with("Content-Length:\r\n"), "Content-Length is not a number"),
            (with("Content-Length: 99999999999999999999\r\n"), "Content-Length is not a number"),
            (
                with("Transfer-Encoding: gzip, chunked\r\n"),
                "a Transfer-Encoding other than chunked",
            ),
            (with("Transfer-Encoding: xchunked\r\n"), "a Transfer-Encoding other than chunked"),
            (
                with("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n"),
                "a Transfer-Encoding other than chunked",
            ),
            (with("Transfer-Encoding : chunked\r\n"), "a field's name is malformed"),
            (with("X: 1\r\n folded\r\n"), "a field without a colon"),
            (with(" X: 1\r\n"), "a field's name is malformed"),
            (with("X: a\rb\r\n"), "a field holds a control byte"),
            (with("X: a\0b\r\n"), "a field holds a control byte"),
            (with("X: a\nY: b\r\n"), "a line ends without CR"),
            (with("Host: b\r\n"), "two Host fields"),
            ("GET / HTTP/1.1\r\n\r\n".into(), "no Host field"),
            ("GET / HTTP/1.1\r\nHost: a/b\r\n\r\n".into(), "Host is not a host"),
            ("GET / HTTP/1.1\nHost: a\n\n".into(), "a line ends without CR"),
            ("\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n".into(), "the head starts with an empty line"),
            ("GET  / HTTP/1.1\r\nHost: a\r\n\r\n".into(), "the request line is malformed"),
            ("GET /\tx HTTP/1.1\r\nHost: a\r\n\r\n".into(), "the target holds a forbidden byte"),
            ("GET /#x HTTP/1.1\r\nHost: a\r\n\r\n".into(), "the target holds a forbidden byte"),
            ("GET / HTTP/2.0\r\nHost: a\r\n\r\n".into(), "neither HTTP/1.1 nor HTTP/1.0"),
            (
                "GET http://b/ HTTP/1.1\r\nHost: a\r\n\r\n".into(),
                "the target names another host than Host",
            ),
            ("CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\n\r\n".into(), "the method is malformed"),
            (
                "GET ftp://a/ HTTP/1.1\r\nHost: a\r\n\r\n".into(),
                "the target is neither a path nor a URL",
            ),
            (
                "PUT / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n".into(),
                "Transfer-Encoding in HTTP/1.0",
            ),
            (
                with("Transfer-Encoding: chunked\r\n") + "3\r\nabcd\r\n",
                "a chunk is longer than it says",
            ),
            (with("Transfer-Encoding: chunked\r\n") + "3\nabc\r\n", "a chunk's size is malformed"),
            (
                with("Transfer-Encoding: chunked\r\n") + "0x3\r\nabc\r\n",
                "a chunk's size is malformed",
            ),
            (
                with("Transfer-Encoding: chunked\r\n") + "3 ;x\r\nabc\r\n",
                "a chunk's size is malformed",
            ),
            (
                with("Transfer-Encoding: chunked\r\n") + "fffffffffffffffff\r\n",
                "a chunk's size is malformed",
            ),
            (
                with("Transfer-Encoding: chunked\r\n") + "0\r\nbad trailer\r\n\r\n",
                "a field without a colon",
            ),
            (
                format!("GET /{} HTTP/1.1\r\nHost: a\r\n\r\n", "a".repeat(HEAD_MAX)),
                "the head is too long",
            ),
        ] {
            for piece in [1, 5, 100_000] {
                // Whole-head rules need no byte-by-byte run over 64 KiB.
                if text.len() < 10_000 || piece > 1 {
                    assert_eq!(feed(&text, piece), expected, "in pieces of {piece}: {text:.200}");
                }
            }
        }
    }
}
