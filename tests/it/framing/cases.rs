//! The cases: one request that two parsers may read differently, and a second that only one of them sees.
//!
//! Both carry a batch. Wherever two parsers see different ends of the first, the second lies where only the more lenient of them sees a request:
//! after the end of the first, or hidden in its body. A proxy that forwards it can be used for smuggling.

use std::fmt::Write as _;

use crate::bodies;

/// Some bytes, and what is unusual about them.
pub struct Case {
    pub group: &'static str,
    pub name: &'static str,
    pub bytes: Vec<u8>,
    /// Whether the sender's half is closed after them.
    pub ends: bool,
}

/// Two batches of one case.
pub struct Pair {
    number: usize,
    pub first: bodies::Batch,
    pub second: bodies::Batch,
}

impl Pair {
    pub fn of(number: usize) -> Self {
        Self {
            number,
            first: bodies::v1(&format!("case_{number:03}_first"), 1),
            second: bodies::v1(&format!("case_{number:03}_other"), 1),
        }
    }

    /// Distinguishes the requests where the batch is not read.
    pub fn path(&self, which: &str) -> String {
        format!("/api/v1/write?case={:03}-{which}", self.number)
    }

    fn line(&self) -> String {
        format!("POST {} HTTP/1.1\r\n", self.path("first"))
    }

    /// The first request with these additional lines, up to the empty one.
    fn head(&self, lines: &str) -> String {
        format!("{}{COMMON}{lines}\r\n", self.line())
    }

    fn len(&self) -> usize {
        self.first.body.len()
    }

    /// The first body in one chunk, with `size` as the chunk size.
    fn chunked(&self, size: impl Fn(usize) -> String) -> Vec<u8> {
        let size = size(self.len());
        [size.as_bytes(), b"\r\n", &self.first.body, b"\r\n0\r\n\r\n"].concat()
    }

    fn plainly_chunked(&self) -> Vec<u8> {
        self.chunked(|len| format!("{len:x}"))
    }

    /// The second request, which is valid, and the end of the connection.
    fn other(&self) -> Vec<u8> {
        let head = format!(
            "POST {} HTTP/1.1\r\n{COMMON}Connection: close\r\nContent-Length: {}\r\n\r\n",
            self.path("other"),
            self.second.body.len()
        );
        [head.as_bytes(), &self.second.body].concat()
    }
}

/// The headers of every request.
const COMMON: &str =
    "Host: localhost\r\nContent-Type: application/x-protobuf\r\nContent-Encoding: snappy\r\n";

/// Collects them, each with two batches of its own.
#[derive(Default)]
struct Cases {
    group: &'static str,
    all: Vec<(Case, Pair)>,
}

impl Cases {
    fn group(&mut self, group: &'static str) {
        self.group = group;
    }

    fn add(&mut self, name: &'static str, ends: bool, bytes: impl Fn(&Pair) -> Vec<u8>) {
        let pair = Pair::of(self.all.len());
        let case = Case {
            group: self.group,
            name,
            bytes: bytes(&pair),
            ends,
        };
        self.all.push((case, pair));
    }

    /// A head of these lines, the first body unchanged, then the second request.
    fn lines(&mut self, name: &'static str, lines: impl Fn(usize) -> String) {
        self.add(name, false, |pair| {
            let head = pair.head(&lines(pair.len()));
            [head.as_bytes(), &pair.first.body, &pair.other()].concat()
        });
    }

    /// The same with a chunked body.
    fn chunked(&mut self, name: &'static str, lines: &str) {
        self.add(name, false, |pair| {
            let head = pair.head(lines);
            [head.as_bytes(), &pair.plainly_chunked(), &pair.other()].concat()
        });
    }

    /// A length that covers the second request as well, which only a parser of chunks sees.
    fn hidden(&mut self, name: &'static str, lines: impl Fn(usize) -> String) {
        self.add(name, false, |pair| {
            let body = [pair.plainly_chunked(), pair.other()].concat();
            [pair.head(&lines(body.len())).into_bytes(), body].concat()
        });
    }

    /// A request line of this form; everything else is valid.
    fn request_line(&mut self, name: &'static str, line: &str) {
        self.add(name, false, |pair| {
            let line = line.replace("PATH", &pair.path("first"));
            let head = format!("{line}\r\n{COMMON}Content-Length: {}\r\n\r\n", pair.len());
            [head.as_bytes(), &pair.first.body, &pair.other()].concat()
        });
    }

