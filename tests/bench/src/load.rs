//! The sessions, and the time to each response.

use std::io::ErrorKind;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use ipmi_proto::{CompletionCode, Lun, NetFn, Request};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use ring::rand::{SecureRandom, SystemRandom};
use rmcp_proto::console::{Console, ConsoleEvent, Credentials};
use rmcp_proto::server::Random;

use crate::arguments::Arguments;

/// How long a login may take.
const LOGIN: Duration = Duration::from_secs(10);
/// Close Session.
const CLOSE_SESSION: u8 = 0x3c;

/// All sessions.
pub struct Load {
    sessions: Vec<Session>,
    request: Request,
}

/// One session, with at most one outstanding request.
pub(crate) struct Session {
    socket: UdpSocket,
    console: Console<Quick>,
    /// When the outstanding request was sent.
    asked: Option<Instant>,
}

/// What was measured.
#[derive(Debug, Default)]
pub struct Figures {
    took: Vec<Duration>,
    time: Duration,
}

impl Figures {
    /// The figures of requests that took these times, in `time` altogether.
    #[must_use]
    pub fn new(mut took: Vec<Duration>, time: Duration) -> Self {
        took.sort_unstable();
        Self { took, time }
    }

    /// The number of responses.
    #[must_use]
    pub fn requests(&self) -> usize {
        self.took.len()
    }

    /// Responses per second.
    #[must_use]
    pub fn rate(&self) -> f64 {
        self.took.len() as f64 / self.time.as_secs_f64()
    }

    /// The time within which `percent` of all responses came.
    #[must_use]
    pub fn percentile(&self, percent: usize) -> Duration {
        let index = (self.took.len() * percent / 100).min(self.took.len().saturating_sub(1));
        self.took.get(index).copied().unwrap_or_default()
    }
}

impl Load {
    /// Logs all sessions in.
    ///
    /// # Errors
    ///
    /// A socket that cannot be opened, or a BMC that does not let the user in.
    pub fn open(args: &Arguments) -> anyhow::Result<Self> {
        let mut sessions = Vec::new();
        let credentials = args.login.credentials();
        for number in 1..=args.sessions {
            let session = Session::open(args.bmc, &credentials, u32::from(number));
            sessions.push(session.with_context(|| format!("login {number} at {}", args.bmc))?);
        }
        Ok(Self { sessions, request: args.request.clone() })
    }

    /// Keeps one request outstanding in each session for `time`.
    ///
    /// # Errors
    ///
    /// A session that is lost, or a completion code other than 00h.
    pub fn drive(&mut self, time: Duration) -> anyhow::Result<Figures> {
        let start = Instant::now();
        let end = start + time;
        let mut figures = Figures { took: Vec::with_capacity(1 << 20), time };
        for session in &mut self.sessions {
            session.ask(self.request.clone())?;
        }
        let mut going = self.sessions.len();
        while going > 0 {
            self.wait()?;
            for session in &mut self.sessions {
                if let Some(took) = session.answer()? {
                    figures.took.push(took);
                    if Instant::now() < end {
                        session.ask(self.request.clone())?;
                    } else {
                        going -= 1;
                    }
                }
            }
        }
        figures.time = start.elapsed();
        figures.took.sort_unstable();
        Ok(figures)
    }

    /// Opens and closes one session after the other for `time`; measured is how long it takes to open them.
    ///
    /// # Errors
    ///
    /// As [`open`](Self::open) and [`close`](Self::close).
    pub fn log_in(args: &Arguments, time: Duration) -> anyhow::Result<Figures> {
        let start = Instant::now();
        let credentials = args.login.credentials();
        let mut took = Vec::new();
        while start.elapsed() < time {
            let begun = Instant::now();
            let session = Session::open(args.bmc, &credentials, 1)
                .with_context(|| format!("login at {}", args.bmc))?;
            took.push(begun.elapsed());
            session.close()?;
        }
        Ok(Figures::new(took, start.elapsed()))
    }

    /// Closes all sessions.
    ///
    /// # Errors
    ///
    /// A session without a response.
    pub fn close(mut self) -> anyhow::Result<()> {
        for session in &mut self.sessions {
            session.ask(session.close_request())?;
        }
        while self.sessions.iter().any(|session| session.asked.is_some()) {
            self.wait()?;
            for session in &mut self.sessions {
                session.answer()?;
            }
        }
        Ok(())
    }

    /// Waits until a socket has a packet, or a request has to be sent again.
    fn wait(&mut self) -> anyhow::Result<()> {
        let sockets = self.sessions.iter().map(|session| session.socket.as_fd());
        let mut ready: Vec<_> = sockets.map(|fd| PollFd::new(fd, PollFlags::POLLIN)).collect();
        let timeout = PollTimeout::from(250u8);
        if poll(&mut ready, timeout)? == 0 {
            let now = Instant::now();
            for session in &mut self.sessions {
                session.console.handle_timeout(now);
                session.send()?;
            }
        }
        Ok(())
    }
}

