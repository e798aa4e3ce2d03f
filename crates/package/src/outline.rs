//! The outline of an archive that lies on a node: what the node prints of it, turned back into a tar stream, so that the
//! same code decides about it that reads an archive of this machine.
//!
//! Headers and texts are the archive's own bytes. Of all else the node tells the hash; its content is zeros here, and is
//! proved when the node unpacks it.

use std::{
    cell::RefCell,
    io::{self, BufRead, Read},
    rc::Rc,
};

use tar::Header;

use crate::{PackageError, archive::BLOCK};

/// A line that no header is.
const LINE: u64 = 4096;
/// A SHA-256 in hex.
const SHA256: usize = 64;

/// What the reader learns beside the stream.
#[derive(Debug, Default)]
pub(crate) struct Told {
    /// The hash of the content that is being read, when the node told it instead of the content.
    pub(crate) content: Option<String>,
}

/// Shared by the stream and by whoever reads it.
pub(crate) type Beside = Rc<RefCell<Told>>;

/// A tar stream from an outline.
pub(crate) struct Outline<R> {
    input: R,
    beside: Beside,
    state: State,
}

enum State {
    /// The next line says what follows.
    Line,
    /// These bytes, from `at` on; then `then`.
    Block { bytes: Box<[u8; BLOCK as usize]>, at: usize, then: Then },
    /// So many bytes as they come, then so many zeros.
    Content { left: u64, padding: u64 },
    /// So many zeros instead of content and padding.
    Zeros(u64),
    /// So many bytes from the end mark on, all zeros but perhaps the last.
    Tail { left: u64, last: u8 },
    /// Nothing more.
    End,
}

#[derive(Debug, Clone, Copy)]
enum Then {
    Content(u64),
    Told(u64),
    End,
}

fn padding(size: u64) -> u64 {
    size.div_ceil(BLOCK) * BLOCK - size
}

fn odd(found: &str) -> io::Error {
    io::Error::other(format!("the node's outline of the archive says `{}`", found.escape_debug()))
}

impl<R: BufRead> Outline<R> {
    /// Reads what a node prints.
    pub(crate) fn new(input: R, beside: Beside) -> Self {
        Self { input, beside, state: State::Line }
    }

    fn line(&mut self) -> io::Result<String> {
        let mut line = Vec::new();
        self.input.by_ref().take(LINE).read_until(b'\n', &mut line)?;
        match line.pop() {
            Some(b'\n') => String::from_utf8(line).map_err(|error| odd(&error.to_string())),
            _ => Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the node's outline of the archive ends early")),
        }
    }

    /// Reads the line that says what follows.
    fn next(&mut self) -> io::Result<State> {
        let line = self.line()?;
        let (word, rest) = line.split_once(' ').unwrap_or((line.as_str(), ""));
        Ok(match word {
            "k" | "h" | "x" => {
                let bytes = header(rest).ok_or_else(|| odd(&line))?;
                let then = match (word, Header::from_byte_slice(bytes.as_slice()).entry_size()) {
                    ("k", Ok(size)) => Then::Content(size),
                    ("h", Ok(size)) => Then::Told(size),
                    // Whoever reads the header says what is wrong with it.
                    _ => Then::End,
                };
                State::Block { bytes, at: 0, then }
            }
            "z" => {
                let numbers: Option<Vec<u64>> = rest.split(' ').map(|number| number.parse().ok()).collect();
                let Some([all, other]) = numbers.as_deref() else { return Err(odd(&line)) };
                State::Tail { left: *all, last: u8::from(*other > 0) }
            }
            // Perhaps since what unpacks the archive has failed.
            "t" => match (self.line().ok().as_deref().and_then(|line| line.strip_prefix("d ")), rest) {
                (Some(why), _) => return Err(io::Error::other(why.trim().to_owned())),
                (None, "0") => State::End,
                (None, _) => return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "within a header")),
            },
            _ => return Err(odd(&line)),
        })
    }

    /// The hash that the node told instead of a content.
    fn told(&mut self) -> io::Result<()> {
        let line = self.line()?;
        let sum = is_hex(&line, SHA256).then_some(line.as_str()).ok_or_else(|| odd(&line))?;
        self.beside.borrow_mut().content = Some(sum.to_owned());
        Ok(())
    }

    /// Reads the last line: the SHA-256 of the archive as the node has read it, hex.
    pub(crate) fn finish(mut self) -> Result<String, PackageError> {
        let damaged = |problem: String| PackageError::Damaged { after: "(end)".to_owned(), problem };
        let line = self.line().map_err(|error| damaged(error.to_string()))?;
        match line.split_once(' ') {
            Some(("s", sum)) if is_hex(sum, SHA256) => Ok(sum.to_owned()),
            Some(("d", why)) => Err(damaged(why.trim().to_owned())),
            _ => Err(damaged(odd(&line).to_string())),
        }
    }
}

impl<R: BufRead> Read for Outline<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            let wanted = buffer.len() as u64;
            if wanted == 0 {
                return Ok(0);
            }
            match &mut self.state {
                State::Line => self.state = self.next()?,
                State::Block { bytes, at, then } => {
                    let left = bytes.get(*at..).unwrap_or_default();
                    if !left.is_empty() {
                        let count = left.len().min(buffer.len());
                        buffer[..count].copy_from_slice(&left[..count]);
                        *at += count;
                        return Ok(count);
                    }
                    self.state = match *then {
                        Then::Content(size) => State::Content { left: size, padding: padding(size) },
                        Then::Told(size) => {
                            self.told()?;
                            State::Zeros(size + padding(size))
                        }
                        Then::End => State::End,
                    };
                }
                State::Content { left: 0, padding } => self.state = State::Zeros(*padding),
                State::Content { left, .. } => {
                    let most = usize::try_from((*left).min(wanted)).unwrap_or(usize::MAX);
                    let read = self.input.read(&mut buffer[..most])?;
                    *left -= read as u64;
                    if read == 0 {
                        return Err(io::ErrorKind::UnexpectedEof.into());
                    }
                    return Ok(read);
                }
                State::Zeros(0) => self.state = State::Line,
                State::Zeros(left) => return Ok(zeros(left, buffer)),
                State::Tail { left: 0, .. } => self.state = State::End,
                State::Tail { left, last } => {
                    let count = zeros(left, buffer);
                    if *left == 0 {
                        buffer[count - 1] = *last;
                    }
                    return Ok(count);
                }
                State::End => return Ok(0),
            }
        }
    }
}

/// Fills a buffer that is not empty from so many zeros.
fn zeros(left: &mut u64, buffer: &mut [u8]) -> usize {
    let count = usize::try_from(*left).unwrap_or(usize::MAX).min(buffer.len());
    buffer[..count].fill(0);
    *left -= count as u64;
    count
}

fn is_hex(text: &str, length: usize) -> bool {
    text.len() == length && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// The bytes of hex digits; what is none is left out.
pub(crate) fn bytes(hex: &str) -> Vec<u8> {
    let pairs = hex.as_bytes().chunks_exact(2);
    pairs.filter_map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()).collect()
}

fn header(hex: &str) -> Option<Box<[u8; BLOCK as usize]>> {
    let length = usize::try_from(2 * BLOCK).ok()?;
    let block = is_hex(hex, length).then(|| bytes(hex))?;
    block.into_boxed_slice().try_into().ok()
}