    /// Chunks as written here: `SIZE` and `BODY` stand for those of the batch.
    fn chunks(&mut self, name: &'static str, chunks: &str) {
        let (before, after) = chunks.split_once("BODY").unwrap();
        self.add(name, false, |pair| {
            let head = pair.head("Transfer-Encoding: chunked\r\n");
            let size = format!("{:x}", pair.len());
            let before = before.replace("SIZE", &size);
            let (head, before, after) = (head.as_bytes(), before.as_bytes(), after.as_bytes());
            [head, before, &pair.first.body, after, &pair.other()].concat()
        });
    }
}

/// Every case, in the order of the table.
pub fn all() -> Vec<(Case, Pair)> {
    let mut cases = Cases::default();
    usual(&mut cases);
    lengths(&mut cases);
    encodings(&mut cases);
    chunks(&mut cases);
    trailers(&mut cases);
    lines(&mut cases);
    request_lines(&mut cases);
    hosts(&mut cases);
    sizes(&mut cases);
    errors(&mut cases);
    endings(&mut cases);
    cases.all
}

fn usual(cases: &mut Cases) {
    cases.group("as senders write");
    cases.lines("a length", |len| format!("Content-Length: {len}\r\n"));
    cases.lines("a length without a space", |len| {
        format!("content-length:{len}\r\n")
    });
    cases.lines("a length with spaces around it", |len| {
        format!("CONTENT-LENGTH: \t{len} \t\r\n")
    });
    cases.lines("a value of other than ASCII", |len| {
        format!("X-Name: na\u{ef}ve\r\nContent-Length: {len}\r\n")
    });
    cases.lines("`Expect: 100-continue`", |len| {
        format!("Expect: 100-continue\r\nContent-Length: {len}\r\n")
    });
    cases.lines("`Connection: close`", |len| {
        format!("Connection: close\r\nContent-Length: {len}\r\n")
    });
    cases.lines("`Upgrade: h2c`", |len| {
        format!(
            "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\nContent-Length: {len}\r\n"
        )
    });
    cases.chunked("chunked", "Transfer-Encoding: chunked\r\n");
    cases.chunked("`CHUNKED`", "transfer-encoding:CHUNKED\r\n");
    cases.request_line("absolute form", "POST http://localhostPATH HTTP/1.1");
    cases.request_line("HTTP/1.0", "POST PATH HTTP/1.0");
    cases.add("HTTP/1.0 and `keep-alive`", false, |pair| {
        let line = pair.line().replace("HTTP/1.1", "HTTP/1.0");
        let head = format!(
            "{line}{COMMON}Connection: keep-alive\r\nContent-Length: {}\r\n\r\n",
            pair.len()
        );
        [head.as_bytes(), &pair.first.body, &pair.other()].concat()
    });
    cases.add("empty lines before it", false, |pair| {
        let head = pair.head(&format!("Content-Length: {}\r\n", pair.len()));
        [
            b"\r\n\r\n",
            head.as_bytes(),
            &pair.first.body,
            &pair.other(),
        ]
        .concat()
    });
}

fn lengths(cases: &mut Cases) {
    cases.group("`Content-Length`");
    cases.lines("twice, equal", |len| {
        format!("Content-Length: {len}\r\nContent-Length: {len}\r\n")
    });
    cases.lines("twice, different", |len| {
        format!("Content-Length: {len}\r\nContent-Length: 0\r\n")
    });
    cases.lines("a list of equals", |len| {
        format!("Content-Length: {len}, {len}\r\n")
    });
    cases.lines("a list", |len| format!("Content-Length: {len}, 0\r\n"));
    for (name, value) in [
        ("`+`", "+LEN"),
        ("`-`", "-LEN"),
        ("in hexadecimal", "0xLEN"),
        ("with leading noughts", "000000LEN"),
        ("a space inside", "0 LEN"),
        ("nothing", ""),
        ("a fraction", "LEN.0"),
        ("a letter", "LENa"),
        ("over 2^64", "18446744073709551616"),
        ("2^64 - 1", "18446744073709551615"),
        ("2^63", "9223372036854775808"),
        ("a vertical tab", "\u{b}LEN"),
        ("a NUL", "LEN\0"),
    ] {
        cases.lines(name, |len| {
            let value = value.replace("LEN", &len.to_string());
            format!("Content-Length: {value}\r\n")
        });
    }
    cases.lines("a space before the colon", |len| {
        format!("Content-Length : {len}\r\n")
    });
    cases.lines("on a folded line", |len| {
        format!("Content-Length:\r\n {len}\r\n")
    });
    cases.add("none at all", false, |pair| {
        [pair.head("").into_bytes(), pair.other()].concat()
    });
    cases.add("an underscore", false, |pair| {
        let head = pair.head(&format!("Content_Length: {}\r\n", pair.other().len()));
        [head.into_bytes(), pair.other()].concat()
    });
}

