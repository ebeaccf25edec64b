//! A bridge on a real socket, with QEMU's side played in bytes and `ipmid`'s by a closure.

use std::future::Future;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use ipmi_proto::{CompletionCode, Request, Response};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::*;
use crate::attention::{SmsCall, SmsOperation};
use crate::bridge::{Bridge, RequestExecutor};
use crate::exchange::Limits;

const GREETING: [u8; 3] = [0xff, 0x01, 0xa1];
const ENABLE_INTERRUPT: [u8; 2] = [0x05, 0xa1];
const SET_ATTENTION: [u8; 2] = [0x01, 0xa1];
const SET_ATTENTION_INTERRUPT: [u8; 2] = [0x02, 0xa1];
const CLEAR_ATTENTION: [u8; 2] = [0x00, 0xa1];

/// Longer than any machine takes.
const PATIENT: Duration = Duration::from_secs(60);

/// Plays `ipmid`: echoes, and takes as many milliseconds as the first two bytes of data say.
#[derive(Clone, Default)]
struct Echo {
    enables: Arc<AtomicU8>,
    served: Arc<Mutex<u32>>,
}

impl RequestExecutor for Echo {
    async fn execute(&self, request: Request, _: Duration) -> Response {
        *self.served.lock().unwrap() += 1;
        match (request.command, &request.data[..]) {
            (0x2e, [enables]) => self.enables.store(*enables, Ordering::Relaxed),
            (0x31, _) => return Response::failure(&request, CompletionCode::INVALID_COMMAND),
            (0x2f, _) => {
                let enables = self.enables.load(Ordering::Relaxed);
                return Response::to(&request, CompletionCode::OK, vec![enables]);
            }
            (_, [low, high, ..]) => {
                let delay = u16::from_le_bytes([*low, *high]);
                time::sleep(Duration::from_millis(delay.into())).await;
            }
            _ => {}
        }
        Response::to(&request, CompletionCode::OK, request.data.clone())
    }
}

struct TestBridge {
    dir: TempDir,
    calls: mpsc::Sender<SmsCall>,
    bridge: JoinHandle<()>,
}

impl TestBridge {
    async fn new(answer_within: Duration, echo: Echo) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("bmc");
        let transport = QemuTransport::listen(&QemuAddress::Unix(path)).await;
        let (calls, receiver) = mpsc::channel(1);
        let limits = Limits { answer_within, running: 32, ..Limits::default() };
        let bridge =
            tokio::spawn(Bridge::new(transport, echo, receiver, watch::channel(limits).1).run());
        Self { dir, calls, bridge }
    }

    async fn connect(&self) -> UnixStream {
        let path = self.dir.path().join("bmc");
        let mut stream = UnixStream::connect(path).await.unwrap();
        stream.write_all(&[0xff, 0x01, 0xa1, 0x08, 0x3f, 0xa1]).await.unwrap();
        expect(&mut stream, &GREETING).await;
        stream
    }

    async fn operation(&self, operation: SmsOperation) -> bool {
        let (done, answer) = oneshot::channel();
        self.calls.send(SmsCall { operation, done }).await.unwrap();
        answer.await.unwrap()
    }
}

impl Drop for TestBridge {
    fn drop(&mut self) {
        self.bridge.abort();
    }
}

fn run<F: Future>(future: F) -> F::Output {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(future)
}

async fn expect(stream: &mut UnixStream, bytes: &[u8]) {
    let mut got = vec![0; bytes.len()];
    timeout(Duration::from_secs(60), stream.read_exact(&mut got)).await.unwrap().unwrap();
    assert_eq!(got, bytes);
}

async fn nothing_comes(stream: &mut UnixStream) {
    let mut byte = [0];
    assert!(timeout(Duration::from_millis(50), stream.read(&mut byte)).await.is_err());
}

#[test]
fn request_is_answered_in_qemus_bytes() {
    run(async {
        let bridge = TestBridge::new(PATIENT, Echo::default()).await;
        let mut qemu = bridge.connect().await;
        expect_interrupt_off(&mut qemu).await;
        // Get Device ID, in two halves.
        qemu.write_all(&[0x01, 0x18]).await.unwrap();
        time::sleep(Duration::from_millis(5)).await;
        qemu.write_all(&[0x01, 0xe6, 0xa0]).await.unwrap();
        expect(&mut qemu, &[0x01, 0x1c, 0x01, 0x00, 0xe2, 0xa0]).await;
    });
}

#[test]
fn frame_with_a_wrong_sum_is_not_answered_and_the_next_one_is() {
    run(async {
        let bridge = TestBridge::new(PATIENT, Echo::default()).await;
        let mut qemu = bridge.connect().await;
        expect_interrupt_off(&mut qemu).await;
        qemu.write_all(&[0x01, 0x18, 0x01, 0xe5, 0xa0]).await.unwrap();
        nothing_comes(&mut qemu).await;
        qemu.write_all(&[0x02, 0x18, 0x01, 0xe5, 0xa0]).await.unwrap();
        expect(&mut qemu, &[0x02, 0x1c, 0x01, 0x00, 0xe1, 0xa0]).await;
    });
}

