//! Length-prefixed messages on a byte stream: four bytes of length, big endian, then the message.

use prost::Message;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

/// Largest preamble or answer on the tunnel's port, in bytes: what strangers may make us read.
pub const PREAMBLE_MAX: usize = 1024;

/// Largest table on the tunnel's Unix socket, in bytes: 10,000 servers at 100 bytes.
pub const TABLE_MAX: usize = 1 << 20;

/// Why a message could not be read.
#[derive(Debug, thiserror::Error)]
pub enum FrameError {
    /// The stream broke or ended in the middle.
    #[error("stream: {0}")]
    Io(#[from] std::io::Error),
    /// The sender announces more than we read.
    #[error("message of {0} bytes is too long")]
    TooLong(usize),
    /// The bytes are not the message expected.
    #[error("message is malformed: {0}")]
    Malformed(#[from] prost::DecodeError),
}

/// Writes one message and flushes.
///
/// # Errors
/// When the stream breaks.
pub async fn write<M: Message>(
    stream: &mut (impl AsyncWrite + Unpin),
    message: &M,
) -> std::io::Result<()> {
    let body = message.encode_to_vec();
    let length =
        u32::try_from(body.len()).map_err(|_| std::io::Error::other("message too long"))?;
    let mut bytes = Vec::with_capacity(body.len().saturating_add(4));
    bytes.extend_from_slice(&length.to_be_bytes());
    bytes.extend_from_slice(&body);
    stream.write_all(&bytes).await?;
    stream.flush().await
}

/// Reads one message of at most `max` bytes.
///
/// # Errors
/// When the stream breaks, the message is too long, or it is not of type `M`.
pub async fn read<M: Message + Default>(
    stream: &mut (impl AsyncRead + Unpin),
    max: usize,
) -> Result<M, FrameError> {
    let length = stream.read_u32().await? as usize;
    if length > max {
        return Err(FrameError::TooLong(length));
    }
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await?;
    Ok(M::decode(body.as_slice())?)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::tunnel::Preamble;

    #[tokio::test]
    async fn a_message_survives_the_wire_and_a_long_one_is_refused_unread() {
        let (mut near, mut far) = tokio::io::duplex(4096);
        let sent = Preamble { version: 1, server: "0123456789abcdef".into(), generation: 7 };
        write(&mut near, &sent).await.unwrap();
        assert_eq!(read::<Preamble>(&mut far, PREAMBLE_MAX).await.unwrap(), sent);
        near.write_all(&u32::MAX.to_be_bytes()).await.unwrap();
        assert!(matches!(
            read::<Preamble>(&mut far, PREAMBLE_MAX).await,
            Err(FrameError::TooLong(_))
        ));
    }
}
