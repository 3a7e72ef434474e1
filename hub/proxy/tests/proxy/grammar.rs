//! The strict grammar of HTTP/1.1 requests once more, written from RFC 9112's ABNF as a cursor that
//! goes forward over whole bytes, to hold the proxy's own reader against.

/// One request that the grammar accepts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    pub method: Vec<u8>,
    pub target: Vec<u8>,
    pub body: Vec<u8>,
    /// How many bytes of the connection it took.
    pub length: usize,
    /// Another protocol may follow.
    pub upgrade: bool,
}

/// How far a connection's bytes are good.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum End {
    /// They end with a whole request.
    Whole,
    /// They end within one.
    Within,
    /// They break the grammar.
    Broken,
}

const HEAD_MAX: usize = 64 * 1024;

/// The requests of a connection's bytes, up to the first that is not whole or not sound.
pub fn requests(bytes: &[u8]) -> (Vec<Request>, End) {
    let mut found = Vec::new();
    let mut cursor = Cursor { bytes, at: 0 };
    loop {
        if cursor.rest().is_empty() {
            return (found, End::Whole);
        }
        match request(&mut cursor) {
            Ok(request) => found.push(request),
            Err(end) => return (found, end),
        }
    }
}

struct Cursor<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Cursor<'a> {
    fn rest(&self) -> &'a [u8] {
        &self.bytes[self.at..]
    }

    fn some(&mut self, belongs: impl Fn(u8) -> bool) -> &'a [u8] {
        let rest = self.rest();
        let count = rest.iter().take_while(|byte| belongs(**byte)).count();
        self.at += count;
        &rest[..count]
    }

    fn literal(&mut self, text: &[u8]) -> Result<(), End> {
        let rest = self.rest();
        if rest.starts_with(text) {
            self.at += text.len();
            return Ok(());
        }
        Err(if text.starts_with(rest) { End::Within } else { End::Broken })
    }

    fn exactly(&mut self, count: u64) -> Result<&'a [u8], End> {
        let rest = self.rest();
        let count = usize::try_from(count).unwrap();
        if rest.len() < count {
            return Err(End::Within);
        }
        self.at += count;
        Ok(&rest[..count])
    }

    fn is_at_end(&self) -> bool {
        self.at == self.bytes.len()
    }
}

fn is_tchar(byte: u8) -> bool {
    matches!(byte, b'!' | b'#'..=b'\'' | b'*' | b'+' | b'-' | b'.' | b'0'..=b'9' | b'A'..=b'Z' | b'^'..=b'z' | b'|' | b'~')
}

fn nonempty<'a>(cursor: &Cursor<'_>, text: &'a [u8]) -> Result<&'a [u8], End> {
    match (text.is_empty(), cursor.is_at_end()) {
        (false, _) => Ok(text),
        (true, true) => Err(End::Within),
        (true, false) => Err(End::Broken),
    }
}

/// request = method SP target SP version CRLF *( field CRLF ) CRLF body
fn request(cursor: &mut Cursor<'_>) -> Result<Request, End> {
    let begin = cursor.at;
    let method = cursor.some(is_tchar);
    nonempty(cursor, method)?;
    cursor.literal(b" ")?;
    let target = cursor.some(|byte| (0x21..=0x7e).contains(&byte) && byte != b'#');
    nonempty(cursor, target)?;
    cursor.literal(b" ")?;
    cursor.literal(b"HTTP/1.")?;
    let minor = cursor.exactly(1)?[0];
    if !matches!(minor, b'0' | b'1') {
        return Err(End::Broken);
    }
    cursor.literal(b"\r\n")?;
    let mut fields = Vec::new();
    while !cursor.rest().starts_with(b"\r") {
        fields.push(field(cursor)?);
    }
    cursor.literal(b"\r\n")?;
    if cursor.at - begin > HEAD_MAX || method == b"CONNECT" {
        return Err(End::Broken);
    }
    let all = |name: &str| -> Vec<&[u8]> {
        let is = |(found, _): &&(&[u8], &[u8])| found.eq_ignore_ascii_case(name.as_bytes());
        fields.iter().filter(is).map(|(_, value)| *value).collect()
    };
    host(target, &all("host"))?;
    let (lengths, codings) = (all("content-length"), all("transfer-encoding"));
    let body = match (lengths.as_slice(), codings.as_slice()) {
        ([], []) => Vec::new(),
        ([length], []) => cursor.exactly(number(length)?)?.to_vec(),
        ([], [coding]) if coding.eq_ignore_ascii_case(b"chunked") && minor == b'1' => {
            chunks(cursor)?
        }
        _ => return Err(End::Broken),
    };
    let upgrade = !all("upgrade").is_empty() && body.is_empty() && codings.is_empty();
    let length = cursor.at - begin;
    Ok(Request { method: method.to_vec(), target: target.to_vec(), body, length, upgrade })
}

