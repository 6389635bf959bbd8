//! What stands between two of the parts, and decides how well they hear each other.

use std::path::PathBuf;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// How the line is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Weather {
    /// How long each piece is on its way.
    pub delay: Duration,
    /// Nothing comes through, and nobody is told.
    pub stalled: bool,
    /// Nobody new is let in.
    pub refusing: bool,
    /// Rises when every connection breaks.
    pub cuts: u32,
}

/// A line between two parts; gone when dropped.
pub struct Proxy {
    weather: watch::Sender<Weather>,
    listener: JoinHandle<()>,
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.listener.abort();
    }
}

impl Proxy {
    /// From a port of its own to another one; answers the first.
    pub async fn tcp(to: u16) -> (Self, u16) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let weather = watch::Sender::new(Weather::default());
        let seen = weather.subscribe();
        let listener = tokio::spawn(async move {
            loop {
                let Ok((near, _)) = listener.accept().await else { continue };
                near.set_nodelay(true).unwrap();
                tokio::spawn(carry(near, async move || TcpStream::connect(("127.0.0.1", to)).await, seen.clone()));
            }
        });
        (Self { weather, listener }, port)
    }

    /// From one socket to another one.
    pub fn unix(from: &PathBuf, to: PathBuf) -> Self {
        let listener = UnixListener::bind(from).unwrap();
        let weather = watch::Sender::new(Weather::default());
        let seen = weather.subscribe();
        let listener = tokio::spawn(async move {
            loop {
                let Ok((near, _)) = listener.accept().await else { continue };
                let to = to.clone();
                tokio::spawn(carry(near, async move || UnixStream::connect(to).await, seen.clone()));
            }
        });
        Self { weather, listener }
    }

    /// Changes the weather for some time.
    pub async fn spell(&self, time: Duration, change: impl FnOnce(&mut Weather)) {
        self.change(change);
        tokio::time::sleep(time).await;
        self.change(|weather| *weather = Weather { cuts: weather.cuts, ..Weather::default() });
    }

    /// Changes the weather.
    pub fn change(&self, change: impl FnOnce(&mut Weather)) {
        self.weather.send_modify(change);
    }
}

/// Carries what two say, until one of them has gone or the line breaks.
async fn carry<Near, Far>(
    near: Near,
    connect: impl AsyncFnOnce() -> std::io::Result<Far>,
    mut weather: watch::Receiver<Weather>,
) where
    Near: AsyncRead + AsyncWrite,
    Far: AsyncRead + AsyncWrite,
{
    let Weather { cuts, refusing, .. } = *weather.borrow();
    if refusing {
        return;
    }
    let Ok(far) = connect().await else { return };
    let ((mut near_reads, mut near_writes), (mut far_reads, mut far_writes)) =
        (tokio::io::split(near), tokio::io::split(far));
    let (there, back) = (weather.clone(), weather.clone());
    tokio::select! {
        () = copy(&mut near_reads, &mut far_writes, there) => {}
        () = copy(&mut far_reads, &mut near_writes, back) => {}
        _ = weather.wait_for(|weather| weather.cuts != cuts) => {}
    }
}

async fn copy(
    from: &mut (impl AsyncRead + Unpin),
    to: &mut (impl AsyncWrite + Unpin),
    mut weather: watch::Receiver<Weather>,
) {
    let mut piece = vec![0; 16 * 1024];
    loop {
        let Ok(length @ 1..) = from.read(&mut piece).await else { return };
        let Ok(now) = weather.wait_for(|weather| !weather.stalled).await.map(|now| *now) else { return };
        if !now.delay.is_zero() {
            tokio::time::sleep(now.delay).await;
        }
        if to.write_all(&piece[..length]).await.is_err() {
            return;
        }
    }
}
