//! A bridge over a model of a BMC's device that refuses as the kernel's drivers do.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;

use ipmi_proto::{CompletionCode, kcs};
use tokio::sync::{Notify, mpsc, oneshot, watch};
use tokio::task::LocalSet;
use tokio::time::{self, timeout};

use super::*;
use crate::attention::{SmsCall, SmsOperation};
use crate::bridge::{Bridge, RequestExecutor};
use crate::exchange::Limits;

const EINVAL: i32 = 22;
const ENODEV: i32 = 19;

/// The kernel's side of the one device there is in each test's thread.
#[derive(Default)]
struct Kernel {
    plugged: bool,
    opened: usize,
    requests: VecDeque<Vec<u8>>,
    /// Whether the host waits, so that an answer is taken.
    waiting: bool,
    answers: VecDeque<Vec<u8>>,
    refused: usize,
    attention: bool,
    aborts: usize,
}

thread_local! {
    static KERNEL: RefCell<Kernel> = RefCell::default();
    static CHANGED: Rc<Notify> = Rc::default();
}

fn kernel<R>(change: impl FnOnce(&mut Kernel) -> R) -> R {
    let result = KERNEL.with_borrow_mut(change);
    CHANGED.with(|changed| changed.notify_waiters());
    result
}

struct Model;

impl HostDevice for Model {
    const READ: usize = 64;
    const ANSWER_DATA: usize = 32;
    /// Longer than any machine takes.
    const ANSWER_WITHIN: Duration = Duration::from_secs(60);

    fn open(_: &Path) -> io::Result<Self> {
        KERNEL.with_borrow_mut(|kernel| {
            kernel.opened += usize::from(kernel.plugged);
            kernel.plugged.then_some(Self).ok_or_else(|| io::ErrorKind::NotFound.into())
        })
    }

    async fn read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            let changed = CHANGED.with(Rc::clone);
            let waiting = changed.notified();
            let got = KERNEL.with_borrow_mut(|kernel| match kernel.requests.pop_front() {
                _ if !kernel.plugged => Some(Err(io::Error::from_raw_os_error(ENODEV))),
                Some(request) => {
                    kernel.waiting = true;
                    buffer[..request.len()].copy_from_slice(&request);
                    Some(Ok(request.len()))
                }
                None => None,
            });
            match got {
                Some(result) => return result,
                None => waiting.await,
            }
        }
    }

    async fn write(&self, message: &[u8]) -> io::Result<usize> {
        kernel(|kernel| {
            if !kernel.waiting {
                kernel.refused += 1;
                return Err(io::Error::from_raw_os_error(EINVAL));
            }
            kernel.waiting = false;
            kernel.answers.push_back(message.to_vec());
            Ok(message.len())
        })
    }

    fn parse(message: &[u8]) -> Result<(u8, Request), FrameError> {
        Ok((0, kcs::parse_request(message)?))
    }

    fn emit(_: u8, response: &Response) -> Result<Vec<u8>, FrameError> {
        let mut out = Vec::new();
        kcs::emit_response(response, &mut out);
        Ok(out)
    }

    fn set_attention(&self, on: bool) -> io::Result<()> {
        kernel(|kernel| kernel.attention = on);
        Ok(())
    }

    fn force_abort(&self) -> io::Result<()> {
        kernel(|kernel| {
            kernel.aborts += 1;
            kernel.waiting = false;
        });
        Ok(())
    }
}

/// Echoes after as many milliseconds as the first byte of data says.
#[derive(Clone)]
struct Echo;

impl RequestExecutor for Echo {
    async fn execute(&self, request: Request, _: Duration) -> Response {
        if request.command == 0x31 {
            return Response::failure(&request, CompletionCode::INVALID_COMMAND);
        }
        let delay = request.data.first().copied().unwrap_or(0);
        time::sleep(Duration::from_millis(delay.into())).await;
        Response::to(&request, CompletionCode::OK, request.data.clone())
    }
}