impl Session {
    /// Logs in at `bmc`.
    ///
    /// # Errors
    ///
    /// A socket that cannot be opened, or a BMC that does not let the user in.
    pub(crate) fn open(
        bmc: SocketAddr,
        credentials: &Credentials,
        console_id: u32,
    ) -> anyhow::Result<Self> {
        let any: SocketAddr = match bmc {
            SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
            SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
        };
        let socket = UdpSocket::bind(any)?;
        socket.connect(bmc)?;
        socket.set_nonblocking(true)?;
        let start = Instant::now();
        let console = Console::new(start, credentials.clone(), console_id, Quick::new()?);
        let mut session = Self { socket, console, asked: None };
        while !session.console.is_open() {
            session.send()?;
            let mut ready = [PollFd::new(session.socket.as_fd(), PollFlags::POLLIN)];
            poll(&mut ready, PollTimeout::from(100u8))?;
            session.receive()?;
            session.console.handle_timeout(Instant::now());
            while let Some(event) = session.console.poll_event() {
                if let ConsoleEvent::Failed(error) = event {
                    return Err(error.into());
                }
            }
            if start.elapsed() > LOGIN {
                bail!("not within {LOGIN:?}");
            }
        }
        Ok(session)
    }

    /// Sends a request and waits for its response; returns the time between them.
    ///
    /// # Errors
    ///
    /// A session that is lost, or a completion code other than 00h.
    pub(crate) fn request(&mut self, request: Request) -> anyhow::Result<Duration> {
        self.ask(request)?;
        loop {
            let mut ready = [PollFd::new(self.socket.as_fd(), PollFlags::POLLIN)];
            poll(&mut ready, PollTimeout::from(100u8))?;
            if let Some(took) = self.answer()? {
                return Ok(took);
            }
            self.console.handle_timeout(Instant::now());
            self.send()?;
        }
    }

    /// Closes the session.
    ///
    /// # Errors
    ///
    /// As [`Session::request`].
    pub(crate) fn close(mut self) -> anyhow::Result<()> {
        let request = self.close_request();
        self.request(request).map(drop)
    }

    fn close_request(&self) -> Request {
        let id = self.console.managed_id().unwrap_or_default();
        app(CLOSE_SESSION, id.to_le_bytes().to_vec())
    }

    fn ask(&mut self, request: Request) -> anyhow::Result<()> {
        let now = Instant::now();
        self.console.send(now, &request).context("the session is lost")?;
        self.asked = Some(now);
        self.send()
    }

    /// The time to the response, if it has come.
    fn answer(&mut self) -> anyhow::Result<Option<Duration>> {
        self.receive()?;
        while let Some(event) = self.console.poll_event() {
            match event {
                ConsoleEvent::Response { completion: CompletionCode::OK, .. } => {
                    return Ok(self.asked.take().map(|asked| asked.elapsed()));
                }
                ConsoleEvent::Response { completion, .. } => bail!("answered {completion}"),
                ConsoleEvent::Failed(error) => return Err(error.into()),
                _ => {}
            }
        }
        Ok(None)
    }

    fn receive(&mut self) -> anyhow::Result<()> {
        let mut buffer = [0; 1024];
        match self.socket.recv(&mut buffer) {
            Ok(length) => {
                let bytes = buffer.get(..length).unwrap_or_default();
                self.console.handle_datagram(Instant::now(), bytes);
                Ok(())
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    fn send(&mut self) -> anyhow::Result<()> {
        while let Some(bytes) = self.console.poll_transmit() {
            self.socket.send(&bytes)?;
        }
        Ok(())
    }
}

fn app(command: u8, data: Vec<u8>) -> Request {
    Request { netfn: NetFn::APP, lun: Lun::BMC, command, data }
}

/// Initialization vectors and console ids only have to differ here, so the generator is seeded once, and the
/// load does not wait for the system's random source.
struct Quick(u64);

impl Quick {
    fn new() -> anyhow::Result<Self> {
        let mut seed = [0; 8];
        let failed = |_| anyhow::anyhow!("no random bytes");
        SystemRandom::new().fill(&mut seed).map_err(failed)?;
        Ok(Self(u64::from_le_bytes(seed) | 1))
    }
}

impl Random for Quick {
    fn fill(&mut self, bytes: &mut [u8]) {
        for chunk in bytes.chunks_mut(8) {
            // xorshift64
            self.0 ^= self.0 << 13;
            self.0 ^= self.0 >> 7;
            self.0 ^= self.0 << 17;
            for (to, from) in chunk.iter_mut().zip(self.0.to_le_bytes()) {
                *to = from;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_those_of_the_sorted_times() {
        let took = (1..=100).map(Duration::from_micros).collect();
        let figures = Figures { took, time: Duration::from_secs(2) };
        assert_eq!(figures.percentile(50), Duration::from_micros(51));
        assert_eq!(figures.percentile(99), Duration::from_micros(100));
        assert!((figures.rate() - 50.0).abs() < 1e-9);
        assert_eq!(Figures::default().percentile(50), Duration::ZERO);
    }
}