#[test]
fn interrupt_follows_the_hosts_global_enables() {
    run(async {
        let bridge = TestBridge::new(PATIENT, Echo::default()).await;
        let mut qemu = bridge.connect().await;
        expect_interrupt_off(&mut qemu).await;
        qemu.write_all(&[0x01, 0x18, 0x2e, 0x0d, 0xac, 0xa0]).await.unwrap();
        expect(&mut qemu, &[0x01, 0x1c, 0x2e, 0x00, 0x0d, 0xa8, 0xa0]).await;
        expect(&mut qemu, &ENABLE_INTERRUPT).await;
        assert!(bridge.operation(SmsOperation::SetAttention).await);
        expect(&mut qemu, &SET_ATTENTION_INTERRUPT).await;
        assert!(bridge.operation(SmsOperation::ClearAttention).await);
        expect(&mut qemu, &CLEAR_ATTENTION).await;
    });
}

#[test]
fn attention_and_interrupt_are_sent_again_after_a_reconnect() {
    run(async {
        let echo = Echo::default();
        let bridge = TestBridge::new(PATIENT, echo.clone()).await;
        assert!(bridge.operation(SmsOperation::SetAttention).await);
        let mut qemu = bridge.connect().await;
        expect(&mut qemu, &SET_ATTENTION).await;
        expect_interrupt_off(&mut qemu).await;
        drop(qemu);
        // Another process of this bridge may have seen the host turn the interrupt on.
        echo.enables.store(0x0d, Ordering::Relaxed);
        let mut qemu = bridge.connect().await;
        expect(&mut qemu, &SET_ATTENTION).await;
        expect(&mut qemu, &ENABLE_INTERRUPT).await;
        expect(&mut qemu, &SET_ATTENTION_INTERRUPT).await;
    });
}

#[test]
fn silence_becomes_c3_and_the_late_answer_goes_nowhere() {
    run(async {
        let bridge = TestBridge::new(Duration::from_millis(60), Echo::default()).await;
        let mut qemu = bridge.connect().await;
        // Answered after 100 ms.
        qemu.write_all(&[0x01, 0x18, 0x01, 0x64, 0x00, 0x82, 0xa0]).await.unwrap();
        expect_interrupt_off(&mut qemu).await;
        expect(&mut qemu, &[0x01, 0x1c, 0x01, 0xc3, 0x1f, 0xa0]).await;
        nothing_comes(&mut qemu).await;
    });
}

#[test]
fn requests_around_the_deadline_never_get_anothers_answer() {
    run(async {
        let bridge = TestBridge::new(Duration::from_millis(10), Echo::default()).await;
        let mut qemu = bridge.connect().await;
        expect_interrupt_off(&mut qemu).await;
        let (mut in_time, mut timed_out, mut number) = (0, 0, 0_u16);
        // Some hundreds; more where the machine is too slow for any to be in time.
        while number < 400 || in_time < 50 || timed_out < 50 {
            number += 1;
            let [low, high] = number.to_le_bytes();
            let seq = low;
            let delay = u8::try_from(7 + number % 7).unwrap();
            let request = [seq, 0x18, 0x01, delay, 0x00, low, high];
            qemu.write_all(&frame(&request)).await.unwrap();
            let answer = read_frame(&mut qemu).await;
            assert_eq!(answer[..3], [seq, 0x1c, 0x01]);
            match answer[3] {
                0x00 => {
                    assert_eq!(answer[4..8], request[3..]);
                    in_time += 1;
                }
                code => {
                    assert_eq!(code, 0xc3);
                    timed_out += 1;
                }
            }
        }
    });
}

#[test]
fn socket_left_behind_is_replaced_and_a_live_one_is_not() {
    run(async {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("bmc");
        let address = QemuAddress::Unix(path.clone());
        drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
        let first = QemuTransport::listen(&address).await;
        let second = timeout(Duration::from_millis(50), QemuTransport::listen(&address)).await;
        assert!(second.is_err());
        drop(first);
    });
}

#[test]
fn tcp_is_listened_at_too() {
    run(async {
        let address = QemuAddress::parse("tcp:127.0.0.1:0").unwrap();
        let mut transport = QemuTransport::listen(&address).await;
        let dialled = tokio::net::TcpStream::connect(transport.tcp_address().unwrap());
        let (stream, incoming) = tokio::join!(dialled, transport.next());
        stream.unwrap();
        assert_eq!(incoming, Incoming::Up);
    });
}

/// What `ipmid`'s global enables say as long as no driver has turned the interrupt on.
async fn expect_interrupt_off(qemu: &mut UnixStream) {
    expect(qemu, &[0x06, 0xa1]).await;
}

/// A message as QEMU frames it, built here independently.
fn frame(body: &[u8]) -> Vec<u8> {
    let sum = body.iter().fold(0_u8, |sum, byte| sum.wrapping_sub(*byte));
    let mut out = Vec::new();
    for byte in body.iter().copied().chain([sum]) {
        match byte {
            0xa0 | 0xa1 | 0xaa => out.extend([0xaa, byte | 0x10]),
            _ => out.push(byte),
        }
    }
    out.push(0xa0);
    out
}

async fn read_frame(stream: &mut UnixStream) -> Vec<u8> {
    let mut out = Vec::new();
    loop {
        let mut byte = [0];
        timeout(Duration::from_secs(60), stream.read_exact(&mut byte)).await.unwrap().unwrap();
        match byte[0] {
            0xa0 => return out,
            0xaa => {
                stream.read_exact(&mut byte).await.unwrap();
                out.push(byte[0] & !0x10);
            }
            other => out.push(other),
        }
    }
}