/// Runs `test` beside a bridge, with a way to call its attention object.
fn with_bridge<F: Future<Output = ()>>(test: impl FnOnce(mpsc::Sender<SmsCall>) -> F) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let local = LocalSet::new();
    local.block_on(&runtime, async {
        let (calls, receiver) = mpsc::channel(1);
        let transport = DeviceTransport::<Model>::new("/dev/model".into());
        let limits = Limits { answer_within: Model::ANSWER_WITHIN, ..Limits::default() };
        let bridge = Bridge::new(transport, Echo, receiver, watch::channel(limits).1).run();
        tokio::select! {
            () = bridge => {}
            result = timeout(Duration::from_secs(60), test(calls)) => result.unwrap(),
        }
    });
}

fn ask(request: &[u8]) {
    kernel(|kernel| kernel.requests.push_back(request.to_vec()));
}

async fn until(condition: impl Fn(&Kernel) -> bool) {
    while !KERNEL.with_borrow(&condition) {
        time::sleep(Duration::from_millis(1)).await;
    }
}

async fn answer() -> Vec<u8> {
    until(|kernel| !kernel.answers.is_empty()).await;
    kernel(|kernel| kernel.answers.pop_front()).unwrap()
}

#[test]
fn device_may_come_later_and_is_bridged_then() {
    with_bridge(async |_| {
        time::sleep(Duration::from_millis(20)).await;
        kernel(|kernel| kernel.plugged = true);
        ask(&[0x18, 0x01]);
        assert_eq!(answer().await, [0x1c, 0x01, 0x00]);
    });
}

#[test]
fn device_that_is_unplugged_is_opened_again_with_its_attention() {
    kernel(|kernel| kernel.plugged = true);
    with_bridge(async |calls| {
        let (done, result) = oneshot::channel();
        let operation = SmsOperation::SetAttention;
        calls.send(SmsCall { operation, done }).await.unwrap();
        assert!(result.await.unwrap());
        until(|kernel| kernel.attention).await;
        kernel(|kernel| *kernel = Kernel::default());
        time::sleep(Duration::from_millis(20)).await;
        kernel(|kernel| kernel.plugged = true);
        until(|kernel| kernel.opened == 1 && kernel.attention).await;
        ask(&[0x18, 0x01]);
        assert_eq!(answer().await, [0x1c, 0x01, 0x00]);
    });
}

#[test]
fn answer_the_device_refuses_costs_that_answer_only() {
    kernel(|kernel| kernel.plugged = true);
    with_bridge(async |_| {
        ask(&[0x18, 0x01, 20]);
        until(|kernel| kernel.waiting).await;
        // The host aborts, without a notification.
        kernel(|kernel| kernel.waiting = false);
        until(|kernel| kernel.refused == 1).await;
        ask(&[0x18, 0x01, 0, 7]);
        assert_eq!(answer().await, [0x1c, 0x01, 0x00, 0, 7]);
    });
}

#[test]
fn request_that_overtakes_another_gets_its_own_answer() {
    kernel(|kernel| kernel.plugged = true);
    with_bridge(async |_| {
        ask(&[0x18, 0x01, 30, 1]);
        until(|kernel| kernel.waiting).await;
        ask(&[0x18, 0x01, 40, 2]);
        assert_eq!(answer().await, [0x1c, 0x01, 0x00, 40, 2]);
        time::sleep(Duration::from_millis(50)).await;
        assert!(KERNEL.with_borrow(|kernel| kernel.answers.is_empty()));
    });
}

#[test]
fn bytes_that_are_no_request_abort_the_interface() {
    kernel(|kernel| kernel.plugged = true);
    with_bridge(async |_| {
        ask(&[0x18]);
        until(|kernel| kernel.aborts == 1).await;
        ask(&[0x18, 0x01]);
        assert_eq!(answer().await, [0x1c, 0x01, 0x00]);
    });
}

#[test]
fn answer_longer_than_the_device_takes_is_ca() {
    kernel(|kernel| kernel.plugged = true);
    with_bridge(async |_| {
        ask(&[&[0x18, 0x01][..], &[0; 33]].concat());
        assert_eq!(answer().await, [0x1c, 0x01, 0xca]);
    });
}
