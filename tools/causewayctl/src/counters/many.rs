//! The counters of many BMCs on one machine, each of which has a bus of its own.

use std::path::Path;

use super::{Counter, Labels, Value};
use crate::bus::Bus;
use crate::cli::Global;
use crate::error::Error;

/// The most BMCs that are read.
const MOST: usize = 10_000;
/// Whether a BMC's bus answers.
const UP: &str = "causeway_up";

/// The counters of each BMC whose bus is `folder`/NAME/bus, with the label `bmc`, in the order of their names. Of a BMC whose bus
/// does not answer, that is all there is.
pub(super) async fn read(folder: &Path, global: &Global) -> Result<Vec<Counter>, Error> {
    let failed = |error: std::io::Error| {
        Error::failed(format_args!("cannot read {}: {error}", folder.display()))
    };
    let mut counters = Vec::new();
    let entries = std::fs::read_dir(folder).map_err(failed)?.flatten();
    for entry in entries.filter(|entry| entry.path().join("bus").exists()).take(MOST) {
        let name = entry.file_name().to_string_lossy().into_owned();
        let address = address(&entry.path().join("bus").display().to_string());
        let found = of_one(&Global { bus: Some(address), ..global.clone() }).await;
        let up = u64::from(found.is_ok());
        let mut found = found.unwrap_or_default();
        found.push(Counter {
            name: UP.to_owned(),
            labels: Labels::new(),
            value: Value::Number(up),
        });
        for counter in &mut found {
            counter.labels.insert("bmc".to_owned(), name.clone());
        }
        counters.append(&mut found);
    }
    counters.sort();
    Ok(counters)
}

async fn of_one(global: &Global) -> Result<Vec<Counter>, Error> {
    super::read(&Bus::connect(global).await?).await
}

/// The address of a bus at a path (D-Bus specification, "Server Addresses").
fn address(path: &str) -> String {
    let escaped = path.bytes().map(|byte| match byte {
        b'-' | b'_' | b'/' | b'.' | b'*' => char::from(byte).to_string(),
        _ if byte.is_ascii_alphanumeric() => char::from(byte).to_string(),
        _ => format!("%{byte:02x}"),
    });
    format!("unix:path={}", escaped.collect::<String>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_escaped_in_addresses() {
        assert_eq!(address("/run/a-b_1.c/bus"), "unix:path=/run/a-b_1.c/bus");
        assert_eq!(address("/a b,;"), "unix:path=/a%20b%2c%3b");
    }

    #[tokio::test]
    async fn a_bmc_whose_bus_does_not_answer_is_down() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["vm1", "vm2"] {
            std::fs::create_dir(folder.path().join(name)).unwrap();
        }
        std::fs::write(folder.path().join("vm2/bus"), "").unwrap();
        let global = Global::default();
        let counters = read(folder.path(), &global).await.unwrap();
        let labels = Labels::from([("bmc".to_owned(), "vm2".to_owned())]);
        assert_eq!(counters, [Counter { name: UP.to_owned(), labels, value: Value::Number(0) }]);
        assert!(read(&folder.path().join("none"), &global).await.is_err());
    }
}
