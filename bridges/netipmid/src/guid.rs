//! The system's GUID: `xyz.openbmc_project.Common.UUID` of the inventory.

use std::iter;
use std::time::Duration;

use openbmc_dbus::client::{CallError, Client, ObjectAt};
use openbmc_dbus::common::uuid;
use openbmc_dbus::execute::LinkState;
use tokio::sync::mpsc;
use tokio::time::sleep;

/// Where the mapper looks for an object with a UUID.
const INVENTORY: &str = "/xyz/openbmc_project/inventory";
/// The time limit of a call to the mapper or the inventory.
const DEADLINE: Duration = Duration::from_secs(2);
/// Seconds between attempts while the inventory has no UUID; the last stays.
const PAUSES: [u64; 7] = [1, 2, 4, 8, 16, 32, 64];

/// The GUID of a system without a UUID: the bytes 1 to 16, as in OpenBMC.
pub const FALLBACK: [u8; 16] = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16];

/// Looks the GUID up at each new connection to the bus, and sends it through `found`.
pub async fn follow(mut link: LinkState, found: mpsc::UnboundedSender<[u8; 16]>) {
    while link.changed().await.is_ok() {
        let Some(bus) = link.borrow_and_update().clone() else {
            continue;
        };
        let client = Client::new(bus, DEADLINE);
        for pause in PAUSES.into_iter().chain(iter::repeat(64)) {
            match read(&client).await {
                Ok(Some(guid)) => {
                    if found.send(guid).is_err() {
                        return;
                    }
                    break;
                }
                Ok(None) => {}
                Err(error) => tracing::debug!(%error, "cannot read the system UUID; retrying"),
            }
            sleep(Duration::from_secs(pause)).await;
            if link.has_changed().unwrap_or(true) {
                break;
            }
        }
    }
}

async fn read(client: &Client) -> Result<Option<[u8; 16]>, CallError> {
    let objects = client.sub_tree(INVENTORY, 0, &[uuid::NAME]).await?;
    for (path, owners) in objects {
        for service in owners.into_keys() {
            let text = client.get(&ObjectAt::new(service, &path), uuid::UUID).await?;
            if let Some(guid) = parse(&text) {
                return Ok(Some(guid));
            }
        }
    }
    Ok(None)
}

/// A UUID in the notation of RFC 4122, as bytes in IPMI's order: reversed (IPMI v2.0 §20.8).
fn parse(text: &str) -> Option<[u8; 16]> {
    Some(::uuid::Uuid::try_parse(text).ok()?.as_u128().to_le_bytes())
}

#[cfg(test)]
mod tests {
    use hex_literal::hex;

    use super::*;

    #[test]
    fn uuids_are_reversed() {
        let guid = parse("00112233-4455-6677-8899-aabbccddeeff");
        assert_eq!(guid, Some(hex!("ffeeddccbbaa99887766554433221100")));
        for bad in ["", "00112233-4455-6677-8899-aabbccddeef", "+0112233445566778899aabbccddeeff"] {
            assert_eq!(parse(bad), None, "{bad}");
        }
    }
}