fn encodings(cases: &mut Cases) {
    cases.group("`Transfer-Encoding`");
    cases.hidden("after a length", |len| {
        format!("Content-Length: {len}\r\nTransfer-Encoding: chunked\r\n")
    });
    cases.hidden("before a length", |len| {
        format!("Transfer-Encoding: chunked\r\nContent-Length: {len}\r\n")
    });
    cases.hidden("before no valid length", |_| {
        "Transfer-Encoding: chunked\r\nContent-Length: x\r\n".to_owned()
    });
    for (name, lines) in [
        ("`chunked, chunked`", "Transfer-Encoding: chunked, chunked"),
        (
            "`chunked` twice",
            "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
        ),
        ("`identity`", "Transfer-Encoding: identity"),
        (
            "`identity, chunked`",
            "Transfer-Encoding: identity, chunked",
        ),
        (
            "`identity` and `chunked`",
            "Transfer-Encoding: identity\r\nTransfer-Encoding: chunked",
        ),
        (
            "`chunked` and `identity`",
            "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity",
        ),
        (
            "`chunked, identity`",
            "Transfer-Encoding: chunked, identity",
        ),
        ("`gzip, chunked`", "Transfer-Encoding: gzip, chunked"),
        ("`xchunked`", "Transfer-Encoding: xchunked"),
        ("`chunked;q=1`", "Transfer-Encoding: chunked;q=1"),
        ("`\"chunked\"`", "Transfer-Encoding: \"chunked\""),
        ("`, chunked`", "Transfer-Encoding: , chunked"),
        ("`chunked,`", "Transfer-Encoding: chunked,"),
        ("nothing", "Transfer-Encoding:"),
        ("a vertical tab", "Transfer-Encoding: \u{b}chunked"),
        ("a NUL", "Transfer-Encoding: chunked\0"),
        ("a space before the colon", "Transfer-Encoding : chunked"),
        ("a tab before the colon", "Transfer-Encoding\t: chunked"),
        ("on a folded line", "Transfer-Encoding:\r\n chunked"),
        ("on a folded line, half", "Transfer-Encoding: chun\r\n ked"),
    ] {
        cases.chunked(name, &format!("{lines}\r\n"));
    }
    cases.group("`Transfer-Encoding` beside a length over all");
    for (name, lines) in [
        ("`xchunked`", "Transfer-Encoding: xchunked"),
        ("`identity`", "Transfer-Encoding: identity"),
        ("an underscore", "Transfer_Encoding: chunked"),
        ("a space before the colon", "Transfer-Encoding : chunked"),
        (
            "a space before the name",
            "X: y\r\n Transfer-Encoding: chunked",
        ),
        ("after a bare LF", "X: y\nTransfer-Encoding: chunked"),
        ("after a bare CR", "X: y\rTransfer-Encoding: chunked"),
        ("after a NUL", "X: y\0Transfer-Encoding: chunked"),
        ("a vertical tab", "Transfer-Encoding:\u{b}chunked"),
    ] {
        cases.hidden(name, |len| format!("Content-Length: {len}\r\n{lines}\r\n"));
    }
    cases.add("HTTP/1.0", false, |pair| {
        let line = pair.line().replace("HTTP/1.1", "HTTP/1.0");
        let body = [pair.plainly_chunked(), pair.other()].concat();
        let head = format!(
            "{line}{COMMON}Connection: keep-alive\r\nTransfer-Encoding: chunked\r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        [head.into_bytes(), body].concat()
    });
}

fn chunks(cases: &mut Cases) {
    cases.group("chunks");
    let long = |len| "x".repeat(len);
    cases.chunks("an extension", "SIZE;name=value\r\nBODY\r\n0\r\n\r\n");
    cases.chunks("a quoted extension", "SIZE;n=\"v;\"\r\nBODY\r\n0;n\r\n\r\n");
    let extension = format!("SIZE;{}\r\nBODY\r\n0\r\n\r\n", long(70_000));
    cases.chunks("an extension of 70 kB", &extension);
    cases.chunks(
        "an extension with a bare LF",
        "SIZE;a\nb\r\nBODY\r\n0\r\n\r\n",
    );
    cases.chunks(
        "an extension with a bare CR",
        "SIZE;a\rb\r\nBODY\r\n0\r\n\r\n",
    );
    cases.chunks("an extension with a NUL", "SIZE;a\0b\r\nBODY\r\n0\r\n\r\n");
    for (name, size) in [
        ("`0x`", "0xSIZE"),
        ("`+`", "+SIZE"),
        ("`-`", "-SIZE"),
        ("a space before", " SIZE"),
        ("a space after", "SIZE "),
        ("a tab after", "SIZE\t"),
        ("a letter after", "SIZEg"),
        ("a few leading noughts", "00SIZE"),
        ("many leading noughts", "0000000000000000000000SIZE"),
        ("over 2^64", "100000000000000SIZE"),
        ("2^64 - 1", "ffffffffffffffff"),
        ("none", ""),
        ("only an extension", ";a"),
        ("a comma", "SIZE,SIZE"),
    ] {
        cases.chunks(name, &format!("{size}\r\nBODY\r\n0\r\n\r\n"));
    }
    cases.chunks("a bare LF after the size", "SIZE\nBODY\r\n0\r\n\r\n");
    cases.chunks("a bare CR after the size", "SIZE\rBODY\r\n0\r\n\r\n");
    cases.chunks("a bare LF after the data", "SIZE\r\nBODY\n0\r\n\r\n");
    cases.chunks("nothing after the data", "SIZE\r\nBODY0\r\n\r\n");
    cases.chunks("more data than the size", "SIZE\r\nBODYxx\r\n0\r\n\r\n");
    cases.chunks("a bare LF after the last chunk", "SIZE\r\nBODY\r\n0\n\r\n");
    cases.chunks("a bare LF at the end", "SIZE\r\nBODY\r\n0\r\n\n");
    cases.add(
        "the same, and a request in the next one's body",
        false,
        |pair| {
            let size = format!("{:x}\r\n", pair.len());
            let hidden = pair.other();
            let next = format!(
                "POST /next HTTP/1.1\r\n{COMMON}Content-Length: {}\r\n\r\n",
                hidden.len()
            );
            let head = pair.head("Transfer-Encoding: chunked\r\n");
            let first = [head.as_bytes(), size.as_bytes(), &pair.first.body].concat();
            [&first, b"\r\n0\r\n\n".as_slice(), next.as_bytes(), &hidden].concat()
        },
    );
    cases.chunks(
        "several noughts for the last chunk",
        "SIZE\r\nBODY\r\n000\r\n\r\n",
    );
    cases.add(
        "one byte each, with extensions of 70 kB in all",
        false,
        |pair| {
            let mut bytes = pair.head("Transfer-Encoding: chunked\r\n").into_bytes();
            let extension = "x".repeat(70_000 / pair.len());
            for byte in &pair.first.body {
                bytes.extend_from_slice(format!("1;{extension}\r\n").as_bytes());
                bytes.extend_from_slice(&[*byte, b'\r', b'\n']);
            }
            bytes.extend_from_slice(b"0\r\n\r\n");
            [bytes, pair.other()].concat()
        },
    );
}

fn trailers(cases: &mut Cases) {
    cases.group("trailers");
    for (name, trailers) in [
        ("one", "X-Trailer: y\r\n".to_owned()),
        ("a length", "Content-Length: 5\r\n".to_owned()),
        ("an encoding", "Transfer-Encoding: chunked\r\n".to_owned()),
        ("a host", "Host: elsewhere\r\n".to_owned()),
        ("one of 70 kB", format!("X: {}\r\n", "x".repeat(70_000))),
        ("300 of them", "X: y\r\n".repeat(300)),
        ("one without a colon", "nothing\r\n".to_owned()),
        ("one on a folded line", "X: y\r\n z\r\n".to_owned()),
        ("a bare LF", "X: y\nZ: y\r\n".to_owned()),
        ("a bare CR", "X: y\rZ: y\r\n".to_owned()),
        ("a NUL", "X: y\0\r\n".to_owned()),
    ] {
        cases.chunks(name, &format!("SIZE\r\nBODY\r\n0\r\n{trailers}\r\n"));
    }
}

fn lines(cases: &mut Cases) {
    cases.group("lines of the head");
    for (name, lines) in [
        ("a folded one", "X: y\r\n z\r\n"),
        ("a bare CR", "X: y\rz\r\n"),
        ("a bare LF", "X: y\nZ: z\r\n"),
        ("two CR", "X: y\r\r\n"),
        ("a NUL", "X: y\0z\r\n"),
        ("another control character", "X: y\u{1}z\r\n"),
        ("no colon", "nothing\r\n"),
        ("no name", ": y\r\n"),
        ("a space in the name", "X Y: z\r\n"),
        ("a name of other than ASCII", "X\u{e9}: z\r\n"),
        ("a NUL in the name", "X\0: z\r\n"),
    ] {
        cases.lines(name, |len| format!("{lines}Content-Length: {len}\r\n"));
    }
    cases.add("the first one begins with a space", false, |pair| {
        let rest = format!("{COMMON}Content-Length: {}\r\n\r\n", pair.len());
        let head = format!("{} X: y\r\n{rest}", pair.line());
        [head.as_bytes(), &pair.first.body, &pair.other()].concat()
    });
    cases.add("bare LF throughout", false, |pair| {
        let head = pair.head(&format!("Content-Length: {}\r\n", pair.len()));
        let head = head.replace("\r\n", "\n");
        [head.as_bytes(), &pair.first.body, &pair.other()].concat()
    });
    cases.add("the end by two bare LF", false, |pair| {
        let head = pair.head("X: y");
        [head.trim_end().as_bytes(), b"\n\n", &pair.other()].concat()
    });
    cases.add(
        "the second request after two bare LF in a value",
        false,
        |pair| {
            let head = pair.head("Content-Length: 0\r\nX: y");
            [
                head.trim_end().as_bytes(),
                b"\n\n",
                &pair.other(),
                b"\r\n\r\n",
            ]
            .concat()
        },
    );
}

fn request_lines(cases: &mut Cases) {
    cases.group("request lines");
    for (name, line) in [
        ("two spaces", "POST  PATH HTTP/1.1"),
        ("a tab", "POST\tPATH\tHTTP/1.1"),
        ("a space at the end", "POST PATH HTTP/1.1 "),
        ("a space before", " POST PATH HTTP/1.1"),
        ("a bare CR", "POST PATH\rHTTP/1.1"),
        ("a bare LF at the end", "POST PATH HTTP/1.1\nX: y"),
        ("no version", "POST PATH"),
        ("HTTP/0.9", "POST PATH HTTP/0.9"),
        ("HTTP/1.2", "POST PATH HTTP/1.2"),
        ("HTTP/2.0", "POST PATH HTTP/2.0"),
        ("HTTP/11.1", "POST PATH HTTP/11.1"),
        ("in lower case", "post PATH http/1.1"),
        ("a NUL in the target", "POST PATH\0 HTTP/1.1"),
        ("other than ASCII in the target", "POST PATH\u{e9} HTTP/1.1"),
        ("a fragment", "POST PATH#x HTTP/1.1"),
        ("a backslash", "POST \\PATH HTTP/1.1"),
        ("no slash at the beginning", "POST api/v1/write HTTP/1.1"),
        ("authority form", "POST localhost:8005 HTTP/1.1"),
        ("`CONNECT`", "CONNECT localhost:8005 HTTP/1.1"),
        ("asterisk form", "POST * HTTP/1.1"),
        ("`OPTIONS *`", "OPTIONS * HTTP/1.1"),
        (
            "a user in the target",
            "POST http://me@localhostPATH HTTP/1.1",
        ),
    ] {
        cases.request_line(name, line);
    }
    cases.add("the preface of HTTP/2", false, |pair| {
        let mut bytes = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
        bytes.extend_from_slice(&[0, 0, 0, 4, 0, 0, 0, 0, 0]);
        [bytes, pair.other()].concat()
    });
    cases.add("TLS", false, |pair| {
        [b"\x16\x03\x01\x00\x05hello".to_vec(), pair.other()].concat()
    });
}

fn hosts(cases: &mut Cases) {
    cases.group("`Host`");
    for (name, host) in [
        ("none", ""),
        ("empty", "Host:\r\n"),
        ("twice, equal", "Host: localhost\r\nHost: localhost\r\n"),
        ("twice, different", "Host: localhost\r\nHost: elsewhere\r\n"),
        ("a list", "Host: localhost, elsewhere\r\n"),
        ("a path", "Host: localhost/x\r\n"),
        ("a user", "Host: me@localhost\r\n"),
        ("no port after the colon", "Host: localhost:\r\n"),
        ("no number for the port", "Host: localhost:x\r\n"),
        ("a space inside", "Host: local host\r\n"),
    ] {
        cases.add(name, false, |pair| {
            let common = COMMON.replace("Host: localhost\r\n", host);
            let head = format!(
                "{}{common}Content-Length: {}\r\n\r\n",
                pair.line(),
                pair.len()
            );
            [head.as_bytes(), &pair.first.body, &pair.other()].concat()
        });
    }
    cases.request_line(
        "another in the target",
        "POST http://elsewherePATH HTTP/1.1",
    );
}

fn sizes(cases: &mut Cases) {
    cases.group("sizes");
    for (name, count, len) in [
        ("90 headers", 90, 1),
        ("110 headers", 110, 1),
        ("5,000 headers", 5000, 1),
        ("a header of 8 kB", 1, 8_000),
        ("a header of 40 kB", 1, 40_000),
        ("a header of 1 MB", 1, 1_000_000),
    ] {
        cases.lines(name, |body| {
            let mut lines = format!("Content-Length: {body}\r\n");
            for n in 0..count {
                write!(lines, "X-{n}: {}\r\n", "x".repeat(len)).unwrap();
            }
            lines
        });
    }
    for (name, len) in [("a target of 8 kB", 8_000), ("a target of 1 MB", 1_000_000)] {
        cases.request_line(name, &format!("POST PATH&{} HTTP/1.1", "x".repeat(len)));
    }
    cases.lines("a name of 40 kB", |len| {
        format!("{}: y\r\nContent-Length: {len}\r\n", "x".repeat(40_000))
    });
    cases.request_line(
        "a method of 40 kB",
        &format!("{} PATH HTTP/1.1", "P".repeat(40_000)),
    );
}

/// Requests that are rejected for their content, not for their framing.
fn errors(cases: &mut Cases) {
    cases.group("after an error");
    cases.request_line("another path", "POST /elsewhere HTTP/1.1");
    cases.request_line("another method", "PUT PATH HTTP/1.1");
    cases.lines("a header without a colon", |len| {
        format!("Content-Length: {len}\r\nnothing\r\n")
    });
    cases.add("no batch", false, |pair| {
        let head = pair.head("Content-Length: 5\r\n");
        [head.as_bytes(), b"hello", &pair.other()].concat()
    });
    cases.add("a chunk that is none", false, |pair| {
        let head = pair.head("Transfer-Encoding: chunked\r\n");
        [head.as_bytes(), b"zz\r\n", &pair.other()].concat()
    });
}

fn endings(cases: &mut Cases) {
    cases.group("ends early");
    let mut cut = |name, lines: fn(usize) -> String, body: fn(&Pair) -> Vec<u8>| {
        cases.add(name, true, |pair| {
            [pair.head(&lines(pair.len())).into_bytes(), body(pair)].concat()
        });
    };
    let length = |len| format!("Content-Length: {len}\r\n");
    let chunked = |_| "Transfer-Encoding: chunked\r\n".to_owned();
    cut("after the head", length, |_| Vec::new());
    cut("one byte before the end", length, |pair| {
        pair.first.body[..pair.len() - 1].to_vec()
    });
    cut("inside a chunk", chunked, |pair| {
        let chunked = pair.plainly_chunked();
        chunked[..chunked.len() - 12].to_vec()
    });
    cut("before the last chunk", chunked, |pair| {
        let chunked = pair.plainly_chunked();
        chunked[..chunked.len() - 5].to_vec()
    });
    cut("before the last empty line", chunked, |pair| {
        let chunked = pair.plainly_chunked();
        chunked[..chunked.len() - 2].to_vec()
    });
    cases.add("inside the head", true, |pair| {
        pair.head("").trim_end().as_bytes().to_vec()
    });
    cases.add("inside the request line", true, |pair| {
        pair.line().as_bytes()[..20].to_vec()
    });
}