/// field = token ":" OWS value OWS CRLF
fn field<'a>(cursor: &mut Cursor<'a>) -> Result<(&'a [u8], &'a [u8]), End> {
    let name = cursor.some(is_tchar);
    nonempty(cursor, name)?;
    cursor.literal(b":")?;
    let value = cursor.some(|byte| byte == b'\t' || (byte >= b' ' && byte != 0x7f));
    cursor.literal(b"\r\n")?;
    let mut value = value;
    while let [b' ' | b'\t', rest @ ..] | [rest @ .., b' ' | b'\t'] = value {
        value = rest;
    }
    Ok((name, value))
}

fn host(target: &[u8], hosts: &[&[u8]]) -> Result<(), End> {
    let [host] = hosts else { return Err(End::Broken) };
    let good = |byte: &u8| byte.is_ascii_alphanumeric() || b"-._~:[]%".contains(byte);
    if !host.iter().all(good) {
        return Err(End::Broken);
    }
    if target.starts_with(b"/") || target == b"*" {
        return Ok(());
    }
    let text = std::str::from_utf8(target).unwrap();
    let (scheme, rest) = text.split_once("://").ok_or(End::Broken)?;
    if !scheme.eq_ignore_ascii_case("http") && !scheme.eq_ignore_ascii_case("https") {
        return Err(End::Broken);
    }
    let authority = rest.split(['/', '?']).next().unwrap();
    if authority.as_bytes().eq_ignore_ascii_case(host) { Ok(()) } else { Err(End::Broken) }
}

fn number(text: &[u8]) -> Result<u64, End> {
    if text.is_empty() || text.len() > 18 || !text.iter().all(u8::is_ascii_digit) {
        return Err(End::Broken);
    }
    Ok(text.iter().fold(0, |sum, digit| sum * 10 + u64::from(digit - b'0')))
}

/// chunk = 1*HEXDIG [ ";" extension ] CRLF data CRLF, the last one empty, then trailers.
fn chunks(cursor: &mut Cursor<'_>) -> Result<Vec<u8>, End> {
    let mut body = Vec::new();
    loop {
        let begin = cursor.at;
        let digits = cursor.some(|byte| byte.is_ascii_hexdigit());
        nonempty(cursor, digits)?;
        if digits.len() > 15 {
            return Err(End::Broken);
        }
        if cursor.rest().starts_with(b";") {
            cursor.some(|byte| (b' '..=b'~').contains(&byte));
        }
        if cursor.at - begin > 256 {
            return Err(End::Broken);
        }
        cursor.literal(b"\r\n")?;
        let size = u64::from_str_radix(std::str::from_utf8(digits).unwrap(), 16).unwrap();
        if size == 0 {
            break;
        }
        body.extend(cursor.exactly(size)?);
        cursor.literal(b"\r\n")?;
    }
    let begin = cursor.at;
    while !cursor.rest().starts_with(b"\r") {
        field(cursor)?;
    }
    cursor.literal(b"\r\n")?;
    if cursor.at - begin > 8 * 1024 { Err(End::Broken) } else { Ok(body) }
}
